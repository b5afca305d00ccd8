//! Links and addresses of the kernel: dumps, and VIPs set and taken off.
//!
//! Netlink is synchronous: when a send returns the kernel has done what it was asked, and the answer lies in the receive
//! buffer. What takes time is the kernel's lock, so this is used by the thread of [`super::apply`] alone once the loop runs.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REQUEST};
use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol,
    AddressScope as KernelScope, CacheInfo,
};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::facts::{Address, Link};
use super::macvlan;
use super::vips::Op;
use crate::config::model::{AddressScope, Look};
use crate::owner;
use crate::sys::netlink::short_errors;
use crate::units::{Cidr, IfName, Mac};

/// How often a dump that changed under our hands is repeated.
const ATTEMPTS: u32 = 5;

/// A connection to the kernel's tables of links and addresses.
pub struct Kernel {
    socket: Socket,
    sequence: u32,
}

impl Kernel {
    /// Opens a connection in the network namespace of this thread.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Answers are there at once; the limit is for a kernel that owes us one.
        setsockopt(&socket.as_fd(), sockopt::ReceiveTimeout, &TimeVal::seconds(1))?;
        // Only what is read of an error is asked for; an old kernel sends more.
        let _ = short_errors(&socket);
        Ok(Self { socket, sequence: 0 })
    }

    /// Every link, with its addresses.
    ///
    /// # Errors
    /// When the kernel refuses, or the tables do not stand still.
    pub fn links(&mut self) -> io::Result<BTreeMap<IfName, Link>> {
        let mut links = BTreeMap::new();
        for message in self.dump(|| RouteNetlinkMessage::GetLink(LinkMessage::default()))? {
            if let RouteNetlinkMessage::NewLink(message) = message
                && let Some((name, link)) = read_link(&message)
            {
                links.insert(name, link);
            }
        }
        let names: BTreeMap<u32, IfName> =
            links.iter().map(|(name, link): (&IfName, &Link)| (link.index, name.clone())).collect();
        for message in self.dump(|| RouteNetlinkMessage::GetAddress(AddressMessage::default()))? {
            if let RouteNetlinkMessage::NewAddress(message) = message
                && let Some(link) = names.get(&message.header.index).and_then(|name| links.get_mut(name))
                && let Some(address) = read_address(&message, names.get(&message.header.index))
            {
                link.addresses.push(address);
            }
        }
        Ok(links)
    }

    /// Sets or takes off a VIP on the link `index`. That it is so already is success.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn apply(&mut self, op: &Op, index: u32) -> io::Result<()> {
        match op {
            Op::Add { cidr, look, .. } => {
                let message = RouteNetlinkMessage::NewAddress(vip_message(index, *cidr, look));
                match self.request(message, NLM_F_CREATE | NLM_F_EXCL) {
                    Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
                    other => other,
                }
            }
            Op::Remove { cidr, .. } => {
                let message = RouteNetlinkMessage::DelAddress(address_message(index, *cidr));
                match self.request(message, 0) {
                    Err(error)
                        if matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) =>
                    {
                        Ok(())
                    }
                    other => other,
                }
            }
            Op::Create { interface, parent, mac } => self.create_device(interface, (parent, index), *mac),
            Op::Raise { up, .. } => self.raise_device(index, *up),
            Op::Delete { .. } => self.delete_device(index),
        }
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map(drop)
    }

    pub(super) fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.send(message, flags | NLM_F_ACK)?;
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            for answer in messages(&datagram).filter(|m| m.header.sequence_number == self.sequence) {
                if let NetlinkPayload::Error(error) = answer.payload {
                    return if error.code.is_none() { Ok(()) } else { Err(error.to_io()) };
                }
            }
        }
    }

    pub(super) fn dump(
        &mut self,
        question: impl Fn() -> RouteNetlinkMessage,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        for _ in 0..ATTEMPTS {
            self.send(question(), NLM_F_DUMP)?;
            if let Some(answers) = self.collect()? {
                return Ok(answers);
            }
        }
        Err(io::Error::other("the table changed during each attempt to read it"))
    }

    /// The answers to a dump; `None` when the kernel says that they do not fit together.
    fn collect(&mut self) -> io::Result<Option<Vec<RouteNetlinkMessage>>> {
        let mut answers = Vec::new();
        let mut steady = true;
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            for answer in messages(&datagram).filter(|m| m.header.sequence_number == self.sequence) {
                steady &= answer.header.flags & NLM_F_DUMP_INTR == 0;
                match answer.payload {
                    NetlinkPayload::InnerMessage(message) => answers.push(message),
                    NetlinkPayload::Done(_) => return Ok(steady.then_some(answers)),
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                    _ => {}
                }
            }
        }
    }
}

