//! What the kernel has and what it should have, in one shape.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use crate::config::model::RouteKind;
use crate::owner;
use crate::units::{Cidr, IfName, Mac};

/// Metric that the kernel gives an IPv6 route without one (include/uapi/linux/ipv6_route.h, `IP6_RT_PRIO_USER`).
pub const IPV6_METRIC: u32 = 1024;

/// Links, routes and sysctls of one network namespace, without the loopback.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Observed: every link. Desired: the links that the configuration speaks of and that exist.
    pub links: BTreeMap<IfName, Link>,
    /// Routes of the main table, and local ones of ours. Observed: without those of the kernel itself.
    pub routes: BTreeSet<Route>,
    /// Values by path below `/proc/sys/net`, such as `ipv4/conf/eth0/arp_ignore`. Observed: only what can be read.
    pub sysctls: BTreeMap<String, String>,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// Kernel's index: the identity that survives a rename.
    pub index: u32,
    /// Hardware address: the permanent one where the kernel tells it.
    pub mac: Option<Mac>,
    /// Administratively up.
    pub up: bool,
    /// Has carrier.
    pub carrier: bool,
    /// Maximum transmission unit in bytes.
    pub mtu: u32,
    /// Made by software on top of another link (VLAN, bridge, bond, macvlan…), which may share its hardware address.
    pub stacked: bool,
    /// Speaks Ethernet, as network cards do, and is none of the links that drivers make unasked.
    pub ethernet: bool,
    /// Addresses in the order of the kernel or of the file: the first of a subnet is its primary.
    pub addresses: Vec<Address>,
}

/// An address of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// Address and prefix.
    pub cidr: Cidr,
    /// Who made it (`IFA_PROTO`): [`owner::NET`], [`owner::VRRP`], 0 = unmarked, 1..=3 the kernel.
    pub owner: u8,
}

impl Address {
    /// An address of ours.
    #[must_use]
    pub const fn ours(cidr: Cidr) -> Self {
        Self { cidr, owner: owner::NET }
    }
}

/// A route of the main table, or, if it is a local one, of the local table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// What it does.
    pub kind: RouteKind,
    /// Destination, host bits zero.
    pub to: Cidr,
    /// Smaller wins.
    pub metric: u32,
    /// Gateway.
    pub via: Option<IpAddr>,
    /// Outgoing interface; `lo` unless it is a unicast route.
    pub interface: IfName,
    /// The gateway is reachable though no address of the interface covers it.
    pub onlink: bool,
    /// Who made it (`rtm_protocol`).
    pub owner: u8,
}

/// What tells one route from another: destination, metric, and whether it is in the table of local ones.
pub type RouteKey = (Cidr, u32, bool);

impl Route {
    /// A route in the place of another one has the same.
    #[must_use]
    pub fn key(&self) -> RouteKey {
        (self.to, self.metric, self.kind == RouteKind::Local)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RouteKind::Unicast => "",
            RouteKind::Local => "local ",
            RouteKind::Blackhole => "blackhole ",
            RouteKind::Unreachable => "unreachable ",
        })?;
        match self.to.prefix {
            0 => f.write_str("default")?,
            _ => write!(f, "{}", self.to)?,
        }
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        if self.kind == RouteKind::Unicast {
            write!(f, " dev {}", self.interface)?;
        }
        write!(f, " metric {}", self.metric)?;
        if self.onlink { f.write_str(" onlink") } else { Ok(()) }
    }
}
