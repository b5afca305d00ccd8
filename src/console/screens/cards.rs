//! Which card is which: by light, by cable, and in the file.

use std::collections::{BTreeMap, BTreeSet};

use super::{Input, Mode, Place, Screen, Step, configuration, nics, said, yes};
use crate::console::session::Command;
use crate::console::snapshot::Snapshot;
use crate::console::tool::Tool;
use crate::ctl::status;
use crate::ipc::message::{Card, Request};
use crate::role::Role;
use crate::units::{IfName, Mac};

pub const HELP: &str = "\
b  lets the light of a card blink for 5 seconds, where its driver can
w  tells when a cable is plugged in or pulled out: the card is the one that
   changes
a  asks which card each interface of the file is, and writes its hardware
   address into director.toml; so the file goes on after a card was replaced";

/// Where the dialogue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cards {
    /// Waits for the list, to be shown after this.
    Look(String),
    /// What to do?
    What,
    /// Which one shall blink?
    Blink,
    /// Waits for it to have blinked.
    Blinking,
    /// Tells what changes; how it was.
    Watch(BTreeMap<IfName, &'static str>),
    /// Which card is the first of these interfaces? Those answered.
    Assign(Vec<IfName>, Vec<Card>),
    /// Shall it be written?
    Confirm(Vec<Card>),
    /// Waits for `store`.
    Doing,
    /// Waits for the state afterwards, with what `store` said.
    Done(String),
}

pub fn enter() -> Step {
    look(String::new())
}

fn look(said: String) -> Step {
    at_run(Cards::Look(said), Command::Look(vec![Role::Net, Role::Init]))
}

fn at(state: Cards, text: impl Into<String>) -> Step {
    Step::show(Screen::Cards(state), text)
}

fn at_run(state: Cards, command: Command) -> Step {
    Step::run(Screen::Cards(state), command)
}

impl Cards {
    pub const fn mode(&self) -> Mode {
        if matches!(self, Self::Watch(_)) { Mode::Key } else { Mode::Line }
    }

    pub const fn period_ms(&self) -> Option<u64> {
        if matches!(self, Self::Watch(_)) { Some(500) } else { None }
    }

    pub fn prompt(&self, snapshot: &Snapshot) -> String {
        match self {
            Self::What => "b = blink, w = watch cables, a = assign, an empty line = back: ".to_owned(),
            Self::Blink => nics::prompt(snapshot),
            Self::Assign(names, _) => {
                let name = names.first().map_or("", IfName::as_str);
                format!("Card of {name} (number, keep, empty line = back): ")
            }
            Self::Confirm(_) => "Do it? (yes or no, empty line = back): ".to_owned(),
            Self::Look(_) | Self::Blinking | Self::Watch(_) | Self::Doing | Self::Done(_) => String::new(),
        }
    }

    pub fn step(self, input: Input, snapshot: &Snapshot) -> Step {
        match (self, input) {
            (Self::Watch(_), Input::Cancel | Input::Key(_)) => look(String::new()),
            (_, Input::Cancel) => Step::place(Place::Network, snapshot),
            (Self::Look(said), Input::Answer(_)) => match nics::list(snapshot) {
                Ok(text) => at(Self::What, said + &text),
                Err(why) => Step::place_after(&why, Place::Network, snapshot),
            },
            (Self::What, Input::Line(line)) => what(&line, snapshot),
            (Self::Blink | Self::Assign(..) | Self::Confirm(_), Input::Line(line)) if line.is_empty() => {
                look(String::new())
            }
            (Self::Blink, Input::Line(line)) => match nics::chosen(&line, snapshot) {
                Ok(name) => at_run(Self::Blinking, Command::Do(Tool::Blink(name))),
                Err(why) => at(Self::Blink, why),
            },
            (Self::Blinking, Input::Answer(answer)) => at(Self::What, said(answer)),
            (Self::Watch(before), Input::Tick) => at_run(Self::Watch(before), Command::Look(vec![Role::Net])),
            (Self::Watch(before), Input::Answer(_)) => watch(&before, snapshot),
            (Self::Assign(names, cards), Input::Line(line)) => assign(names, cards, &line, snapshot),
            (Self::Confirm(cards), Input::Line(line)) => match yes(&line) {
                Some(true) => at_run(Self::Doing, Command::Ask(Role::Store, Request::AssignCards { cards })),
                Some(false) => look("Nothing was changed.".to_owned()),
                None => at(Self::Confirm(cards), format!("{line:?} is neither yes nor no.")),
            },
            (Self::Doing, Input::Answer(answer)) => {
                at_run(Self::Done(said(answer)), Command::Look(vec![Role::Store, Role::Net]))
            }
            (Self::Done(said), Input::Answer(_)) => look(configuration::after(&said, snapshot)),
            (state, Input::Line(_) | Input::Key(_) | Input::Tick | Input::Answer(_)) => at(state, ""),
        }
    }
}

