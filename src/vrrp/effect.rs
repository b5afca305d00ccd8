//! What the pure part of the worker asks of the outside.

use std::net::IpAddr;

use crate::ipc::message::Event;
use crate::units::{IfName, Mac};

use super::packet::Packet;
use super::seal::Form;

/// One thing to do, in the order of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send an advertisement.
    Send {
        /// Whose.
        instance: String,
        /// Through which interface.
        interface: IfName,
        /// From which address.
        source: IpAddr,
        /// To the group or a peer.
        destination: IpAddr,
        /// TTL or hop limit.
        ttl: u8,
        /// What `packet` is.
        form: Form,
        /// The hardware address that it comes from; `None` = the interface's.
        mac: Option<Mac>,
        /// The bytes.
        packet: Box<Packet>,
    },
    /// Make the VIPs in the kernel agree with [`super::engine::Engine::desired`].
    Addresses,
    /// Announce a VIP by gratuitous ARP or unsolicited NA.
    Announce {
        /// Interface that carries it.
        interface: IfName,
        /// The VIP.
        vip: IpAddr,
    },
    /// Something that the next life should know has changed.
    Remember,
    /// Tell log and subscribers of a new state.
    State(Event),
}
