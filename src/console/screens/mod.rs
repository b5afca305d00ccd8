//! What is on the terminal: (screen, input, snapshot) → (screen, text, command). Pure.
//!
//! Every prompt has a way back: an empty line, or ^C.

pub mod configuration;
mod logs;
mod management;
mod menu;
mod pager;
mod ping;
mod power;
mod status;
mod workers;

use super::session::{Answer, Command};
use super::snapshot::Snapshot;

/// Most characters of a line: the last column of many terminals wraps.
pub const WIDTH: usize = 79;
/// Lines of a screen without the prompt.
pub const HEIGHT: usize = 22;

/// What is on the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Screen {
    /// Nobody uses it: announcements, until Enter.
    Idle,
    /// The main menu.
    Menu,
    /// The live view.
    Status,
    /// The dialogue for a management address.
    Management(management::Dialogue),
    /// Which configuration runs.
    Configuration(configuration::Waiting),
    /// Log lines.
    Logs(logs::Logs),
    /// Echo requests.
    Ping,
    /// The workers.
    Workers(workers::Workers),
    /// Reboot or power off.
    Power(power::Power),
    /// The box is about to end.
    Down,
    /// Lines that did not fit, and where to go then.
    Pager(pager::Pager),
}

/// How a screen takes keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing but Enter.
    Wake,
    /// Each key at once.
    Key,
    /// Whole lines.
    Line,
}

/// What happens to a screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A line ([`Mode::Line`]).
    Line(String),
    /// A key, in lower case ([`Mode::Key`]).
    Key(char),
    /// ^C, or ^D.
    Cancel,
    /// The screen's period is over.
    Tick,
    /// The answer to its command.
    Answer(Answer),
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is on the terminal now.
    pub screen: Screen,
    /// What is printed before its prompt.
    pub text: String,
    /// What is to be done; the prompt comes after the answer.
    pub command: Option<Command>,
    /// The text replaces what was on a terminal that can clear itself.
    pub redraws: bool,
}

impl Step {
    /// To `screen`, printing `text`.
    fn show(screen: Screen, text: impl Into<String>) -> Self {
        Self { screen, text: text.into(), command: None, redraws: false }
    }

    /// Stays at `screen` until `command` is answered.
    fn run(screen: Screen, command: Command) -> Self {
        Self { screen, text: String::new(), command: Some(command), redraws: false }
    }

    /// The main menu.
    #[must_use]
    pub fn menu(snapshot: &Snapshot) -> Self {
        Self::show(Screen::Menu, menu::text(snapshot))
    }

    /// The main menu after a last word.
    fn menu_after(text: &str, snapshot: &Snapshot) -> Self {
        Self::show(Screen::Menu, format!("{text}\n{}", menu::text(snapshot)))
    }
}

impl Screen {
    /// How keys are taken.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        match self {
            Self::Idle | Self::Down => Mode::Wake,
            Self::Status | Self::Pager(_) => Mode::Key,
            Self::Logs(logs) => logs.mode(),
            Self::Menu
            | Self::Management(_)
            | Self::Configuration(_)
            | Self::Ping
            | Self::Workers(_)
            | Self::Power(_) => Mode::Line,
        }
    }

    /// How often it is told that time passes, milliseconds.
    #[must_use]
    pub const fn period_ms(&self) -> Option<u64> {
        match self {
            Self::Status => Some(2_000),
            Self::Logs(logs) => logs.period_ms(),
            Self::Idle
            | Self::Down
            | Self::Menu
            | Self::Management(_)
            | Self::Configuration(_)
            | Self::Ping
            | Self::Workers(_)
            | Self::Power(_)
            | Self::Pager(_) => None,
        }
    }

    /// What asks for the next key or line.
    #[must_use]
    pub fn prompt(&self, snapshot: &Snapshot) -> String {
        match self {
            Self::Idle | Self::Down => String::new(),
            Self::Menu => menu::PROMPT.to_owned(),
            Self::Status => status::PROMPT.to_owned(),
            Self::Management(dialogue) => dialogue.prompt(snapshot),
            Self::Configuration(_) => configuration::PROMPT.to_owned(),
            Self::Logs(logs) => logs.prompt().to_owned(),
            Self::Ping => ping::PROMPT.to_owned(),
            Self::Workers(workers) => workers.prompt(),
            Self::Power(power) => power.prompt(),
            Self::Pager(pager) => pager.prompt(),
        }
    }

    /// Takes an input.
    #[must_use]
    pub fn step(self, input: Input, snapshot: &Snapshot) -> Step {
        match self {
            Self::Idle | Self::Down => Step::show(self, ""),
            Self::Menu => menu::step(&input, snapshot),
            Self::Status => status::step(&input, snapshot),
            Self::Management(dialogue) => dialogue.step(input, snapshot),
            Self::Configuration(waiting) => configuration::step(waiting, &input, snapshot),
            Self::Logs(logs) => logs.step(input, snapshot),
            Self::Ping => ping::step(input, snapshot),
            Self::Workers(workers) => workers.step(input, snapshot),
            Self::Power(power) => power.step(&input, snapshot),
            Self::Pager(pager) => pager.step(&input, snapshot),
        }
    }
}
