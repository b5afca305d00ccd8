//! Raw sockets: one for each interface and family for advertisements, one packet socket for announcements.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrIn,
    SockaddrIn6, recv, recvmsg, sendmsg, sendto, setsockopt, socket, sockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::ah::PROTOCOL_AH;
use super::facts::Link;
use super::packet::{Envelope, GROUP_V4, GROUP_V6, PROTOCOL, Reject, TTL, is_foreign, split_ipv4};
use super::seal::Form;
use super::track::is_ipv6;
use crate::config::model::{VrrpAuth, VrrpInstance};
use crate::sys::async_fd::async_fd;
use crate::sys::packet::link_address;
use crate::units::IfName;

/// Internetwork control (RFC 4594 section 3.1), as keepalived sends it.
const TRAFFIC_CLASS: u32 = 0xc0;
/// Longest advertisement (8 + 255 × 16) with the longest IPv4 header.
const DATAGRAM: usize = 8 + 255 * 16 + 60;
/// Messages taken in one turn: a flood does not keep the timers from their work.
const MESSAGES_A_TURN: usize = 256;
/// Enough for a second of advertisements at 10 ms from a whole segment while we sleep.
const RECEIVE_BUFFER: usize = 1 << 20;

/// What a socket speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// VRRP over IPv4.
    V4,
    /// VRRP over IPv6.
    V6,
    /// VRRP behind an authentication header, over IPv4.
    Ah,
}

/// Where a socket is, and what it speaks.
pub type Place = (IfName, Channel);

/// What an instance speaks. One with an authentication header also hears those that do without, to say so.
#[must_use]
pub fn channels(config: &VrrpInstance) -> &'static [Channel] {
    match (is_ipv6(config), &config.auth) {
        (true, _) => &[Channel::V6],
        (false, Some(VrrpAuth::Ah(_))) => &[Channel::V4, Channel::Ah],
        (false, _) => &[Channel::V4],
    }
}

/// The sockets that an instance uses: a heartbeat may be missing.
pub fn places(config: &VrrpInstance) -> impl Iterator<Item = Place> + '_ {
    let interfaces = std::iter::once(&config.interface).chain(&config.heartbeat);
    interfaces.flat_map(|interface| channels(config).iter().map(|channel| (interface.clone(), *channel)))
}

/// A message, or from whom something came that could not be taken apart, and why.
pub type Arrival<'a> = Result<(Envelope, &'a [u8]), (IpAddr, Reject)>;

/// Every socket of the worker, and one thing to wait for.
#[derive(Debug)]
pub struct Wire {
    sockets: BTreeMap<Place, Advertiser>,
    epoll: Epoll,
    ready: AsyncFd<OwnedFd>,
    announcer: OwnedFd,
    next: u64,
}

#[derive(Debug)]
struct Advertiser {
    socket: Socket,
    index: u32,
    key: u64,
}

