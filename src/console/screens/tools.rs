//! Looking at the network: an address, and what became of it.

use super::{Input, Place, Screen, Step, nics, said};
use crate::console::session::Command;
use crate::console::snapshot::Snapshot;
use crate::console::tool::{Shelf, Tool};
use crate::net::capture::Plan;
use crate::net::capture::filter::Filter;
use crate::role::Role;
use crate::units::parse_duration;

pub const PING: &str = "\
Four echo requests to an address, such as 192.168.61.1, 2001:db8::1, or
fe80::1%eth0 for a link-local one, or to a name, where there is a name server.
Ctrl-C ends them.";

pub const TRACEROUTE: &str = "\
Echo requests with a rising hop limit: each router on the way says that it is
there. A * is a question that nobody answered. Ctrl-C ends it.";

pub const ARPING: &str = "\
Asks by ARP who has an IPv4 address, on the interface that has its network, or
on the one named behind it: 192.168.61.22 eth1. Every card that answers is
told: two of them are an address in use twice. Ctrl-C ends it.";

pub const CAPTURE: &str = "\
Writes packets of one interface to a file in the format pcap: 256 octets of
each, at most as many and for as long as you say, 16 MiB in all.
`host ADDRESS` and `port NUMBER` choose packets, also in tunnels.
The file is director-capture-INTERFACE.pcap, on a USB stick or on the data
partition, where the next one of that interface takes its place.";

/// What asks for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Echoes.
    Ping,
    /// Routers on the way.
    Traceroute,
    /// ARP.
    Arping,
}

pub fn ping() -> Step {
    Step::show(Screen::Tool(Kind::Ping), "")
}

pub fn traceroute() -> Step {
    Step::show(Screen::Tool(Kind::Traceroute), "")
}

pub fn arping() -> Step {
    Step::show(Screen::Tool(Kind::Arping), "")
}

impl Kind {
    pub const fn prompt(self) -> &'static str {
        match self {
            Self::Ping | Self::Traceroute => "Address or name (empty line = back): ",
            Self::Arping => "Address, perhaps with an interface (empty line = back): ",
        }
    }

    pub const fn help(self) -> &'static str {
        match self {
            Self::Ping => PING,
            Self::Traceroute => TRACEROUTE,
            Self::Arping => ARPING,
        }
    }

    pub fn step(self, input: Input, snapshot: &Snapshot) -> Step {
        let here = Screen::Tool(self);
        match input {
            Input::Line(line) if line.is_empty() => Step::place(Place::Network, snapshot),
            Input::Cancel => Step::place(Place::Network, snapshot),
            Input::Line(line) => Step::run(
                here,
                Command::Do(match self {
                    Self::Ping => Tool::Ping(line),
                    Self::Traceroute => Tool::Traceroute(line),
                    Self::Arping => Tool::Arping(line),
                }),
            ),
            Input::Answer(answer) => Step::show(here, said(answer)),
            Input::Key(_) | Input::Tick => Step::show(here, ""),
        }
    }
}

/// Where the dialogue of a capture is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capture {
    /// Waits for the list of NICs.
    Look,
    /// Which NIC?
    Nic,
    /// Which packets?
    Filter(Plan),
    /// How many, how long?
    Bounds(Plan),
    /// Where to?
    Shelf(Plan),
    /// Waits for the end.
    Doing,
}

pub fn capture() -> Step {
    Step::run(Screen::Capture(Capture::Look), Command::Look(vec![Role::Net, Role::Init]))
}

impl Capture {
    pub fn prompt(&self, snapshot: &Snapshot) -> String {
        match self {
            Self::Nic => nics::prompt(snapshot),
            Self::Filter(_) => "Packets: all, or host ADDRESS, port NUMBER (empty line = back): ".to_owned(),
            Self::Bounds(_) => "At most, such as 1000 30s (empty line = back): ".to_owned(),
            Self::Shelf(_) => "Where to: usb or data (empty line = back): ".to_owned(),
            Self::Look | Self::Doing => String::new(),
        }
    }

    pub fn step(self, input: Input, snapshot: &Snapshot) -> Step {
        match (self, input) {
            (_, Input::Cancel) => Step::place(Place::Network, snapshot),
            (Self::Look, Input::Answer(_)) => match nics::list(snapshot) {
                Ok(text) => at(Self::Nic, text),
                Err(why) => Step::place_after(&why, Place::Network, snapshot),
            },
            (_, Input::Line(line)) if line.is_empty() => Step::place(Place::Network, snapshot),
            (Self::Nic, Input::Line(line)) => match nics::chosen(&line, snapshot) {
                Ok(interface) => at(Self::Filter(Plan::of(interface)), ""),
                Err(why) => at(Self::Nic, why),
            },
            (Self::Filter(plan), Input::Line(line)) => match filter(&line) {
                Ok(filter) => at(Self::Bounds(Plan { filter, ..plan }), ""),
                Err(why) => at(Self::Filter(plan), why),
            },
            (Self::Bounds(plan), Input::Line(line)) => match bounds(&line) {
                Ok((count, duration)) => at(Self::Shelf(Plan { count, duration, ..plan }), ""),
                Err(why) => at(Self::Bounds(plan), why),
            },
            (Self::Shelf(plan), Input::Line(line)) => match line.parse::<Shelf>() {
                Ok(shelf) => {
                    let text = "Capturing; Ctrl-C ends it.".to_owned();
                    let command = Command::Do(Tool::Capture(plan, shelf));
                    Step { text, ..Step::run(Screen::Capture(Self::Doing), command) }
                }
                Err(why) => at(Self::Shelf(plan), why),
            },
            (Self::Doing, Input::Answer(answer)) => {
                Step::place_after(&said(answer), Place::Network, snapshot)
            }
            (state, Input::Line(_) | Input::Key(_) | Input::Tick | Input::Answer(_)) => at(state, ""),
        }
    }
}

fn at(state: Capture, text: impl Into<String>) -> Step {
    Step::show(Screen::Capture(state), text)
}

fn filter(line: &str) -> Result<Filter, String> {
    let mut filter = Filter::default();
    let mut words = line.split_whitespace();
    while let Some(word) = words.next() {
        let value = |words: &mut std::str::SplitWhitespace<'_>| words.next().unwrap_or_default().to_owned();
        match word.to_ascii_lowercase().as_str() {
            "all" => {}
            "host" => {
                let value = value(&mut words);
                let refuse = |_| format!("{value:?} is not an address.");
                filter.host = Some(value.parse().map_err(refuse)?);
            }
            "port" => {
                let value = value(&mut words);
                let port = value.parse().ok().filter(|port| *port > 0);
                filter.port = Some(port.ok_or_else(|| format!("{value:?} is not a port from 1 to 65535."))?);
            }
            _ => return Err(format!("{word:?} is none of all, host and port.")),
        }
    }
    Ok(filter)
}

/// Packets and time.
fn bounds(line: &str) -> Result<(u32, std::time::Duration), String> {
    const MOST: u32 = 1_000_000;
    const LONGEST: std::time::Duration = std::time::Duration::from_secs(3600);
    let (count, time) = line.split_once(' ').unwrap_or((line, "30s"));
    let count = count.parse().ok().filter(|count| (1..=MOST).contains(count));
    let count = count.ok_or_else(|| format!("A number of packets from 1 to {MOST} comes first."))?;
    let time = parse_duration(time.trim()).map_err(|refused| format!("{refused}"))?;
    if time.is_zero() || time > LONGEST {
        return Err("The time is from 1ms to 1h.".to_owned());
    }
    Ok((count, time))
}
