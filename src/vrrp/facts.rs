//! What the kernel and the other workers say: everything about the outside that decides something here.

use std::collections::BTreeMap;

use super::socket::Place;
use crate::config::model::Look;
use crate::units::{Cidr, IfName, Mac};

/// The outside as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Links by name.
    pub links: BTreeMap<IfName, Link>,
    /// Services that `lvs` has spoken of: whether they have quorum. Who is not here is unknown, and changes nothing.
    pub services: BTreeMap<String, bool>,
    /// Interfaces on which no socket could be opened, and why.
    pub closed: BTreeMap<Place, String>,
}

impl Facts {
    /// The link with this kernel index.
    pub fn link_by_index(&mut self, index: u32) -> Option<&mut Link> {
        self.links.values_mut().find(|link| link.index == index)
    }
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// Kernel index.
    pub index: u32,
    /// Administratively up (IFF_UP).
    pub up: bool,
    /// Has carrier and passes frames (IFF_RUNNING, RFC 2863 operational state up).
    pub running: bool,
    /// Hardware address of an Ethernet-like link.
    pub mac: Option<Mac>,
    /// Forwards IPv6: its neighbour advertisements say that it is a router.
    pub forwards_ipv6: bool,
    /// Addresses in the kernel's order.
    pub addresses: Vec<Address>,
}

/// An address of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Address and prefix.
    pub cidr: Cidr,
    /// Whether it carries the mark of this worker.
    pub ours: bool,
    /// Its label and its scope.
    pub look: Look,
    /// Not tentative and not found to be a duplicate (IPv6).
    pub usable: bool,
}
