//! The first set-up: question by question what a new box needs, then all of it at once.

use std::net::IpAddr;

use super::{Input, Screen, Step, configuration, management, nics, said, yes};
use crate::console::session::Command;
use crate::console::snapshot::Snapshot;
use crate::ipc::message::{Request, SetManagement, SetUp, SharedAddress};
use crate::role::Role;
use crate::units::{Cidr, IfName};

pub const HELP: &str = "\
Asks for what a new box needs, writes it to director.toml, and applies it. What
else is in the file stays, with its comments. Nothing is written before the
last question is answered with yes.

The shared address (VIP) is the one that clients use. Two boxes with the same
virtual router number on one network share it: the one with the higher priority
has it. Name the other box if multicast does not pass between them.

Name servers are for tools such as ping: in the file itself there are addresses
only, because a director must not wait for DNS.";

/// What is known so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    hostname: String,
    interface: Option<IfName>,
    address: Option<Cidr>,
    gateway: Option<IpAddr>,
    dns: Vec<IpAddr>,
    ntp: Vec<IpAddr>,
    vip: Option<IpAddr>,
    vrid: u8,
    priority: u8,
    peer: Option<IpAddr>,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Host name.
    Name,
    /// Which NIC.
    Nic,
    /// Its address, or DHCP.
    Address,
    /// Default gateway.
    Gateway,
    /// Name servers.
    Dns,
    /// Time servers.
    Ntp,
    /// The shared address.
    Vip,
    /// Number of the virtual router.
    Vrid,
    /// Priority.
    Priority,
    /// The other box.
    Peer,
    /// Shall it be done?
    Confirm,
}

/// Where the dialogue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First {
    /// Waits for the list of NICs.
    Look,
    /// Asks.
    Ask(Question, Draft),
    /// Waits for `store` to do it.
    Doing,
    /// Waits for its status afterwards, with what it said.
    Done(String),
}

pub fn enter() -> Step {
    Step::run(Screen::First(First::Look), Command::Look(vec![Role::Net, Role::Init]))
}

impl First {
    pub fn prompt(&self, snapshot: &Snapshot) -> String {
        let Self::Ask(question, draft) = self else { return String::new() };
        match question {
            Question::Name => "Name of this box, such as lb1 (empty line = back): ",
            Question::Nic => return nics::prompt(snapshot),
            Question::Address => {
                "Address with prefix such as 192.168.61.44/24, or dhcp (empty line = back): "
            }
            Question::Gateway => "Default gateway, or none (empty line = back): ",
            Question::Dns => "Name servers (DNS), or none (empty line = back): ",
            Question::Ntp => "Time servers, or none (empty line = back): ",
            Question::Vip => "Address shared with another box, or none (empty line = back): ",
            Question::Vrid => "Virtual router number, the same on both boxes (1-255, empty line = back): ",
            Question::Priority => {
                "Priority: 150 on the first box, 100 on the other (1-254, empty line = back): "
            }
            Question::Peer if draft.address.is_none() => {
                "Address of the other box, or none (empty line = back): "
            }
            Question::Peer => "Address of the other box, or none for multicast (empty line = back): ",
            Question::Confirm => "Do it? (yes or no, empty line = back): ",
        }
        .to_owned()
    }

    pub fn step(self, input: Input, snapshot: &Snapshot) -> Step {
        match (self, input) {
            (_, Input::Cancel) => Step::menu(snapshot),
            (Self::Look, Input::Answer(_)) => match nics::list(snapshot) {
                Ok(_) => ask(Question::Name, Draft::default(), "\nEach question explains itself with ?"),
                Err(why) => Step::menu_after(&why, snapshot),
            },
            (Self::Ask(..), Input::Line(line)) if line.is_empty() => {
                Step::menu_after("Nothing was changed.", snapshot)
            }
            (Self::Ask(question, draft), Input::Line(line)) => answered(question, draft, &line, snapshot),
            (Self::Doing, Input::Answer(answer)) => {
                let look = Command::Look(vec![Role::Store, Role::Net, Role::Init]);
                Step::run(Screen::First(Self::Done(said(answer))), look)
            }
            (Self::Done(said), Input::Answer(_)) => {
                Step::menu_after(&configuration::after(&said, snapshot), snapshot)
            }
            (state, Input::Line(_) | Input::Key(_) | Input::Tick | Input::Answer(_)) => {
                Step::show(Screen::First(state), "")
            }
        }
    }
}

fn ask(question: Question, draft: Draft, text: impl Into<String>) -> Step {
    Step::show(Screen::First(First::Ask(question, draft)), text)
}

fn answered(question: Question, draft: Draft, line: &str, snapshot: &Snapshot) -> Step {
    if question == Question::Confirm {
        return confirm(draft, line, snapshot);
    }
    let before = draft.clone();
    match take(question, draft, line, snapshot) {
        Ok((Question::Confirm, draft)) => {
            let text = summary(&draft);
            ask(Question::Confirm, draft, text)
        }
        Ok((Question::Nic, draft)) => ask(Question::Nic, draft, nics::list(snapshot).unwrap_or_default()),
        Ok((next, draft)) => ask(next, draft, ""),
        Err(why) => ask(question, before, why),
    }
}

