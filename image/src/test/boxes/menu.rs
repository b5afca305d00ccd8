//! The console by its manual: each dialogue of it on a box that stands where the manual's stands, with noise at every prompt.

mod last;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use director_lab::guest::Guest;
use director_lab::{command, disk};

use super::manual::{Manual, Turn, agree};
use super::person::{BELOW, INVITATION, MAIN, Person};
use super::place::Place;
use super::site::{BOOT, PATIENCE};
use crate::test::outcome::Outcome;
use crate::test::update_file;

/// The end of the prompt of the menu's entry 3.
const CONFIGURATION: &str = "; ? explains them (empty line = back): ";

/// After these answers of the manual something happens; before them nothing has.
const DEEDS: [&str; 6] = ["drain 5m", "usb", "restart", "reboot", "erase", "safe"];

/// Played after the others, because it gives the box another address.
const MOVES: &str = "address";
/// Played with an update on the stick, after the others: the slot that runs stays first.
const UPDATES: &str = "slots";

/// Takes two boxes: `kernel_pair` hands over.
const TWINS: &str = "failover";
/// Played last, because they end what went before.
const LAST: [&str; 4] = ["pin", "reboot", "safe-mode", "reset"];

/// The console by its manual, with five boots.
///
/// # Errors
/// What differs from the manual, or what noise has changed.
pub fn by_manual() -> Result<Outcome> {
    let manual = Manual::read()?;
    let place = Place::new(&manual)?;
    let mut guest = place.power_on()?;
    let told = walk(&place, &manual, &mut guest);
    let told = guest.explain(told)?;
    let status = guest.await_power_off(PATIENCE)?;
    ensure!(status.success(), "QEMU: {status}");
    Ok(Outcome { notes: told, ..Outcome::passed() })
}

fn walk(place: &Place, manual: &Manual, guest: &mut Guest) -> Result<Vec<String>> {
    guest.serial().expect(INVITATION, BOOT)?;
    let ready = guest.serial().raw(0).len();
    // All that differs is told at once: a manual is mended in one go.
    let mut wrong = Vec::new();
    wrong.extend(boots_as_shown(guest, manual).context("the manual's \"boot\"").err());
    let mut person = Person::new(guest);
    nothing_happens(&mut person, place, manual)?;
    person.guest().qmp().plug_in("usb", &place.stick, false)?;
    person.noisy(true);
    let mut below = String::new();
    let early = manual.names().into_iter();
    let early = early.filter(|name| !LAST.contains(name) && ![MOVES, UPDATES, TWINS].contains(name));
    for name in early.chain([MOVES]) {
        let played = dialogue(&mut person, place, manual, name, &mut below);
        if let Err(error) = played.with_context(|| format!("the manual's {name:?}")) {
            wrong.push(error);
            person.recover()?;
        }
    }
    person.noisy(false);
    let mut bundle = String::new();
    let mut tries = |person: &mut Person<'_>, done: Result<()>| match done {
        Ok(()) => Ok(()),
        Err(error) => {
            wrong.push(error);
            person.recover()
        }
    };
    let done = status(&mut person).context("the live status");
    tries(&mut person, done)?;
    let done = logs(&mut person).context("logs");
    tries(&mut person, done)?;
    let done = slots(&mut person, place, manual, &below).context("update and slots");
    tries(&mut person, done)?;
    let done = helps(&mut person).context("help");
    tries(&mut person, done)?;
    let done = bundle_of_the_dead(&mut person, place).context("a bundle while no worker runs");
    tries(&mut person, done.map(|told| bundle = told))?;
    let done = last::pin(&mut person, place, manual).context("the PIN");
    tries(&mut person, done)?;
    wrong.extend(person.fits(ready).err());
    last::ends(&mut person, place, manual, &below)?;
    let wrong: Vec<String> = wrong.iter().map(|error| format!("{error:#}")).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let missed = person.missed();
    ensure!(missed.is_empty(), "entries of the menus that nobody has tried: {}", missed.join("; "));
    Ok(vec![bundle])
}

