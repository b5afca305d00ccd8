//! An update carried out on a whole box: from a stick into the other slot, on trial, proven; and all that is refused, with nothing
//! changed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use director_lab::guest::Guest;
use director_lab::machine::{Boot, Machine, Network};
use director_lab::{disk, scratch};

use super::manual::Manual;
use super::person::{BELOW, INVITATION, Person};
use super::site::{BOOT, PATIENCE, config, vip};
use super::trials::{PROOF, grub_block, variable};
use crate::build::sha256;
use crate::test::{image, outcome::Outcome, update_file};

/// src/store/update/bundle.rs
const HEADER: usize = 4096;
/// board/pc/genimage.cfg: that of `boot-b`.
const BOOT_PARTITION: u64 = 32 << 20;

/// Bytes.
const STICK: u64 = 100 << 20;

const WHAT: &str = "u = update from a USB stick, o = the other slot next, an empty line = back: ";
const AGREE: &str = "(yes or no, empty line = back): ";
const NO_STICK: &str = "no USB stick with a FAT file system is plugged in";
/// The menu below which the slots are, and they in it.
const SYSTEM: &str = "0";
const SLOTS: &str = "6";

/// One box with three boots: firmware A, then B, then B after its power was cut while A was written.
///
/// # Errors
/// What was not said, what changed, and what did not run.
pub fn update() -> Result<Outcome> {
    let bench = Bench::new()?;
    let mut guest = bench.power_on("box-update")?;
    let done = bench.updates(&mut guest);
    let proof = guest.explain(done)?;
    guest.cut_power()?;
    let mut guest = bench.power_on("box-update-cut")?;
    let done = bench.after_the_cut(&mut guest);
    guest.explain(done)?;
    Ok(Outcome { notes: vec![proof], ..Outcome::passed() })
}

struct Bench {
    folder: tempfile::TempDir,
    disk: PathBuf,
    stick: PathBuf,
    manual: Manual,
    good: Vec<u8>,
}

/// A file on the stick, and why it is refused.
struct Bad {
    files: Vec<(&'static str, Vec<u8>)>,
    why: Vec<String>,
}

impl Bench {
    fn new() -> Result<Bench> {
        let folder = scratch::folder("update")?;
        let (disk, stick) = (folder.path().join("disk.img"), folder.path().join("stick.img"));
        disk::copy(image()?, &disk)?;
        let file = disk::file(folder.path(), "director.toml", &config("lb1", vip(100)))?;
        disk::put_config(&disk, &file, "director.toml")?;
        disk::empty_stick(&stick, STICK)?;
        let good = std::fs::read(update_file()?)?;
        let good = with_header(&good, |header| set(header, "/version", "0.2.0".into()))?;
        Ok(Bench { folder, disk, stick, manual: Manual::read()?, good })
    }

    fn power_on(&self, name: &str) -> Result<Guest> {
        let machine = Machine::new(name, Boot::Bios(self.disk.clone()));
        let machine = Machine { usb_socket: true, ..machine.nic(Network::User, "52:54:00:79:00:01") };
        Guest::start(&machine, None)
    }

    /// Until the power may be cut.
    fn updates(&self, guest: &mut Guest) -> Result<String> {
        starts(guest, 'A')?;
        let mut person = Person::new(guest);
        self.refusals(&mut person)?;

        self.put(&[("director-pc.update", &self.good)])?;
        person.go(BELOW, SYSTEM)?;
        person.play(&self.manual.dialogue("slots")?).context("the manual's \"slots\"")?;
        self.stands("slot B is new", [("A_ST", "good"), ("B_ST", "try"), ("B_N", ""), ("ORDER", "B A")])?;
        person.go(BELOW, SYSTEM)?;
        let mut reboot = self.manual.dialogue("reboot")?;
        reboot.retain(|turn| turn.answer.is_some());
        person.play(&reboot)?;
        starts(person.guest(), 'B')?;
        person.hear(INVITATION)?;

        let begun = Instant::now();
        let said = self.list(&mut person)?;
        ensure!(lists(&said, "slot B on trial runs, is started next 1 start not confirmed"), "{said}");
        ensure!(lists(&said, "slot A confirmed"), "{said}");
        let said = order(&mut person, "u")?;
        ensure!(said.contains("slot B is itself on trial: wait until it is confirmed"), "{said}");
        while variable(&self.disk, "B_ST")? != "good" {
            ensure!(begun.elapsed() < PROOF, "slot B is not proven within {PROOF:?}");
            std::thread::sleep(Duration::from_millis(500));
        }
        let proof =
            format!("new firmware was proven {:.0} s after it was ready", begun.elapsed().as_secs_f64());
        let said = self.list(&mut person)?;
        ensure!(lists(&said, "slot B confirmed runs, is started next"), "{said}");

        person.answer(WHAT, "u")?;
        person.hear(AGREE)?;
        person.answer(AGREE, "yes")?;
        // `root` is the first to be written, and some of it is.
        person.hear("written [##")?;
        Ok(proof)
    }