/// Takes an answer; gives what is asked next, or why the answer is none.
fn take(
    question: Question,
    mut draft: Draft,
    line: &str,
    snapshot: &Snapshot,
) -> Result<(Question, Draft), String> {
    let next = match question {
        Question::Name => {
            draft.hostname = hostname(line)?;
            Question::Nic
        }
        Question::Nic => {
            draft.interface = Some(nics::chosen(line, snapshot)?);
            Question::Address
        }
        // A lease brings gateway and name servers.
        Question::Address if line.eq_ignore_ascii_case("dhcp") => Question::Ntp,
        Question::Address => {
            draft.address = Some(management::host_address(line)?);
            Question::Gateway
        }
        Question::Gateway => {
            draft.gateway = match draft.address {
                Some(address) => management::gateway_of(address, line)?,
                None => None,
            };
            Question::Dns
        }
        Question::Dns => {
            draft.dns = addresses(line)?;
            Question::Ntp
        }
        Question::Ntp => {
            draft.ntp = addresses(line)?;
            Question::Vip
        }
        Question::Vip => match none_or(line)? {
            Some(vip) => {
                if draft.address.is_some_and(|address| address.address == vip) {
                    return Err(format!(
                        "{vip} is the address of this box itself: the shared one is another."
                    ));
                }
                draft.vip = Some(vip);
                Question::Vrid
            }
            None => Question::Confirm,
        },
        Question::Vrid => {
            draft.vrid = number(line, 255)?;
            Question::Priority
        }
        Question::Priority => {
            draft.priority = number(line, 254)?;
            Question::Peer
        }
        Question::Peer => {
            draft.peer = none_or(line)?;
            let (vip, peer) = (draft.vip, draft.peer);
            if peer.is_some_and(|peer| vip.is_some_and(|vip| vip.is_ipv4() != peer.is_ipv4())) {
                return Err("Both addresses are of one family: IPv4, or IPv6.".to_owned());
            }
            Question::Confirm
        }
        Question::Confirm => Question::Confirm,
    };
    Ok((next, draft))
}

/// RFC 1123; the rest of what a host name is, `store` checks.
fn hostname(line: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    match line.chars().all(good) && line.starts_with(|c: char| c.is_ascii_alphanumeric()) && line.len() <= 64
    {
        true => Ok(line.to_owned()),
        false => Err(format!("{line:?} is not a host name: letters, digits and - in it.")),
    }
}

fn addresses(line: &str) -> Result<Vec<IpAddr>, String> {
    if line.eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    let words = line.split([' ', ',']).filter(|word| !word.is_empty());
    words
        .map(|word| word.parse().map_err(|_| format!("{word:?} is not an address such as 192.168.61.1.")))
        .collect()
}

fn none_or(line: &str) -> Result<Option<IpAddr>, String> {
    if line.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    line.parse().map(Some).map_err(|_| format!("{line:?} is not an address such as 192.168.61.45, nor none."))
}

fn number(line: &str, most: u8) -> Result<u8, String> {
    let number = line.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("{line:?} is not a number from 1 to {most}."))
}

fn summary(draft: &Draft) -> String {
    let interface = draft.interface.as_ref().map_or("", IfName::as_str);
    let mut out = "\nThis will be written to director.toml, checked, and applied at once:\n".to_owned();
    out.push_str(&format!("  name: {}\n", draft.hostname));
    match draft.address {
        Some(address) => out.push_str(&format!("  {interface}: {address}\n")),
        None => out.push_str(&format!("  {interface}: address, gateway and name servers by DHCP\n")),
    }
    if let Some(gateway) = draft.gateway {
        out.push_str(&format!("  default gateway: {gateway}\n"));
    }
    for (what, servers) in [("name", &draft.dns), ("time", &draft.ntp)] {
        if !servers.is_empty() {
            let servers = servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            out.push_str(&format!("  {what} servers: {servers}\n"));
        }
    }
    if let Some(vip) = draft.vip {
        let peer = draft.peer.map_or_else(|| "multicast".to_owned(), |peer| peer.to_string());
        out.push_str(&format!(
            "  shared address: {vip}, virtual router {}, priority {}, by {peer}\n",
            draft.vrid, draft.priority
        ));
    }
    out
}

fn confirm(draft: Draft, line: &str, snapshot: &Snapshot) -> Step {
    match yes(line) {
        Some(true) => {}
        Some(false) => return Step::menu_after("Nothing was changed.", snapshot),
        None => return ask(Question::Confirm, draft, format!("{line:?} is neither yes nor no.")),
    }
    let Draft { hostname, interface: Some(interface), address, gateway, dns, ntp, vip, vrid, priority, peer } =
        draft
    else {
        return Step::menu_after("Nothing was changed.", snapshot);
    };
    let management = SetManagement { interface, address, gateway };
    let shared = vip.map(|address| SharedAddress { address, vrid, priority, peer });
    let request = Request::SetUp(SetUp { hostname, management, dns, ntp, shared });
    Step::run(Screen::First(First::Doing), Command::Ask(Role::Store, request))
}
