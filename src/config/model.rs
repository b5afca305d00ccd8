//! The checked configuration: every invariant of the manual holds, no field "must be set later".
//!
//! Only [`super::validate`] makes these values. Workers compare an old and a new one by `==`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::units::{Cidr, IfName, Mac, Priority, Vrid};

mod check;
mod service;

pub use check::{Check, CheckKind, Database, Dialogue, Http, Login, MailTls, ProbeRoute, Tls};
pub use service::{
    AddressRange, Ipvs, Listen, Marking, Method, Need, OnFail, Persistence, PersistenceEngine, Protocol,
    Quorum, SCHEDULERS, SchedulerFlags, Server, Service, ServiceKey, Sorry, Start, Tunnel, TunnelChecksum,
};

/// The whole of `director.toml`, with the section of this node merged in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// `[system]`.
    pub system: System,
    /// `[[interface]]`, in the order of the file; names and MACs are unique.
    pub interfaces: Vec<Interface>,
    /// `[[route]]`, in the order of the file.
    pub routes: Vec<Route>,
    /// `[[vrrp]]`, in the order of the file; names are unique, and so is (interface, vrid, family).
    pub vrrp: Vec<VrrpInstance>,
    /// `[[service]]`, in the order of the file; names are unique, and so is [`ServiceKey`].
    pub services: Vec<Service>,
    /// `[ipvs]`.
    pub ipvs: Ipvs,
}

/// What concerns the box as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct System {
    /// Host name, RFC 1123; the appliance is called `director` without one.
    pub hostname: Option<String>,
    /// Time servers.
    pub ntp: Vec<IpAddr>,
    /// Where logs go besides the ring.
    pub syslog: Vec<SyslogTarget>,
}

/// `udp://192.168.61.9:514` or `tcp://…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogTarget {
    /// How it is carried.
    pub transport: SyslogTransport,
    /// Where to; the port defaults to 514.
    pub address: SocketAddr,
}

/// Transport of syslog messages (RFC 5426, RFC 6587).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogTransport {
    /// One datagram a message.
    Udp,
    /// Octet-counted frames on a stream.
    Tcp,
}

/// A network interface that Director configures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// By what it is found.
    pub selector: InterfaceSelector,
    /// Addresses set on it, in the order of the file; empty with DHCP alone.
    pub addresses: Vec<Cidr>,
    /// Ask a DHCPv4 server for an address, a default route and name servers.
    pub dhcp: bool,
    /// Maximum transmission unit in bytes, 68..=65535 (1280 at least where IPv6 is used); `None` leaves the driver's.
    pub mtu: Option<u32>,
}

/// By what an interface is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfaceSelector {
    /// `name = "eth0"`.
    Name(IfName),
    /// `mac = "52:54:00:00:00:01"`, without a name: whatever the kernel calls it.
    Mac(Mac),
    /// Both: the interface with this MAC, renamed so.
    Renamed {
        /// The name it gets.
        name: IfName,
        /// The MAC it has.
        mac: Mac,
    },
}

impl InterfaceSelector {
    /// The name in the file, if it gives one.
    #[must_use]
    pub const fn name(&self) -> Option<&IfName> {
        match self {
            Self::Name(name) | Self::Renamed { name, .. } => Some(name),
            Self::Mac(_) => None,
        }
    }
}

/// What becomes of packets that a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum RouteKind {
    /// They go to a gateway, or out of an interface.
    #[default]
    Unicast,
    /// They are for this box, as if it had each of the addresses: VIPs by the network.
    Local,
    /// They are dropped.
    Blackhole,
    /// They are refused by ICMP.
    Unreachable,
}

/// A static route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What it does; all but [`RouteKind::Unicast`] have neither gateway nor interface.
    pub kind: RouteKind,
    /// Destination network, host bits zero; `default` is 0.0.0.0/0 or ::/0 by the family of `via`.
    pub to: Cidr,
    /// Gateway; `None` = directly on `interface`.
    pub via: Option<IpAddr>,
    /// Outgoing interface; `None` lets the kernel find it by `via`.
    pub interface: Option<IfName>,
    /// Metric, smaller wins; 0 = the kernel's default (0 for IPv4, 1024 for IPv6).
    pub metric: u32,
}