    /// The slot that was proven runs, the half one is given up, and can be written again.
    fn after_the_cut(&self, guest: &mut Guest) -> Result<()> {
        starts(guest, 'B')?;
        let mut person = Person::new(guest);
        person.hear(INVITATION)?;
        let said = self.list(&mut person)?;
        ensure!(lists(&said, "slot A given up"), "half a slot is not given up:\n{said}");
        let said = order(&mut person, "o")?;
        ensure!(said.contains("it was given up: write an update into it first"), "{said}");
        person.guest().qmp().plug_in("update", &self.stick, false)?;
        let said = self.take_stick(&mut person)?;
        ensure!(said.contains("Director 0.2.0 is in slot A: the next start tries it."), "{said}");
        let said = order(&mut person, "o")?;
        ensure!(said.contains("The next start takes slot B."), "the way back:\n{said}");
        self.stands("slot A is written", [("A_ST", "try"), ("A_N", ""), ("B_ST", "good"), ("ORDER", "B A")])
    }

    /// Nothing that cannot be used changes anything.
    fn refusals(&self, person: &mut Person<'_>) -> Result<()> {
        person.hear(INVITATION)?;
        let block = || grub_block(&self.disk);
        self.list(person)?;
        let said = order(person, "u")?;
        ensure!(said.contains(NO_STICK), "{said}");
        // That this slot came up is noted a moment after it did.
        let begun = Instant::now();
        while !variable(&self.disk, "A_N")?.is_empty() {
            ensure!(begun.elapsed() < PATIENCE, "the start of slot A stays counted");
            std::thread::sleep(Duration::from_millis(100));
        }
        let before = (block()?, self.slot_b()?);
        person.guest().qmp().plug_in("update", &self.stick, false)?;
        for (name, bad) in self.bad()? {
            let files: Vec<(&str, &[u8])> =
                bad.files.iter().map(|(name, text)| (*name, text.as_slice())).collect();
            self.put(&files)?;
            let said = self.take_stick(person)?;
            let lacks = bad.why.iter().find(|why| !said.contains(why.as_str()));
            ensure!(lacks.is_none(), "{name}: it does not say {lacks:?}:\n{said}");
            ensure!(block()? == before.0, "{name}: the boot loader's variables have changed");
        }
        ensure!((block()?, self.slot_b()?) == before, "what was refused has changed slot B");
        Ok(())
    }

    fn bad(&self) -> Result<Vec<(&'static str, Bad)>> {
        const NAME: &str = "director-pc.update";
        let good = &self.good;
        let one = |bytes: Vec<u8>, why: &str| Bad { files: vec![(NAME, bytes)], why: vec![why.to_owned()] };
        let mut damaged = good.clone();
        if let Some(byte) = damaged.last_mut() {
            *byte ^= 1;
        }
        let cut = good.get(..good.len() / 2).unwrap_or(&[]).to_vec();
        let short = format!("it has {} bytes in place of {}: was it copied whole?", cut.len(), good.len());
        let board = with_header(good, |header| set(header, "/board", "rack".into()))?;
        let form = with_header(good, |header| set(header, "/director_update", 2.into()))?;
        let two = Bad {
            files: vec![(NAME, good.clone()), ("older.update", good.clone())],
            why: vec!["several files there end in .update".to_owned()],
        };
        let none = Bad {
            files: vec![("director-pc.img.zst", b"no update".to_vec())],
            why: vec!["no file there has a name that ends in .update".to_owned()],
        };
        let large = format!(
            "boot-b: {} bytes do not fit into the {BOOT_PARTITION} of the partition",
            BOOT_PARTITION + 1
        );
        Ok(vec![
            ("an empty stick", none),
            ("two updates", two),
            ("a damaged one", one(damaged, "it is damaged: its checksum is another")),
            ("one cut short", one(cut, &short)),
            ("one for another board", one(board, "it is for the board \"rack\", this box is \"pc\"")),
            ("one of another form", one(form, "its form is 2, this firmware reads 1")),
            ("something else", one(b"PK\x03\x04".repeat(5000), "it is no update of Director")),
            ("one too large", one(self.too_large()?, &large)),
        ])
    }

