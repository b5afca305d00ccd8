//! Virtual routers.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::RouteKind;
use crate::units::{Cidr, IfName, Mac, Priority, Refused, Vrid};

/// VRRP on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum VrrpVersion {
    /// RFC 3768, IPv4 only, whole seconds.
    V2,
    /// RFC 9568.
    V3,
}

/// Authentication of VRRP version 2 (RFC 2338; removed by RFC 3768, still spoken by old peers).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VrrpAuth {
    /// Type 1: up to 8 bytes in clear text, zero padded. Version 2.
    Pass(heapless::Vec<u8, 8>),
    /// Type 2: IP authentication header (RFC 2402) with HMAC-MD5-96, as keepalived uses it; the key is zero padded. Version 2.
    Ah(heapless::Vec<u8, 8>),
    /// A trailer behind the message, as keepalived 2.4 knows it. Either version.
    Hmac(HmacAuth),
}

/// The trailer: HMAC-SHA256-128 with a sequence that begins with the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HmacAuth {
    /// At least one, each identifier once.
    pub keys: Vec<HmacKey>,
    /// Identifier of the key that signs; one of `keys`.
    pub active: u8,
    /// What keeps old messages out.
    pub replay: Replay,
    /// What is demanded and sent.
    pub mode: HmacMode,
}

/// A key of the trailer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HmacKey {
    /// 1..=255, on the wire beside each signature.
    pub id: u8,
    /// 32..=64 bytes.
    pub secret: Vec<u8>,
}

impl std::fmt::Debug for HmacKey {
    /// Without the secret: configurations get printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HmacKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What keeps old messages of the trailer out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Replay {
    /// Growing sequences, and a timestamp that is off by at most so many seconds, 1..=300: needs clocks that agree.
    Time(u16),
    /// Growing sequences alone.
    Monotonic,
}

/// What is demanded and sent of the trailer; the first two are for the days of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HmacMode {
    /// Signs nothing, verifies what is signed.
    ReceiveOnly,
    /// Signs, and accepts what is not signed.
    Permissive,
    /// Signs, and accepts only what is signed.
    Enforce,
}

/// The IPv4 checksum of VRRP version 3: RFC 5798 was read both ways, so either is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VrrpChecksum {
    /// Over the message alone (RFC 9568 section 5.2.8; Cisco, Juniper).
    #[default]
    Rfc9568,
    /// With the IPv4 pseudo-header (keepalived, old FRR).
    PseudoHeader,
}

/// One virtual router on one interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// How long a new process waits for the first word about every service before it may become master, 0..=1000 s.
    pub start_wait: Duration,
    /// More interfaces on which the same advertisements are sent and heard.
    pub heartbeat: Vec<IfName>,
    /// VIPs, at least one, all of one family: they are what is advertised.
    pub addresses: Vec<VirtualAddress>,
    /// VIPs of either family that move with the others and are not advertised.
    pub also: Vec<VirtualAddress>,
    /// Advertisements that may be missed: silence of so many intervals and a skew is the death of the master, 1..=100.
    pub missed: u8,
    /// Routes that are there while this router is master.
    pub routes: Vec<VirtualRoute>,
    /// Rules likewise.
    pub rules: Vec<VirtualRule>,
    /// Peers to send to in place of the multicast group; empty = multicast.
    pub peers: Vec<VrrpPeer>,
    /// TTL or hop limit of what is sent to `peers`, 1..=255.
    pub ttl: u8,
    /// Source of the advertisements; `None` = primary IPv4 or link-local IPv6 address of the interface.
    pub source: Option<IpAddr>,
    /// Gratuitous ARP / unsolicited NA.
    pub garp: Garp,
    /// What else decides about mastership.
    pub track: Vec<Track>,
    /// Virtual routers with the same word here are master together or not at all; never with priority 255.
    pub group: Option<String>,
    /// Whether boxes tell each other of it beside the advertisements.
    pub exchange: bool,
    /// The hardware address that moves with the VIPs; `None` = they are announced under that of the interface.
    pub virtual_mac: Option<VirtualMac>,
}

