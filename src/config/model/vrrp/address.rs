//! What moves with mastership, and where it is told.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::config::model::RouteKind;
use crate::units::{Cidr, IfName, Mac, Refused, Vrid};

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
