//! The ARP check: a request for the hardware address of a server on a network of this box, or for IPv6 a neighbour
//! solicitation. It finds a server whose firewall drops everything else.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::sockopt::Ipv6RecvHopLimit;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, recv, recvmsg,
    sendto, setsockopt, socket,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;

use super::neighbour::{advertises, reply, request, solicitation, solicited_node};
use super::way::{Way, hardware_address, way};
use super::{Outcome, Reason, Step, Target, reason, socket as prepared};
use crate::sys::async_fd::async_fd;
use crate::sys::packet::link_address;
use crate::units::Mac;

const ARP: u16 = 0x0806;
const EVERYBODY: [u8; 6] = [0xff; 6];
/// What comes from the link itself: no router has passed it on (RFC 4861 section 7.1.2).
const NEAR: i32 = 255;

/// Asks once; success is an answer.
pub async fn probe(target: &Target) -> Outcome {
    ask(target).await.unwrap_or_else(|ended| ended)
}

async fn ask(target: &Target) -> Step<Outcome> {
    let (index, source) = match link(target).await? {
        Way::Here => return Ok(Outcome::Success(Reason::Borrowed("an address of this box"))),
        Way::Routed => {
            return Err(Outcome::Unreachable(Reason::Borrowed(
                "not on a network of this box: packets go by a router",
            )));
        }
        Way::Link { index, source } => (index, target.check.source.or(source)),
    };
    match (target.address.ip(), source) {
        (IpAddr::V4(address), Some(IpAddr::V4(source))) => by_arp(index, source, address).await,
        (IpAddr::V4(_), _) => {
            Err(Outcome::Unreachable(Reason::Borrowed("this box has no address on the server's network")))
        }
        (IpAddr::V6(address), _) => by_discovery(target, index, address).await,
    }
}

/// A link-local address names its link itself.
async fn link(target: &Target) -> Step<Way> {
    match target.address {
        SocketAddr::V6(address) if address.scope_id() != 0 => {
            Ok(Way::Link { index: address.scope_id(), source: None })
        }
        address => Ok(way(address.ip(), target.check.mark).await?),
    }
}

async fn by_arp(index: u32, source: Ipv4Addr, address: Ipv4Addr) -> Step<Outcome> {
    let mac = own(index).await?;
    let (_aside, socket) = on_link(index)?;
    let everybody = link_address(index, ARP, EVERYBODY).ok_or_else(no_link)?;
    let question = request(mac, source, address);
    sendto(socket.get_ref().as_raw_fd(), &question, &everybody, MsgFlags::empty())
        .map_err(io::Error::from)?;
    loop {
        let mut ready = socket.readable().await?;
        let mut buffer = [0; 128];
        match recv(socket.get_ref().as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => {
                if let Some(mac) = reply(buffer.get(..length).unwrap_or_default(), mac, address) {
                    return Ok(Outcome::Success(Reason::Owned(format!("{mac} answers"))));
                }
            }
            Err(Errno::EAGAIN) => ready.clear_ready(),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
}

/// A packet socket that hears ARP on a link, without Ethernet headers, and what closes it.
fn on_link(index: u32) -> Step<(ClosedAside, AsyncFd<OwnedFd>)> {
    // Protocol 0 hears nothing until it is bound to one.
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Packet, SockType::Datagram, flags, None)
        .map_err(|error| reason::opening(&error.into(), "ARP"))?;
    let place = link_address(index, ARP, [0; 6]).ok_or_else(no_link)?;
    bind(socket.as_raw_fd(), &place).map_err(io::Error::from)?;
    let aside = ClosedAside(Some(socket.try_clone()?));
    Ok((aside, async_fd(socket)?))
}

/// The last descriptor of a packet socket, which another thread closes: the kernel has who does that wait for a grace period
/// (packet_release), 10 ms in which no check would be heard.
struct ClosedAside(Option<OwnedFd>);

impl Drop for ClosedAside {
    fn drop(&mut self) {
        if let (Some(descriptor), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            drop(runtime.spawn_blocking(move || drop(descriptor)));
        }
    }
}

async fn own(index: u32) -> Step<Mac> {
    hardware_address(index)
        .await?
        .ok_or(Outcome::Unreachable(Reason::Borrowed("the interface to the server has no hardware address")))
}

fn no_link() -> io::Error {
    io::Error::from(Errno::ENODEV)
}

async fn by_discovery(target: &Target, index: u32, address: Ipv6Addr) -> Step<Outcome> {
    let mac = own(index).await?;
    let socket = Socket::new(Domain::IPV6, Type::RAW.nonblocking().cloexec(), Some(Protocol::ICMPV6))
        .map_err(|error| reason::opening(&error, "neighbour discovery"))?;
    prepared::prepare(&socket, &target.check)?;
    socket.set_multicast_if_v6(index)?;
    socket.set_multicast_hops_v6(255)?;
    socket.bind_device_by_index_v6(std::num::NonZeroU32::new(index))?;
    setsockopt(&socket, Ipv6RecvHopLimit, &true).map_err(io::Error::from)?;
    let everybody = SocketAddrV6::new(solicited_node(address), 0, 0, index);
    socket.send_to(&solicitation(mac, address), &everybody.into())?;
    let socket = async_fd(socket)?;
    loop {
        let mut ready = socket.readable().await?;
        match heard(socket.get_ref(), address) {
            Ok(true) => return Ok(Outcome::Success(Reason::Borrowed("answers"))),
            Ok(false) | Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => ready.clear_ready(),
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
}

/// Whether the next message is the advertisement of `address`, from its own link.
fn heard(socket: &OwnedFd, address: Ipv6Addr) -> Result<bool, Errno> {
    let mut buffer = [0; 256];
    let mut about = nix::cmsg_space!(i32);
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut about), MsgFlags::empty())?;
    let near = message.cmsgs()?.any(|about| matches!(about, ControlMessageOwned::Ipv6HopLimit(NEAR)));
    let length = message.bytes;
    Ok(near && advertises(buffer.get(..length).unwrap_or_default(), address))
}
