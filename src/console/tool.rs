//! What a terminal does itself, with no worker in between: looking at the network, writing files for people to take away.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::str::FromStr;

use super::ascii::wrap;
use super::screens::WIDTH;
use super::tty::Tty;
use crate::ctl;
use crate::names;
use crate::net::capture::{Plan, capture};
use crate::net::{arping, ping, trace};
use crate::paths::RunDir;
use crate::store::deliver::{self, Place};
use crate::store::update;
use crate::support;
use crate::units::IfName;

/// ^C.
const INTERRUPT: u8 = 3;

/// Something that a terminal does itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tool {
    /// Four echoes of this address or name; the screen has not checked it.
    Ping(String),
    /// The routers on the way to this address or name.
    Traceroute(String),
    /// Who has this address; perhaps an interface behind it.
    Arping(String),
    /// Packets to a file.
    Capture(Plan, Shelf),
    /// Everything that helps others to help, as one file.
    Bundle(Shelf),
    /// Lets the light of a NIC blink.
    Blink(IfName),
    /// How the slots of firmware stand.
    Slots,
    /// New firmware from a USB stick into the slot that does not run.
    Update,
    /// Lets the next start take the slot that it would not have taken.
    OtherSlot,
    /// Starts the box again, in safe mode.
    SafeMode,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ping(address) => write!(f, "ping {address}"),
            Self::Traceroute(address) => write!(f, "traceroute {address}"),
            Self::Arping(address) => write!(f, "arping {address}"),
            Self::Capture(plan, shelf) => {
                write!(f, "capture {} {} {:?} to {shelf}", plan.interface, plan.count, plan.duration)?;
                plan.filter.host.iter().try_for_each(|host| write!(f, " host {host}"))?;
                plan.filter.port.iter().try_for_each(|port| write!(f, " port {port}"))
            }
            Self::Bundle(shelf) => write!(f, "support bundle to {shelf}"),
            Self::Blink(interface) => write!(f, "blink {interface}"),
            Self::Slots => f.write_str("slots"),
            Self::Update => f.write_str("update from a USB stick"),
            Self::OtherSlot => f.write_str("the other slot next"),
            Self::SafeMode => f.write_str("safe mode"),
        }
    }
}

/// Where a file is put for people to take away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// A USB stick.
    Usb,
    /// The partition `data`.
    Data,
}

impl FromStr for Shelf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "usb" => Ok(Self::Usb),
            "data" => Ok(Self::Data),
            _ => Err(format!("{text:?} is neither usb nor data.")),
        }
    }
}

impl fmt::Display for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usb => "usb",
            Self::Data => "data",
        })
    }
}

impl From<Shelf> for Place {
    fn from(shelf: Shelf) -> Self {
        match shelf {
            Shelf::Usb => Self::Usb,
            Shelf::Data => Self::Data,
        }
    }
}

/// Does it, printing what comes on the way; the last words, or why not.
///
/// # Errors
/// In words for people.
pub fn run(run_dir: &RunDir, tty: &mut Tty, tool: &Tool) -> Result<String, Box<dyn Error>> {
    match tool {
        Tool::Ping(address) => {
            let each = |outcome: &ping::Outcome| step(tty, outcome);
            Ok(ping::ping(names::target(run_dir, address)?, ping::Plan::default(), each)?.to_string())
        }
        Tool::Traceroute(address) => {
            let each = |hop: &trace::Hop| step(tty, hop);
            Ok(trace::trace(names::target(run_dir, address)?, trace::Plan::default(), each)?.to_string())
        }
        Tool::Arping(line) => {
            let mut words = line.split_whitespace();
            let address = words.next().unwrap_or_default();
            let address: Ipv4Addr = address
                .parse()
                .map_err(|_| format!("{address:?} is not an IPv4 address such as 192.168.61.22"))?;
            let interface: Option<IfName> = words.next().map(str::parse).transpose()?;
            let each = |outcome: &arping::Outcome| step(tty, outcome);
            Ok(arping::arping(address, interface.as_ref(), ping::Plan::default(), each)?.to_string())
        }
        Tool::Capture(plan, shelf) => {
            let mut file = Vec::new();
            let summary = capture(plan, &mut file, |_| interrupted(tty))?;
            let name = format!("director-capture-{}.pcap", plan.interface);
            let place = deliver::deliver(run_dir, (*shelf).into(), &name, &file)?;
            Ok(format!("{summary}\n{place}"))
        }
        Tool::Bundle(shelf) => {
            let bundle = support::bundle(run_dir)?;
            let place = deliver::deliver(run_dir, (*shelf).into(), &bundle.name, &bundle.bytes)?;
            Ok(format!("{}\n{place}", wrap(&bundle.summary(), WIDTH, "  ").join("\n")))
        }
        Tool::Blink(interface) => {
            crate::sys::ethtool::blink(interface, 5)
                .map_err(|error| -> Box<dyn Error> { cannot_blink(interface, &error).into() })?;
            Ok(format!("{interface} has blinked."))
        }
        Tool::Slots => Ok(ctl::update::lines(&update::slots(run_dir)?).join("\n")),
        Tool::Update => {
            let mut bar = ctl::update::Bar::default();
            Ok(update::from_stick(run_dir, &mut |progress| {
                if let Some(line) = bar.line(progress) {
                    tty.write(&format!("{line}\n"));
                }
            })?)
        }
        Tool::OtherSlot => {
            let slots = update::slots(run_dir)?;
            let other = slots.iter().find(|it| !it.next).ok_or("both slots are given up")?;
            update::start_next(run_dir, other.slot)?;
            Ok(format!("The next start takes slot {}.", other.slot))
        }
        Tool::SafeMode => {
            ctl::power::safe_mode(run_dir)?;
            Ok(String::new())
        }
    }
}

fn cannot_blink(interface: &IfName, error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(nix::libc::EOPNOTSUPP) => {
            format!("the driver of {interface} cannot: watch its cable instead (w)")
        }
        _ => format!("{interface}: {error}"),
    }
}

fn step(tty: &mut Tty, line: &impl fmt::Display) -> ControlFlow<()> {
    tty.write(&super::ascii::clean(&format!("{line}\n")));
    interrupted(tty)
}

/// Whether ^C was typed; whatever else was is forgotten.
fn interrupted(tty: &mut Tty) -> ControlFlow<()> {
    let mut typed = [0; 64];
    let ends = tty.read(&mut typed).map(|count| typed.iter().take(count).any(|byte| *byte == INTERRUPT));
    // A terminal that hangs up ends it as well.
    if ends.unwrap_or(true) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