impl VrrpInstance {
    /// An instance with the defaults of the manual.
    #[must_use]
    pub fn new(name: &str, interface: IfName, vrid: Vrid, addresses: Vec<VirtualAddress>) -> Self {
        Self {
            name: name.to_owned(),
            interface,
            vrid,
            priority: Priority::DEFAULT,
            interval: Duration::from_secs(1),
            version: VrrpVersion::V3,
            auth: None,
            checksum: None,
            preempt: true,
            preempt_delay: Duration::ZERO,
            start_delay: Duration::ZERO,
            start_wait: START_WAIT,
            heartbeat: Vec::new(),
            addresses,
            also: Vec::new(),
            missed: MISSED,
            routes: Vec::new(),
            rules: Vec::new(),
            peers: Vec::new(),
            ttl: u8::MAX,
            source: None,
            garp: Garp::default(),
            track: Vec::new(),
            group: None,
            exchange: true,
            virtual_mac: None,
        }
    }

    /// Every VIP, the advertised ones first.
    pub fn vips(&self) -> impl Iterator<Item = &VirtualAddress> {
        self.addresses.iter().chain(&self.also)
    }

    /// The device that carries `vip`.
    #[must_use]
    pub fn carrier<'a>(&'a self, vip: &'a VirtualAddress) -> &'a IfName {
        let own = self.virtual_mac.as_ref().map_or(&self.interface, |virtual_mac| &virtual_mac.device);
        vip.interface.as_ref().unwrap_or(own)
    }
}

/// Long enough for the first round of any check, short enough for an operator who watches.
pub const START_WAIT: Duration = Duration::from_secs(10);
/// RFC 9568 section 6.1: three intervals.
pub const MISSED: u8 = 3;

/// A hardware address that moves with mastership (RFC 9568 section 7.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualMac {
    /// The device that has it, above the router's interface.
    pub device: IfName,
    /// 00-00-5E-00-01-{VRID}, or 02 in place of 01 where the advertised VIPs are IPv6.
    pub mac: Mac,
    /// Whether advertisements come from it, too.
    pub advertises: bool,
}

impl VirtualMac {
    /// Of a virtual router. The device is named after number and interface, of which the last eight bytes have room.
    ///
    /// # Errors
    /// When that is no name of a device, which names of other than ASCII letters may lead to.
    pub fn new(interface: &IfName, vrid: Vrid, ipv6: bool, advertises: bool) -> Result<Self, Refused> {
        let family = if ipv6 { 6 } else { 4 };
        let tail: Vec<char> = interface.as_str().chars().rev().take(8).collect();
        let tail: String = tail.into_iter().rev().collect();
        let device = format!("v{family}.{vrid}.{tail}").parse()?;
        Ok(Self { device, mac: Mac([0, 0, 0x5e, 0, if ipv6 { 2 } else { 1 }, vrid.get()]), advertises })
    }
}

/// A box that advertisements are sent to in place of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VrrpPeer {
    /// Where it is.
    pub address: IpAddr,
    /// Least TTL or hop limit of what comes from it; 0 = any.
    pub min_ttl: u8,
    /// Greatest; 255 = any.
    pub max_ttl: u8,
}

impl VrrpPeer {
    /// A peer at any distance.
    #[must_use]
    pub const fn new(address: IpAddr) -> Self {
        Self { address, min_ttl: 0, max_ttl: u8::MAX }
    }
}

/// A VIP.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VirtualAddress {
    /// Address and prefix as set on the interface.
    pub cidr: Cidr,
    /// Interface that carries it; `None` = the instance's.
    pub interface: Option<IfName>,
    /// How it is set there.
    pub look: Look,
}

