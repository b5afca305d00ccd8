//! `[[service]]`, `[[service.server]]` and `[ipvs]`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use quorum::{Need, Quorum, Sorry, SorryMode};
pub use range::AddressRange;
pub use server::{OnFail, Server, Start};

mod quorum;
mod range;
mod server;

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
