//! Whole boxes: booted from the disk image, talked to through their serial line and the network, and switched off.

mod console;
mod cuts;
mod entries;
mod erased;
mod kept;
mod lost;
mod manual;
mod menu;
mod page;
mod person;
mod place;
mod secrets;
mod site;
mod sticks;
mod trials;
mod update;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

pub use cuts::cuts;
pub use entries::entries;
pub use erased::erased;
pub use lost::lost_address;

use director_lab::disk;
use director_lab::guest::Guest;
use director_lab::machine::Boot;

pub use menu::by_manual;
pub use page::page;
pub use secrets::secrets;
pub use sticks::sticks;
pub use trials::slots;
pub use update::update;

use super::image;
use super::outcome::Outcome;
use crate::demo;
use site::{BOOT, PATIENCE, Site, config, vip};

/// What the console says first when it is ready for a person.
const INVITATION: &str = "Press Enter to activate this console";

/// A file with three faults, and where each is, as `line:column`.
const THREE_FAULTS: &str = r#"version = 1

[[interface]]
name      = "eth0"
addresses = ["10.79.0.11/33"]

[[vrrp]]
name      = "VI_1"
interface = "eth0"
vrid      = 300
priorty   = 50
addresses = ["10.79.0.100/32"]
"#;
const PLACES: [&str; 3] = ["5:14", "10:13", "11:1"];

/// BIOS, the file on the operator's partition; a power cut; a file that became faulty.
///
/// # Errors
/// What did not come about, with what the box said.
pub fn bios() -> Result<Outcome> {
    let site = Site::new()?;
    let disk = site.disk()?;
    site.configure(&disk, &config("bios", vip(100)))?;
    let mut guest = site.power_on("box-bios", Boot::Bios(disk.clone()), &[])?;
    let boot = runs(&site, &mut guest, "partition DIRECTOR", 100);
    let boot = guest.explain(boot)?;
    guest.explain(console::tells_kept(&guest))?;
    guest.cut_power()?;

    site.configure(&disk, THREE_FAULTS)?;
    let mut guest = site.power_on("box-last-good", Boot::Bios(disk), &[])?;
    let again = runs(&site, &mut guest, "last good", 100);
    let again = guest.explain(again)?;
    guest.explain(names_every_fault(&guest))?;
    Ok(Outcome { notes: vec![boot, again], ..Outcome::passed() })
}

/// UEFI, and a stick whose file a box as delivered takes and keeps.
///
/// # Errors
/// What did not come about, with what the box said.
pub fn uefi() -> Result<Outcome> {
    let site = Site::new()?;
    let disk = site.disk()?;
    let stick = site.stick(&config("stick", vip(101)))?;
    let mut guest = site.power_on("box-uefi", Boot::Uefi(disk.clone()), std::slice::from_ref(&stick))?;
    let boot = runs(&site, &mut guest, "USB stick", 101);
    let boot = guest.explain(boot)?;
    guest.explain(site.expect_silence(vip(100)))?;
    let result = || disk::read_stick(&stick, "result.txt").is_ok_and(|text| text.contains("taken"));
    guest.explain(await_true("result.txt on the stick", result))?;
    guest.cut_power()?;

    let mut guest = site.power_on("box-uefi-again", Boot::Uefi(disk), &[])?;
    let again = runs(&site, &mut guest, "partition DIRECTOR", 101);
    let again = guest.explain(again)?;
    Ok(Outcome { notes: vec![boot, again], ..Outcome::passed() })
}

/// A faulty file and no good one before it.
///
/// # Errors
/// What did not come about, with what the box said.
pub fn faults() -> Result<Outcome> {
    let site = Site::new()?;
    let disk = site.disk()?;
    site.configure(&disk, THREE_FAULTS)?;
    let guest = site.power_on("box-faults", Boot::Bios(disk), &[])?;
    guest.explain(banner(&guest, "built-in safe one"))?;
    guest.explain(names_every_fault(&guest))?;
    guest.explain(console::tells_status(&guest))?;
    guest.explain(site.expect_silence(vip(100)))?;
    Ok(Outcome::passed())
}

