//! `[[service]]`, `[[service.server]]` and `[ipvs]`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Check;
use crate::units::{Cidr, Weight};

/// Layer 4 protocol of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Transmission control protocol.
    Tcp,
    /// User datagram protocol.
    Udp,
    /// Stream control transmission protocol (RFC 9260).
    Sctp,
}

/// How a packet reaches the real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Direct routing: rewritten MAC, the real server has the VIP too (ipvsadm -g).
    Dr,
    /// Masquerading: the real server answers through the director (ipvsadm -m).
    Nat,
    /// Tunnel (ipvsadm -i); [`Tunnel`] says which.
    Tun,
    /// Masquerading with the source rewritten too: the real server needs no route back through the director.
    FullNat,
}

/// How [`Method::Tun`] wraps a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Tunnel {
    /// IP in IP (RFC 2003).
    #[default]
    Ipip,
    /// Generic UDP encapsulation (ipvsadm --tun-type gue).
    Gue {
        /// UDP port on the real server, 1..
        port: u16,
        /// Of the outer header.
        checksum: TunnelChecksum,
    },
    /// Generic routing encapsulation (RFC 2784); [`TunnelChecksum::Remote`] is not for it.
    Gre {
        /// Of the outer header.
        checksum: TunnelChecksum,
    },
}

/// Checksum of an outer header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum TunnelChecksum {
    /// None (ipvsadm --tun-nocsum).
    #[default]
    None,
    /// Over everything (ipvsadm --tun-csum).
    Full,
    /// Remote checksum offload, GUE only (ipvsadm --tun-remcsum).
    Remote,
}

/// What clients talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Listen {
    /// Address and port; port 0 = every port, only with persistence.
    Address(SocketAddr),
    /// Firewall mark, 1..; the family says which packets.
    Fwmark {
        /// The mark.
        mark: u32,
        /// Whether IPv6 packets are meant.
        ipv6: bool,
    },
}

/// Firewall marks that Director gives to packets of ranges ([`Marking`]): this upper half ("DI"), the lower one by the name.
pub const RANGE_MARKS: RangeInclusive<u32> = 0x4449_0000..=0x4449_ffff;
/// Firewall marks of the ways that probes to a VIP take ([`super::ProbeRoute::Vip`]).
pub const WAY_MARKS: RangeInclusive<u32> = 0x4450_0000..=0x445f_ffff;

/// What makes a service unique in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceKey {
    /// What clients talk to.
    pub listen: Listen,
    /// `None` for a firewall mark, which knows no protocol.
    pub protocol: Option<Protocol>,
}

/// The schedulers of Linux 6.12 by the kernel's names (net/netfilter/ipvs/ip_vs_*.c); `none` schedules nothing (ip_vs_ctl.c).
pub const SCHEDULERS: [&str; 15] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq", "twos", "none"];

/// One of [`SCHEDULERS`].
pub type Scheduler = &'static str;

fn known_scheduler<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Scheduler, D::Error> {
    let name = String::deserialize(deserializer)?;
    let known = SCHEDULERS.into_iter().find(|known| *known == name);
    known.ok_or_else(|| serde::de::Error::custom("no such scheduler"))
}

/// Persistence: a client returns to its real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Persistence {
    /// Life of a template after the last connection, whole seconds, 1 s..=31 d.
    pub timeout: Duration,
    /// Prefix length by which clients are grouped, 1..=32 or 1..=128.
    pub prefix: u8,
    /// By what else: `sip` tells clients apart by Call-ID (UDP only).
    pub engine: Option<PersistenceEngine>,
}

/// A persistence engine of the kernel (net/netfilter/ipvs/ip_vs_pe_*.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PersistenceEngine {
    /// Call-ID of SIP.
    Sip,
}

