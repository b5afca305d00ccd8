//! The box itself: a bundle for support, the clock, what was booted.

use super::{Input, Place, Screen, Step, WIDTH, said};
use crate::console::ascii::wrap;
use crate::console::session::Command;
use crate::console::snapshot::Snapshot;
use crate::console::tool::{Shelf, Tool};
use crate::ctl::status;
use crate::ipc::message::TimeStatus;
use crate::role::Role;

pub const HELP: &str = "\
One file with logs, the kernel's messages, the configuration (keys, passwords
and the PIN left out), links, routes, neighbours, the table of IPVS, virtual
routers, checks and versions. It works while workers do not answer: a part that
cannot be had says why in a file of its own. The file is called
director-support-NAME.tar.gz, on a USB stick or on the data partition.";

/// Where the dialogue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum System {
    /// Where shall the bundle go?
    Shelf,
    /// Waits for it.
    Bundling,
    /// Waits for the state.
    About,
}

pub fn bundle() -> Step {
    Step::show(Screen::System(System::Shelf), "")
}

pub fn about() -> Step {
    Step::run(Screen::System(System::About), Command::Look(vec![Role::Init, Role::Store, Role::Time]))
}

impl System {
    pub const fn prompt(&self) -> &'static str {
        match self {
            Self::Shelf => "Where to: usb or data (empty line = back): ",
            Self::Bundling | Self::About => "",
        }
    }

    pub fn step(self, input: Input, snapshot: &Snapshot) -> Step {
        match (self, input) {
            (Self::Shelf, Input::Line(line)) if !line.is_empty() => match line.parse::<Shelf>() {
                Ok(shelf) => Step {
                    text: "This takes some seconds.".to_owned(),
                    ..Step::run(Screen::System(Self::Bundling), Command::Do(Tool::Bundle(shelf)))
                },
                Err(why) => Step::show(Screen::System(Self::Shelf), why),
            },
            (Self::Bundling, Input::Answer(answer)) => {
                Step::place_after(&said(answer), Place::System, snapshot)
            }
            (Self::About, Input::Answer(_)) => Step::place_after(&lines(snapshot), Place::System, snapshot),
            (state @ (Self::Bundling | Self::About), Input::Line(_) | Input::Key(_) | Input::Tick) => {
                Step::show(Screen::System(state), "")
            }
            (_, _) => Step::place(Place::System, snapshot),
        }
    }
}

/// The clock and what was booted.
fn lines(snapshot: &Snapshot) -> String {
    let mut out = vec![String::new()];
    if let Some(clock) = snapshot.clock() {
        out.push(format!("time: {clock}"));
    }
    let servers = time_servers(snapshot);
    out.push(format!("time servers: {}", if servers.is_empty() { "none" } else { servers.as_str() }));
    match &snapshot.time {
        Some(time) => out.extend(clock(time).iter().flat_map(|line| wrap(line, WIDTH, "  "))),
        None => out.push(snapshot.absence(Role::Time)),
    }
    match &snapshot.init {
        Some(init) => {
            out.push(format!("version: {}", init.version));
            let slot = init.slot.as_deref().unwrap_or("none");
            let health = snapshot.store.as_ref().map_or("not known", |store| store.slot.as_str());
            out.push(format!("slot: {slot} ({health}), mode {}", init.mode));
            out.push(format!("up for: {}", status::age(init.uptime_ms)));
            out.push(format!("hardware watchdog: {}", init.watchdog.as_deref().unwrap_or("none")));
        }
        None => out.push(snapshot.absence(Role::Init)),
    }
    out.join("\n")
}

/// Those that are asked, which may be of a lease; of a worker that does not answer, those of the file.
fn time_servers(snapshot: &Snapshot) -> String {
    let asked = snapshot.time.iter().flat_map(|time| &time.servers);
    let asked: Vec<String> = asked
        .map(|server| match server.source.as_str() {
            "file" => server.name.as_ref().map_or_else(|| server.address.to_string(), ToString::to_string),
            source => format!("{} ({source})", server.address),
        })
        .collect();
    if !asked.is_empty() {
        return asked.join(", ");
    }
    let file = snapshot.file.iter().flat_map(|file| &file.ntp);
    file.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether it is right, in a line; the servers have theirs in `director status time`.
fn clock(time: &TimeStatus) -> Option<String> {
    match status::clock(time) {
        Some(wrong) => Some(wrong),
        None => status::time(time).into_iter().next(),
    }
}