/// The banner is the manual's.
fn boots_as_shown(guest: &Guest, manual: &Manual) -> Result<()> {
    let text = guest.serial().text();
    let begin = text.find("\n=====").context("no banner")?;
    let end = text.rfind(INVITATION).context("no invitation")? + INVITATION.len();
    let shown: Vec<String> = manual.dialogue("boot")?.into_iter().flat_map(|turn| turn.shown).collect();
    agree(&shown, text.get(begin..end).unwrap_or(""))
}

/// Ctrl-C or Ctrl-D at each prompt before anything is done leads back, and nothing was done.
fn nothing_happens(person: &mut Person<'_>, place: &Place, manual: &Manual) -> Result<()> {
    let before = (place.file()?, running(person)?);
    let mut below = String::new();
    for name in manual.names() {
        let turns = manual.dialogue(name)?;
        let first = turns.first().context("an empty dialogue")?.prompt.clone();
        if ![MAIN, BELOW].contains(&first.as_str()) {
            continue;
        }
        let does =
            |turn: &Turn| turn.answer.as_deref().is_none_or(|answer| does_something(name, turn, answer));
        let harmless = turns.iter().position(does).unwrap_or(turns.len());
        if name == "trial" {
            place.write(&to_be_tried(&before.0)?)?;
        }
        for last in 1..=harmless {
            person.go(&first, &below)?;
            for (turn, next) in turns.iter().zip(turns.iter().skip(1)).take(last) {
                person.answer(&turn.prompt, turn.answer.as_deref().unwrap_or(""))?;
                let next = if next.prompt.is_empty() { &[MAIN, BELOW][..] } else { &[next.prompt.as_str()] };
                person.hear_any(next).with_context(|| format!("the manual's {name:?}"))?;
            }
            person.press(if last % 2 == 0 { "\x04" } else { "\x03" })?;
            person.hear_any(&[MAIN, BELOW, INVITATION])?;
        }
        if name == "trial" {
            place.write(&before.0)?;
        }
        below = opened(&turns, below);
    }
    let after = (place.file()?, running(person)?);
    ensure!(before == after, "what was only asked about has happened: {before:?} became {after:?}");
    Ok(())
}

/// The operator's file with the change that the manual tries.
fn to_be_tried(text: &str) -> Result<String> {
    let edited = text.replacen("priority  = 100", "priority  = 50", 1);
    ensure!(text != edited, "the file has no priority of 100:\n{text}");
    Ok(edited)
}

fn does_something(name: &str, turn: &Turn, answer: &str) -> bool {
    // What is asked twice does nothing at the first yes.
    let agreed = answer == "yes" && turn.prompt.contains("empty line");
    // An address given to a network tool is asked at once, which takes its time.
    let asks = ["ping", "traceroute", "arping"].contains(&name) && answer.contains('.');
    asks || agreed || DEEDS.contains(&answer)
}

/// The number of the menu in which a dialogue ends, or else `before`.
fn opened(turns: &[Turn], before: String) -> String {
    match turns {
        [Turn { prompt, answer: Some(answer), .. }, Turn { prompt: last, answer: None, .. }]
            if prompt == MAIN && last == BELOW =>
        {
            answer.clone()
        }
        _ => before,
    }
}

/// Which configuration runs, in the box's words.
fn running(person: &mut Person<'_>) -> Result<String> {
    person.home()?;
    person.answer(MAIN, "3")?;
    let said = person.hear(CONFIGURATION)?;
    let line = said.lines().find(|line| line.starts_with("Configuration "));
    line.map(str::to_owned).with_context(|| format!("no configuration is named:\n{said}"))
}

/// Plays one dialogue; `below` is the number of the menu that was opened last.
fn dialogue(
    person: &mut Person<'_>,
    place: &Place,
    manual: &Manual,
    name: &str,
    below: &mut String,
) -> Result<()> {
    let turns = manual.dialogue(name)?;
    // The banner came already; the live view that fills a screen is not for a dumb terminal.
    if ["boot", "live"].contains(&name) {
        return Ok(());
    }
    if name == "menu" {
        leave(person)?;
        person.press("\r")?;
        let [menu] = turns.as_slice() else { bail!("it is more than a menu") };
        let said = person.hear(MAIN)?;
        return agree(&menu.shown, &said);
    }
    if name == "trial" {
        // All sources are listed once they have been read: a box that boots looks no further than the first good one.
        person.home()?;
        person.answer(MAIN, "3")?;
        person.hear(CONFIGURATION)?;
        person.press("r\r")?;
        person.hear(CONFIGURATION)?;
        place.write(&to_be_tried(&place.file()?)?)?;
    }
    let first = turns.first().context("it is empty")?.prompt.clone();
    if turns.iter().any(|turn| turn.answer.as_deref() == Some("usb")) {
        sees_the_stick(person)?;
    }
    person.go(&first, below)?;
    *below = opened(&turns, std::mem::take(below));
    person.play(&turns)
}

