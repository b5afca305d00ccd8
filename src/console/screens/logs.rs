//! Log lines: the last ones, or new ones as they come.

use std::time::Duration;

use super::{Input, Mode, Screen, Step, WIDTH, pager};
use crate::console::ascii::wrap;
use crate::console::session::{Answer, Command};
use crate::console::snapshot::Snapshot;
use crate::ipc::message::{LogLine, Reply, Request};
use crate::role::Role;

const ROLES: [(&str, Option<Role>); 8] = [
    ("all of them", None),
    ("init", Some(Role::Init)),
    ("store", Some(Role::Store)),
    ("net", Some(Role::Net)),
    ("vrrp", Some(Role::Vrrp)),
    ("lvs", Some(Role::Lvs)),
    ("api", Some(Role::Api)),
    ("console", Some(Role::Console)),
];
/// Most lines that are asked for.
const MOST: usize = 1000;
/// Lines that are compared to find out which are new.
const FOLLOWED: usize = 200;

/// Where the dialogue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logs {
    /// Whose?
    Whose,
    /// How many?
    Many(Option<Role>),
    /// Waits for the lines.
    Wait,
    /// New lines as they come; those already shown.
    Follow(Option<Role>, Vec<LogLine>),
}

pub fn enter() -> Step {
    let mut text = "\nWhose lines?\n".to_owned();
    for (n, (name, _)) in ROLES.iter().enumerate() {
        text.push_str(&format!(" {}  {name}\n", n + 1));
    }
    Step::show(Screen::Logs(Logs::Whose), text)
}

impl Logs {
    pub const fn mode(&self) -> Mode {
        match self {
            Self::Follow(..) => Mode::Key,
            Self::Whose | Self::Many(_) | Self::Wait => Mode::Line,
        }
    }

    pub const fn period_ms(&self) -> Option<u64> {
        match self {
            Self::Follow(..) => Some(500),
            Self::Whose | Self::Many(_) | Self::Wait => None,
        }
    }

    pub const fn prompt(&self) -> &'static str {
        match self {
            Self::Whose => "Number (empty line = back): ",
            Self::Many(_) => "How many lines, or f to follow (empty line = back): ",
            Self::Wait | Self::Follow(..) => "",
        }
    }

    pub fn step(self, input: Input, snapshot: &Snapshot) -> Step {
        match (self, input) {
            (_, Input::Cancel) => Step::menu(snapshot),
            (Self::Whose | Self::Many(_), Input::Line(line)) if line.is_empty() => Step::menu(snapshot),
            (Self::Whose, Input::Line(line)) => whose(&line),
            (Self::Many(role), Input::Line(line)) => many(role, &line),
            (Self::Wait, Input::Answer(answer)) => lines(answer, snapshot),
            (Self::Follow(role, seen), Input::Tick) => follow(role, seen),
            (Self::Follow(role, seen), Input::Answer(answer)) => news(role, seen, answer),
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

fn many(role: Option<Role>, line: &str) -> Step {
    if line.eq_ignore_ascii_case("f") {
        let text = "New lines as they come; any key = back.";
        return Step { text: text.to_owned(), ..follow(role, Vec::new()) };
    }
    match line.parse() {
        Ok(lines @ 1..=MOST) => {
            Step::run(Screen::Logs(Logs::Wait), Command::Ask(Role::Init, Request::Logs { role, lines }))
        }
        _ => Step::show(Screen::Logs(Logs::Many(role)), format!("{line:?} is neither 1 to {MOST} nor f.")),
    }
}

fn lines(answer: Answer, snapshot: &Snapshot) -> Step {
    match answer {
        Answer::Reply(Reply::Logs { lines }) if lines.is_empty() => Step::menu_after("No lines.", snapshot),
        Answer::Reply(Reply::Logs { lines }) => {
            let text = lines.iter().flat_map(show).collect();
            pager::show(text, Screen::Menu, super::menu::text(snapshot))
        }
        Answer::Failed(why) => Step::menu_after(&format!("Not done: {why}"), snapshot),
        Answer::Looked | Answer::Pinged(_) | Answer::Reply(_) => Step::menu(snapshot),
    }
}

fn follow(role: Option<Role>, seen: Vec<LogLine>) -> Step {
    let request = Request::Logs { role, lines: FOLLOWED };
    Step::run(Screen::Logs(Logs::Follow(role, seen)), Command::Ask(Role::Init, request))
}

fn news(role: Option<Role>, seen: Vec<LogLine>, answer: Answer) -> Step {
    let Answer::Reply(Reply::Logs { lines }) = answer else {
        return Step::show(Screen::Logs(Logs::Follow(role, seen)), "");
    };
    let old = overlap(&seen, &lines);
    // The first time, the last few lines show that it works.
    let skip = if seen.is_empty() { lines.len().saturating_sub(5) } else { old };
    let text: Vec<String> = lines.iter().skip(skip).flat_map(show).collect();
    Step::show(Screen::Logs(Logs::Follow(role, lines)), text.join("\n"))
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
    let mark = match line.severity {
        0..=3 => "ERROR ",
        4 => "WARN ",
        _ => "",
    };
    let text =
        format!("{hours:02}:{minutes:02}:{:02}.{ms:03} {}: {mark}{}", seconds % 60, line.role, line.text);
    wrap(&text, WIDTH, "             ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(time_ms: u64, text: &str) -> LogLine {
        LogLine { time_ms, role: Role::Net, severity: 6, text: text.to_owned() }
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
