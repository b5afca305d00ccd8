//! What this box may tell, and to whom. Pure.

use std::net::IpAddr;

use super::letter::{Letter, ROUTERS, Told};
use crate::config::Marks;
use crate::config::model::{HmacAuth, HmacKey, HmacMode, Replay, VrrpAuth, VrrpInstance, VrrpPeer};
use crate::ipc::message::LvsSummary;
use crate::units::IfName;
use crate::vrrp::facts::Facts;
use crate::vrrp::instance::Instance;
use crate::vrrp::track::is_ipv6;

/// What the loop knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// Of the configuration in force.
    pub generation: u32,
    /// What that is.
    pub marks: Marks,
    /// Connections are sent from here.
    pub sends: bool,
    /// Connections are heard here.
    pub hears: bool,
    /// To whom it is told.
    pub ways: Vec<Way>,
}

/// Virtual routers whose advertisements go the same way under the same key: one letter tells of all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Each interface of their advertisements, with the source of letters there.
    pub ends: Vec<(IfName, IpAddr)>,
    /// In place of the group.
    pub peers: Vec<VrrpPeer>,
    /// Of what is sent to `peers`.
    pub ttl: u8,
    /// What signs and verifies.
    pub key: Option<HmacAuth>,
    /// The virtual routers: name and what is told.
    pub routers: Vec<(String, Told)>,
}

impl Way {
    /// Our address on `interface`, if letters of this way are sent and heard there.
    #[must_use]
    pub fn source(&self, interface: &IfName) -> Option<IpAddr> {
        self.ends.iter().find(|(name, _)| name == interface).map(|(_, source)| *source)
    }

    fn same(&self, other: &Self) -> bool {
        let Self { ends, peers, ttl, key, routers: _ } = self;
        (ends, peers, ttl, key) == (&other.ends, &other.peers, &other.ttl, &other.key)
    }
}

/// The ways of those that take part in the exchange and have an address.
#[must_use]
pub fn ways(instances: &[Instance], facts: &Facts) -> Vec<Way> {
    let mut ways: Vec<Way> = Vec::new();
    let willing = instances.iter().filter(|instance| instance.config().exchange);
    for way in willing.filter_map(|instance| way(instance, facts)) {
        match ways.iter_mut().find(|known| known.same(&way) && known.routers.len() < ROUTERS) {
            Some(known) => known.routers.extend(way.routers),
            None => ways.push(way),
        }
    }
    ways
}

fn way(instance: &Instance, facts: &Facts) -> Option<Way> {
    let config = instance.config();
    let params = instance.router().params();
    let told = Told {
        vrid: config.vrid.get(),
        ipv6: is_ipv6(config),
        state: instance.state(),
        priority: params.priority,
    };
    let end = |interface: &IfName| {
        // A link-local address is one of its link.
        let elsewhere = params.source.is_ipv6() && *interface != config.interface;
        let own =
            || facts.links.get(interface)?.addresses.iter().find(|a| a.usable && link_local(a.cidr.address));
        let source = if elsewhere { own().map(|a| a.cidr.address) } else { Some(params.source) };
        source.map(|source| (interface.clone(), source))
    };
    let interfaces = std::iter::once(&config.interface).chain(&config.heartbeat);
    (!params.source.is_unspecified()).then(|| Way {
        ends: interfaces.filter_map(end).collect(),
        peers: config.peers.clone(),
        ttl: config.ttl,
        key: key(config),
        routers: vec![(config.name.clone(), told)],
    })
}

const fn link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// The key of the advertisements. One that is short, and sent in clear by version 2, keeps out accidents, not attackers.
fn key(config: &VrrpInstance) -> Option<HmacAuth> {
    match config.auth.as_ref()? {
        VrrpAuth::Hmac(auth) => Some(auth.clone()),
        VrrpAuth::Pass(key) | VrrpAuth::Ah(key) => Some(HmacAuth {
            keys: vec![HmacKey::new(1, key.to_vec())],
            active: 1,
            replay: Replay::Monotonic,
            mode: HmacMode::Enforce,
        }),
    }
}

impl Outline {
    /// The letter for one way.
    #[must_use]
    pub fn letter(&self, way: &Way, sender: u64, hostname: &str, table: Option<LvsSummary>) -> Letter {
        Letter {
            sender,
            hostname: hostname.chars().take(64).collect(),
            firmware: FIRMWARE.chars().take(32).collect(),
            generation: self.generation,
            marks: self.marks,
            table,
            sends: self.sends,
            hears: self.hears,
            routers: way.routers.iter().map(|(_, told)| *told).take(ROUTERS).collect(),
        }
    }
}

/// The version of this firmware: marks of another one cannot be compared.
pub const FIRMWARE: &str = env!("CARGO_PKG_VERSION");
