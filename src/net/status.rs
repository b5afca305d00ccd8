//! The worker's state in the words of [`NetStatus`].

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::desired::Desired;
use super::dhcp::lease::Lease;
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
    let once = |of: fn(&Lease) -> &Vec<Ipv4Addr>| {
        let mut found: Vec<IpAddr> = Vec::new();
        for server in held.clone().flat_map(|leased| of(&leased.lease)) {
            if !found.contains(&IpAddr::V4(*server)) {
                found.push(IpAddr::V4(*server));
            }
        }
        found
    };
    NetStatus {
        links: links
            .map(|(name, link)| {
                (name.clone(), one(link, configured(name), dhcp(name, desired, lease(name), now)))
            })
            .collect(),
        gateways: gateways(observed),
        dns: once(|lease| &lease.dns),
        ntp: once(|lease| &lease.ntp),
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

#[cfg(test)]
mod tests {
    use super::super::dhcp::lease::Lease;
    use super::super::state::Route;
    use super::*;
    use crate::config::model::RouteKind;
    use crate::owner;
    use crate::units::Mac;
    use std::net::Ipv4Addr;

    fn name(text: &str) -> IfName {
        text.parse().unwrap()
    }

    fn default_route(via: &str, metric: u32) -> Route {
        let any = if via.contains(':') { "::/0" } else { "0.0.0.0/0" };
        let (to, via) = (any.parse().unwrap(), Some(via.parse().unwrap()));
        Route {
            kind: RouteKind::Unicast,
            to,
            metric,
            via,
            interface: name("eth0"),
            onlink: false,
            owner: owner::NET,
        }
    }

    #[test]
    fn cards_gateways_and_leases_are_told() {
        let card = Link { index: 2, ethernet: true, up: true, mtu: 1500, ..Link::default() };
        let tunnel = Link { index: 3, ..Link::default() };
        let routes =
            [default_route("10.0.0.2", 101), default_route("10.0.0.1", 100), default_route("fe80::1", 1024)];
        let observed = State {
            links: [(name("eth0"), card.clone()), (name("eth1"), card), (name("tunl0"), tunnel)].into(),
            routes: routes.into(),
            ..State::default()
        };
        let both = [name("eth0"), name("eth1")];
        let desired = Desired { configured: both.clone().into(), dhcp: both.into(), ..Desired::default() };
        let lease = Lease {
            address: "10.0.0.9/24".parse().unwrap(),
            server: Ipv4Addr::new(10, 0, 0, 1),
            routes: Vec::new(),
            dns: vec![Ipv4Addr::new(10, 0, 0, 53), Ipv4Addr::new(10, 0, 0, 53)],
            ntp: vec![Ipv4Addr::new(10, 0, 0, 123)],
            renew_at: Duration::MAX,
            rebind_at: Duration::MAX,
            expires_at: Duration::from_secs(7200),
        };
        let leases = [(name("eth0"), Leased { mac: Mac([2; 6]), lease })].into();
        let told = status(&observed, &desired, &leases, Duration::from_secs(3600), &[], 3);
        let dhcp: Vec<&str> = told.links.values().map(|link| link.dhcp.as_str()).collect();
        assert_eq!(dhcp, ["bound by 10.0.0.1 for 1h", "asking"], "no tunnel");
        let addresses = |all: &[IpAddr]| all.iter().map(IpAddr::to_string).collect::<Vec<_>>();
        assert_eq!(addresses(&told.gateways), ["10.0.0.1", "10.0.0.2", "fe80::1"]);
        assert_eq!(addresses(&told.dns), ["10.0.0.53"]);
    }
}
