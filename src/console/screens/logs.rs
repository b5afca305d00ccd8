//! Log lines: the last ones, or new ones as they come.

use std::time::Duration;

use super::{Input, Mode, Screen, Step, WIDTH, pager, said};
use crate::console::ascii::wrap;
use crate::console::session::{Answer, Command};
use crate::console::snapshot::Snapshot;
use crate::ipc::message::{LogLine, Reply, Request};
use crate::role::Role;

const ROLES: [(&str, Option<Role>); 10] = [
    ("all of them", None),
    ("init", Some(Role::Init)),
    ("store", Some(Role::Store)),
    ("net", Some(Role::Net)),
    ("vrrp", Some(Role::Vrrp)),
    ("lvs", Some(Role::Lvs)),
    ("api", Some(Role::Api)),
    ("notify", Some(Role::Notify)),
    ("time", Some(Role::Time)),
    ("console", Some(Role::Console)),
];
/// Most lines that are asked for.
const MOST: usize = 1000;
/// Lines that are compared to find out which are new.
const FOLLOWED: usize = 200;

pub const HELP: &str = "\
`100` shows the last 100 lines, `f` shows new ones as they come. A text behind
it chooses lines: `200 eth0`, `f warn`, `1000 error`. Times are UTC.";

/// Where the dialogue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logs {
    /// Whose?
    Whose,
    /// How many, and with which text?
    Many(Option<Role>),
    /// Waits for the lines, of which those with this text are shown.
    Wait(Option<Role>, String),
    /// New lines with this text as they come; those already seen.
    Follow(Option<Role>, String, Vec<LogLine>),
}

pub fn enter() -> Step {
    let mut text = "\nWhose lines?\n".to_owned();
    for (n, (name, _)) in ROLES.iter().enumerate() {
        text.push_str(&format!("{:>2}  {name}\n", n + 1));
    }
    Step::show(Screen::Logs(Logs::Whose), text)
}

impl Logs {
    pub const fn mode(&self) -> Mode {
        match self {
            Self::Follow(..) => Mode::Key,
            Self::Whose | Self::Many(_) | Self::Wait(..) => Mode::Line,
        }
    }

    pub const fn period_ms(&self) -> Option<u64> {
        match self {
            Self::Follow(..) => Some(500),
            Self::Whose | Self::Many(_) | Self::Wait(..) => None,
        }
    }

    pub const fn prompt(&self) -> &'static str {
        match self {
            Self::Whose => "Number (empty line = back): ",
            Self::Many(_) => "How many lines, or f to follow, and a text? (empty line = back): ",
            Self::Wait(..) | Self::Follow(..) => "",
        }
    }

    pub fn step(self, input: Input, snapshot: &Snapshot) -> Step {
        match (self, input) {
            (_, Input::Cancel) => Step::menu(snapshot),
            (Self::Whose | Self::Many(_), Input::Line(line)) if line.is_empty() => Step::menu(snapshot),
            (Self::Whose, Input::Line(line)) => whose(&line),
            (Self::Many(role), Input::Line(line)) => many(role, &line),
            (Self::Wait(role, text), Input::Answer(answer)) => lines(role, answer, &text),
            (Self::Follow(role, text, seen), Input::Tick) => follow(role, text, seen),
            (Self::Follow(role, text, seen), Input::Answer(answer)) => news(role, text, seen, answer),
            (Self::Follow(..), Input::Key(_)) => Step::menu(snapshot),
            (state, Input::Line(_) | Input::Key(_) | Input::Tick | Input::Answer(_)) => {
                Step::show(Screen::Logs(state), "")
            }
        }
    }
}

fn whose(line: &str) -> Step {
    let role = ROLES.iter().enumerate().find(|(n, (name, _))| line == (n + 1).to_string() || line == *name);
    match role {
        Some((_, (_, role))) => Step::show(Screen::Logs(Logs::Many(*role)), ""),
        None => Step::show(Screen::Logs(Logs::Whose), format!("{line:?} is not one of the numbers above.")),
    }
}

