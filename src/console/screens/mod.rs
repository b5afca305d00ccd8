//! What is on the terminal: (screen, input, snapshot) → (screen, text, command). Pure.
//!
//! Every prompt has a way back: an empty line, or ^C.

mod cards;
pub mod configuration;
mod first;
mod locked;
mod logs;
mod management;
mod menu;
mod nics;
mod pager;
mod power;
mod reset;
mod routers;
mod services;
mod slots;
mod status;
mod system;
mod tools;
mod workers;

pub use menu::Place;

use super::ascii::wrap;
use super::live::{Live, PERIOD_MS};
use super::session::{Answer, Command};
use super::snapshot::Snapshot;
use crate::ipc::message::Reply;

/// Most characters of a line: the last column of many terminals wraps.
pub const WIDTH: usize = 79;
/// Lines of a screen without the prompt.
pub const HEIGHT: usize = 22;

/// What is on the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Screen {
    /// Nobody uses it: announcements, until Enter.
    Idle,
    /// Asks for the PIN.
    Locked,
    /// A menu.
    Menu(Place),
    /// The live view, line by line.
    Status,
    /// The live view that fills the screen; the session itself leads it.
    Live(Box<Live>),
    /// The dialogue for a management address.
    Management(management::Dialogue),
    /// The first set-up.
    First(first::First),
    /// Which configuration runs.
    Configuration(configuration::Waiting),
    /// Log lines.
    Logs(logs::Logs),
    /// Services and real servers.
    Services(services::Dialogue),
    /// Virtual routers.
    Routers(routers::Dialogue),
    /// Something that asks for an address.
    Tool(tools::Kind),
    /// Packets to a file.
    Capture(tools::Capture),
    /// Which card is which.
    Cards(cards::Cards),
    /// The workers.
    Workers(workers::Workers),
    /// Support, clock, slots.
    System(system::System),
    /// The slots of firmware.
    Slots(slots::Slots),
    /// Reboot or power off.
    Power(power::Power),
    /// Factory reset.
    Reset(reset::Reset),
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
    /// Whole lines that are not shown.
    Secret,
}

/// What happens to a screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A line ([`Mode::Line`], [`Mode::Secret`]).
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
        Self::place(Place::Main, snapshot)
    }

    /// The main menu after a last word.
    fn menu_after(text: &str, snapshot: &Snapshot) -> Self {
        Self::place_after(text, Place::Main, snapshot)
    }

    /// A menu.
    fn place(place: Place, snapshot: &Snapshot) -> Self {
        Self::show(Screen::Menu(place), place.text(snapshot))
    }

    /// A menu after a last word.
    fn place_after(text: &str, place: Place, snapshot: &Snapshot) -> Self {
        Self::show(Screen::Menu(place), format!("{text}\n{}", place.text(snapshot)))
    }
}

/// The words of an answer: why not, or what a tool has found; nothing where it was simply done.
fn said(answer: Answer) -> String {
    match answer {
        Answer::Failed(why) if !why.contains('\n') => {
            wrap(&format!("Not done: {why}"), WIDTH, "  ").join("\n")
        }
        Answer::Failed(why) => {
            let lines = why.lines().flat_map(|line| wrap(&format!("  {line}"), WIDTH, "  "));
            std::iter::once("Not done:".to_owned()).chain(lines).collect::<Vec<_>>().join("\n")
        }
        Answer::Told(text) | Answer::Reply(Reply::Done { message: text }) => text,
        Answer::Reply(Reply::Difference { pending: Some(pending), .. }) => {
            let left = crate::ctl::status::age(pending.left_ms.div_ceil(1000) * 1000);
            format!("On trial: confirm it by c within {left}, or what ran before runs again.")
        }
        Answer::Looked | Answer::Reply(_) => String::new(),
    }
}

/// `yes` or `no`.
fn yes(line: &str) -> Option<bool> {
    match line.to_ascii_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}