/// VRRP on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VrrpVersion {
    /// RFC 3768, IPv4 only, whole seconds.
    V2,
    /// RFC 9568.
    V3,
}

/// Authentication of VRRP version 2 (RFC 2338; removed by RFC 3768, still spoken by old peers).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VrrpAuth {
    /// Type 1: up to 8 bytes in clear text, zero padded.
    Pass(heapless::Vec<u8, 8>),
}

/// The IPv4 checksum of VRRP version 3: RFC 5798 was read both ways, so either is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VrrpChecksum {
    /// Over the message alone (RFC 9568 section 5.2.8; Cisco, Juniper).
    #[default]
    Rfc9568,
    /// With the IPv4 pseudo-header (keepalived, old FRR).
    PseudoHeader,
}

/// One virtual router on one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VrrpInstance {
    /// Name in the file, in status and in events.
    pub name: String,
    /// Interface of the advertisements, and of each VIP that names no other.
    pub interface: IfName,
    /// Virtual router identifier.
    pub vrid: Vrid,
    /// Base priority.
    pub priority: Priority,
    /// Advertisement interval, 10 ms..=40.95 s (version 2: whole seconds, 1 s..=255 s).
    pub interval: Duration,
    /// Version on the wire. IPv6 is always [`VrrpVersion::V3`].
    pub version: VrrpVersion,
    /// Version 2 only.
    pub auth: Option<VrrpAuth>,
    /// What is sent, IPv4 version 3 only; `None` = as the peer does, [`VrrpChecksum::Rfc9568`] until one is heard.
    pub checksum: Option<VrrpChecksum>,
    /// Whether a higher priority takes over from a living master.
    pub preempt: bool,
    /// How long a living master of lower priority is left alone all the same, 0..=1000 s.
    pub preempt_delay: Duration,
    /// How long silence does not count after a start or after the link has come up, 0..=1000 s.
    pub start_delay: Duration,
    /// VIPs, at least one, all of one family: they are what is advertised.
    pub addresses: Vec<VirtualAddress>,
    /// Peers to send to in place of the multicast group; empty = multicast.
    pub peers: Vec<IpAddr>,
    /// Source of the advertisements; `None` = primary IPv4 or link-local IPv6 address of the interface.
    pub source: Option<IpAddr>,
    /// Gratuitous ARP / unsolicited NA.
    pub garp: Garp,
    /// What else decides about mastership.
    pub track: Vec<Track>,
    /// Virtual routers with the same word here are master together or not at all; never with priority 255.
    pub group: Option<String>,
}

/// A VIP.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VirtualAddress {
    /// Address and prefix as set on the interface.
    pub cidr: Cidr,
    /// Interface that carries it; `None` = the instance's.
    pub interface: Option<IfName>,
}

/// When and how often a new master announces its VIPs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garp {
    /// Announcements of each VIP at once, 1..=100.
    pub repeat: u8,
    /// Time until the second burst of as many; zero = no second burst.
    pub delay: Duration,
    /// Period of a single announcement while master; zero = none.
    pub refresh: Duration,
    /// Least time between two announcements on one interface.
    pub interval: Duration,
}

impl Default for Garp {
    fn default() -> Self {
        Self {
            repeat: 5,
            delay: Duration::from_secs(5),
            refresh: Duration::from_secs(60),
            interval: Duration::ZERO,
        }
    }
}

/// A tracked object and what its failure does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// What is watched.
    pub target: TrackTarget,
    /// `None`: a failure is a FAULT. Negative: subtracted while failed. Positive: added while healthy. −253..=253, not 0.
    pub weight: Option<i16>,
}

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrackTarget {
    /// Healthy while the interface is up and has carrier.
    Interface(IfName),
    /// Healthy while the service of this name has quorum.
    Service(String),
}
