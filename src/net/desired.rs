//! What should be: the configuration, the links that exist and the leases held → a [`State`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::dhcp::lease::Lease;
use super::memory::Leased;
use super::state::{Address, IPV6_METRIC, Link, Route, State};
use super::sysctl::{self, Forwarding};
use crate::config::model::{Config, Gist, Interface, InterfaceSelector, Route as FileRoute, RouteKind};
use crate::owner;
use crate::units::{Cidr, IfName, Mac, Refused};

/// Metric of the default route of the first interface with DHCP; the next ones count up, and a route of the file without
/// a metric wins over all of them.
pub const DHCP_METRIC: u32 = 100;

/// What changes while the worker runs.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What the kernel has.
    pub observed: &'a State,
    /// Leases held, by the name that the link gets.
    pub leases: &'a BTreeMap<IfName, Leased>,
    /// Forwarding that an earlier configuration of this boot made us switch on.
    pub raised: Forwarding,
    /// Links that were set up before there was a configuration, by index.
    pub early: &'a BTreeSet<u32>,
}

/// What should be, and what stands in its way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Desired {
    /// The state to reach. Its links are those of the file that exist, under the names that they get.
    pub state: State,
    /// Links that the file speaks of.
    pub configured: BTreeSet<IfName>,
    /// Links that ask a DHCP server.
    pub dhcp: BTreeSet<IfName>,
    /// What cannot be reached yet, in words.
    pub waiting: Vec<String>,
}

/// Computes what should be. Of the services only what they come to counts.
#[must_use]
pub fn desired(config: &Config, gist: &Gist, facts: Facts<'_>) -> Desired {
    let mut out = Desired::default();
    for (position, interface) in config.interfaces.iter().enumerate() {
        let Some((name, link)) = find(interface, facts.observed) else {
            out.waiting.push(format!("interface {}: not present", told(&interface.selector)));
            continue;
        };
        if interface.dhcp {
            out.dhcp.insert(name.clone());
        }
        // A lease belongs to the hardware address that it was granted to.
        let lease = facts.leases.get(&name).filter(|leased| interface.dhcp && link.mac == Some(leased.mac));
        let lease = lease.map(|leased| &leased.lease);
        let wanted = wanted_link(interface, link, lease);
        if let Some(lease) = lease {
            let metric = DHCP_METRIC.saturating_add(u32::try_from(position).unwrap_or(u32::MAX));
            out.state.routes.extend(lease_routes(&name, lease, metric));
        }
        out.configured.insert(name.clone());
        out.state.links.insert(name, wanted);
    }
    step_aside(&mut out.state, facts.observed);
    lower(&mut out.state, facts);
    file_routes(config, facts.observed, &mut out);
    mark_onlink(&mut out.state);
    let ipv6 = links_with_ipv6(config, &out.state);
    let links = out.configured.iter().map(|name| (name, ipv6.contains(name)));
    out.state.sysctls = sysctl::wanted(links, forwarding(gist), facts.raised);
    out.state.sysctls.extend(sysctl::accept_local(&out.configured, gist.probes_by_vip));
    out
}

/// The link that an interface of the file means, and the name that it gets.
fn find<'a>(interface: &Interface, observed: &'a State) -> Option<(IfName, &'a Link)> {
    match &interface.selector {
        InterfaceSelector::Name(name) => observed.links.get(name).map(|link| (name.clone(), link)),
        InterfaceSelector::Mac(mac) => by_mac(*mac, observed).map(|(name, link)| (name.clone(), link)),
        InterfaceSelector::Renamed { name, mac } => {
            by_mac(*mac, observed).map(|(_, link)| (name.clone(), link))
        }
    }
}

/// VLANs and bridges share the address of the NIC below them: the NIC is meant, and of several the first.
fn by_mac(mac: Mac, observed: &State) -> Option<(&IfName, &Link)> {
    observed
        .links
        .iter()
        .filter(|(_, link)| link.mac == Some(mac))
        .min_by_key(|(_, link)| (link.stacked, link.index))
}

fn told(selector: &InterfaceSelector) -> String {
    match selector {
        InterfaceSelector::Name(name) => name.to_string(),
        InterfaceSelector::Mac(mac) => mac.to_string(),
        InterfaceSelector::Renamed { name, mac } => format!("{name} ({mac})"),
    }
}

fn wanted_link(interface: &Interface, link: &Link, lease: Option<&Lease>) -> Link {
    let mut seen = BTreeSet::new();
    let leased = lease.map(|lease| lease.address);
    let addresses = interface.addresses.iter().copied().chain(leased);
    Link {
        up: true,
        mtu: interface.mtu.unwrap_or(link.mtu),
        addresses: addresses.filter(|cidr| seen.insert(*cidr)).map(Address::ours).collect(),
        ..link.clone()
    }
}

/// A link that the file does not speak of, but whose name another link gets, steps aside under a name of its own.
fn step_aside(wanted: &mut State, observed: &State) {
    let taken: BTreeSet<u32> = wanted.links.values().map(|link| link.index).collect();
    for (name, link) in &observed.links {
        let displaced = wanted.links.get(name).is_some_and(|new| new.index != link.index);
        if displaced
            && !taken.contains(&link.index)
            && let Ok(aside) = format!("spare{}", link.index).parse()
        {
            wanted.links.insert(aside, Link { addresses: Vec::new(), ..link.clone() });
        }
    }
}

