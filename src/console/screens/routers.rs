//! Virtual routers: mastership by hand.

use super::{Input, Screen, Step, WIDTH, said, yes};
use crate::console::ascii::wrap;
use crate::console::session::{Answer, Command};
use crate::console::snapshot::Snapshot;
use crate::ctl::status;
use crate::ipc::message::{Reply, Request, RouterOrder, RouterStatus};
use crate::role::Role;

pub const HELP: &str = "\
failover  a master hands its VIPs to another box, and leaves that alone until
          it fails or the router is released
resign    a master gives its VIPs up now, and takes part in the next election
hold      takes no part in any election until released
release   ends both

Virtual routers of one group go together.";

const WORDS: [(&str, RouterOrder); 4] = [
    ("failover", RouterOrder::Failover),
    ("resign", RouterOrder::Resign),
    ("hold", RouterOrder::Hold),
    ("release", RouterOrder::Release),
];

/// Where the dialogue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialogue {
    /// Waits for the state, to be shown after these words.
    Look(String),
    /// Which one?
    Which,
    /// What about it?
    What(String),
    /// Shall it be done?
    Confirm(String, RouterOrder),
    /// Shall it be done although nobody takes over?
    Force(String, RouterOrder),
    /// Waits for it to be done.
    Doing(String, RouterOrder),
}

pub fn enter() -> Step {
    look(String::new())
}

fn look(said: String) -> Step {
    Step::run(Screen::Routers(Dialogue::Look(said)), Command::Look(vec![Role::Vrrp, Role::Init]))
}

fn at(dialogue: Dialogue, text: impl Into<String>) -> Step {
    Step::show(Screen::Routers(dialogue), text)
}

impl Dialogue {
    pub fn prompt(&self) -> &'static str {
        match self {
            Self::Which => "Virtual router (number or name, empty line = back): ",
            Self::What(_) => "failover, resign, hold or release (empty line = back): ",
            Self::Confirm(..) => "Do it? (yes or no, empty line = back): ",
            Self::Force(..) => "Do it all the same? (yes or no, empty line = back): ",
            Self::Look(_) | Self::Doing(..) => "",
        }
    }

    pub fn step(self, input: Input, snapshot: &Snapshot) -> Step {
        match (self, input) {
            (_, Input::Cancel) => Step::menu(snapshot),
            (Self::Look(said), Input::Answer(_)) => list(&said, snapshot),
            (Self::Which, Input::Line(line)) if line.is_empty() => Step::menu(snapshot),
            (Self::Which, Input::Line(line)) => which(&line, snapshot),
            (Self::What(_) | Self::Confirm(..) | Self::Force(..), Input::Line(line)) if line.is_empty() => {
                look("Nothing was changed.".to_owned())
            }
            (Self::What(name), Input::Line(line)) => what(name, &line),
            (Self::Confirm(name, order), Input::Line(line)) => match yes(&line) {
                Some(true) => send(name, order, false),
                Some(false) => look("Nothing was changed.".to_owned()),
                None => at(Self::Confirm(name, order), format!("{line:?} is neither yes nor no.")),
            },
            (Self::Force(name, order), Input::Line(line)) => match yes(&line) {
                Some(true) => send(name, order, true),
                Some(false) => look("Nothing was changed.".to_owned()),
                None => at(Self::Force(name, order), format!("{line:?} is neither yes nor no.")),
            },
            (Self::Doing(name, order), Input::Answer(answer)) => answered(name, order, answer),
            (state, Input::Line(_) | Input::Key(_) | Input::Tick | Input::Answer(_)) => at(state, ""),
        }
    }
}

fn routers(snapshot: &Snapshot) -> &[RouterStatus] {
    snapshot.vrrp.as_ref().map(|vrrp| vrrp.instances.as_slice()).unwrap_or_default()
}

fn list(said: &str, snapshot: &Snapshot) -> Step {
    let Some(vrrp) = &snapshot.vrrp else {
        return Step::menu_after(&snapshot.absence(Role::Vrrp), snapshot);
    };
    if vrrp.instances.is_empty() {
        return Step::menu_after("No virtual router is configured.", snapshot);
    }
    let rows = vrrp.instances.iter().enumerate().map(|(n, router)| {
        vec![
            format!("{:>3}", n + 1),
            router.name.clone(),
            status::router_state(router.state).to_owned(),
            format!("for {}", status::age(router.since_ms)),
            format!("priority {}", router.priority),
            router.reason.clone(),
        ]
    });
    let rows = status::table(rows.collect());
    let rows: Vec<String> = rows.iter().flat_map(|row| wrap(row, WIDTH, "     ")).collect();
    at(Dialogue::Which, format!("{said}\n{}", rows.join("\n")))
}

fn which(line: &str, snapshot: &Snapshot) -> Step {
    let all = routers(snapshot);
    let number = line.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    match all.iter().find(|it| it.name == line).or_else(|| all.get(number?)) {
        Some(found) => at(Dialogue::What(found.name.clone()), ""),
        None => at(Dialogue::Which, format!("There is no virtual router {line:?}.")),
    }
}

fn what(name: String, line: &str) -> Step {
    let Some((_, order)) = WORDS.iter().find(|(word, _)| line.eq_ignore_ascii_case(word)) else {
        return at(Dialogue::What(name), format!("{line:?} is none of failover, resign, hold and release."));
    };
    let text = match order {
        RouterOrder::Release | RouterOrder::Clear => return send(name, *order, false),
        RouterOrder::Failover => format!("{name} hands its VIPs to another box, if there is one."),
        RouterOrder::Resign => format!("{name} gives its VIPs up. The next election may bring them back."),
        RouterOrder::Hold => format!("{name} gives its VIPs up, and has none until it is released."),
    };
    at(Dialogue::Confirm(name, *order), text)
}

fn send(name: String, order: RouterOrder, force: bool) -> Step {
    let request = Request::Router { order, name: name.clone(), force };
    Step::run(Screen::Routers(Dialogue::Doing(name, order)), Command::Ask(Role::Vrrp, request))
}

fn answered(name: String, order: RouterOrder, answer: Answer) -> Step {
    if let Answer::Reply(Reply::Alone { message }) = answer {
        let text = wrap(&format!("Not done: {message}."), WIDTH, "  ").join("\n");
        return at(Dialogue::Force(name, order), text);
    }
    look(match said(answer) {
        done if done.is_empty() => done_by(order, &name),
        refusal => refusal,
    })
}

fn done_by(order: RouterOrder, name: &str) -> String {
    match order {
        RouterOrder::Failover => format!("{name} hands over."),
        RouterOrder::Resign => format!("{name} resigns."),
        RouterOrder::Hold => format!("{name} is held until it is released."),
        RouterOrder::Release => format!("{name} takes part in elections as ever."),
        RouterOrder::Clear => format!("{name} counts from zero."),
    }
}
