//! Factory reset, asked twice.

use super::{Input, Place, Screen, Step, said};
use crate::console::session::{Answer, Command};
use crate::console::snapshot::Snapshot;
use crate::ipc::message::{PowerAction, Request};
use crate::role::Role;

pub const HELP: &str = "\
Erases the configuration, its history and all that the box kept, writes the
sample director.toml anew, and starts the box again: it is as after flashing.
Write the configuration to a USB stick first if you may want it back.";

/// Where the dialogue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reset {
    /// Asked once.
    First,
    /// Asked twice.
    Second,
    /// Waits for `store`.
    Erasing,
    /// Waits for `init`.
    Restarting,
}

pub fn enter() -> Step {
    Step::show(Screen::Reset(Reset::First), "")
}

impl Reset {
    pub const fn prompt(&self) -> &'static str {
        match self {
            Self::First => "Erase the configuration and all that was kept? (yes or no): ",
            Self::Second => "Nothing brings it back. To go on, type erase: ",
            Self::Erasing | Self::Restarting => "",
        }
    }

    pub fn step(self, input: Input, snapshot: &Snapshot) -> Step {
        match (self, input) {
            (Self::First, Input::Line(line)) if line.eq_ignore_ascii_case("yes") => {
                Step::show(Screen::Reset(Self::Second), "")
            }
            (Self::Second, Input::Line(line)) if line.eq_ignore_ascii_case("erase") => {
                let command = Command::Ask(Role::Store, Request::FactoryReset);
                Step::run(Screen::Reset(Self::Erasing), command)
            }
            (Self::Erasing, Input::Answer(Answer::Reply(_))) => {
                let request = Request::Power { action: PowerAction::Reboot };
                let command = Command::Ask(Role::Init, request);
                Step { text: "Erased.".to_owned(), ..Step::run(Screen::Reset(Self::Restarting), command) }
            }
            (Self::Restarting, Input::Answer(Answer::Reply(_))) => {
                Step::show(Screen::Down, "The box starts again.")
            }
            (Self::Erasing | Self::Restarting, Input::Answer(answer)) => {
                Step::place_after(&said(answer), Place::System, snapshot)
            }
            (_, _) => Step::place_after("Nothing was done.", Place::System, snapshot),
        }
    }
}
