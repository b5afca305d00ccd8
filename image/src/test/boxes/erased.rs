//! A factory reset that a cut of the power ends early: the next boot ends it in full, or it never began.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use director_lab::cut::Journal;
use director_lab::guest::Guest;
use director_lab::machine::{Boot, Machine, Network};
use director_lab::random::Random;
use director_lab::{disk, scratch};

use super::console::{choose, leave, powers_off, resets};
use super::kept::Kept;
use super::site::{BOOT, PATIENCE, config, vip};
use super::{INVITATION, image};
use crate::test::outcome::Outcome;

/// The operator's file of a box as it is delivered.
const FACTORY: &str = include_str!("../../../../board/common/config/director.toml");
/// How many moments of one reset are tried.
const CUTS: usize = 3;

/// One reset, its journal, and a boot for each of several moments in it.
///
/// # Errors
/// What is left that must not be, or gone, with the seed.
pub fn erased() -> Result<Outcome> {
    let seed = Random::seed("DIRECTOR_SEED");
    eprintln!("a reset cut short by DIRECTOR_SEED={seed}");
    let mut random = Random::new(seed);
    let folder = scratch::folder("erased")?;
    let rig = Rig { folder: folder.path().to_owned(), text: config("erased", vip(100)) };
    let (journal, begun, done) = rig.record()?;
    let mut outcome = Outcome { notes: vec![format!("DIRECTOR_SEED={seed}")], ..Outcome::default() };
    for _ in 0..CUTS {
        let moment = begun + random.below(journal.len() - begun + 1);
        let told = format!(
            "DIRECTOR_SEED={seed}, cut after {moment} of {} writes ({begun} to {done})",
            journal.len()
        );
        outcome.notes.push(rig.cut(&journal, moment, moment >= done, &mut random).context(told)?);
        outcome.passed += 1;
    }
    Ok(outcome)
}

struct Rig {
    folder: PathBuf,
    text: String,
}

impl Rig {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn power_on(&self, name: &str, disk: &Path, journal: Option<PathBuf>) -> Result<Guest> {
        let mut machine = Machine::new(name, Boot::Bios(disk.to_owned()));
        machine.journal = journal;
        Guest::start(&machine.nic(Network::User, "52:54:00:79:00:01"), None)
    }

    /// Resets a box that was used; gives the journal, and how much of it there was before the order and when it was done.
    fn record(&self) -> Result<(Journal, usize, usize)> {
        let (base, disk, journal) = (self.path("base.img"), self.path("disk.img"), self.path("journal"));
        disk::copy(image()?, &base)?;
        disk::put_config(&base, &disk::file(&self.folder, "director.toml", &self.text)?, "director.toml")?;
        let program = disk::file(&self.folder, "tell", "#!/bin/false with a token\n")?;
        disk::put_config_folder(&base, "hooks", &[(&program, "tell")])?;
        disk::copy(&base, &disk)?;
        let mut guest = self.power_on("box-erased", &disk, Some(journal.clone()))?;
        guest.explain(settled(&guest))?;
        let size = || -> Result<u64> { Ok(std::fs::metadata(&journal)?.len()) };
        let before = size()?;
        guest.explain(resets(&guest))?;
        guest.explain(guest.serial().expect("Erased.", PATIENCE))?;
        let after = size()?;
        guest.cut_power()?;
        let journal = Journal::read(&journal)?;
        let (begun, done) = (journal.within(before), journal.within(after));
        Ok((journal, begun, done))
    }

    /// Boots with what a cut has left, lets the box end in order, and looks.
    fn cut(&self, journal: &Journal, moment: usize, done: bool, random: &mut Random) -> Result<String> {
        let disk = self.path("disk.img");
        disk::copy(&self.path("base.img"), &disk)?;
        let fate = journal.replay(moment, random, &disk)?;
        let left = Kept::read(&disk, &self.folder)?;
        let begun = left.resetting || left.file == FACTORY;
        ensure!(begun || (left.file == self.text && !done), "a third thing:\n{}", left.file);
        let mut guest = self.power_on("box-erased-again", &disk, None)?;
        let booted = Instant::now();
        guest.explain(settled(&guest))?;
        let waited = booted.elapsed().as_secs_f64();
        guest.explain(powers_off(&guest))?;
        guest.await_power_off(PATIENCE)?;
        let now = Kept::read(&disk, &self.folder)?;
        let (file, what) =
            if begun { (FACTORY, "ended by the next boot") } else { (&*self.text, "never began") };
        let program = disk::read_config(&disk, "hooks/tell").is_ok();
        ensure!(
            program != begun,
            "{what}: but the operator's program is {}",
            if program { "there" } else { "gone" }
        );
        ensure!(now.file == file && !now.resetting, "{what}: but the file is:\n{}", now.file);
        ensure!(
            now.last_good.as_deref() == Some(file),
            "{what}: but the last good one is {:?}",
            now.last_good
        );
        let other = now.generations.iter().find(|text| *text != file);
        ensure!(other.is_none(), "{what}: but the history has {other:?}");
        Ok(format!("cut after {moment} writes ({fate:?}): {what}, {waited:.1} s"))
    }
}

/// The box has chosen a configuration, and keeps it.
fn settled(guest: &Guest) -> Result<()> {
    guest.serial().expect(": partition DIRECTOR", BOOT)?;
    guest.serial().expect(INVITATION, PATIENCE)?;
    choose(guest, "1")?;
    guest.serial().expect("kept as the last good one", PATIENCE)?;
    guest.serial().send(" ")?;
    leave(guest)
}
