//! USB sticks of every kind, plugged into one running box: clear words, nothing lost, the box unmoved.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use director_lab::machine::{Boot, Machine};
use director_lab::{command, disk};

use super::person::{INVITATION, MAIN, Person};
use super::site::{PATIENCE, Site, config, vip};
use super::{PLACES, THREE_FAULTS};
use crate::test::outcome::Outcome;

/// The end of the prompt of the menu's entry 3.
const CHOICE: &str = "; ? explains them (empty line = back): ";
const TRY: &str = "Apply it for 5 minutes on trial? (yes, no or a time: 30s; empty line = back): ";
const PAGER: &str = "q = back --";

/// One box, and one stick after the other.
///
/// # Errors
/// What was not said, or what moved.
pub fn sticks() -> Result<Outcome> {
    let site = Site::new()?;
    let disk = site.disk()?;
    let file = config("sticks", vip(100));
    site.configure(&disk, &file)?;
    let machine = Machine { usb_socket: true, ..site.machine("box-sticks", Boot::Bios(disk.clone()))? };
    let mut guest = site.start(&machine)?;
    site.await_answer(vip(100), &mut guest)?;
    guest.serial().expect("Director ready", PATIENCE)?;
    let (person, number, plugged) = (Person::new(&mut guest), String::new(), Vec::new());
    let mut bench = Bench { person, site: &site, disk, file, number, plugged };
    let done = bench.all();
    let disk = bench.disk;
    guest.explain(done)?;
    guest.cut_power()?;
    forgotten(&site, &disk)?;
    Ok(Outcome::passed())
}

struct Bench<'b> {
    person: Person<'b>,
    site: &'b Site,
    disk: PathBuf,
    /// What is on the operator's partition.
    file: String,
    /// How the console calls the configuration that runs.
    number: String,
    /// Which sticks are plugged in, the last one last.
    plugged: Vec<String>,
}

