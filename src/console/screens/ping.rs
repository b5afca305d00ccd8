//! Ping: an address, four echo requests.

use super::{Input, Screen, Step};
use crate::console::session::{Answer, Command};
use crate::console::snapshot::Snapshot;

pub const PROMPT: &str = "Address (empty line = back): ";

pub fn enter() -> Step {
    Step::show(Screen::Ping, "")
}

pub fn step(input: Input, snapshot: &Snapshot) -> Step {
    match input {
        Input::Line(line) if line.is_empty() => Step::menu(snapshot),
        Input::Line(line) => Step::run(Screen::Ping, Command::Ping(line)),
        Input::Answer(Answer::Pinged(summary)) => Step::show(Screen::Ping, summary),
        Input::Answer(Answer::Failed(why)) => Step::show(Screen::Ping, format!("Not done: {why}")),
        Input::Cancel => Step::menu(snapshot),
        Input::Key(_) | Input::Tick | Input::Answer(Answer::Looked | Answer::Reply(_)) => {
            Step::show(Screen::Ping, "")
        }
    }
}
