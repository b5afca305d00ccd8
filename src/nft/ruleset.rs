//! What the packet filter has to do for the services of a file. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::area::{Area, Disjoint, Family};
use crate::config::model::{AddressRange, Config, Listen, Method, Protocol, Service, ServiceKey};

/// All that the table holds; empty = there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    /// The mark that packets get; no two areas overlap.
    pub marks: BTreeMap<Area, u32>,
    /// Whose source is rewritten: by family, and by the sources to choose from (none = the address of the interface by which
    /// a packet leaves).
    pub sources: BTreeMap<(Family, Vec<AddressRange>), BTreeSet<Connection>>,
    /// What needs connection tracking, so that all else can do without; `None` = nobody can tell.
    pub tracked: Option<Tracked>,
}

/// A connection that IPVS has sent to a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Connection {
    /// By address and port of its service.
    Port {
        /// VIP.
        vip: IpAddr,
        /// Protocol.
        protocol: Protocol,
        /// Port of the service.
        port: u16,
        /// RIP.
        server: IpAddr,
    },
    /// Of a service for every port.
    AnyPort {
        /// VIP.
        vip: IpAddr,
        /// Protocol.
        protocol: Protocol,
        /// RIP.
        server: IpAddr,
    },
    /// By firewall mark.
    Mark {
        /// The mark.
        mark: u32,
        /// RIP.
        server: IpAddr,
    },
}

/// Packets that have to be tracked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tracked {
    /// To the services; no two overlap.
    pub services: BTreeSet<Area>,
    /// To and from the real servers.
    pub servers: BTreeSet<IpAddr>,
}

impl Ruleset {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.sources.is_empty()
    }
}

/// What `config` needs.
#[must_use]
pub fn desired(config: &Config) -> Ruleset {
    let mut ruleset = Ruleset { marks: marks(config), ..Ruleset::default() };
    let mut tracked = Some(Tracked::default());
    let mut disjoint = Disjoint::default();
    for service in &config.services {
        let servers: Vec<IpAddr> =
            service.everybody().filter(|s| s.method == Method::FullNat).map(|s| s.address.ip()).collect();
        let Some(first) = servers.first() else { continue };
        let group = (Family::of(*first), service.sources.clone());
        let connections = ruleset.sources.entry(group).or_default();
        for key in service.keys() {
            connections.extend(servers.iter().map(|server| connection(key, *server)));
            match (areas(service, key), tracked.as_mut()) {
                (Some(areas), Some(tracked)) => {
                    tracked.services.extend(areas.into_iter().flat_map(|area| disjoint.take(area)));
                    tracked.servers.extend(&servers);
                }
                _ => tracked = None,
            }
        }
    }
    if !ruleset.sources.is_empty() {
        ruleset.tracked = tracked;
    }
    ruleset
}

/// The services with a mark of ours. Where ranges overlap the first in the file counts, and a service for a single address
/// and port counts before any range, as people expect of the more precise word: in the kernel a mark would come first.
fn marks(config: &Config) -> BTreeMap<Area, u32> {
    let mut disjoint = Disjoint::default();
    let marked = || config.services.iter().filter(|service| service.marking.is_some());
    if marked().next().is_none() {
        return BTreeMap::new();
    }
    for key in config.services.iter().flat_map(Service::keys) {
        if let (Listen::Address(address), Some(protocol)) = (key.listen, key.protocol)
            && address.port() != 0
        {
            disjoint.take(Area::new(single(address.ip()), protocol, (address.port(), address.port())));
        }
    }
    let mut marks = BTreeMap::new();
    for service in marked() {
        if let Listen::Fwmark { mark, .. } = service.key.listen {
            let areas = areas(service, &service.key).unwrap_or_default();
            marks.extend(areas.into_iter().flat_map(|area| disjoint.take(area)).map(|area| (area, mark)));
        }
    }
    marks
}

/// Which packets reach a service by this key; `None` for a mark that somebody else gives.
fn areas(service: &Service, key: &ServiceKey) -> Option<Vec<Area>> {
    match (key.listen, key.protocol) {
        (Listen::Address(address), protocol) => {
            let ports = if address.port() == 0 { (0, u16::MAX) } else { (address.port(), address.port()) };
            Some(vec![Area::new(single(address.ip()), protocol.unwrap_or(Protocol::Tcp), ports)])
        }
        (Listen::Fwmark { .. }, _) => {
            let marking = service.marking.as_ref()?;
            let every = [(0, u16::MAX)];
            let ports: &[(u16, u16)] = if marking.ports.is_empty() { &every } else { &marking.ports };
            let cross = marking.addresses.iter().flat_map(|addresses| {
                ports.iter().map(|ports| Area::new(*addresses, marking.protocol, *ports))
            });
            Some(cross.collect())
        }
    }
}

fn connection(key: &ServiceKey, server: IpAddr) -> Connection {
    let protocol = key.protocol.unwrap_or(Protocol::Tcp);
    match key.listen {
        Listen::Address(address) if address.port() == 0 => {
            Connection::AnyPort { vip: address.ip(), protocol, server }
        }
        Listen::Address(address) => {
            Connection::Port { vip: address.ip(), protocol, port: address.port(), server }
        }
        Listen::Fwmark { mark, .. } => Connection::Mark { mark, server },
    }
}

const fn single(address: IpAddr) -> AddressRange {
    AddressRange { first: address, last: address }
}
