//! Which configuration runs and why; the faults of the others.

use super::{Input, Screen, Step, WIDTH, pager};
use crate::console::ascii::wrap;
use crate::console::session::{Answer, Command};
use crate::console::snapshot::Snapshot;
use crate::ctl::status;
use crate::ipc::message::{Request, StoreStatus};
use crate::role::Role;

pub(super) const PROMPT: &str = "r = read the sources again, f = show faults, an empty line = back: ";

pub(super) const HELP: &str = "\
The first of these that has no fault runs: the file on a USB stick, the one on
the partition DIRECTOR, the last good one, a built-in one without any VIP.
r looks again; what runs goes on if nothing else can be used.";

/// What the screen waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// The status, or a choice.
    Choice,
    /// The end of a reload; the sentence that tells its result.
    Reload(Option<String>),
}

pub(super) fn enter() -> Step {
    look(Waiting::Choice)
}

pub(super) fn step(waiting: Waiting, input: &Input, snapshot: &Snapshot) -> Step {
    match (waiting, input) {
        (Waiting::Choice, Input::Answer(_)) => {
            Step::show(Screen::Configuration(Waiting::Choice), show(snapshot))
        }
        (Waiting::Choice, Input::Line(line)) => choose(line, snapshot),
        (Waiting::Reload(None), Input::Answer(Answer::Failed(why))) => {
            look(Waiting::Reload(Some(format!("Not done: {why}"))))
        }
        (Waiting::Reload(None), Input::Answer(_)) => {
            look(Waiting::Reload(Some("The sources were read again.".into())))
        }
        (Waiting::Reload(Some(result)), Input::Answer(_)) => {
            let mut text = result;
            text.push_str(&show(snapshot));
            Step::show(Screen::Configuration(Waiting::Choice), text)
        }
        (_, Input::Cancel | Input::Key(_) | Input::Tick | Input::Line(_)) => Step::menu(snapshot),
    }
}

fn choose(line: &str, snapshot: &Snapshot) -> Step {
    let here = Screen::Configuration(Waiting::Choice);
    match line {
        "" => Step::menu(snapshot),
        "r" | "R" => Step::run(
            Screen::Configuration(Waiting::Reload(None)),
            Command::Ask(Role::Store, Request::Reload),
        ),
        "f" | "F" => {
            let faults = snapshot.store.as_ref().map(faults).unwrap_or_default();
            if faults.is_empty() {
                return Step::show(here, "No source has a fault.");
            }
            pager::show(faults, here, String::new())
        }
        other => Step::show(here, format!("{other:?} is none of r and f.")),
    }
}

fn look(waiting: Waiting) -> Step {
    Step::run(Screen::Configuration(waiting), Command::Look(vec![Role::Store, Role::Init]))
}

fn show(snapshot: &Snapshot) -> String {
    let mut out = vec![String::new()];
    match &snapshot.store {
        Some(store) => {
            out.extend(running(store));
            out.push("Looked at, in this order:".to_owned());
            let rows = store.candidates.iter();
            let rows = rows
                .map(|c| vec![format!("  {}", status::source(c.source)), c.verdict.clone(), c.place.clone()]);
            out.extend(status::table(rows.collect()));
            let faulty = store.candidates.iter().filter(|c| !c.report.is_empty()).count();
            if faulty > 0 {
                out.push(format!("Faults in {faulty} of them: f shows them."));
            }
        }
        None => out.push(snapshot.absence(Role::Store)),
    }
    out.join("\n")
}

/// What `store` said to an order, and which configuration runs since.
pub fn after(refusal: &str, snapshot: &Snapshot) -> String {
    let mut out = vec![if refusal.is_empty() { "Done." } else { refusal }.to_owned()];
    match &snapshot.store {
        Some(store) => out.extend(running(store)),
        None => out.push(snapshot.absence(Role::Store)),
    }
    out.join("\n")
}

/// Which configuration runs, and why.
pub fn running(store: &StoreStatus) -> Vec<String> {
    let node = store.node.as_ref().map(|node| format!(", node {node}")).unwrap_or_default();
    let mut out = vec![format!("Configuration {}: {}{node}", store.generation, status::source(store.source))];
    out.extend(wrap(&format!("  {}", store.why), WIDTH, "  "));
    out
}

/// Every source that was passed over for its faults, with the whole report.
pub fn faults(store: &StoreStatus) -> Vec<String> {
    let mut out = Vec::new();
    for candidate in store.candidates.iter().filter(|c| !c.report.is_empty()) {
        out.push(format!(
            "{} ({}) is {}:",
            status::source(candidate.source),
            candidate.place,
            candidate.verdict
        ));
        out.extend(candidate.report.lines().map(|line| format!("  {line}").trim_end().to_owned()));
    }
    out
}