/// From the first menu to the idle console.
pub(super) fn leave(person: &mut Person<'_>) -> Result<()> {
    person.home()?;
    person.press("\r")?;
    person.hear(INVITATION).map(drop)
}

/// Waits until the box sees the stick: the kernel gives it a second to spin up.
pub(super) fn sees_the_stick(person: &mut Person<'_>) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    person.home()?;
    person.answer(MAIN, "3")?;
    person.hear(CONFIGURATION)?;
    loop {
        person.press("u\r")?;
        let said = person.hear(CONFIGURATION)?;
        if !said.contains("no USB stick") {
            return Ok(());
        }
        ensure!(Instant::now() < end, "the stick is not seen:\n{said}");
    }
}

/// The live view goes on by itself whatever sequences come, pages, and is left by a key.
fn status(person: &mut Person<'_>) -> Result<()> {
    person.home()?;
    person.answer(MAIN, "1")?;
    let (end, mut whole) = (Instant::now() + PATIENCE, 0);
    while whole < 2 {
        let screen = person.hear("(every 2 s")?;
        let lacks = ["eth0", "VI_1", "web", "configuration"].into_iter().find(|word| !screen.contains(word));
        // A worker that was started again has to answer first.
        ensure!(lacks.is_none() || Instant::now() < end, "the status lacks {lacks:?}:\n{screen}");
        whole += usize::from(lacks.is_none());
        person.press("\x1b[A\x1b[15;2~")?;
    }
    person.press("q")?;
    person.hear(MAIN).map(drop)
}

/// The lines of each process that the console lists, and new ones as they come.
fn logs(person: &mut Person<'_>) -> Result<()> {
    const WHOSE: &str = "Number (empty line = back): ";
    const MANY: &str = "and a text? (empty line = back): ";
    person.home()?;
    person.answer(MAIN, "4")?;
    let list = person.hear(WHOSE)?;
    let numbers: Vec<String> = list
        .lines()
        .filter_map(|line| line.trim_start().split_once("  "))
        .filter(|(number, _)| number.parse::<u8>().is_ok())
        .map(|(number, _)| number.to_owned())
        .collect();
    ensure!(numbers.len() > 5, "few processes are listed:\n{list}");
    for number in &numbers {
        person.answer(WHOSE, number)?;
        person.hear(MANY)?;
        person.answer(MANY, "5")?;
        person.hear(MANY)?;
        person.answer(MANY, "")?;
        person.hear(MAIN)?;
        person.answer(MAIN, "4")?;
        person.hear(WHOSE)?;
    }
    person.answer(WHOSE, "1")?;
    person.hear(MANY)?;
    person.answer(MANY, "f")?;
    person.hear("New lines as they come; any key = back.")?;
    person.press("\x1b[A")?;
    person.press("q")?;
    person.hear(MAIN).map(drop)
}

/// Both slots are listed; what is not agreed to is not done; an update, and the way back to the slot that runs.
fn slots(person: &mut Person<'_>, place: &Place, manual: &Manual, below: &str) -> Result<()> {
    const WHAT: &str = "u = update from a USB stick, o = the other slot next, an empty line = back: ";
    const AGREE: &str = "(yes or no, empty line = back): ";
    disk::put_stick(&place.stick, &update_file()?, "director-pc.update")?;
    person.go(BELOW, below)?;
    person.answer(BELOW, "6")?;
    let list = person.hear(WHAT)?;
    ensure!(list.contains('A') && list.contains('B'), "it does not list both slots:\n{list}");
    for order in ["u", "o"] {
        person.answer(WHAT, order)?;
        person.hear(AGREE)?;
        person.answer(AGREE, "no")?;
        let said = person.hear(WHAT)?;
        ensure!(said.contains("Nothing was changed."), "{order}:\n{said}");
    }
    person.go(BELOW, below)?;
    person.noisy(true);
    person.play(&manual.dialogue(UPDATES)?)?;
    person.noisy(false);
    person.answer(WHAT, "o")?;
    person.hear(AGREE)?;
    person.answer(AGREE, "yes")?;
    let said = person.hear(WHAT)?;
    ensure!(said.contains("The next start takes slot A."), "the way back:\n{said}");
    Ok(())
}