impl Wire {
    /// No sockets for advertisements yet. Needs a tokio runtime.
    ///
    /// # Errors
    /// Without CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let ready = async_fd(epoll.0.try_clone()?)?;
        // Protocol 0: sends, and receives nothing.
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let announcer = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
        Ok(Self { sockets: BTreeMap::new(), epoll, ready, announcer, next: 0 })
    }

    /// Opens what is needed and missing, closes what is not needed or whose interface was replaced by another. Gives the
    /// places where that failed, and why. A place whose interface does not exist is no failure here.
    pub fn sync(
        &mut self,
        needed: &BTreeSet<Place>,
        links: &BTreeMap<IfName, Link>,
    ) -> BTreeMap<Place, String> {
        let index = |place: &Place| links.get(&place.0).map(|link| link.index);
        let gone: Vec<Place> = self
            .sockets
            .iter()
            .filter(|(place, socket)| !needed.contains(*place) || index(place) != Some(socket.index))
            .map(|(place, _)| place.clone())
            .collect();
        for place in gone {
            if let Some(old) = self.sockets.remove(&place) {
                let _ = self.epoll.delete(old.socket.as_fd());
            }
        }
        let mut failed = BTreeMap::new();
        for place in
            needed.iter().filter(|place| !self.sockets.contains_key(*place)).cloned().collect::<Vec<_>>()
        {
            let Some(index) = index(&place) else { continue };
            if let Err(error) = self.add(&place, index) {
                failed.insert(place.clone(), format!("cannot open a VRRP socket on {}: {error}", place.0));
            }
        }
        failed
    }

    fn add(&mut self, place: &Place, index: u32) -> io::Result<()> {
        let socket = match place.1 {
            Channel::V4 => open_v4(&place.0, index, PROTOCOL)?,
            Channel::Ah => open_ah(&place.0, index)?,
            Channel::V6 => open_v6(&place.0, index)?,
        };
        let key = self.next;
        self.next += 1;
        self.epoll.add(socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, key))?;
        self.sockets.insert(place.clone(), Advertiser { socket, index, key });
        Ok(())
    }

    /// Waits until something has come in. Cancel safe.
    ///
    /// # Errors
    /// When the event loop fails.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready.readable().await.map(|mut guard| guard.retain_ready())
    }

    /// Hands over what waits in the sockets, at most so much that the timers get their turn.
    pub fn receive(&self, mut take: impl FnMut(&IfName, Arrival<'_>)) {
        let mut buffer = [0_u8; DATAGRAM];
        let mut left = MESSAGES_A_TURN;
        while left > 0 {
            let mut events = [EpollEvent::empty(); 16];
            let count = self.epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
            if count == 0 {
                // Nothing more: the next datagram is an event for tokio again.
                if let Ok(Some(mut guard)) = self.try_readable() {
                    guard.clear_ready();
                }
                // What came between the two calls would be missed.
                if self.epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0) == 0 {
                    return;
                }
            }
            for event in events.iter().take(count) {
                let Some((place, socket)) = self.sockets.iter().find(|(_, s)| s.key == event.data()) else {
                    continue;
                };
                while left > 0
                    && let Some(arrival) = read(&socket.socket, place.1 == Channel::V6, &mut buffer)
                {
                    left -= 1;
                    take(&place.0, arrival);
                }
            }
        }
    }

    fn try_readable(&self) -> io::Result<Option<tokio::io::unix::AsyncFdReadyGuard<'_, OwnedFd>>> {
        use futures_util::FutureExt;
        self.ready.readable().now_or_never().transpose()
    }

    /// Sends an advertisement from the first of `ends` to the second.
    ///
    /// # Errors
    /// There is no socket on the interface, or the kernel refuses.
    pub fn send(
        &self,
        interface: &IfName,
        ends: (IpAddr, IpAddr),
        ttl: u8,
        form: Form,
        packet: &[u8],
    ) -> io::Result<()> {
        let channel = match (form, ends.0) {
            (Form::Datagram, _) => Channel::Ah,
            (Form::Message, IpAddr::V4(_)) => Channel::V4,
            (Form::Message | Form::Frame, IpAddr::V6(_)) => Channel::V6,
            (Form::Frame, IpAddr::V4(_)) => Channel::V4,
        };
        let place = (interface.clone(), channel);
        let hops = libc::c_int::from(ttl);
        let Some(Advertiser { socket, index, .. }) = self.sockets.get(&place) else {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        };
        let fd = socket.as_raw_fd();
        let data = [IoSlice::new(packet)];
        let flags = MsgFlags::MSG_DONTWAIT;
        match ends {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: libc::c_int::try_from(*index).unwrap_or(0),
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                let to = SockaddrIn::from(SocketAddrV4::new(destination, 0));
                let about = [ControlMessage::Ipv4PacketInfo(&info), ControlMessage::Ipv4Ttl(&hops)];
                // A whole datagram has its own TTL.
                let about = if form == Form::Datagram { about.get(..1).unwrap_or_default() } else { &about };
                sendmsg(fd, &data, about, flags, Some(&to))?;
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
                    ipi6_ifindex: *index,
                };
                let to = SockaddrIn6::from(SocketAddrV6::new(destination, 0, 0, *index));
                let about = [ControlMessage::Ipv6PacketInfo(&info), ControlMessage::Ipv6HopLimit(&hops)];
                sendmsg(fd, &data, &about, flags, Some(&to))?;
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                return Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT));
            }
        }
        Ok(())
    }

    /// Sends an Ethernet frame as it is.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn announce(&self, index: u32, frame: &[u8]) -> io::Result<()> {
        let destination = frame.first_chunk().copied().unwrap_or([0xff; 6]);
        let Some(to) = link_address(index, 0, destination) else {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        };
        sendto(self.announcer.as_raw_fd(), frame, &to, MsgFlags::MSG_DONTWAIT)?;
        Ok(())
    }
}

