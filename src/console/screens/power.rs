//! Reboot, power off and safe mode, asked twice.

use super::{Input, Place, Screen, Step};
use crate::console::session::{Answer, Command};
use crate::console::snapshot::Snapshot;
use crate::console::tool::Tool;
use crate::ipc::message::{PowerAction, Request};
use crate::role::Role;

pub const HELP: &str = "\
VRRP ends first, so the other box takes over at once; then the workers, then
the disks. All of it is asked twice.

Safe mode is a start with the built-in configuration: DHCP, no virtual address,
no service, no PIN. Your file is left as it is; the start after that is a normal
one. For a configuration that keeps this console from being of use.";

/// Where the dialogue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Power {
    /// Asked once.
    First(Deed),
    /// Asked twice.
    Second(Deed),
    /// Waits for init.
    Doing,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Start again.
    Reboot,
    /// Switch off.
    Off,
    /// Start again in safe mode.
    Safe,
}

pub fn reboot() -> Step {
    Step::show(Screen::Power(Power::First(Deed::Reboot)), "")
}

pub fn off() -> Step {
    Step::show(Screen::Power(Power::First(Deed::Off)), "")
}

pub fn safe() -> Step {
    Step::show(Screen::Power(Power::First(Deed::Safe)), "")
}

impl Power {
    pub fn prompt(&self) -> String {
        match self {
            Self::First(Deed::Reboot) => "Reboot this box? (yes or no): ".to_owned(),
            Self::First(Deed::Off) => "Power this box off? (yes or no): ".to_owned(),
            Self::First(Deed::Safe) => "Start this box again in safe mode? (yes or no): ".to_owned(),
            Self::Second(deed) => format!("Its VIPs will leave it. To go on, type {}: ", deed.word()),
            Self::Doing => String::new(),
        }
    }

    pub fn step(self, input: &Input, snapshot: &Snapshot) -> Step {
        match (self, input) {
            (Self::First(deed), Input::Line(line)) if line.eq_ignore_ascii_case("yes") => {
                Step::show(Screen::Power(Self::Second(deed)), "")
            }
            (Self::Second(deed), Input::Line(line)) if line.eq_ignore_ascii_case(deed.word()) => {
                Step::run(Screen::Power(Self::Doing), deed.command())
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

impl Deed {
    const fn word(self) -> &'static str {
        match self {
            Self::Reboot => "reboot",
            Self::Off => "poweroff",
            Self::Safe => "safe",
        }
    }

    const fn command(self) -> Command {
        let action = match self {
            Self::Reboot => PowerAction::Reboot,
            Self::Off => PowerAction::PowerOff,
            Self::Safe => return Command::Do(Tool::SafeMode),
        };
        Command::Ask(Role::Init, Request::Power { action })
    }
}
