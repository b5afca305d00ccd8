//! Which configuration runs and why; changes on trial, history, the USB stick.

use super::{HEIGHT, Input, Screen, Step, WIDTH, pager, said, yes};
use crate::console::ascii::wrap;
use crate::console::session::{Answer, Command};
use crate::console::snapshot::Snapshot;
use crate::ctl::{life, status};
use crate::ipc::message::{Change, Reply, Request, StoreStatus};
use crate::role::Role;
use crate::units::parse_duration;

pub(super) const HELP: &str = "\
The first of these that has no fault runs: the file on a USB stick, the one on
the partition DIRECTOR, the last good one, a built-in one without any VIP.

r  reads all of them again; what runs goes on if nothing else can be used
f  shows the faults of those that were passed over
d  shows what your file, as it is now, would change, and applies it on trial
u  the same with the file on the USB stick
c  confirms the change on trial: it stays, and is written to your file
b  takes the change on trial back; without one, applies what ran before
h  the configurations that ran: one of them can be applied again
e  writes the configuration that runs to the USB stick

A change on trial is taken back by itself after 5 minutes, or after the time
that you give in place of yes, unless confirmed.";

/// How long a change is tried, milliseconds.
const TRIAL_MS: u64 = 5 * 60 * 1000;
/// Who wants it, for the history.
const ORIGIN: &str = "console";

/// Where the dialogue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// The status, to be shown after these words.
    Look(String),
    /// A choice.
    Choice,
    /// The end of something; the words for its success.
    Doing(&'static str),
    /// What a change would do.
    Difference(Change),
    /// Shall it be tried?
    Try(Change),
    /// The status, to know whether there is a change to take back.
    Undo,
    /// Shall what ran before be applied?
    Back,
    /// The history.
    History,
    /// One of the history.
    Number,
}

pub(super) fn enter() -> Step {
    look(String::new())
}

fn look(said: String) -> Step {
    run(Waiting::Look(said), Command::Look(vec![Role::Store, Role::Init]))
}

fn at(waiting: Waiting, text: impl Into<String>) -> Step {
    Step::show(Screen::Configuration(waiting), text)
}

fn run(waiting: Waiting, command: Command) -> Step {
    Step::run(Screen::Configuration(waiting), command)
}

fn ask(waiting: Waiting, request: Request) -> Step {
    run(waiting, Command::Ask(Role::Store, request))
}

pub(super) const fn prompt(waiting: &Waiting) -> &'static str {
    match waiting {
        Waiting::Choice => "r, f, d, u, c, b, h or e; ? explains them (empty line = back): ",
        Waiting::Try(_) => "Apply it for 5 minutes on trial? (yes, no or a time: 30s; empty line = back): ",
        Waiting::Back => "Apply what ran before, on trial? (yes or no, empty line = back): ",
        Waiting::Number => "Number to be applied again (empty line = back): ",
        Waiting::Look(_) | Waiting::Doing(_) | Waiting::Difference(_) | Waiting::Undo | Waiting::History => {
            ""
        }
    }
}

pub(super) fn step(waiting: Waiting, input: Input, snapshot: &Snapshot) -> Step {
    match (waiting, input) {
        (_, Input::Cancel) => Step::menu(snapshot),
        (Waiting::Look(said), Input::Answer(_)) => at(Waiting::Choice, said + &show(snapshot)),
        (Waiting::Choice, Input::Line(line)) => choose(&line, snapshot),
        (Waiting::Doing(done), Input::Answer(answer)) => look(match said(answer) {
            words if words.is_empty() => done.to_owned(),
            words => words,
        }),
        (Waiting::Difference(change), Input::Answer(answer)) => difference(change, answer),
        (Waiting::Try(_) | Waiting::Back | Waiting::Number, Input::Line(line)) if line.is_empty() => {
            look("Nothing was changed.".to_owned())
        }
        (Waiting::Try(change), Input::Line(line)) => match (yes(&line), parse_duration(&line)) {
            (Some(true), _) => try_for(TRIAL_MS, change),
            (Some(false), _) => look("Nothing was changed.".to_owned()),
            (None, Ok(time)) => try_for(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), change),
            (None, Err(_)) => {
                at(Waiting::Try(change), format!("{line:?} is neither yes nor no, nor a time."))
            }
        },
        (Waiting::Undo, Input::Answer(_)) => {
            let pending = snapshot.store.as_ref().is_some_and(|store| store.life.pending.is_some());
            if pending { back() } else { at(Waiting::Back, "") }
        }
        (Waiting::Back, Input::Line(line)) => match yes(&line) {
            Some(true) => back(),
            Some(false) => look("Nothing was changed.".to_owned()),
            None => at(Waiting::Back, format!("{line:?} is neither yes nor no.")),
        },
        (Waiting::History, Input::Answer(answer)) => history(answer),
        (Waiting::Number, Input::Line(line)) => match line.parse() {
            Ok(number) => compare(Change::Generation { number }),
            Err(_) => at(Waiting::Number, format!("{line:?} is not a number.")),
        },
        (waiting, Input::Key(_) | Input::Tick | Input::Line(_) | Input::Answer(_)) => at(waiting, ""),
    }
}