impl Screen {
    /// How keys are taken.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        match self {
            Self::Idle | Self::Down => Mode::Wake,
            Self::Locked => Mode::Secret,
            Self::Status | Self::Live(_) | Self::Pager(_) => Mode::Key,
            Self::Logs(logs) => logs.mode(),
            Self::Cards(cards) => cards.mode(),
            Self::Menu(_)
            | Self::Management(_)
            | Self::First(_)
            | Self::Configuration(_)
            | Self::Services(_)
            | Self::Routers(_)
            | Self::Tool(_)
            | Self::Capture(_)
            | Self::Workers(_)
            | Self::System(_)
            | Self::Slots(_)
            | Self::Reset(_)
            | Self::Power(_) => Mode::Line,
        }
    }

    /// How often it is told that time passes, milliseconds.
    #[must_use]
    pub const fn period_ms(&self) -> Option<u64> {
        match self {
            Self::Status => Some(2_000),
            Self::Live(_) => Some(PERIOD_MS),
            Self::Logs(logs) => logs.period_ms(),
            Self::Cards(cards) => cards.period_ms(),
            Self::Idle
            | Self::Down
            | Self::Locked
            | Self::Menu(_)
            | Self::Management(_)
            | Self::First(_)
            | Self::Configuration(_)
            | Self::Services(_)
            | Self::Routers(_)
            | Self::Tool(_)
            | Self::Capture(_)
            | Self::Workers(_)
            | Self::System(_)
            | Self::Slots(_)
            | Self::Reset(_)
            | Self::Power(_)
            | Self::Pager(_) => None,
        }
    }

    /// What asks for the next key or line.
    #[must_use]
    pub fn prompt(&self, snapshot: &Snapshot) -> String {
        match self {
            Self::Idle | Self::Down | Self::Live(_) => String::new(),
            Self::Locked => locked::PROMPT.to_owned(),
            Self::Menu(place) => place.prompt().to_owned(),
            Self::Status => status::PROMPT.to_owned(),
            Self::Management(dialogue) => dialogue.prompt(snapshot),
            Self::First(first) => first.prompt(snapshot),
            Self::Configuration(waiting) => configuration::prompt(waiting).to_owned(),
            Self::Logs(logs) => logs.prompt().to_owned(),
            Self::Services(dialogue) => dialogue.prompt(snapshot),
            Self::Routers(dialogue) => dialogue.prompt().to_owned(),
            Self::Tool(kind) => kind.prompt().to_owned(),
            Self::Capture(capture) => capture.prompt(snapshot),
            Self::Cards(cards) => cards.prompt(snapshot),
            Self::Workers(workers) => workers.prompt(),
            Self::System(system) => system.prompt().to_owned(),
            Self::Slots(slots) => slots.prompt().to_owned(),
            Self::Power(power) => power.prompt(),
            Self::Reset(reset) => reset.prompt().to_owned(),
            Self::Pager(pager) => pager.prompt(),
        }
    }

    /// What `?` tells.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Idle | Self::Down | Self::Locked | Self::Live(_) => String::new(),
            Self::Menu(place) => place.help(),
            Self::Status => status::HELP.to_owned(),
            Self::Management(_) => management::HELP.to_owned(),
            Self::First(_) => first::HELP.to_owned(),
            Self::Configuration(_) => configuration::HELP.to_owned(),
            Self::Logs(_) => logs::HELP.to_owned(),
            Self::Services(_) => services::HELP.to_owned(),
            Self::Routers(_) => routers::HELP.to_owned(),
            Self::Tool(kind) => kind.help().to_owned(),
            Self::Capture(_) => tools::CAPTURE.to_owned(),
            Self::Cards(_) => cards::HELP.to_owned(),
            Self::Workers(_) => workers::HELP.to_owned(),
            Self::System(_) => system::HELP.to_owned(),
            Self::Slots(_) => slots::HELP.to_owned(),
            Self::Power(_) => power::HELP.to_owned(),
            Self::Reset(_) => reset::HELP.to_owned(),
            Self::Pager(_) => pager::HELP.to_owned(),
        }
    }

    /// Takes an input.
    #[must_use]
    pub fn step(self, input: Input, snapshot: &Snapshot) -> Step {
        let asks = matches!(&input, Input::Line(line) if line == "?") || input == Input::Key('?');
        if asks && self != Self::Locked {
            let help = self.help();
            return Step::show(self, format!("\n{help}\n"));
        }
        match self {
            Self::Idle | Self::Down | Self::Live(_) => Step::show(self, ""),
            Self::Locked => locked::step(input, snapshot),
            Self::Menu(place) => place.step(&input, snapshot),
            Self::Status => status::step(&input, snapshot),
            Self::Management(dialogue) => dialogue.step(input, snapshot),
            Self::First(first) => first.step(input, snapshot),
            Self::Configuration(waiting) => configuration::step(waiting, input, snapshot),
            Self::Logs(logs) => logs.step(input, snapshot),
            Self::Services(dialogue) => dialogue.step(input, snapshot),
            Self::Routers(dialogue) => dialogue.step(input, snapshot),
            Self::Tool(kind) => kind.step(input, snapshot),
            Self::Capture(capture) => capture.step(input, snapshot),
            Self::Cards(cards) => cards.step(input, snapshot),
            Self::Workers(workers) => workers.step(input, snapshot),
            Self::System(system) => system.step(input, snapshot),
            Self::Slots(slots) => slots.step(input, snapshot),
            Self::Power(power) => power.step(&input, snapshot),
            Self::Reset(reset) => reset.step(input, snapshot),
            Self::Pager(pager) => pager.step(&input, snapshot),
        }
    }

    /// The live view that fills the screen.
    #[must_use]
    pub fn live() -> Step {
        Step::show(Self::Live(Box::default()), "")
    }

    /// The live view line by line.
    #[must_use]
    pub fn status() -> Step {
        status::enter()
    }

    /// The screen that asks for the PIN.
    #[must_use]
    pub fn locked() -> Step {
        locked::enter()
    }
}
