//! Virtual routers.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::{IfName, Priority, Vrid};

pub use address::{AddressScope, Look, VirtualAddress, VirtualMac, VirtualRoute, VirtualRule, VrrpPeer};
pub use auth::{HmacAuth, HmacKey, HmacMode, Replay, VrrpAuth};
pub use track::{Probe, ProbeKind, Track, TrackTarget};

mod address;
mod auth;
mod track;

/// VRRP on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum VrrpVersion {
    /// RFC 3768, IPv4 only, whole seconds.
    V2,
    /// RFC 9568.
    V3,
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

/// When and how often a new master announces its VIPs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Garp {
    /// Announcements of each VIP at once, 1..=100.
    pub repeat: u8,
    /// Time until the second burst of as many; zero = no second burst.
    pub delay: Duration,
    /// Period of a single announcement while master; zero = none.
    pub refresh: Duration,
    /// Least time between two announcements on one interface; `None` = by their number.
    pub interval: Option<Duration>,
    /// Announcements of each VIP when somebody else has claimed it, 1..=100.
    pub rival_repeat: u8,
    /// Time until as many again; zero = no second burst.
    pub rival_delay: Duration,
}

impl Default for Garp {
    fn default() -> Self {
        Self {
            repeat: 5,
            delay: Duration::from_secs(5),
            refresh: Duration::from_secs(60),
            interval: None,
            rival_repeat: 5,
            rival_delay: Duration::from_secs(5),
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