/// A virtual service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Name in the file, in status and in events.
    pub name: String,
    /// Its key in the kernel; the first of several.
    pub key: ServiceKey,
    /// The other keys: same family, same servers, same verdicts. A server with port 0 has the port of each key.
    pub also: Vec<ServiceKey>,
    /// `key` is a mark that Director itself gives to these packets by nftables; `None` = it does not.
    pub marking: Option<Marking>,
    /// One of [`SCHEDULERS`].
    #[serde(deserialize_with = "known_scheduler")]
    pub scheduler: Scheduler,
    /// Flags of the scheduler (`sh-port`, `mh-fallback`…).
    pub flags: SchedulerFlags,
    /// One-packet scheduling: each datagram is a connection of its own (UDP only).
    pub one_packet: bool,
    /// `persistence`, if any.
    pub persistence: Option<Persistence>,
    /// Sources of the packets to servers by [`Method::FullNat`]; empty = the address of the interface they leave by.
    pub sources: Vec<AddressRange>,
    /// From what on the service counts as up.
    pub quorum: Quorum,
    /// Until what a server without a verdict is taken to be.
    pub start: Start,
    /// Time over which a server that has recovered gets its full weight; zero = at once.
    pub slow_start: Duration,
    /// How long a drained server keeps its connections; `None` = as long as they last.
    pub drain: Option<Duration>,
    /// What a failed check does.
    pub on_fail: OnFail,
    /// Who answers while the quorum is lost.
    pub sorry: Sorry,
    /// Whether they come in place of the real servers that are left, or beside them.
    pub sorry_mode: SorryMode,
    /// Real servers in the order of the file; addresses are unique.
    pub servers: Vec<Server>,
}

impl Service {
    /// A service without servers, with the defaults of the manual for all else.
    #[must_use]
    pub fn new(name: &str, key: ServiceKey) -> Self {
        Self {
            name: name.to_owned(),
            key,
            also: Vec::new(),
            marking: None,
            scheduler: "wlc",
            flags: SchedulerFlags::default(),
            one_packet: false,
            persistence: None,
            sources: Vec::new(),
            quorum: Quorum::default(),
            start: Start::default(),
            slow_start: Duration::ZERO,
            drain: None,
            on_fail: OnFail::default(),
            sorry: Sorry::default(),
            sorry_mode: SorryMode::default(),
            servers: Vec::new(),
        }
    }

    /// The real servers, then those that stand in for them.
    pub fn everybody(&self) -> impl Iterator<Item = &Server> {
        let sorry = match &self.sorry {
            Sorry::Servers(servers) => servers.as_slice(),
            Sorry::None | Sorry::Local => &[],
        };
        self.servers.iter().chain(sorry)
    }

    /// Its key in the kernel, then the others.
    pub fn keys(&self) -> impl Iterator<Item = &ServiceKey> {
        std::iter::once(&self.key).chain(&self.also)
    }
}

/// What a failed check does to a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnFail {
    /// Taken out of the table.
    #[default]
    Remove,
    /// Kept with weight 0: established connections go on.
    Quiesce,
}

/// Who answers while the quorum is lost.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Sorry {
    /// Nobody: new connections are refused.
    #[default]
    None,
    /// These servers, each with its own method.
    Servers(Vec<Server>),
    /// The built-in page, served by this box: TCP services only.
    Local,
}

/// A real server of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// RIP and port. DR and TUN: the port equals the service's. For a firewall mark, port 0 or several ports the port is 0.
    pub address: SocketAddr,
    /// Configured weight.
    pub weight: Weight,
    /// How packets reach it; the service's method unless it has its own.
    pub method: Method,
    /// The tunnel of [`Method::Tun`].
    pub tunnel: Tunnel,
    /// Connections from which it is passed over; 0 = no limit.
    pub upper: u32,
    /// Connections below which it is used again; 0 = three quarters of `upper`. No greater than `upper`.
    pub lower: u32,
    /// Whether it takes part at all; `false` = weight 0 whatever the checks say, and they go on.
    pub enabled: bool,
    /// What becomes of it when it fails; `None` = as the service has it.
    pub on_fail: Option<OnFail>,
    /// How it is asked; all must succeed. Empty = never asked, always up. Shared between servers that are asked alike.
    #[serde(with = "super::shared")]
    pub checks: Vec<Arc<Check>>,
}

impl Server {
    /// An enabled server of weight 1 without limits and without checks.
    #[must_use]
    pub const fn new(address: SocketAddr, method: Method) -> Self {
        Self {
            address,
            weight: Weight::DEFAULT,
            method,
            tunnel: Tunnel::Ipip,
            upper: 0,
            lower: 0,
            enabled: true,
            on_fail: None,
            checks: Vec::new(),
        }
    }
}

