//! Cuts of the power at random moments while configurations are applied and written: the box always boots, with the old file or
//! the new one, whole. What the disk keeps is decided more strictly than a killed QEMU would: `director_lab::cut`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use director_lab::cut::{Fate, Journal};
use director_lab::guest::Guest;
use director_lab::machine::{Boot, Machine, Network};
use director_lab::random::Random;
use director_lab::{disk, scratch};

use super::console::{answer, choose, leave};
use super::kept::Kept;
use super::site::{BOOT, PATIENCE};
use super::{INVITATION, image};
use crate::test::outcome::Outcome;

/// `DIRECTOR_CUTS=100` for the long run.
const CUTS: usize = 20;
/// As long as an order takes, before one has been seen.
const FIRST_GUESS: Duration = Duration::from_secs(4);
const PROMPT: &str = "r, f, d, u, c, b, h or e;";

/// Each boot shows what the last cut has left, and is the one in which the next change is cut short.
///
/// # Errors
/// What the cut has left that must not be, with the seed, and where disk and journal are kept.
pub fn cuts() -> Result<Outcome> {
    let count = std::env::var("DIRECTOR_CUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(CUTS);
    let seed = Random::seed("DIRECTOR_SEED");
    eprintln!("power cuts by DIRECTOR_SEED={seed}");
    let mut rig = Rig::new(Random::new(seed))?;
    for number in 1..=count {
        let cut = rig.cut(number).and_then(|()| rig.judge());
        if let Err(error) = cut {
            let folder = scratch::logs()?;
            disk::copy(&rig.base, &folder.join("cut.img"))?;
            let told = format!("cut {number} of {count}, DIRECTOR_SEED={seed}, {}", rig.last);
            return Err(error.context(format!("{told}; the disk: {}/cut.img", folder.display())));
        }
    }
    let guest = rig.power_on("box-cuts-end")?;
    guest.explain(rig.runs(&guest))?;
    Ok(Outcome { notes: vec![format!("DIRECTOR_SEED={seed}: {}", rig.tally)], ..Outcome::passed() })
}

/// A change that is asked for.
enum Wish {
    /// Another address, on the console: written and applied at once.
    Address(String),
    /// The file on the stick: applied on trial, and confirmed.
    Stick,
}

/// How far a change came; sizes of the journal at that time.
#[derive(Default)]
struct Progress {
    /// What makes it final was ordered.
    ordered: Option<u64>,
    /// The box said that it is final.
    done: Option<u64>,
}

/// A box, its disk, and what may be on that.
struct Rig {
    folder: tempfile::TempDir,
    random: Random,
    /// The disk while the power is off.
    base: PathBuf,
    /// The operator's file before the cut, and after it.
    old: String,
    found: String,
    /// Every text that ever was the operator's file.
    texts: BTreeSet<String>,
    /// What the last good one may be.
    good: BTreeSet<String>,
    longest: Duration,
    last: String,
    tally: Tally,
}

impl Rig {
    fn new(random: Random) -> Result<Rig> {
        let folder = scratch::folder("cuts")?;
        let base = folder.path().join("base.img");
        disk::copy(image()?, &base)?;
        let found = text("10.79.0.11/24", 40);
        disk::put_config(&base, &disk::file(folder.path(), "director.toml", &found)?, "director.toml")?;
        let (texts, good) = (BTreeSet::from([found.clone()]), BTreeSet::from([found.clone()]));
        let (last, tally) = (String::new(), Tally::default());
        let old = found.clone();
        Ok(Rig { folder, random, base, old, found, texts, good, longest: FIRST_GUESS, last, tally })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A box with what the last cut has left.
    fn power_on(&self, name: &str) -> Result<Guest> {
        let disk = self.path("disk.img");
        disk::copy(&self.base, &disk)?;
        let mut machine = Machine::new(name, Boot::Bios(disk)).nic(Network::User, "52:54:00:79:00:01");
        machine.journal = Some(self.path("journal"));
        machine.usb = [self.path("stick.img")].into_iter().filter(|stick| stick.exists()).collect();
        Guest::start(&machine, None)
    }

    /// The box runs the operator's file, as the disk has it, and keeps it.
    fn runs(&self, guest: &Guest) -> Result<()> {
        guest.serial().expect(": partition DIRECTOR", BOOT)?;
        guest.serial().expect(INVITATION, PATIENCE)?;
        choose(guest, "1")?;
        guest.serial().expect("kept as the last good one", PATIENCE)?;
        guest.serial().expect(address(&self.found)?, PATIENCE)?;
        guest.serial().send(" ")?;
        leave(guest)
    }

    /// Boots, asks for a change, cuts the power while that is done, and makes the disk of it.
    fn cut(&mut self, number: usize) -> Result<()> {
        let another = format!("10.79.{}.{}/24", number / 200, number % 200 + 20);
        let by_hand = self.random.once_in(2);
        let (wish, new) = if by_hand {
            (Wish::Address(another.clone()), self.found.replacen(address(&self.found)?, &another, 1))
        } else {
            let new = text(&another, self.random.below(120));
            let file = disk::file(self.folder.path(), "stick.toml", &new)?;
            disk::usb_stick(&self.path("stick.img"), Some(&file))?;
            (Wish::Stick, new)
        };
        let mut guest = self.power_on("box-cuts")?;
        guest.explain(self.runs(&guest))?;
        let settled = self.told()?;
        let applied = self.apply(&guest, &wish);
        let progress = guest.explain(applied)?;
        guest.check()?;
        guest.cut_power()?;

        let journal = Journal::read(&self.path("journal"))?;
        let settled = journal.within(settled);
        let moment = if self.random.once_in(4) {
            self.random.below(journal.len() + 1) // while it booted, too
        } else {
            settled + self.random.below(journal.len() - settled + 1)
        };
        let fate = journal.replay(moment, &mut self.random, &self.base)?;
        let way = if by_hand { "address" } else { "stick" };
        self.last =
            format!("{way}, cut after {moment} of {} writes (ready at {settled}): {fate:?}", journal.len());

        let kept = disk::read_config(&self.base, "director.toml")?;
        let final_since = progress.done.map(|bytes| journal.within(bytes));
        let possible_since = progress.ordered.map(|bytes| journal.within(bytes));
        match kept.as_str() {
            file if file == new => {
                ensure!(possible_since.is_some_and(|since| moment >= since), "written before it was ordered");
            }
            file if file == self.found => {
                ensure!(final_since.is_none_or(|since| moment < since), "what was said to be final is lost");
            }
            other => bail!("neither the old file nor the new one:\n{other}"),
        }
        self.tally.count(kept == new, moment < settled, fate);
        if moment >= settled {
            self.good = BTreeSet::from([self.found.clone()]);
        }
        self.old = std::mem::replace(&mut self.found, kept);
        self.good.extend([self.old.clone(), self.found.clone()]);
        self.texts.extend([new]);
        Ok(())
    }

    /// That all that lies on the disk is whole.
    fn judge(&self) -> Result<()> {
        let kept = Kept::read(&self.base, self.folder.path())?;
        ensure!(kept.file == self.found && !kept.resetting, "not the file that mtools read");
        match &kept.last_good {
            Some(text) => {
                ensure!(self.good.contains(text), "an older last good one, or a third thing:\n{text}")
            }
            None => ensure!(self.good.len() == 1, "there is no last good one any more"),
        }
        let foreign = kept.generations.difference(&self.texts).next();
        ensure!(foreign.is_none(), "a configuration that never was one: {foreign:?}");
        Ok(())
    }

    /// Orders the change, and returns when it is time to cut the power: before it is done, or soon after.
    fn apply(&mut self, guest: &Guest, wish: &Wish) -> Result<Progress> {
        let mut progress = Progress::default();
        match wish {
            Wish::Address(address) => {
                choose(guest, "2")?;
                answer(guest, "Interface (1", "eth0")?;
                answer(guest, "Address with prefix", address)?;
                answer(guest, "Default gateway", "none")?;
                guest.serial().expect("Do it?", PATIENCE)?;
            }
            Wish::Stick => {
                choose(guest, "3")?;
                answer(guest, PROMPT, "u")?;
                while guest.serial().expect_any(&["Apply it for", "more lines"], PATIENCE)?.0 == 1 {
                    guest.serial().send(" ")?;
                }
            }
        }
        let limit = usize::try_from(self.longest.as_millis())? * 5 / 4;
        let begun = Instant::now();
        let end = begun + Duration::from_millis(u64::try_from(self.random.below(limit))?);
        if matches!(wish, Wish::Stick) {
            guest.serial().send_line("yes")?;
            if !said(guest, PROMPT, end)? {
                return Ok(progress);
            }
        }
        progress.ordered = Some(self.told()?);
        let (order, end_of_it) = match wish {
            Wish::Address(_) => ("yes", "Done."),
            Wish::Stick => ("c", "stays"),
        };
        guest.serial().send_line(order)?;
        if said(guest, end_of_it, end)? {
            progress.done = Some(self.told()?);
            self.longest = begun.elapsed().max(Duration::from_millis(500));
            std::thread::sleep(end.saturating_duration_since(Instant::now())); // what is kept after the answer
        }
        Ok(progress)
    }

    /// How much the journal has.
    fn told(&self) -> Result<u64> {
        Ok(std::fs::metadata(self.path("journal"))?.len())
    }
}

/// Whether the box says `words` before `end`.
fn said(guest: &Guest, words: &str, end: Instant) -> Result<bool> {
    match guest.serial().expect(words, end.saturating_duration_since(Instant::now())) {
        Ok(_) => Ok(true),
        Err(_) if Instant::now() >= end => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the cuts did.
#[derive(Default)]
struct Tally {
    old: usize,
    new: usize,
    booting: usize,
    fate: Fate,
}

impl Tally {
    const fn count(&mut self, new: bool, booting: bool, fate: Fate) {
        self.new += new as usize;
        self.old += !new as usize;
        self.booting += booting as usize;
        self.fate.kept += fate.kept;
        self.fate.lost += fate.lost;
        self.fate.torn += fate.torn;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { old, new, booting, fate: Fate { kept, lost, torn } } = self;
        write!(
            f,
            "{} cuts, {booting} of them during the boot: {old} times the old file, {new} times the new one; ",
            old + new
        )?;
        write!(f, "of the writes after the last flush {kept} kept, {lost} lost, {torn} torn")
    }
}

/// The management address in a file of ours.
fn address(text: &str) -> Result<&str> {
    let (_, rest) = text.split_once("addresses = [\"").context("no address")?;
    rest.split_once('"').map(|(address, _)| address).context("no address")
}

/// A file with `address`, and so many lines more: files of all sizes have clusters to lose.
fn text(address: &str, lines: usize) -> String {
    let mut text = format!(
        "version = 1\n\n[system]\nhostname = \"cuts\"\n\n[[interface]]\nname = \"eth0\"\naddresses = [\"{address}\"]\n\n\
         [[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 79\naddresses = [\"10.79.255.100/32\"]\n\n"
    );
    for line in 0..lines {
        text.push_str(&format!("# line {line} of {lines} of the file with {address}\n"));
    }
    text
}
