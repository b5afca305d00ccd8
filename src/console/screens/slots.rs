//! The two slots of firmware: how they stand, an update into the one that does not run, and which one is started next.

use super::{Input, Place, Screen, Step, said, yes};
use crate::console::session::{Answer, Command};
use crate::console::snapshot::Snapshot;
use crate::console::tool::Tool;

pub const HELP: &str = "\
The box has two slots of firmware, A and B. One runs.

u  writes the update on a USB stick, the only file there whose name ends in
   .update, into the other slot. It is checked before and read back after; what
   runs is not touched. The next start tries it.
o  lets the next start take the other slot: the way back after an update

New firmware is confirmed by itself once all is well for a minute. If it does
not come up three times, the box goes back to the slot from which it came.";

/// Where the dialogue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slots {
    /// Waits for the list.
    Look,
    /// What to do?
    What,
    /// Shall it be done?
    Confirm(Order),
    /// Waits for the end.
    Doing,
}

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// An update.
    Update,
    /// The other slot.
    Other,
}

pub fn enter() -> Step {
    run(Slots::Look, Tool::Slots)
}

fn at(state: Slots, text: impl Into<String>) -> Step {
    Step::show(Screen::Slots(state), text)
}

fn run(state: Slots, tool: Tool) -> Step {
    Step::run(Screen::Slots(state), Command::Do(tool))
}

impl Slots {
    pub const fn prompt(self) -> &'static str {
        match self {
            Self::What => "u = update from a USB stick, o = the other slot next, an empty line = back: ",
            Self::Confirm(Order::Update) => {
                "Write it into the slot that does not run? (yes or no, empty line = back): "
            }
            Self::Confirm(Order::Other) => {
                "Let the next start take the other slot? (yes or no, empty line = back): "
            }
            Self::Look | Self::Doing => "",
        }
    }

    pub fn step(self, input: Input, snapshot: &Snapshot) -> Step {
        match (self, input) {
            (_, Input::Cancel) => Step::place(Place::System, snapshot),
            (Self::Look, Input::Answer(Answer::Failed(why))) => {
                Step::place_after(&said(Answer::Failed(why)), Place::System, snapshot)
            }
            (Self::Look, Input::Answer(answer)) => at(Self::What, format!("\n{}", said(answer))),
            (Self::What, Input::Line(line)) => match line.to_ascii_lowercase().as_str() {
                "" => Step::place(Place::System, snapshot),
                "u" => at(Self::Confirm(Order::Update), ""),
                "o" => at(Self::Confirm(Order::Other), ""),
                other => at(Self::What, format!("{other:?} is neither u nor o.")),
            },
            (Self::Confirm(order), Input::Line(line)) => match yes(&line) {
                Some(true) if order == Order::Update => run(Self::Doing, Tool::Update),
                Some(true) => run(Self::Doing, Tool::OtherSlot),
                Some(false) => at(Self::What, "Nothing was changed."),
                None if line.is_empty() => at(Self::What, "Nothing was changed."),
                None => at(self, format!("{line:?} is neither yes nor no.")),
            },
            (Self::Doing, Input::Answer(answer)) => at(Self::What, said(answer)),
            (state, Input::Line(_) | Input::Key(_) | Input::Tick | Input::Answer(_)) => at(state, ""),
        }
    }
}