/// The messages of a datagram; one that this library cannot read is left out, not the rest.
fn messages(datagram: &[u8]) -> impl Iterator<Item = NetlinkMessage<RouteNetlinkMessage>> + '_ {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        loop {
            let length = usize::try_from(u32::from_ne_bytes(*rest.first_chunk()?)).ok()?;
            let message = rest.get(..length.max(16))?;
            rest = rest.get(length.max(16).next_multiple_of(4)..).unwrap_or_default();
            if let Ok(message) = NetlinkMessage::deserialize(message) {
                return Some(message);
            }
        }
    })
}

fn read_link(message: &LinkMessage) -> Option<(IfName, Link)> {
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        up: flags.contains(LinkFlags::Up),
        running: flags.contains(LinkFlags::Running) && flags.contains(LinkFlags::LowerUp),
        ..Link::default()
    };
    let (mut name, mut marked, mut macvlan) = (None, false, false);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = text.parse().ok(),
            LinkAttribute::Address(octets) if message.header.link_layer_type == LinkLayerType::Ether => {
                link.mac = octets.as_slice().try_into().ok().map(Mac);
            }
            LinkAttribute::Link(index) => link.parent = Some(*index),
            LinkAttribute::Group(group) => marked = *group == macvlan::MARK,
            LinkAttribute::LinkInfo(infos) => macvlan = infos.contains(&LinkInfo::Kind(InfoKind::MacVlan)),
            LinkAttribute::AfSpecUnspec(families) => {
                link.forwards_ipv6 = families.iter().any(forwards_ipv6);
            }
            _ => {}
        }
    }
    link.ours = marked && macvlan;
    Some((name?, link))
}

fn forwards_ipv6(family: &AfSpecUnspec) -> bool {
    match family {
        AfSpecUnspec::Inet6(settings) => settings
            .iter()
            .any(|setting| matches!(setting, AfSpecInet6::DevConf(conf) if conf.forwarding != 0)),
        _ => false,
    }
}

fn read_address(message: &AddressMessage, interface: Option<&IfName>) -> Option<Address> {
    let mut look = Look { label: None, scope: scope(message) };
    let (mut local, mut far, mut ours) = (None, None, false);
    let mut flags = AddressFlags::from_bits_retain(message.header.flags.bits().into());
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => far = Some(*address),
            AddressAttribute::Protocol(protocol) => ours = u8::from(*protocol) == owner::VRRP,
            AddressAttribute::Flags(all) => flags = *all,
            AddressAttribute::Label(label) if interface.is_none_or(|name| name.as_str() != label) => {
                look.label = label.as_str().try_into().ok();
            }
            _ => {}
        }
    }
    // Of a point-to-point link `Address` is the far end.
    let cidr = Cidr { address: local.or(far)?, prefix: message.header.prefix_len };
    let tentative = flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic);
    Some(Address { cidr, ours, look, usable: !tentative && !flags.contains(AddressFlags::Dadfailed) })
}

/// The kernel gives IPv6 addresses the scope that they have by themselves, whatever it was asked for.
const fn scope(message: &AddressMessage) -> AddressScope {
    match (message.header.family, message.header.scope) {
        (AddressFamily::Inet, KernelScope::Link) => AddressScope::Link,
        (AddressFamily::Inet, KernelScope::Host) => AddressScope::Host,
        _ => AddressScope::Global,
    }
}

fn address_message(index: u32, cidr: Cidr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = if cidr.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = cidr.prefix;
    message.header.index = index;
    message.attributes = vec![AddressAttribute::Local(cidr.address), AddressAttribute::Address(cidr.address)];
    message
}

/// A VIP with our mark. IPv6: no duplicate detection, for it takes a second and the old master may still be there; and
/// never a source of the box's own connections, which would end with mastership.
fn vip_message(index: u32, cidr: Cidr, look: &Look) -> AddressMessage {
    let mut message = address_message(index, cidr);
    message.header.scope = match look.scope {
        AddressScope::Global => KernelScope::Universe,
        AddressScope::Link => KernelScope::Link,
        AddressScope::Host => KernelScope::Host,
    };
    if let Some(label) = &look.label {
        message.attributes.push(AddressAttribute::Label(label.as_str().to_owned()));
    }
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::from(owner::VRRP)));
    if cidr.address.is_ipv6() {
        message.header.flags |= AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        if cidr.prefix == 128 {
            let mut life = CacheInfo::default();
            life.ifa_preferred = 0;
            life.ifa_valid = u32::MAX;
            message.attributes.push(AddressAttribute::CacheInfo(life));
        }
    }
    message
}