/// A route that moves with mastership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualRoute {
    /// Destination network, host bits zero.
    pub to: Cidr,
    /// Gateway; `None` = directly on `interface`.
    pub via: Option<IpAddr>,
    /// Outgoing interface; `None` = the router's.
    pub interface: Option<IfName>,
    /// Routing table; 254 is the main one.
    pub table: u32,
    /// Smaller wins; 0 = the kernel's default.
    pub metric: u32,
    /// Source of the box's own packets on it.
    pub source: Option<IpAddr>,
    /// What becomes of the packets.
    pub kind: RouteKind,
}

/// A rule that moves with mastership: which packets go by which routing table (ip-rule(8)).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VirtualRule {
    /// Source network.
    pub from: Option<Cidr>,
    /// Destination network.
    pub to: Option<Cidr>,
    /// Interface of arrival.
    pub interface: Option<IfName>,
    /// Firewall mark.
    pub mark: Option<u32>,
    /// Routing table.
    pub table: u32,
    /// Smaller comes first, 1..=32765.
    pub preference: u32,
    /// Whether it is about IPv6.
    pub ipv6: bool,
}

/// How an address is set on its interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Look {
    /// Label for old tools, IPv4 only: at most 15 bytes, beginning with the name of the interface; `None` = that name.
    pub label: Option<heapless::String<15>>,
    /// Scope; [`AddressScope::Global`] unless the file says otherwise.
    pub scope: AddressScope,
}

impl From<Cidr> for VirtualAddress {
    fn from(cidr: Cidr) -> Self {
        Self { cidr, interface: None, look: Look::default() }
    }
}

/// How far an address is valid (ip-address(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum AddressScope {
    /// Everywhere.
    #[default]
    Global,
    /// On this link: never the source towards other networks.
    Link,
    /// In this box.
    Host,
}

/// When and how often a new master announces its VIPs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// What is watched.
    pub target: TrackTarget,
    /// `None`: a failure is a FAULT. Negative: subtracted while failed. Positive: added while healthy. −253..=253, not 0.
    pub weight: Option<i16>,
}

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrackTarget {
    /// Healthy while the interface is up and has carrier.
    Interface(IfName),
    /// Healthy while the service of this name has quorum.
    Service(String),
    /// Healthy while it answers.
    Probe(Probe),
    /// A number in this file counts as often as `weight` says; without one, anything but 0 is a failure.
    File(String),
}

/// Something that is asked again and again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Probe {
    /// What is asked.
    pub kind: ProbeKind,
    /// From one question to the next, 100 ms..=1 h.
    pub interval: Duration,
    /// How long an answer may take, no longer than the interval.
    pub timeout: Duration,
    /// Consecutive failures until it counts as failed, 1..=100.
    pub fall: u8,
    /// Consecutive successes until it counts as healthy again, 1..=100.
    pub rise: u8,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ProbeKind {
    /// An ICMP echo of this address.
    Ping(IpAddr),
    /// Its hardware address: ARP, or neighbour discovery for IPv6.
    Arp {
        /// Of whom.
        address: IpAddr,
        /// Where a link-local address is looked for.
        interface: Option<IfName>,
    },
    /// A program: exit status 0 is healthy.
    Exec {
        /// Absolute path.
        command: String,
        /// Its arguments.
        args: Vec<String>,
    },
}

impl std::fmt::Display for ProbeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ping(address) | Self::Arp { address, .. } => write!(f, "gateway {address}"),
            Self::Exec { command, .. } => write!(f, "program {command}"),
        }
    }
}

/// The IPVS synchronisation daemons (ipvsadm(8), `--start-daemon`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sync {
    /// Where connections are sent and heard.
    pub interface: IfName,
    /// Only daemons with the same number talk, 0..=255.
    pub id: u8,
    /// The multicast group.
    pub group: IpAddr,
    /// UDP port.
    pub port: u16,
    /// TTL or hop limit, 1..=255.
    pub ttl: u8,
    /// Longest message in bytes; `None` = by the MTU.
    pub max_length: Option<u16>,
    /// Send only while this virtual router is master here, hear only while it is not; `None` = both, always.
    pub follow: Option<String>,
}
