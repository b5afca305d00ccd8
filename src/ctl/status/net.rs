//! Links, addresses, gateways. Pure.

use super::table;
use super::words::{dash, join};
use crate::ipc::message::{LinkStatus, NetStatus};

/// Links, addresses, gateways.
#[must_use]
pub fn net(status: &NetStatus) -> Vec<String> {
    let rows = status.links.iter().map(|(name, link)| {
        vec![
            name.to_string(),
            link_state(link).to_owned(),
            link.mac.map_or_else(dash, |mac| mac.to_string()),
            link_addresses(link),
        ]
    });
    let mut out = table(rows.collect());
    if !status.gateways.is_empty() {
        out.push(format!("gateway: {}", join(&status.gateways)));
    }
    if !status.dns.is_empty() {
        out.push(format!("name servers: {}", join(&status.dns)));
    }
    out.extend(status.pending.iter().map(|what| format!("! {what}")));
    out
}

/// The state of a link in two words at most.
#[must_use]
pub const fn link_state(link: &LinkStatus) -> &'static str {
    match (link.up, link.carrier) {
        (true, true) => "up",
        (true, false) => "no carrier",
        (false, _) => "down",
    }
}

/// The addresses of a link, or what it waits for.
#[must_use]
pub fn link_addresses(link: &LinkStatus) -> String {
    let addresses = join(&link.addresses);
    match (addresses.is_empty(), link.dhcp.as_str()) {
        (true, "off") => "no address".to_owned(),
        (true, dhcp) => format!("DHCP {dhcp}"),
        (false, "off") => addresses,
        (false, dhcp) => format!("{addresses} (DHCP {dhcp})"),
    }
}
