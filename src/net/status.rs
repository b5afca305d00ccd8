//! The worker's state in the words of [`NetStatus`].

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::desired::Desired;
use super::dhcp::run::left;
use super::memory::Leased;
use super::state::{Link, State};
use crate::ipc::message::{LinkStatus, NetStatus};
use crate::units::IfName;

/// Composes the status. Links that are no network cards (tunnels, bonds and dummies that the kernel makes by itself) appear only when the
/// file speaks of them. `now` is boot time.
#[must_use]
pub fn status(
    observed: &State,
    desired: &Desired,
    leases: &BTreeMap<IfName, Leased>,
    now: Duration,
    pending: &[String],
    generation: u64,
) -> NetStatus {
    let configured = |name: &IfName| desired.configured.contains(name);
    let links = observed.links.iter().filter(|(name, link)| link.ethernet || configured(name));
    let lease = |name: &IfName| leases.get(name).filter(|_| desired.dhcp.contains(name));
    let held = observed.links.keys().filter_map(lease);
    let mut dns: Vec<IpAddr> = Vec::new();
    for server in held.flat_map(|leased| &leased.lease.dns) {
        if !dns.contains(&IpAddr::V4(*server)) {
            dns.push(IpAddr::V4(*server));
        }
    }
    NetStatus {
        links: links
            .map(|(name, link)| {
                (name.clone(), one(link, configured(name), dhcp(name, desired, lease(name), now)))
            })
            .collect(),
        gateways: gateways(observed),
        dns,
        pending: pending.to_vec(),
        generation,
    }
}

fn one(link: &Link, configured: bool, dhcp: String) -> LinkStatus {
    LinkStatus {
        mac: link.mac,
        up: link.up,
        carrier: link.carrier,
        mtu: link.mtu,
        addresses: link.addresses.iter().map(|address| address.cidr).collect(),
        dhcp,
        configured,
    }
}

fn dhcp(name: &IfName, desired: &Desired, leased: Option<&Leased>, now: Duration) -> String {
    match leased {
        Some(Leased { lease, .. }) => format!("bound by {} for {}", lease.server, left(lease, now)),
        None if desired.dhcp.contains(name) => "asking".to_owned(),
        None => "off".to_owned(),
    }
}

/// Default gateways, the preferred one of each family first.
fn gateways(observed: &State) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for via in observed.routes.iter().filter(|route| route.to.prefix == 0).filter_map(|route| route.via) {
        if !found.contains(&via) {
            found.push(via);
        }
    }
    found
}