/// `h` and `?` at each menu, `?` at a question.
fn helps(person: &mut Person<'_>) -> Result<()> {
    for (first, below) in [(MAIN, ""), (BELOW, "7"), (BELOW, "0")] {
        for word in ["h", "?"] {
            person.go(first, below)?;
            person.answer(first, word)?;
            let help = person.hear(first)?;
            ensure!(help.contains("Ctrl-C always leads back"), "{word:?} explains nothing:\n{help}");
        }
    }
    person.home()?;
    person.answer(MAIN, "2")?;
    person.hear("Interface (1-2, empty line = back): ")?;
    person.answer("", "?")?;
    let help = person.hear("Interface (1-2, empty line = back): ")?;
    ensure!(help.lines().count() > 3, "a question explains nothing:\n{help}");
    Ok(())
}

/// Holds every worker but the consoles, and takes a bundle on a stick that tells all the same. Returns how large it is.
fn bundle_of_the_dead(person: &mut Person<'_>, place: &Place) -> Result<String> {
    const WHICH: &str = "empty line = back): ";
    // Who is near by IPv6, so that the bundle has somebody to name.
    person.go(BELOW, "7")?;
    person.answer(BELOW, "1")?;
    person.hear("Address or name (empty line = back): ")?;
    person.answer("", "fe80::1%eth0")?;
    let said = person.hear("Address or name (empty line = back): ")?;
    ensure!(said.contains("4 answered"), "the gateway's link-local address:\n{said}");
    let workers = ["lvs", "vrrp", "net", "api", "notify", "time", "store"];
    orders(person, &workers, "hold")?;
    person.go(BELOW, "0")?;
    person.answer(BELOW, "1")?;
    person.hear(WHICH)?;
    person.answer("", "usb")?;
    let told = person.hear(BELOW)?;
    let told =
        told.lines().find(|line| line.contains(" parts, ")).with_context(|| format!("no bundle:\n{told}"))?;
    let told = told.to_owned();
    let file = place.folder.path().join("bundle.tar.gz");
    disk::take_off(&place.stick, "director-support-lb1.tar.gz", &file)?;
    let list = command::output("tar", &["-tzf".as_ref(), file.as_os_str()])?;
    for part in [
        "status/lvs.json.error",
        "status/vrrp.json.error",
        "logs.txt",
        "dmesg.txt",
        "config/active.toml",
        "slots.txt",
    ] {
        ensure!(list.contains(&format!("/{part}\n")), "the bundle has no {part}:\n{list}");
    }
    let near = part(&file, "network/neighbours.txt")?;
    ensure!(near.contains("fe80::1 dev eth0"), "the neighbour by IPv6 is not told:\n{near}");
    let log = part(&file, "logs.txt")?;
    ensure!(log.contains("configuration active"), "the logs of who is held are not told:\n{log}");
    orders(person, &workers, "release")?;
    Ok(format!("a bundle while no worker runs: {told}"))
}

fn part(bundle: &Path, name: &str) -> Result<String> {
    let name = format!("*/{name}");
    command::output("tar", &["-xOzf".as_ref(), bundle.as_os_str(), "--wildcards".as_ref(), name.as_ref()])
}

/// The same order to several workers.
fn orders(person: &mut Person<'_>, workers: &[&str], order: &str) -> Result<()> {
    const WHAT: &str = "restart, hold or release (empty line = back): ";
    person.home()?;
    person.answer(MAIN, "8")?;
    for worker in workers {
        person.hear("Worker (")?;
        person.hear("empty line = back): ")?;
        person.answer("", worker)?;
        person.hear(WHAT)?;
        person.answer("", order)?;
    }
    person.hear("Worker (")?;
    person.hear("empty line = back): ").map(drop)
}