    /// Its root is as it should be, and its boot does not fit.
    fn too_large(&self) -> Result<Vec<u8>> {
        let boot = vec![0x5a; usize::try_from(BOOT_PARTITION + 1)?];
        let file = self.folder.path().join("boot");
        std::fs::write(&file, &boot)?;
        let (header, images) = self.good.split_at(HEADER);
        let header = parse(header)?;
        let root = images.get(
            usize::try_from(header.pointer("/boot/bytes").and_then(Value::as_u64).context("no length")?)?..,
        );
        let sum = sha256(&file)?;
        let large = [self.good.get(..HEADER).unwrap_or(&[]), boot.as_slice(), root.unwrap_or(&[])].concat();
        with_header(&large, |header| {
            set(header, "/boot/bytes", boot.len().into());
            set(header, "/boot/sha256", sum.as_str().into());
        })
    }

    /// Nothing but these files on the stick, which the box reads only when it is asked to.
    fn put(&self, files: &[(&str, &[u8])]) -> Result<()> {
        disk::empty_stick(&self.stick, STICK)?;
        for (name, bytes) in files {
            let file = self.folder.path().join("put");
            std::fs::write(&file, bytes)?;
            disk::put_stick(&self.stick, &file, name)?;
        }
        Ok(())
    }

    /// Asks for the update, as soon as the box has found the stick that was plugged in.
    fn take_stick(&self, person: &mut Person<'_>) -> Result<String> {
        let begun = Instant::now();
        loop {
            let said = order(person, "u")?;
            if !said.contains(NO_STICK) {
                return Ok(said);
            }
            ensure!(begun.elapsed() < PATIENCE, "the box does not find its USB stick:\n{said}");
        }
    }

    /// Shows the slots; the cursor is at the question below them.
    fn list(&self, person: &mut Person<'_>) -> Result<String> {
        person.go(BELOW, SYSTEM)?;
        person.answer(BELOW, SLOTS)?;
        person.hear(WHAT)
    }

    fn stands<const N: usize>(&self, when: &str, wanted: [(&str, &str); N]) -> Result<()> {
        for (name, value) in wanted {
            let found = variable(&self.disk, name)?;
            ensure!(found == value, "{when}: {name} is {found:?} in place of {value:?}");
        }
        Ok(())
    }

    /// What is on the partitions of slot B.
    fn slot_b(&self) -> Result<Vec<String>> {
        let sum = |name: &str| {
            let part = self.folder.path().join(name);
            disk::extract(&self.disk, name, &part)?;
            sha256(&part)
        };
        ["boot-b", "root-b"].into_iter().map(sum).collect()
    }
}

/// At the question below the slots: `word`, and yes; what it led to, in one line.
fn order(person: &mut Person<'_>, word: &str) -> Result<String> {
    person.answer(WHAT, word)?;
    person.hear(AGREE)?;
    person.answer(AGREE, "yes")?;
    let said = person.hear(WHAT)?;
    Ok(said.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Whether one of the lines has these words.
fn lists(said: &str, words: &str) -> bool {
    said.lines().any(|line| line.split_whitespace().eq(words.split_whitespace()))
}

/// The boot loader takes `slot`, and its system the operator's file.
fn starts(guest: &Guest, slot: char) -> Result<()> {
    guest.serial().expect(&format!("director: slot {slot}"), BOOT)?;
    guest.serial().expect(": partition DIRECTOR", BOOT).map(drop)
}

fn set(header: &mut Value, place: &str, value: Value) {
    if let Some(found) = header.pointer_mut(place) {
        *found = value;
    }
}

fn parse(header: &[u8]) -> Result<Value> {
    let text = header.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
    serde_json::from_slice(text).context("the update's header")
}

/// An update whose header was changed.
fn with_header(update: &[u8], change: impl FnOnce(&mut Value)) -> Result<Vec<u8>> {
    let (header, images) = update.split_at_checked(HEADER).context("the update has no header")?;
    let mut header = parse(header)?;
    change(&mut header);
    let mut header = serde_json::to_vec(&header)?;
    header.push(b'\n');
    header.resize(HEADER, 0);
    Ok([header.as_slice(), images].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_changed_and_the_images_are_not() {
        let mut update = b"{\"board\":\"pc\"}\n".to_vec();
        update.resize(HEADER, 0);
        update.extend(b"images");
        let other = with_header(&update, |header| set(header, "/board", "rack".into())).unwrap();
        assert_eq!(parse(&other[..HEADER]).unwrap()["board"], "rack");
        assert_eq!(&other[HEADER..], b"images");
        assert!(with_header(b"short", |_| {}).is_err());
    }

    #[test]
    fn a_line_is_found_by_its_words() {
        assert!(lists("slot A  confirmed  runs\nslot B  given up", "slot B given up"));
        assert!(!lists("slot A  confirmed  runs", "slot A confirmed"));
    }
}
