//! Each entry of each menu on a box, with each word that its questions offer, and with noise at every prompt.

pub mod questions;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use director_lab::client;
use director_lab::disk;
use director_lab::guest::Guest;

use super::kept;
use super::manual::{Manual, prompt};
use super::menu::{leave, sees_the_stick};
use super::person::{INVITATION, MAIN, Person};
use super::place::Place;
use super::site::{BOOT, PATIENCE};
use crate::test::outcome::Outcome;

const DIALOGUES: &str = include_str!("entries/dialogues.txt");
/// What ends a question that takes a key at once.
const KEYS: [&str; 3] = ["q = back --", "any other key = back) ", "any key = back."];

const CONFIGURATION: &str = "r, f, d, u, c, b, h or e; ? explains them (empty line = back): ";

/// Plays [`DIALOGUES`] on a box with the manual's configuration, and looks at what it has left on stick and disk.
///
/// # Errors
/// All that was not said or done, and what no dialogue tries.
pub fn entries() -> Result<Outcome> {
    let place = Place::new(&Manual::read()?)?;
    let mut guest = place.power_on()?;
    let told = walk(&place, &mut guest);
    guest.explain(told)?;
    let status = guest.await_power_off(PATIENCE)?;
    ensure!(status.success(), "QEMU: {status}");
    delivered(&place)?;
    Ok(Outcome::passed())
}