/// Addresses from `first` to `last`, both included, of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AddressRange {
    /// The lowest.
    pub first: IpAddr,
    /// The highest.
    pub last: IpAddr,
}

impl AddressRange {
    /// How many addresses these are, up to the greatest number there is.
    #[must_use]
    pub fn count(&self) -> u128 {
        let distance = match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                u128::from(last.to_bits().saturating_sub(first.to_bits()))
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => last.to_bits().saturating_sub(first.to_bits()),
            _ => 0,
        };
        distance.saturating_add(1)
    }

    /// Whether `address` is one of these.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        (self.first..=self.last).contains(&address)
    }

    /// Each address, the lowest first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let Self { first, last } = *self;
        std::iter::successors(Some(first), move |address| {
            let next = match *address {
                IpAddr::V4(address) => Ipv4Addr::from(address.to_bits().checked_add(1)?).into(),
                IpAddr::V6(address) => Ipv6Addr::from(address.to_bits().checked_add(1)?).into(),
            };
            Some(next).filter(|next| *next <= last)
        })
    }
}

impl From<Cidr> for AddressRange {
    fn from(network: Cidr) -> Self {
        let prefix = u32::from(network.prefix);
        let first = network.network().address;
        let last = match first {
            IpAddr::V4(first) => {
                Ipv4Addr::from(first.to_bits() | u32::MAX.checked_shr(prefix).unwrap_or(0)).into()
            }
            IpAddr::V6(first) => {
                Ipv6Addr::from(first.to_bits() | u128::MAX.checked_shr(prefix).unwrap_or(0)).into()
            }
        };
        Self { first, last }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { self.first.fmt(f) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// Packets that get a firewall mark by the file's own rules, so that a range of addresses or ports is one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marking {
    /// The protocol.
    pub protocol: Protocol,
    /// To any of these addresses.
    pub addresses: Vec<AddressRange>,
    /// To any of these ports, as inclusive ranges; empty = every port.
    pub ports: Vec<(u16, u16)>,
}

/// Flags of a scheduler as `ipvsadm -b` has them (kernel: `IP_VS_SVC_F_SCHED1..3`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SchedulerFlags {
    /// `sh-fallback`, `mh-fallback`, `flag-1`: 0x08.
    pub flag1: bool,
    /// `sh-port`, `mh-port`, `flag-2`: 0x10.
    pub flag2: bool,
    /// `flag-3`: 0x20.
    pub flag3: bool,
}

/// When a service is up: what lives reaches `need` + `hysteresis` to gain the quorum, falls below `need` − `hysteresis` (or to
/// nothing) to lose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// How much must live.
    pub need: Need,
    /// In the unit of `need`; less than it.
    pub hysteresis: u32,
}

/// How much must live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Need {
    /// Sum of the configured weights of live servers, 1..
    Weight(u32),
    /// Live servers, 1..
    Servers(u32),
    /// Share of all configured weights, 1..=100 per cent.
    Percent(u8),
}

impl Default for Quorum {
    fn default() -> Self {
        Self { need: Need::Weight(1), hysteresis: 0 }
    }
}

/// What becomes of the real servers that are left while sorry servers answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SorryMode {
    /// They make room: the sorry servers alone answer.
    #[default]
    Replace,
    /// They go on beside the sorry servers.
    Add,
}

/// What a server is before its first verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Start {
    /// As the kernel has it: unknown changes nothing.
    #[default]
    Keep,
    /// Not in the table until its checks have succeeded, even if the kernel has it.
    Down,
    /// In the table until its checks have failed.
    Up,
}

/// `[ipvs]`: the kernel's own settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ipvs {
    /// `net.ipv4.vs.*` that the operator sets in place of the profile's, by name and value.
    pub sysctls: BTreeMap<String, String>,
    /// Life of an idle established TCP connection, whole seconds; `None` leaves the kernel's 900 s.
    pub tcp: Option<Duration>,
    /// Life of a TCP connection after a FIN; `None` leaves the kernel's 120 s.
    pub tcp_fin: Option<Duration>,
    /// Life of a UDP flow; `None` leaves the kernel's 300 s.
    pub udp: Option<Duration>,
    /// Buckets of the connection table as a power of two, 8..=27, from the next boot on; `None` = by the memory of the box.
    pub table_bits: Option<u8>,
}
