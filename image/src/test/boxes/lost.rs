//! A change that cuts the management address, on a whole box: what ran before runs again, with the box left alone, with the
//! worker started anew, and with the power cut in between.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, ensure};

use director_lab::guest::Guest;
use director_lab::machine::Boot;

use super::INVITATION;
use super::console::{answer, choose, leave};
use super::site::{BOOT, PATIENCE, Site, config, vip};
use crate::test::outcome::Outcome;

const OLD: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 79, 0, 11));
const NEW: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 79, 0, 12));
const PROMPT: &str = "r, f, d, u, c, b, h or e;";
/// Long enough to see the new address on a busy machine.
const TRIAL: &str = "20s";

/// One box, two boots.
///
/// # Errors
/// What did not come about, with what the box said.
pub fn lost_address() -> Result<Outcome> {
    let site = Site::new()?;
    let disk = site.disk()?;
    let text = config("lost", vip(100));
    site.configure(&disk, &text)?;
    let stick = site.stick(&text.replace("10.79.0.11/24", "10.79.0.12/24"))?;
    let mut guest = site.power_on("box-lost", Boot::Bios(disk.clone()), &[stick])?;
    guest.explain(guest.serial().expect(INVITATION, BOOT))?;

    for restart in [false, true] {
        guest.explain(tries(&site, &guest, TRIAL))?;
        if restart {
            guest.explain(restarts_store(&guest))?;
        }
        guest.explain(guest.serial().expect("not confirmed in time", BOOT))?;
        guest.explain(reached_at(&site, OLD, NEW))?;
    }

    guest.explain(tries(&site, &guest, "1h"))?;
    guest.cut_power()?;
    let guest = site.power_on("box-lost-again", Boot::Bios(disk), &[])?;
    guest.explain(guest.serial().expect(": partition DIRECTOR", BOOT))?;
    guest.explain(guest.serial().expect("was not confirmed before", PATIENCE))?;
    guest.explain(reached_at(&site, OLD, NEW))?;
    Ok(Outcome { passed: 3, ..Outcome::default() })
}

/// Applies the file of the stick for `time`, and leaves the console alone.
fn tries(site: &Site, guest: &Guest, time: &str) -> Result<()> {
    choose(guest, "3")?;
    answer(guest, PROMPT, "u")?;
    let told = guest.serial().expect("Apply it for", PATIENCE)?;
    ensure!(told.contains("the address 10.79.0.11/24 of this box goes"), "it does not warn:\n{told}");
    guest.serial().send_line(time)?;
    answer(guest, PROMPT, "")?;
    leave(guest)?;
    reached_at(site, NEW, OLD)
}

/// Menu 8: starts the worker anew that has to take the change back.
fn restarts_store(guest: &Guest) -> Result<()> {
    choose(guest, "8")?;
    answer(guest, "Worker (1-", "store")?;
    answer(guest, "store: restart, hold or release", "restart")?;
    guest.serial().expect("store is being restarted", PATIENCE)?;
    answer(guest, "Worker (1-", "")?;
    leave(guest)
}

fn reached_at(site: &Site, address: IpAddr, not_at: IpAddr) -> Result<()> {
    site.await_ping(address)?;
    ensure!(!site.client.pings(not_at), "{not_at} answers, too");
    Ok(())
}
