//! The dialogue for a management address: NIC, address or DHCP, gateway, what will be done, yes.

use std::net::IpAddr;

use super::{Input, Screen, Step, configuration, nics as list, said, yes};
use crate::console::session::Command;
use crate::console::snapshot::Snapshot;
use crate::ipc::message::{Request, SetManagement};
use crate::role::Role;
use crate::units::{Cidr, IfName};

pub const HELP: &str = "\
Gives a NIC an address so that this box can be reached: in director.toml, which
is checked as a whole and applied at once. Other lines and comments stay.
`dhcp` in place of an address asks a DHCP server; `none` in place of a gateway
leaves the routes as they are.";

/// Where the dialogue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialogue {
    /// Waits for the list of NICs.
    Look,
    /// Which NIC?
    Nic,
    /// Which address?
    Address(IfName),
    /// Which gateway?
    Gateway(IfName, Cidr),
    /// Shall it be done?
    Confirm(SetManagement),
    /// Waits for `store` to do it.
    Doing,
    /// Waits for its status afterwards, with what it said.
    Done(String),
}

pub fn enter() -> Step {
    Step::run(Screen::Management(Dialogue::Look), Command::Look(vec![Role::Net, Role::Init]))
}

impl Dialogue {
    pub fn prompt(&self, snapshot: &Snapshot) -> String {
        match self {
            Self::Nic => list::prompt(snapshot),
            Self::Address(_) => {
                "Address with prefix such as 192.168.61.44/24, or dhcp (empty line = back): ".to_owned()
            }
            Self::Gateway(..) => "Default gateway, or none (empty line = back): ".to_owned(),
            Self::Confirm(_) => "Do it? (yes or no, empty line = back): ".to_owned(),
            Self::Look | Self::Doing | Self::Done(_) => String::new(),
        }
    }

    pub fn step(self, input: Input, snapshot: &Snapshot) -> Step {
        match (self, input) {
            (Self::Look, Input::Answer(_)) => nics(snapshot),
            (_, Input::Cancel) => Step::menu(snapshot),
            (Self::Nic | Self::Address(_) | Self::Gateway(..) | Self::Confirm(_), Input::Line(line))
                if line.is_empty() =>
            {
                Step::menu_after("Nothing was changed.", snapshot)
            }
            (Self::Nic, Input::Line(line)) => nic(&line, snapshot),
            (Self::Address(nic), Input::Line(line)) => address(nic, &line),
            (Self::Gateway(nic, address), Input::Line(line)) => gateway(nic, address, &line),
            (Self::Confirm(wish), Input::Line(line)) => confirm(wish, &line, snapshot),
            (Self::Doing, Input::Answer(answer)) => {
                let look = Command::Look(vec![Role::Store, Role::Net]);
                Step::run(Screen::Management(Self::Done(said(answer))), look)
            }
            (Self::Done(said), Input::Answer(_)) => {
                Step::menu_after(&configuration::after(&said, snapshot), snapshot)
            }
            (state, Input::Line(_) | Input::Key(_) | Input::Tick | Input::Answer(_)) => {
                Step::show(Screen::Management(state), "")
            }
        }
    }
}

fn at(dialogue: Dialogue, text: impl Into<String>) -> Step {
    Step::show(Screen::Management(dialogue), text)
}

fn nics(snapshot: &Snapshot) -> Step {
    match list::list(snapshot) {
        Ok(text) => at(Dialogue::Nic, text),
        Err(why) => Step::menu_after(&why, snapshot),
    }
}

fn nic(line: &str, snapshot: &Snapshot) -> Step {
    match list::chosen(line, snapshot) {
        Ok(name) => at(Dialogue::Address(name), ""),
        Err(why) => at(Dialogue::Nic, why),
    }
}

fn address(nic: IfName, line: &str) -> Step {
    if line.eq_ignore_ascii_case("dhcp") {
        return ask(SetManagement { interface: nic, address: None, gateway: None });
    }
    match host_address(line) {
        Ok(address) => at(Dialogue::Gateway(nic, address), ""),
        Err(why) => at(Dialogue::Address(nic), why),
    }
}

/// An address that a NIC can have, with its prefix.
pub fn host_address(line: &str) -> Result<Cidr, String> {
    if !line.contains('/') && line.parse::<IpAddr>().is_ok() {
        return Err(format!("The prefix is missing: {line}/24 would be a network of 254 hosts."));
    }
    let cidr: Cidr = line.parse().map_err(|error: crate::units::Refused| sentence(&error.to_string()))?;
    let ip = cidr.address;
    if ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() {
        return Err(format!("{ip} is not an address that a NIC can have."));
    }
    if let (IpAddr::V4(address), IpAddr::V4(network)) = (ip, cidr.network().address)
        && cidr.prefix < 31
    {
        let hosts = u32::MAX.checked_shr(u32::from(cidr.prefix)).unwrap_or(0);
        let host = u32::from(address) - u32::from(network);
        if host == 0 || host == hosts {
            let what = if host == 0 { "network" } else { "broadcast" };
            return Err(format!("{ip} is the {what} address of {}, not a host's.", cidr.network()));
        }
    }
    Ok(cidr)
}

fn gateway(nic: IfName, address: Cidr, line: &str) -> Step {
    match gateway_of(address, line) {
        Ok(gateway) => ask(SetManagement { interface: nic, address: Some(address), gateway }),
        Err(why) => at(Dialogue::Gateway(nic, address), why),
    }
}

/// A gateway that a box with this address can reach, or none.
pub fn gateway_of(address: Cidr, line: &str) -> Result<Option<IpAddr>, String> {
    if line.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let Ok(gateway) = line.parse::<IpAddr>() else {
        return Err(format!("{line:?} is not an address such as 192.168.61.1, nor none."));
    };
    if gateway == address.address {
        return Err(format!("{gateway} is the address of this box itself."));
    }
    let link_local =
        matches!(gateway, IpAddr::V6(v6) if v6.is_unicast_link_local()) && address.address.is_ipv6();
    if !address.contains(gateway) && !link_local {
        return Err(format!("{gateway} is not in {}: it could not be reached.", address.network()));
    }
    Ok(Some(gateway))
}

fn ask(wish: SetManagement) -> Step {
    let mut text = "\nThis will be written to director.toml, checked, and applied at once:\n".to_owned();
    match wish.address {
        None => text.push_str(&format!("  {}: address, gateway and name servers by DHCP\n", wish.interface)),
        Some(address) => text.push_str(&format!("  {}: {address}\n", wish.interface)),
    }
    if let Some(gateway) = wish.gateway {
        text.push_str(&format!("  default gateway: {gateway}\n"));
    }
    at(Dialogue::Confirm(wish), text)
}

fn confirm(wish: SetManagement, line: &str, snapshot: &Snapshot) -> Step {
    match yes(line) {
        Some(true) => Step::run(
            Screen::Management(Dialogue::Doing),
            Command::Ask(Role::Store, Request::SetManagement(wish)),
        ),
        Some(false) => Step::menu_after("Nothing was changed.", snapshot),
        None => at(Dialogue::Confirm(wish), format!("{line:?} is neither yes nor no.")),
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}