fn what(line: &str, snapshot: &Snapshot) -> Step {
    match line.to_ascii_lowercase().as_str() {
        "" => Step::place(Place::Network, snapshot),
        "b" => at(Cards::Blink, ""),
        "w" => {
            let text = "Plug a cable in or pull it out; any key = back.";
            at(Cards::Watch(states(snapshot)), text)
        }
        "a" => {
            let names: Vec<IfName> =
                snapshot.file.iter().flat_map(|file| &file.interfaces).cloned().collect();
            if names.is_empty() {
                return at(Cards::What, "The configuration that runs names no interface.");
            }
            at(Cards::Assign(names, Vec::new()), "")
        }
        other => at(Cards::What, format!("{other:?} is none of b, w and a.")),
    }
}

fn states(snapshot: &Snapshot) -> BTreeMap<IfName, &'static str> {
    let links = snapshot.net.iter().flat_map(|net| &net.links);
    links.map(|(name, link)| (name.clone(), status::link_state(link))).collect()
}

fn watch(before: &BTreeMap<IfName, &'static str>, snapshot: &Snapshot) -> Step {
    // Without an answer nothing is known to have changed.
    if snapshot.net.is_none() {
        return at(Cards::Watch(before.clone()), "");
    }
    let now = states(snapshot);
    let changed = now.iter().filter(|(name, state)| before.get(*name) != Some(*state));
    let text: Vec<String> = changed.map(|(name, state)| format!("{name}: {state}")).collect();
    at(Cards::Watch(now), text.join("\n"))
}

fn assign(mut names: Vec<IfName>, mut cards: Vec<Card>, line: &str, snapshot: &Snapshot) -> Step {
    if !line.eq_ignore_ascii_case("keep") {
        let mac = nics::chosen(line, snapshot).and_then(|name| {
            let link = snapshot.net.as_ref().and_then(|net| net.links.get(&name));
            link.and_then(|link| link.mac).ok_or_else(|| format!("{name} has no hardware address."))
        });
        let interface = names.first().cloned();
        match (mac, interface) {
            (Ok(mac), Some(interface)) => cards.push(Card { interface, mac }),
            (Err(why), _) => return at(Cards::Assign(names, cards), why),
            (Ok(_), None) => {}
        }
    }
    if !names.is_empty() {
        names.remove(0);
    }
    if !names.is_empty() {
        return at(Cards::Assign(names, cards), "");
    }
    let different: BTreeSet<Mac> = cards.iter().map(|card| card.mac).collect();
    if cards.is_empty() || different.len() < cards.len() {
        let why =
            if cards.is_empty() { "Nothing was changed." } else { "One card cannot be two interfaces." };
        return look(why.to_owned());
    }
    let lines = cards.iter().map(|card| format!("  {}: {}\n", card.interface, card.mac));
    let text = lines.collect::<String>();
    at(
        Cards::Confirm(cards),
        format!("\nThis will be written to director.toml, checked, and applied at once:\n{text}"),
    )
}