fn try_for(confirm_ms: u64, change: Change) -> Step {
    let (confirm_ms, origin) = (Some(confirm_ms), ORIGIN.to_owned());
    ask(Waiting::Doing(""), Request::Apply { change, confirm_ms, origin })
}

fn choose(line: &str, snapshot: &Snapshot) -> Step {
    match line.to_ascii_lowercase().as_str() {
        "" => Step::menu(snapshot),
        "r" => ask(Waiting::Doing("The sources were read again."), Request::Reload),
        "f" => {
            let faults = snapshot.store.as_ref().map(faults).unwrap_or_default();
            if faults.is_empty() {
                return at(Waiting::Choice, "No source has a fault.");
            }
            pager::show(faults, Screen::Configuration(Waiting::Choice), String::new())
        }
        "d" => compare(Change::File),
        "u" => compare(Change::Stick),
        "c" => ask(Waiting::Doing("Confirmed."), Request::Confirm),
        // What was shown may be older than a change that was agreed to since.
        "b" => run(Waiting::Undo, Command::Look(vec![Role::Store])),
        "h" => ask(Waiting::History, Request::History),
        "e" => ask(Waiting::Doing("Written to the USB stick."), Request::Export),
        other => at(Waiting::Choice, format!("{other:?} is none of r, f, d, u, c, b, h and e.")),
    }
}

fn compare(change: Change) -> Step {
    ask(Waiting::Difference(change.clone()), Request::Diff { change })
}

fn back() -> Step {
    let (confirm_ms, origin) = (Some(TRIAL_MS), ORIGIN.to_owned());
    ask(Waiting::Doing(""), Request::Rollback { number: None, confirm_ms, origin })
}

fn difference(change: Change, answer: Answer) -> Step {
    let Answer::Reply(Reply::Difference { difference, .. }) = answer else { return refused(said(answer)) };
    let lines = life::told(&difference).iter().flat_map(|line| wrap(line, WIDTH, "    ")).collect();
    // What already runs need not be tried.
    let same = difference.changes.is_empty() && difference.lines.is_empty();
    let then = if same { Waiting::Choice } else { Waiting::Try(change) };
    pager::show(lines, Screen::Configuration(then), String::new())
}

/// A long report comes page by page, without the state that would push it off a small screen.
fn refused(words: String) -> Step {
    if words.lines().count() <= HEIGHT / 2 {
        return look(words);
    }
    let lines = words.lines().flat_map(folded).collect();
    pager::show(lines, Screen::Configuration(Waiting::Choice), String::new())
}

/// A line of a report, in as many as it takes; where it fits it stays as it is, so that marks point to their place.
fn folded(line: &str) -> Vec<String> {
    let chars: Vec<char> = line.trim_end().chars().collect();
    if chars.is_empty() {
        return vec![String::new()];
    }
    chars.chunks(WIDTH).map(|part| part.iter().collect()).collect()
}

fn history(answer: Answer) -> Step {
    let Answer::Reply(Reply::History { generations }) = answer else { return look(said(answer)) };
    if generations.is_empty() {
        return at(Waiting::Choice, "No configuration is kept yet.");
    }
    let lines = life::generations_told(&generations);
    let lines = lines.iter().flat_map(|line| wrap(line, WIDTH, "    ")).collect();
    pager::show(lines, Screen::Configuration(Waiting::Number), String::new())
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
            out.extend(status::life(&store.life).iter().flat_map(|line| wrap(line, WIDTH, "    ")));
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
        out.extend(candidate.report.lines().flat_map(|line| folded(&format!("  {line}"))));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_of_a_report_is_folded_and_a_short_one_stays() {
        assert_eq!(folded("   |   ^^^^ "), ["   |   ^^^^"]);
        let lines = folded(&format!("  {}", "x".repeat(400)));
        assert!(lines.len() == 6 && lines.iter().all(|line| line.len() <= WIDTH), "{lines:?}");
    }
}