fn open(domain: Domain, interface: &IfName, protocol: u8) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(protocol))))?;
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(interface.as_str().as_bytes()))?;
    // As much as the system allows is enough where this is refused.
    let _ = setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER);
    Ok(socket)
}

/// Delivers every authentication header of the interface, and sends datagrams as they are.
fn open_ah(interface: &IfName, index: u32) -> io::Result<Socket> {
    let socket = open_v4(interface, index, PROTOCOL_AH)?;
    socket.set_header_included_v4(true)?;
    Ok(socket)
}

fn open_v4(interface: &IfName, index: u32, protocol: u8) -> io::Result<Socket> {
    let socket = open(Domain::IPV4, interface, protocol)?;
    socket.set_ttl_v4(TTL.into())?;
    socket.set_tos_v4(TRAFFIC_CLASS)?;
    socket.set_multicast_ttl_v4(TTL.into())?;
    socket.set_multicast_loop_v4(false)?;
    socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(index))?;
    Ok(socket)
}

fn open_v6(interface: &IfName, index: u32) -> io::Result<Socket> {
    let socket = open(Domain::IPV6, interface, PROTOCOL)?;
    socket.set_unicast_hops_v6(TTL.into())?;
    socket.set_tclass_v6(TRAFFIC_CLASS)?;
    socket.set_multicast_hops_v6(TTL.into())?;
    socket.set_multicast_loop_v6(false)?;
    socket.set_multicast_if_v6(index)?;
    socket.join_multicast_v6(&GROUP_V6, index)?;
    setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
    Ok(socket)
}

/// One datagram; `None` when there is no more.
fn read<'a>(socket: &Socket, ipv6: bool, buffer: &'a mut [u8; DATAGRAM]) -> Option<Arrival<'a>> {
    loop {
        let arrived = if ipv6 { read_v6(socket, buffer) } else { read_v4(socket, buffer) };
        match arrived {
            Err(Errno::EINTR) => {}
            // Nothing more, or an error of the link that the next look at it will show.
            Err(_) => return None,
            Ok((Some(envelope), length)) => {
                return Some(Ok((envelope, buffer.get(..length).unwrap_or_default())));
            }
            Ok((None, length)) => {
                if is_foreign(buffer.get(..length).unwrap_or_default()) {
                    continue;
                }
                let datagram = buffer.get(..length).unwrap_or_default();
                return Some(split_ipv4(datagram).map_err(|reject| (IpAddr::from([0, 0, 0, 0]), reject)));
            }
        }
    }
}

/// A raw IPv4 socket delivers the header with the message.
fn read_v4(socket: &Socket, buffer: &mut [u8]) -> nix::Result<(Option<Envelope>, usize)> {
    recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT).map(|length| (None, length))
}

/// A raw IPv6 socket delivers the message; what the header said comes beside it.
fn read_v6(socket: &Socket, buffer: &mut [u8]) -> nix::Result<(Option<Envelope>, usize)> {
    let mut control = nix::cmsg_space!(libc::in6_pktinfo, libc::c_int);
    let mut data = [IoSliceMut::new(buffer)];
    let message =
        recvmsg::<SockaddrIn6>(socket.as_raw_fd(), &mut data, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
    let source = message.address.map_or(std::net::Ipv6Addr::UNSPECIFIED, |from| from.ip());
    let mut envelope = Envelope::new(source.into(), IpAddr::V6(GROUP_V6), 0);
    for part in message.cmsgs()? {
        match part {
            ControlMessageOwned::Ipv6HopLimit(limit) => envelope.ttl = u8::try_from(limit).unwrap_or(0),
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                envelope.destination = IpAddr::from(info.ipi6_addr.s6_addr);
            }
            _ => {}
        }
    }
    Ok((Some(envelope), message.bytes))
}