impl Bench<'_> {
    fn all(&mut self) -> Result<()> {
        self.person.hear(INVITATION)?;
        self.number = self.configuration()?;
        type Case<'a> = fn(&mut Bench<'a>) -> Result<()>;
        let all: [(&str, Case<'_>); 10] = [
            ("a stick with a faulty file", Self::faults),
            ("a stick with many faults", Self::many_faults),
            ("a stick with a huge file", Self::huge),
            ("a stick with a folder called director.toml", Self::folder),
            ("a full stick", Self::full),
            ("a stick without a FAT file system", Self::foreign),
            ("two sticks", Self::two),
            ("a write-protected stick", Self::locked),
            ("a stick beside a file that is gone", Self::lost),
            ("a good stick after all that", Self::good),
        ];
        let mut wrong = Vec::new();
        for (what, case) in all {
            if let Err(error) = case(self) {
                wrong.push(format!("{what}: {error:#}"));
                self.person.recover()?;
                while let Some(name) = self.plugged.last().cloned() {
                    self.unplug(&name)?;
                }
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
        Ok(())
    }

    fn faults(&mut self) -> Result<()> {
        let stick = self.stick("faults", Some(THREE_FAULTS))?;
        let said = self.plug("faults", &stick, false)?;
        says(&said, &["/dev/sda:/director.toml", "it has 3 faults"])?;
        self.told(&stick, &PLACES)?;
        let said = self.asks("u", &[CHOICE])?.1;
        says(&said, &["has 3 faults: nothing is changed"])?;
        says(&said, &PLACES)?;
        self.unplug("faults")?;
        self.unmoved(&stick, THREE_FAULTS)
    }

    /// More than a screen of them come page by page.
    fn many_faults(&mut self) -> Result<()> {
        let text = (0..40).fold("version = 1\n".to_owned(), |text, n| format!("{text}wrong{n} = {n}\n"));
        let stick = self.stick("many", Some(&text))?;
        let said = self.plug("many", &stick, false)?;
        says(&said, &["it has 40 faults"])?;
        self.told(&stick, &["wrong0", "wrong39"])?;
        let (which, said) = self.asks("u", &[PAGER, CHOICE])?;
        ensure!(which == 0, "40 faults come at once:\n{said}");
        says(&said, &["has 40 faults: nothing is changed", "wrong0"])?;
        self.person.press("q")?;
        self.person.hear(CHOICE)?;
        self.unplug("many")?;
        self.unmoved(&stick, &text)
    }

    fn huge(&mut self) -> Result<()> {
        let text = format!("version = 1\n{}", "# nothing but words\n".repeat(1 << 20));
        let stick = self.stick("huge", Some(&text))?;
        let said = self.plug("huge", &stick, false)?;
        says(&said, &["it has 1 fault"])?;
        self.told(&stick, &["too large"])?;
        let said = self.asks("u", &[CHOICE])?.1;
        says(&said, &["nothing is changed", "too large"])?;
        self.unplug("huge")?;
        self.unmoved(&stick, &text)
    }

    fn folder(&mut self) -> Result<()> {
        let stick = self.stick("folder", None)?;
        disk::make_folder(&stick, "director.toml")?;
        let said = self.plug("folder", &stick, false)?;
        says(&said, &["it cannot be used: it is a directory, not a file"])?;
        self.told(&stick, &["it is a directory, not a file"])?;
        let said = self.asks("u", &[CHOICE])?.1;
        says(&said, &["Not done:", "it is a directory, not a file"])?;
        let said = self.asks("e", &[CHOICE])?.1;
        says(&said, &["Not done:", "there is a directory of that name"])?;
        self.unplug("folder")?;
        ensure!(listing(&stick)?.contains("<DIR>"), "the folder is gone:\n{}", listing(&stick)?);
        self.stands()
    }

    /// Not even the words fit: the console has them, and the stick is as it was.
    fn full(&mut self) -> Result<()> {
        let stick = self.path("full");
        disk::empty_stick(&stick, 20 << 20)?;
        self.put(&stick, "director.toml", THREE_FAULTS)?;
        let free = free(&stick)?;
        self.put(&stick, "FILLER.BIN", &"x".repeat(free))?;
        let before = listing(&stick)?;
        let said = self.plug("full", &stick, false)?;
        says(&said, &["it has 3 faults"])?;
        let said = self.asks("u", &[CHOICE])?.1;
        says(&said, &PLACES)?;
        let said = self.asks("e", &[CHOICE])?.1;
        says(&said, &["Not done:", "no space is left"])?;
        self.unplug("full")?;
        ensure!(listing(&stick)? == before, "the stick was:\n{before}\nand is:\n{}", listing(&stick)?);
        self.unmoved(&stick, THREE_FAULTS)
    }

    fn foreign(&mut self) -> Result<()> {
        let stick = self.path("foreign");
        std::fs::write(&stick, vec![0x5a; 4 << 20])?;
        let said = self.plug("foreign", &stick, false)?;
        says(&said, &["it cannot be used", "no FAT file system"])?;
        let said = self.asks("u", &[CHOICE])?.1;
        says(&said, &["Not done:", "no FAT file system"])?;
        self.unplug("foreign")?;
        ensure!(std::fs::read(&stick)? == vec![0x5a; 4 << 20], "the stick was written to");
        self.stands()
    }

    fn two(&mut self) -> Result<()> {
        let (one, other) = (config("one", vip(100)), config("other", vip(100)));
        let first = self.stick("first", Some(&one))?;
        let second = self.stick("second", Some(&other))?;
        let said = self.plug("first", &first, false)?;
        says(&said, &["it does not run: it is applied when you say so"])?;
        let said = self.plug("second", &second, false)?;
        says(&said, &["they differ (sda, sdb): pull one of them"])?;
        for stick in [&first, &second] {
            self.told(stick, &["they differ (sda, sdb)"])?;
        }
        let said = self.asks("u", &[CHOICE])?.1;
        says(&said, &["Not done:", "they differ (sda, sdb): pull one of them"])?;
        let said = self.asks("e", &[CHOICE])?.1;
        says(&said, &["Not done:", "several USB sticks are plugged in (sda, sdb): pull all but one"])?;
        self.unplug("second")?;
        self.unplug("first")?;
        self.unmoved(&first, &one)?;
        self.unmoved(&second, &other)
    }

    /// Its file can be tried; what cannot be written is said, and the stick is as it was.
    fn locked(&mut self) -> Result<()> {
        let text = config("locked", vip(100));
        let stick = self.stick("locked", Some(&text))?;
        let before = std::fs::read(&stick)?;
        let said = self.plug("locked", &stick, true)?;
        says(&said, &["it does not run: it is applied when you say so"])?;
        let said = self.asks("e", &[CHOICE])?.1;
        says(&said, &["Not done:", "write-protected"])?;
        self.asks("u", &[TRY])?;
        self.person.answer(TRY, "yes")?;
        says(&self.person.hear(CHOICE)?, &["On trial"])?;
        self.awaits("on trial: ")?;
        let said = self.asks("b", &[CHOICE])?.1;
        says(&said, &["taken back by the operator: what was before runs"])?;
        ensure!(std::fs::read(&stick)? == before, "the stick was written to");
        ensure!(
            disk::read_config(&self.disk, "director.toml")? == self.file,
            "the operator's file has changed"
        );
        self.unplug("locked")?;
        self.site.answers(vip(100))?;
        self.number = self.configuration()?;
        Ok(())
    }

    /// The file is gone, and a stick with another one is still there: what runs goes on, also when the sources are read again.
    fn lost(&mut self) -> Result<()> {
        let text = config("forgotten", vip(100));
        let stick = self.stick("lost", Some(&text))?;
        self.plug("lost", &stick, false)?;
        disk::remove_config(&self.disk, "director.toml")?;
        let said = self.asks("r", &[CHOICE])?.1;
        says(&said, &["last good"])?;
        ensure!(!said.contains(": USB stick"), "the forgotten stick is taken:\n{said}");
        self.site.answers(vip(100))?;
        self.site.configure(&self.disk, &self.file)?;
        self.unplug("lost")?;
        self.asks("r", &[CHOICE])?;
        self.number = self.configuration()?;
        self.unmoved(&stick, &text)
    }

    fn good(&mut self) -> Result<()> {
        let text = config("good", vip(100));
        let stick = self.stick("good", Some(&text))?;
        self.plug("good", &stick, false)?;
        self.asks("u", &[TRY])?;
        self.person.answer(TRY, "yes")?;
        says(&self.person.hear(CHOICE)?, &["On trial"])?;
        self.awaits("on trial: ")?;
        says(&self.asks("c", &[CHOICE])?.1, &["/dev/sda:/director.toml stays"])?;
        self.told(&stick, &["applied, confirmed, and written to the box"])?;
        self.unplug("good")?;
        ensure!(disk::read_config(&self.disk, "director.toml")? == text, "the file was not taken");
        let kept = disk::read_config(&self.disk, "director.toml.prev")?;
        ensure!(kept == self.file, "what was there before is not kept:\n{kept}");
        self.site.answers(vip(100))
    }

    /// Looks at entry 3 until it says `words`: a change that was agreed to takes an instant to begin.
    fn awaits(&mut self, words: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            self.person.home()?;
            self.person.answer(MAIN, "3")?;
            let said = self.person.hear(CHOICE)?;
            if said.contains(words) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "the console does not say {words:?}:\n{said}");
        }
    }

    /// Plugs a stick in and returns what the idle console says about it.
    fn plug(&mut self, name: &str, stick: &Path, lock: bool) -> Result<String> {
        self.leave()?;
        self.person.guest().qmp().plug_in(name, stick, lock)?;
        self.plugged.push(name.to_owned());
        self.person.hear("USB stick: ")?;
        // Lines are wrapped where they are too long.
        let said = self.person.hear(INVITATION)?;
        Ok(said.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Pulls a stick out, and waits until the box has noticed.
    fn unplug(&mut self, name: &str) -> Result<()> {
        self.person.guest().qmp().pull_out(name)?;
        self.plugged.retain(|plugged| plugged != name);
        let end = Instant::now() + PATIENCE;
        loop {
            self.person.home()?;
            self.person.answer(MAIN, "3")?;
            let said = self.person.hear(CHOICE)?;
            if !said.contains("they differ") && !said.contains("USB stick: ") {
                return Ok(());
            }
            // One of two is still there.
            if !self.plugged.is_empty() && said.contains("it does not run") {
                return Ok(());
            }
            ensure!(Instant::now() < end, "the box does not notice that the stick is gone:\n{said}");
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }

    fn leave(&mut self) -> Result<()> {
        self.person.home()?;
        self.person.press("\r")?;
        self.person.hear(INVITATION).map(drop)
    }

    /// Answers entry 3 with `word`; which of `prompts` came, and what was said, in one line.
    fn asks(&mut self, word: &str, prompts: &[&str]) -> Result<(usize, String)> {
        self.person.home()?;
        self.person.answer(MAIN, "3")?;
        self.person.hear(CHOICE)?;
        self.person.answer(CHOICE, word)?;
        let (mut which, mut said) = self.person.hear_any(&[prompts, &[PAGER]].concat())?;
        // The pages of a long report, unless it is about them.
        while which == prompts.len() {
            self.person.press(" ")?;
            let (next, page) = self.person.hear_any(&[prompts, &[PAGER]].concat())?;
            which = next;
            said.push_str(&page);
        }
        Ok((which, said.split_whitespace().collect::<Vec<_>>().join(" ")))
    }

    /// Which configuration runs.
    fn configuration(&mut self) -> Result<String> {
        self.person.home()?;
        self.person.answer(MAIN, "3")?;
        let said = self.person.hear(CHOICE)?;
        let line = said.lines().find(|line| line.starts_with("Configuration "));
        line.map(str::to_owned).with_context(|| format!("no configuration is named:\n{said}"))
    }

    /// That the box left these words on the stick.
    fn told(&self, stick: &Path, words: &[&str]) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let text = disk::read_stick(stick, "result.txt").unwrap_or_default();
            if words.iter().all(|word| text.contains(word)) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "result.txt does not say {words:?}:\n{text}");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// That the stick's own file is as it was, and the box as well.
    fn unmoved(&mut self, stick: &Path, text: &str) -> Result<()> {
        ensure!(disk::read_stick(stick, "director.toml")? == text, "the stick's file has changed");
        self.stands()
    }

    /// That the same configuration runs, the operator's file is as it was, and clients are served.
    fn stands(&mut self) -> Result<()> {
        let now = self.configuration()?;
        ensure!(now == self.number, "{} ran, and {now} runs", self.number);
        ensure!(
            disk::read_config(&self.disk, "director.toml")? == self.file,
            "the operator's file has changed"
        );
        self.site.answers(vip(100))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.site.folder().join(format!("{name}.img"))
    }

    /// A stick of 40 MiB, perhaps with a director.toml.
    fn stick(&self, name: &str, text: Option<&str>) -> Result<PathBuf> {
        let stick = self.path(name);
        disk::empty_stick(&stick, 40 << 20)?;
        text.map_or(Ok(()), |text| self.put(&stick, "director.toml", text))?;
        Ok(stick)
    }

    fn put(&self, stick: &Path, name: &str, text: &str) -> Result<()> {
        disk::put_stick(stick, &disk::file(self.site.folder(), "put", text)?, name)
    }
}

/// A box that boots without its file takes the last good one, whatever a stick has that was left in it.
fn forgotten(site: &Site, disk: &Path) -> Result<()> {
    disk::remove_config(disk, "director.toml")?;
    let stick = site.stick(&config("forgotten", vip(101)))?;
    let mut guest = site.power_on("box-forgotten", Boot::Bios(disk.to_owned()), &[stick])?;
    let told = super::runs(site, &mut guest, "last good", 100);
    guest.explain(told)?;
    guest.explain(site.expect_silence(vip(101)))
}

fn says(said: &str, words: &[&str]) -> Result<()> {
    let lacks = words.iter().find(|word| !said.contains(*word));
    ensure!(lacks.is_none(), "it does not say {lacks:?}:\n{said}");
    Ok(())
}

/// What is on a stick, with sizes.
fn listing(stick: &Path) -> Result<String> {
    command::output("mdir", &["-i".as_ref(), stick.as_os_str(), "::/".as_ref()])
}

/// Bytes that are free on a stick, by mtools' last line: `  8 085 504 bytes free`.
fn free(stick: &Path) -> Result<usize> {
    let list = listing(stick)?;
    let line = list.lines().rev().find_map(|line| line.trim().strip_suffix("bytes free"));
    let digits: String =
        line.context("mdir tells no free space")?.chars().filter(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}
