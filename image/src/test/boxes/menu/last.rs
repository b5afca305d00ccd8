//! What ends what went before: the PIN, reboot, safe mode, factory reset, power off.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::super::manual::{Manual, agree};
use super::super::person::{BELOW, INVITATION, MAIN, PIN, Person};
use super::super::place::Place;
use super::super::site::{BOOT, PATIENCE};
use super::{CONFIGURATION, leave};

/// The PIN whose hash the manual shows, and another one.
const RIGHT: &str = "4711";
const WRONG: &str = "4712";

/// A PIN in the file shuts the console; a wrong one shuts it for longer; a hang-up opens nothing.
pub fn pin(person: &mut Person<'_>, place: &Place, manual: &Manual) -> Result<()> {
    let lines = manual.toml("### A PIN")?.replace("version = 1\n", "");
    place.write(&format!("{}{lines}", place.file()?))?;
    person.home()?;
    person.answer(MAIN, "3")?;
    person.hear(CONFIGURATION)?;
    // The workers have only just been released.
    let end = Instant::now() + PATIENCE;
    loop {
        person.press("r\r")?;
        let said = person.hear(CONFIGURATION)?;
        if said.contains("read again") {
            break;
        }
        ensure!(Instant::now() < end, "the file with the PIN is not taken:\n{said}");
    }
    leave(person)?;
    person.knows(RIGHT);

    // As the manual has it, but for the 2 seconds that its second Enter comes too early.
    person.noisy(true);
    person.press("\r")?;
    person.hear(PIN)?;
    person.answer(PIN, WRONG)?;
    person.noisy(false);
    let said = person.hear(INVITATION)?;
    ensure!(said.contains("****") && said.contains("Wrong PIN."), "a wrong PIN:\n{said}");
    ensure!(!said.contains(WRONG), "the PIN is shown:\n{said}");
    // Each wrong one shuts it for twice as long, also when the line was hung up meanwhile.
    let mut refused = unlocked(person)?;
    for (typed, seconds) in [("4".repeat(10_000), 4), (WRONG.to_owned(), 8)] {
        let begun = Instant::now();
        person.press(&format!("{typed}\r"))?;
        person.hear("Wrong PIN.")?;
        person.hear(INVITATION)?;
        person.guest().serial().hang_up()?;
        refused += unlocked(person)?;
        let shut = begun.elapsed();
        ensure!(shut >= Duration::from_secs(seconds), "a wrong PIN shut the console for {shut:?} only");
    }
    ensure!(refused > 0, "nobody was told to wait");
    person.answer("", RIGHT)?;
    let said = person.hear(MAIN)?;
    let shown: Vec<String> = manual.dialogue("menu")?.into_iter().flat_map(|turn| turn.shown).collect();
    agree(&shown, said.trim_start_matches(['*', '\n']))
}

/// Presses Enter until the PIN is asked for; how often it was not.
fn unlocked(person: &mut Person<'_>) -> Result<u32> {
    for refused in 0..200 {
        person.press("\r")?;
        if person.hear_any(&[PIN, "Wrong PINs: wait "])?.0 == 0 {
            return Ok(refused);
        }
        person.hear(INVITATION)?;
        std::thread::sleep(Duration::from_millis(250));
    }
    bail!("the PIN is not asked for again")
}

/// Reboot, with the same file and the PIN afterwards; safe mode, with neither, and out of it; factory reset; power off.
pub fn ends(person: &mut Person<'_>, place: &Place, manual: &Manual, below: &str) -> Result<()> {
    let file = place.file()?;
    let again = |person: &mut Person<'_>, name: &str, last: &str| -> Result<()> {
        person.go(BELOW, below)?;
        let turns = manual.dialogue(name)?;
        let typed = turns.iter().filter(|turn| turn.answer.is_some()).count();
        person.noisy(true);
        person.play(turns.get(..typed).unwrap_or(&[]))?;
        person.noisy(false);
        person.hear(last)?;
        person.guest().serial().expect("Director ready", BOOT)?;
        person.hear(INVITATION).map(drop)
    };
    again(person, "reboot", "Going down.").context("reboot")?;
    ensure!(place.file()? == file, "the reboot changed the file");
    person.press("\r")?;
    person.hear(PIN)?;
    person.answer("", RIGHT)?;
    person.hear(MAIN)?;
    again(person, "safe-mode", "Going down.").context("safe mode")?;
    let said = person.guest().serial().text();
    let banner = said.rsplit_once("Going down.").map_or("", |(_, banner)| banner);
    for words in ["mode safe", "SAFE MODE: no virtual address", ": built-in safe one"] {
        ensure!(banner.contains(words), "the banner of the safe mode does not say {words:?}:\n{banner}");
    }
    // It knows no PIN, leaves the file alone, and lasts for one start.
    person.press("\r")?;
    person.hear(MAIN)?;
    ensure!(place.file()? == file, "the safe mode changed the file");
    again(person, "reboot", "Going down.").context("reboot out of safe mode")?;
    person.press("\r")?;
    person.hear(PIN)?;
    person.answer("", RIGHT)?;
    person.hear(MAIN)?;
    again(person, "reset", "The box starts again.").context("factory reset")?;
    ensure!(place.file()? != file, "the reset left the file");
    person.go(BELOW, below)?;
    person.answer(BELOW, "4")?;
    person.hear("Power this box off? (yes or no): ")?;
    person.answer("", "yes")?;
    person.hear("type poweroff: ")?;
    person.answer("", "poweroff")
}
