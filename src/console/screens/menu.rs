//! The menus: a row of a table for each entry.

use super::{
    Input, Screen, Step, cards, configuration, first, logs, management, power, reset, routers, services,
    slots, status, system, tools, workers,
};
use crate::console::snapshot::Snapshot;

/// A menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The first one.
    Main,
    /// Looking at the network.
    Network,
    /// The box itself.
    System,
}

struct Entry {
    key: &'static str,
    label: &'static str,
    help: &'static str,
    enter: fn() -> Step,
}

const MAIN: [Entry; 10] = [
    Entry {
        key: "1",
        label: "Status (live)",
        help: "NICs, virtual routers, services and real servers, every 2 seconds",
        enter: status::enter,
    },
    Entry {
        key: "2",
        label: "Set management address",
        help: "gives a NIC an address so that the box can be reached",
        enter: management::enter,
    },
    Entry {
        key: "3",
        label: "Configuration",
        help: "which one runs and why; changes on trial, history, USB stick",
        enter: configuration::enter,
    },
    Entry { key: "4", label: "Logs", help: "the last lines, or new ones as they come", enter: logs::enter },
    Entry {
        key: "5",
        label: "Services and real servers",
        help: "drains, disables or enables a real server, or says why it is out",
        enter: services::enter,
    },
    Entry {
        key: "6",
        label: "Virtual routers",
        help: "hands mastership over, gives it up, holds, releases",
        enter: routers::enter,
    },
    Entry {
        key: "7",
        label: "Network tools and cards",
        help: "ping, traceroute, arping, capture; which card is which",
        enter: network,
    },
    Entry {
        key: "8",
        label: "Workers",
        help: "restarts a worker, holds it, or lets it run again",
        enter: workers::enter,
    },
    Entry {
        key: "9",
        label: "First set-up",
        help: "name, address, gateway, DNS, time and peer of a new box",
        enter: first::enter,
    },
    Entry {
        key: "0",
        label: "System",
        help: "support bundle, time, reboot, factory reset, update, safe mode",
        enter: system_menu,
    },
];

const NETWORK: [Entry; 5] = [
    Entry { key: "1", label: "Ping", help: "four echo requests to an address", enter: tools::ping },
    Entry {
        key: "2",
        label: "Traceroute",
        help: "the routers on the way to an address",
        enter: tools::traceroute,
    },
    Entry {
        key: "3",
        label: "Arping",
        help: "who has an address on a network of this box, and whether two have it",
        enter: tools::arping,
    },
    Entry {
        key: "4",
        label: "Capture",
        help: "packets of a NIC as a file, on a USB stick or on the data partition",
        enter: tools::capture,
    },
    Entry {
        key: "5",
        label: "Cards",
        help: "blinks, watches cables, says which card each interface is",
        enter: cards::enter,
    },
];

const SYSTEM: [Entry; 7] = [
    Entry {
        key: "1",
        label: "Support bundle",
        help: "all that helps others to help, without secrets, as one file",
        enter: system::bundle,
    },
    Entry { key: "2", label: "Time and slots", help: "the clock, and what was booted", enter: system::about },
    Entry { key: "3", label: "Reboot", help: "asked twice; VRRP ends first", enter: power::reboot },
    Entry { key: "4", label: "Power off", help: "asked twice; VRRP ends first", enter: power::off },
    Entry {
        key: "5",
        label: "Factory reset",
        help: "erases the configuration and all that was kept; asked twice",
        enter: reset::enter,
    },
    Entry {
        key: "6",
        label: "Update and slots",
        help: "new firmware from a USB stick, and which slot is started next",
        enter: slots::enter,
    },
    Entry {
        key: "7",
        label: "Safe mode",
        help: "starts again with the built-in configuration, once; asked twice",
        enter: power::safe,
    },
];

const ABOUT: &str = "\
Director spreads connections to a virtual IP over real servers. One file,
director.toml, says everything; it lies on the partition DIRECTOR of this disk
or on a USB stick, and is checked as a whole before anything changes.
";

const KEYS: &str = "\
An empty line or Ctrl-C always leads back, ? explains any question. Backspace
and Ctrl-U erase.";

impl Place {
    const fn entries(self) -> &'static [Entry] {
        match self {
            Self::Main => &MAIN,
            Self::Network => &NETWORK,
            Self::System => &SYSTEM,
        }
    }

    /// What asks for a choice.
    pub const fn prompt(self) -> &'static str {
        match self {
            Self::Main => "Choose a number, h for help, an empty line to leave: ",
            Self::Network | Self::System => "Choose a number, h for help, an empty line = back: ",
        }
    }

    /// The title and the entries.
    pub fn text(self, snapshot: &Snapshot) -> String {
        let title = match self {
            Self::Main => snapshot.hostname().to_owned(),
            Self::Network => format!("{}: network tools and cards", snapshot.hostname()),
            Self::System => format!("{}: system", snapshot.hostname()),
        };
        let mut out = format!("\n--- {title} ---\n");
        for entry in self.entries() {
            out.push_str(&format!(" {}  {}\n", entry.key, entry.label));
        }
        out.push_str(" h  Help\n");
        out
    }

    /// Every entry in a line.
    pub fn help(self) -> String {
        let about = if self == Self::Main { ABOUT } else { "" };
        let mut out = about.to_owned();
        if !about.is_empty() {
            out.push('\n');
        }
        for entry in self.entries() {
            out.push_str(&format!(" {}  {}\n", entry.key, entry.help));
        }
        format!("{out}\n{KEYS}")
    }

    /// Takes a choice.
    pub fn step(self, input: &Input, snapshot: &Snapshot) -> Step {
        let Input::Line(line) = input else { return self.back(snapshot) };
        match line.as_str() {
            "" => self.back(snapshot),
            // It names every entry: with the menu below it, it would not fit a screen.
            "h" | "H" | "help" => Step::show(Screen::Menu(self), format!("\n{}\n", self.help())),
            other => match self.entries().iter().find(|entry| entry.key == other) {
                Some(entry) => match (entry.enter)() {
                    // A menu is shown with the name of the box, which an entry does not know.
                    Step { screen: Screen::Menu(place), .. } => Step::place(place, snapshot),
                    step => step,
                },
                None => Step::show(Screen::Menu(self), format!("{other:?} is not on the menu.")),
            },
        }
    }

    fn back(self, snapshot: &Snapshot) -> Step {
        match self {
            Self::Main => Step::show(Screen::Idle, ""),
            Self::Network | Self::System => Step::menu(snapshot),
        }
    }
}

fn network() -> Step {
    Step::show(Screen::Menu(Place::Network), "")
}

fn system_menu() -> Step {
    Step::show(Screen::Menu(Place::System), "")
}
