//! The PIN, if the file has one.

use super::{Input, Screen, Step};
use crate::console::session::{Answer, Command};
use crate::console::snapshot::Snapshot;

pub const PROMPT: &str = "PIN: ";

/// Asks for it.
pub fn enter() -> Step {
    Step::show(Screen::Locked, "")
}

/// Takes it. How often it may be wrong, the session knows.
pub fn step(input: Input, snapshot: &Snapshot) -> Step {
    match input {
        Input::Line(line) if !line.is_empty() => match snapshot.pin() {
            Some(hash) => Step::run(Screen::Locked, Command::Verify { hash: hash.to_owned(), pin: line }),
            None => Step::menu(snapshot),
        },
        Input::Answer(Answer::Told(_)) => Step::menu(snapshot),
        Input::Answer(_) => Step::show(Screen::Idle, "Wrong PIN."),
        Input::Line(_) | Input::Cancel => Step::show(Screen::Idle, ""),
        Input::Key(_) | Input::Tick => Step::show(Screen::Locked, ""),
    }
}