/// The console by its manual, on a box that was flashed and never configured.
///
/// # Errors
/// What did not come about, with what the box said.
pub fn console() -> Result<Outcome> {
    let site = Site::new()?;
    let disk = site.flashed()?;
    let mut guest = site.power_on("box-console", Boot::Bios(disk.clone()), &[])?;
    guest.explain(guest.serial().expect(INVITATION, BOOT))?;
    guest.explain(console::sets_address(&guest, "10.79.0.50/24"))?;
    let address = vip(50);
    guest.explain(site.await_ping(address))?;
    guest.explain(console::tells_status(&guest))?;
    guest.explain(console::pings(&guest, site::CLIENT))?;
    guest.explain(console::restarts_a_worker(&guest))?;
    guest.explain(console::powers_off(&guest))?;
    let status = guest.await_power_off(PATIENCE)?;
    ensure!(status.success(), "QEMU: {status}");

    let guest = site.power_on("box-console-again", Boot::Bios(disk), &[])?;
    guest.explain(site.await_ping(address))?; // it was written to the disk
    Ok(Outcome::passed())
}

/// Ctrl-Alt-Del starts the box again in order, the power button switches it off in order.
///
/// # Errors
/// What did not come about, with what the box said.
pub fn power() -> Result<Outcome> {
    let site = Site::new()?;
    let disk = site.disk()?;
    site.configure(&disk, &config("power", vip(100)))?;
    let mut guest = site.power_on("box-power", Boot::Bios(disk), &[])?;
    site.await_answer(vip(100), &mut guest)?;
    guest.qmp().press(&["ctrl", "alt", "delete"])?;
    guest.explain(guest.serial().expect("director: starting again", PATIENCE))?;
    guest.explain(guest.serial().expect(INVITATION, BOOT))?;
    site.await_answer(vip(100), &mut guest)?;

    guest.qmp().command("system_powerdown", serde_json::json!({}))?;
    guest.explain(guest.serial().expect("director: powering off", PATIENCE))?;
    let status = guest.await_power_off(PATIENCE)?;
    ensure!(status.success(), "QEMU: {status}");
    Ok(Outcome::passed())
}

/// The demonstration: a pair.
///
/// # Errors
/// The act that could not be played.
pub fn pair() -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for finding in demo::play(image()?)? {
        let line = format!("{}: {} (expected: {})", finding.what, finding.measured, finding.expected);
        if finding.good {
            outcome.passed += 1;
            outcome.notes.push(line);
        } else {
            outcome.failed.push(line);
        }
    }
    Ok(outcome)
}

/// Waits until `holds`.
fn await_true(what: &str, holds: impl Fn() -> bool) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        ensure!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// The box runs the file from `source`, says so, and answers at the VIP. Returns the times since power-on.
fn runs(site: &Site, guest: &mut Guest, source: &str, last: u8) -> Result<String> {
    let answered = site.await_answer(vip(last), guest)?;
    let spoke = Instant::now();
    banner(guest, source)?;
    let waited = spoke.elapsed().as_secs_f64();
    Ok(format!(
        "{}: power-on to first answered request {:.1} s (banner {waited:.1} s later)",
        guest.name(),
        answered.as_secs_f64()
    ))
}

/// The console says that the configuration from `source` runs, and invites.
fn banner(guest: &Guest, source: &str) -> Result<()> {
    guest.serial().expect(&format!(": {source}"), BOOT)?;
    guest.serial().expect(INVITATION, PATIENCE).map(drop)
}

/// The console named the place of each fault of [`THREE_FAULTS`].
fn names_every_fault(guest: &Guest) -> Result<()> {
    let said = guest.serial().text();
    for place in PLACES {
        ensure!(
            said.contains(&format!("director.toml:{place}")),
            "the console does not name the fault at {place}"
        );
    }
    Ok(())
}