/// `100`, `100 eth0`, `f`, `f error`.
fn many(role: Option<Role>, line: &str) -> Step {
    let (count, text) = line.split_once(' ').unwrap_or((line, ""));
    let text = text.trim().to_lowercase();
    if count.eq_ignore_ascii_case("f") {
        let said = "New lines as they come; any key = back.";
        return Step { text: said.to_owned(), ..follow(role, text, Vec::new()) };
    }
    match count.parse() {
        // With a text, it is the lines with the text that are counted, at most.
        Ok(count @ 1..=MOST) => {
            let lines = if text.is_empty() { count } else { MOST };
            let ask = Command::Ask(Role::Init, Request::Logs { role, lines });
            Step::run(Screen::Logs(Logs::Wait(role, text)), ask)
        }
        _ => Step::show(Screen::Logs(Logs::Many(role)), format!("{count:?} is neither 1 to {MOST} nor f.")),
    }
}

/// A menu below them would push the lines off a small screen: the question comes again instead.
fn lines(role: Option<Role>, answer: Answer, text: &str) -> Step {
    let then = Screen::Logs(Logs::Many(role));
    match answer {
        Answer::Reply(Reply::Logs { lines }) => {
            let shown: Vec<String> = lines.iter().filter(|line| has(line, text)).flat_map(show).collect();
            if shown.is_empty() {
                return Step::show(then, "No lines.");
            }
            pager::show(shown, then, String::new())
        }
        other => Step::show(then, said(other)),
    }
}

fn follow(role: Option<Role>, text: String, seen: Vec<LogLine>) -> Step {
    let request = Request::Logs { role, lines: FOLLOWED };
    Step::run(Screen::Logs(Logs::Follow(role, text, seen)), Command::Ask(Role::Init, request))
}

fn news(role: Option<Role>, text: String, seen: Vec<LogLine>, answer: Answer) -> Step {
    let Answer::Reply(Reply::Logs { lines }) = answer else {
        return Step::show(Screen::Logs(Logs::Follow(role, text, seen)), "");
    };
    let old = overlap(&seen, &lines);
    // The first time, the last few lines show that it works.
    let skip = if seen.is_empty() { lines.len().saturating_sub(5) } else { old };
    let news = lines.iter().skip(skip).filter(|line| has(line, &text));
    let shown: Vec<String> = news.flat_map(show).collect();
    Step::show(Screen::Logs(Logs::Follow(role, text, lines)), shown.join("\n"))
}

/// Whether a line has the text, in whatever case. Its role and the mark of its severity are part of it.
fn has(line: &LogLine, text: &str) -> bool {
    text.is_empty() || said_by(line).to_lowercase().contains(text)
}

/// How many of `now` were in `before` already: its longest beginning that ends `before`.
fn overlap(before: &[LogLine], now: &[LogLine]) -> usize {
    (0..=before.len().min(now.len()))
        .rev()
        .find(|n| now.get(..*n).is_some_and(|head| before.ends_with(head)))
        .unwrap_or(0)
}

fn show(line: &LogLine) -> Vec<String> {
    let seconds = Duration::from_millis(line.time_ms).as_secs();
    let (hours, minutes, ms) = (seconds / 3600 % 24, seconds / 60 % 60, line.time_ms % 1000);
    let text = format!("{hours:02}:{minutes:02}:{:02}.{ms:03} {}", seconds % 60, said_by(line));
    wrap(&text, WIDTH, "             ")
}

fn said_by(line: &LogLine) -> String {
    let mark = match line.severity {
        0..=3 => "ERROR ",
        4 => "WARN ",
        _ => "",
    };
    format!("{}: {mark}{}", line.role, line.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(time_ms: u64, text: &str) -> LogLine {
        LogLine { time_ms, role: Role::Net, severity: 6, text: text.to_owned() }
    }

    #[test]
    fn a_text_chooses_lines() {
        let line = LogLine { severity: 4, ..log(1, "link Down: eth0") };
        for (text, chosen) in
            [("", true), ("down", true), ("warn link", true), ("net:", true), ("error", false)]
        {
            assert_eq!(has(&line, text), chosen, "{text:?}");
        }
    }

    #[test]
    fn only_new_lines_are_new() {
        let before = [log(1, "a"), log(2, "b"), log(2, "b")];
        assert_eq!(overlap(&before, &[log(2, "b"), log(2, "b"), log(3, "c")]), 2);
        assert_eq!(overlap(&before, &[log(1, "a"), log(2, "b"), log(2, "b"), log(2, "b")]), 3);
        assert_eq!(overlap(&before, &[log(9, "z")]), 0);
        assert_eq!(overlap(&[], &[log(9, "z")]), 0);
    }
}
