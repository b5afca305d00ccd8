//! The main menu.

use super::{Input, Screen, Step, configuration, logs, management, ping, power, status, workers};
use crate::console::snapshot::Snapshot;

pub const PROMPT: &str = "Choose a number, h for help, an empty line to leave: ";

const ENTRIES: [&str; 9] = [
    " 1  Status (live)",
    " 2  Set management address",
    " 3  Configuration",
    " 4  Logs",
    " 5  Ping",
    " 6  Workers",
    " 7  Reboot",
    " 8  Power off",
    " h  Help",
];

const HELP: &str = "\
Director spreads connections to a virtual IP over real servers. One file,
director.toml, says everything; it lies on the partition DIRECTOR of this disk
or on a USB stick, and is checked as a whole before anything changes.

 1  shows NICs, virtual routers, services and real servers, every 2 seconds
 2  gives a NIC an address so that the box can be reached, in director.toml
 3  which configuration runs, why, the faults of the others; reads them again
 4  the last lines of each worker, or new lines as they come
 5  asks an address for an echo, four times
 6  restarts a worker, holds it, or lets it run again
 7  and 8 end VRRP in order first: the other box takes over at once

An empty line or Ctrl-C always leads back. Backspace and Ctrl-U erase.";

/// The title and the entries.
pub fn text(snapshot: &Snapshot) -> String {
    let mut out = format!("\n--- {} ---\n", snapshot.hostname());
    for entry in ENTRIES {
        out.push_str(entry);
        out.push('\n');
    }
    out
}

/// Takes a choice.
pub fn step(input: &Input, snapshot: &Snapshot) -> Step {
    let Input::Line(line) = input else { return Step::show(Screen::Idle, "") };
    match line.as_str() {
        "" => Step::show(Screen::Idle, ""),
        "1" => status::enter(),
        "2" => management::enter(),
        "3" => configuration::enter(),
        "4" => logs::enter(),
        "5" => ping::enter(),
        "6" => workers::enter(),
        "7" => power::reboot(),
        "8" => power::off(),
        "h" | "H" | "?" | "help" => Step::menu_after(HELP, snapshot),
        other => Step::show(Screen::Menu, format!("{other:?} is not on the menu.")),
    }
}
