//! The workers: state, and restart, hold or release of one.

use super::{Input, Screen, Step, said};
use crate::console::session::Command;
use crate::console::snapshot::Snapshot;
use crate::ctl::status;
use crate::ipc::message::Request;
use crate::role::Role;

pub const HELP: &str = "\
restart  ends it and starts it again; what it keeps in the kernel stays
hold     ends it and leaves it so: held, vrrp gives its VIPs to the other box
release  a held one may run again";

/// Where the dialogue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Workers {
    /// Waits for the list, to be shown after this.
    Look(String),
    /// Which one?
    Which,
    /// What with it?
    What(Role),
    /// Waits for init to do it.
    Doing(String),
}

pub fn enter() -> Step {
    look(String::new())
}

impl Workers {
    pub fn prompt(&self) -> String {
        match self {
            Self::Which => format!("Worker (1-{}, empty line = back): ", Role::WORKERS.len()),
            Self::What(role) => format!("{role}: restart, hold or release (empty line = back): "),
            Self::Look(_) | Self::Doing(_) => String::new(),
        }
    }

    pub fn step(self, input: Input, snapshot: &Snapshot) -> Step {
        match (self, input) {
            (_, Input::Cancel) => Step::menu(snapshot),
            (Self::Look(before), Input::Answer(_)) => list(&before, snapshot),
            (Self::Which, Input::Line(line)) if line.is_empty() => Step::menu(snapshot),
            (Self::Which, Input::Line(line)) => which(&line),
            (Self::What(_), Input::Line(line)) if line.is_empty() => look(String::new()),
            (Self::What(role), Input::Line(line)) => what(role, &line),
            (Self::Doing(done), Input::Answer(answer)) => match said(answer) {
                refusal if refusal.is_empty() => look(done),
                refusal => look(refusal),
            },
            (state, Input::Line(_) | Input::Key(_) | Input::Tick | Input::Answer(_)) => {
                Step::show(Screen::Workers(state), "")
            }
        }
    }
}

fn look(before: String) -> Step {
    Step::run(Screen::Workers(Workers::Look(before)), Command::Look(vec![Role::Init]))
}

fn list(before: &str, snapshot: &Snapshot) -> Step {
    let Some(init) = &snapshot.init else {
        return Step::menu_after(&snapshot.absence(Role::Init), snapshot);
    };
    let mut out = vec![before.to_owned()];
    let number = |role: &Role| Role::WORKERS.iter().position(|r| r == role);
    let mut workers = init.workers.clone();
    workers.sort_by_key(|worker| number(&worker.role).unwrap_or(Role::WORKERS.len()));
    let numbers = workers.iter().map(|w| number(&w.role).map_or_else(String::new, |n| (n + 1).to_string()));
    let numbers = std::iter::once(String::new()).chain(numbers);
    let rows = status::workers(&workers);
    out.extend(numbers.zip(rows).map(|(number, row)| format!("{number:>2}  {row}")));
    Step::show(Screen::Workers(Workers::Which), out.join("\n"))
}

fn which(line: &str) -> Step {
    let role = Role::WORKERS
        .iter()
        .enumerate()
        .find(|(n, role)| line == (n + 1).to_string() || line == role.name())
        .map(|(_, role)| *role);
    match role {
        Some(role) => Step::show(Screen::Workers(Workers::What(role)), ""),
        None => {
            Step::show(Screen::Workers(Workers::Which), format!("{line:?} is not one of the numbers above."))
        }
    }
}

fn what(role: Role, line: &str) -> Step {
    let (request, done) = match line.to_ascii_lowercase().as_str() {
        "restart" => (Request::Restart { role }, format!("{role} is being restarted.")),
        "hold" => (Request::Hold { role }, format!("{role} is held until it is released.")),
        "release" => (Request::Release { role }, format!("{role} may run again.")),
        other => {
            let text = format!("{other:?} is none of restart, hold and release.");
            return Step::show(Screen::Workers(Workers::What(role)), text);
        }
    };
    Step::run(Screen::Workers(Workers::Doing(done)), Command::Ask(Role::Init, request))
}
