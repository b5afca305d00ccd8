//! Reboot and power off, asked twice.

use super::{Input, Place, Screen, Step};
use crate::console::session::{Answer, Command};
use crate::console::snapshot::Snapshot;
use crate::ipc::message::{PowerAction, Request};
use crate::role::Role;

pub const HELP: &str = "\
VRRP ends first, so the other box takes over at once; then the workers, then
the disks. Both are asked twice.";

/// Where the dialogue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Power {
    /// Asked once.
    First(PowerAction),
    /// Asked twice.
    Second(PowerAction),
    /// Waits for init.
    Doing,
}

pub fn reboot() -> Step {
    Step::show(Screen::Power(Power::First(PowerAction::Reboot)), "")
}

pub fn off() -> Step {
    Step::show(Screen::Power(Power::First(PowerAction::PowerOff)), "")
}

impl Power {
    pub fn prompt(&self) -> String {
        match self {
            Self::First(PowerAction::Reboot) => "Reboot this box? (yes or no): ".to_owned(),
            Self::First(PowerAction::PowerOff) => "Power this box off? (yes or no): ".to_owned(),
            Self::Second(action) => format!("Its VIPs will leave it. To go on, type {}: ", word(*action)),
            Self::Doing => String::new(),
        }
    }

    pub fn step(self, input: &Input, snapshot: &Snapshot) -> Step {
        match (self, input) {
            (Self::First(action), Input::Line(line)) if line.eq_ignore_ascii_case("yes") => {
                Step::show(Screen::Power(Self::Second(action)), "")
            }
            (Self::Second(action), Input::Line(line)) if line.eq_ignore_ascii_case(word(action)) => {
                Step::run(Screen::Power(Self::Doing), Command::Ask(Role::Init, Request::Power { action }))
            }
            (Self::Doing, Input::Answer(Answer::Failed(why))) => {
                Step::place_after(&format!("Not done: {why}"), Place::System, snapshot)
            }
            (Self::Doing, Input::Answer(_)) => Step::show(Screen::Down, "Going down."),
            (Self::First(_) | Self::Second(_), _) | (Self::Doing, _) => {
                Step::place_after("Nothing was done.", Place::System, snapshot)
            }
        }
    }
}

const fn word(action: PowerAction) -> &'static str {
    match action {
        PowerAction::Reboot => "reboot",
        PowerAction::PowerOff => "poweroff",
    }
}