/// A link that was set up early, and that the file does not speak of, goes down again.
fn lower(wanted: &mut State, facts: Facts<'_>) {
    let known: BTreeSet<u32> = wanted.links.values().map(|link| link.index).collect();
    for (name, link) in &facts.observed.links {
        if facts.early.contains(&link.index) && !known.contains(&link.index) {
            wanted.links.insert(name.clone(), Link { up: false, addresses: Vec::new(), ..link.clone() });
        }
    }
}

/// What can be done on the appliance before there is a configuration: every card is set up, with the settings of a
/// director, since finding its speed takes a card longer than finding the file takes us. No address is touched.
#[must_use]
pub fn early(observed: &State) -> State {
    let cards = observed.links.iter().filter(|(_, link)| link.ethernet && !link.stacked);
    let links: BTreeMap<IfName, Link> =
        cards.map(|(name, link)| (name.clone(), Link { up: true, ..link.clone() })).collect();
    let none = Forwarding::default();
    let sysctls = sysctl::wanted(links.keys().map(|name| (name, true)), none, none);
    State { links, sysctls, ..State::default() }
}

fn lease_routes<'a>(name: &'a IfName, lease: &'a Lease, metric: u32) -> impl Iterator<Item = Route> + 'a {
    lease.routes.iter().map(move |(to, via)| Route {
        kind: RouteKind::Unicast,
        to: *to,
        metric,
        via: via.map(IpAddr::V4),
        interface: name.clone(),
        onlink: false,
        owner: owner::NET,
    })
}

fn file_routes(config: &Config, observed: &State, out: &mut Desired) {
    let mut seen = BTreeSet::new();
    for route in &config.routes {
        let interface = match outgoing(route, &out.state, observed) {
            Ok(name) => name,
            Err(why) => {
                out.waiting.push(why);
                continue;
            }
        };
        let metric = match (route.metric, route.to.address) {
            (0, IpAddr::V6(_)) => IPV6_METRIC,
            (metric, _) => metric,
        };
        let FileRoute { kind, to, via, .. } = *route;
        let route = Route { kind, to, metric, via, interface, onlink: false, owner: owner::NET };
        // Of two that the kernel cannot tell apart the first in the file counts.
        if seen.insert(route.key()) {
            out.state.routes.insert(route);
        }
    }
}

fn outgoing(route: &FileRoute, wanted: &State, observed: &State) -> Result<IfName, String> {
    let told = |why: String| format!("route {}: {why}", route.to);
    if route.kind != RouteKind::Unicast {
        return "lo".parse().map_err(|Refused(why)| told(why));
    }
    match (&route.interface, route.via) {
        (Some(name), _) if wanted.links.contains_key(name) || observed.links.contains_key(name) => {
            Ok(name.clone())
        }
        (Some(name), _) => Err(told(format!("interface {name} is not present"))),
        (None, Some(via)) => reaching(via, wanted)
            .or_else(|| reaching(via, observed))
            .cloned()
            .ok_or_else(|| told(format!("no interface has an address in the network of {via}"))),
        (None, None) => Err(told("neither a gateway nor an interface is given".to_owned())),
    }
}

/// The link with the narrowest network around `gateway`.
fn reaching(gateway: IpAddr, state: &State) -> Option<&IfName> {
    let covering = |link: &Link| covering(link, gateway);
    let links = state.links.iter().filter_map(|(name, link)| Some((covering(link)?, name)));
    links.max_by_key(|(prefix, _)| *prefix).map(|(_, name)| name)
}

fn covering(link: &Link, gateway: IpAddr) -> Option<u8> {
    let host = |cidr: Cidr| cidr == Cidr::host(cidr.address);
    link.addresses
        .iter()
        .map(|address| address.cidr)
        .filter(|cidr| cidr.contains(gateway) && !host(*cidr))
        .map(|cidr| cidr.prefix)
        .max()
}

/// A gateway that no network of its interface covers (common with /32 addresses) is declared to be on the link.
fn mark_onlink(wanted: &mut State) {
    let marked = std::mem::take(&mut wanted.routes).into_iter().map(|mut route| {
        route.onlink = match (route.via, wanted.links.get(&route.interface)) {
            (Some(IpAddr::V6(via)), _) if via.is_unicast_link_local() => false,
            (Some(via), Some(link)) => covering(link, via).is_none(),
            _ => false,
        };
        route
    });
    wanted.routes = marked.collect();
}

fn links_with_ipv6(config: &Config, wanted: &State) -> BTreeSet<IfName> {
    let addressed = wanted
        .links
        .iter()
        .filter(|(_, link)| link.addresses.iter().any(|address| address.cidr.address.is_ipv6()))
        .map(|(name, _)| name.clone());
    let virtual_ones = config.vrrp.iter().flat_map(|instance| {
        let ipv6 = instance.addresses.iter().filter(|vip| vip.cidr.address.is_ipv6());
        ipv6.flat_map(|vip| {
            [instance.interface.clone(), vip.interface.clone().unwrap_or_else(|| instance.interface.clone())]
        })
    });
    addressed.chain(virtual_ones).collect()
}

/// Real servers behind NAT answer through this box.
const fn forwarding(gist: &Gist) -> Forwarding {
    Forwarding { ipv4: gist.forwards_ipv4, ipv6: gist.forwards_ipv6 }
}