fn walk(place: &Place, guest: &mut Guest) -> Result<()> {
    guest.serial().expect(INVITATION, BOOT)?;
    let mut person = Person::new(guest);
    person.idles()?;
    person.noisy(true);
    let mut wrong = Vec::new();
    let dialogues = DIALOGUES.split("\n== ").skip(1);
    for dialogue in dialogues {
        let (name, lines) = dialogue.split_once('\n').context("a dialogue without lines")?;
        if let Err(error) = play(&mut person, place, lines) {
            wrong.push(format!("{name}: {error:#}"));
            person.recover()?;
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let missed = [person.missed(), person.questions().missed()].concat();
    ensure!(missed.is_empty(), "what nobody has tried:\n{}", missed.join("\n"));
    Ok(())
}

/// One dialogue, from the first menu.
fn play(person: &mut Person<'_>, place: &Place, lines: &str) -> Result<()> {
    person.home()?;
    let (mut wanted, mut said, mut first) = (Vec::new(), String::new(), true);
    // A question without an answer is answered by an empty line, unless it is the last one.
    let mut open: Option<String> = None;
    let mut later = Vec::new();
    for line in lines.lines().filter(|line| !line.is_empty()) {
        if let Some(what) = line.strip_prefix("! ") {
            outside(person, place, what).with_context(|| line.to_owned())?;
            continue;
        }
        if let Some(what) = line.strip_prefix("? ") {
            later.push(what);
            continue;
        }
        let Some((question, answer)) = question(line) else {
            wanted.push(line);
            continue;
        };
        if let Some(open) = open.take() {
            person.answer(&open, "")?;
        }
        if !std::mem::take(&mut first) {
            said = person.hear(&question).with_context(|| format!("before {line:?}"))?;
        }
        says(&said, &wanted).with_context(|| format!("before {line:?}"))?;
        wanted.clear();
        for what in later.drain(..) {
            outside(person, place, what).with_context(|| what.to_owned())?;
        }
        match answer {
            Some(key) if KEYS.iter().any(|end| question.ends_with(end)) => person.view(&key)?,
            Some(answer) => person.answer(&question, &answer)?,
            None if KEYS.iter().any(|end| question.ends_with(end)) => {}
            None => open = Some(question),
        }
    }
    ensure!(wanted.is_empty() && later.is_empty(), "nobody waits for {wanted:?}");
    Ok(())
}

/// A line's question and its answer; none at the end of a dialogue.
fn question(line: &str) -> Option<(String, Option<String>)> {
    let end = KEYS.iter().find_map(|end| Some(line.find(end)? + end.len()));
    match end.and_then(|end| line.split_at_checked(end)) {
        Some((question, key)) => {
            Some((question.to_owned(), Some(key.to_owned()).filter(|key| !key.is_empty())))
        }
        None => prompt(line),
    }
}

fn says(said: &str, wanted: &[&str]) -> Result<()> {
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let lacks =
        wanted.iter().find(|line| !said.contains(&line.split_whitespace().collect::<Vec<_>>().join(" ")));
    ensure!(lacks.is_none(), "it does not say {lacks:?}:\n{said}");
    Ok(())
}

/// What happens meanwhile, or can be seen elsewhere.
fn outside(person: &mut Person<'_>, place: &Place, what: &str) -> Result<()> {
    let (word, rest) = what.split_once(' ').unwrap_or((what, ""));
    match word {
        "key" => person.view(rest),
        "idle" => leave(person),
        "home" => person.home(),
        // The operator's file, on the disk of the running box.
        "edit" => {
            let (from, to) = rest.split_once(" -> ").context("edit FROM -> TO")?;
            let text = place.file()?;
            ensure!(text.contains(from), "no {from:?} in:\n{text}");
            place.write(&text.replacen(from, to, 1))
        }
        "spoil" => place.write(&format!("nonsense = 1\n{}", place.file()?)),
        "mend" => place.write(&place.file()?.replacen("nonsense = 1\n", "", 1)),
        "file" => {
            let text = place.file()?;
            ensure!(text.contains(rest), "no {rest:?} in:\n{text}");
            Ok(())
        }
        "plug" => {
            person.guest().qmp().plug_in("usb", &place.stick, false)?;
            sees_the_stick(person)?;
            person.home()
        }
        "exported" => {
            let (stick, file) = (disk::read_stick(&place.stick, "director.toml")?, place.file()?);
            ensure!(stick == file, "on the stick:\n{stick}\non the box:\n{file}");
            Ok(())
        }
        "trial" => on_trial(person),
        "cable" => person.guest().qmp().cable(1, rest == "1 on"),
        "console" => person.guest().serial().expect(rest, PATIENCE).map(drop),
        "answers" => super::await_true("the VIP answers", || {
            let ask = || client::ask(([192, 168, 61, 45], 80).into(), "/", PATIENCE);
            place.gateway.namespace().run(ask).is_ok_and(|sample| sample.answer.is_ok())
        }),
        _ => bail!("{word:?} is no word of a dialogue"),
    }
}

/// The entry of the configuration, once it says that a change is on trial: a moment after it was said to be, so that the answer arrives
/// before an address goes, nothing can be confirmed yet.
fn on_trial(person: &mut Person<'_>) -> Result<()> {
    let begun = Instant::now();
    loop {
        person.home()?;
        person.answer(MAIN, "3")?;
        if person.hear(CONFIGURATION)?.contains("is on trial") {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "no change is on trial");
    }
}

/// Captures and bundles lie where the box said that they are, and are what their names say.
fn delivered(place: &Place) -> Result<()> {
    let folder = place.folder.path();
    let data = kept::data(&place.disk, folder)?;
    for name in ["director-capture-eth0.pcap", "director-support-lb1.tar.gz"] {
        let from_stick = folder.join(name);
        disk::take_off(&place.stick, name, &from_stick)?;
        for (shelf, path) in [("stick", from_stick.as_path()), ("data", &data.join("out").join(name))] {
            whole(path).with_context(|| format!("{name} on {shelf}"))?;
        }
    }
    Ok(())
}

/// Magic numbers of pcap (little-endian, nanoseconds) and of gzip.
fn whole(path: &Path) -> Result<()> {
    let bytes = std::fs::read(path)?;
    let (magic, least): (&[u8], usize) = if path.extension().is_some_and(|end| end == "pcap") {
        (b"\x4d\x3c\xb2\xa1", 24)
    } else {
        (b"\x1f\x8b", 1000)
    };
    ensure!(bytes.starts_with(magic) && bytes.len() > least, "{} bytes that are something else", bytes.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::person::{BELOW, MAIN};
    use super::*;

    #[test]
    fn every_line_that_asks_is_known_to() {
        let of = |line| question(line).unwrap();
        assert_eq!(of("q = back --space"), ("q = back --".to_owned(), Some("space".to_owned())));
        let lines = [
            "Do it? (yes or no, empty line = back): no",
            "Choose a number, h for help, an empty line to leave:",
        ];
        assert_eq!(lines.map(|line| of(line).1.as_deref().map(str::to_owned)), [Some("no".to_owned()), None]);
        assert_eq!((of(lines[1]).0.as_str(), question("Done.")), (MAIN, None));
        assert!(DIALOGUES.contains(MAIN) && DIALOGUES.contains(BELOW));
    }
}
