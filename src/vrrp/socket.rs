//! Raw sockets: one for each interface and family for advertisements, one packet socket for announcements.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, SockaddrIn, SockaddrIn6, sendmsg, sendto,
    socket,
};
use socket2::Socket;
use tokio::io::unix::AsyncFd;

use super::facts::Link;
use super::packet::{Envelope, PROTOCOL, Reject};
use super::seal::Form;
use super::track::is_ipv6;
use crate::config::model::{VrrpAuth, VrrpInstance};
use crate::sys::async_fd::async_fd;
use crate::sys::packet::link_address;
use crate::units::IfName;

use backlog::{A_TURN, AT_ONCE, Backlog};
use read::{DATAGRAM, Found, read};

mod backlog;
mod open;
mod read;

/// Sockets that are told of at once: no more than have their share of a turn. Of more the kernel tells in turns.
const EVENTS: usize = A_TURN / AT_ONCE;

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
    backlog: Backlog,
}

#[derive(Debug)]
struct Advertiser {
    socket: Socket,
    index: u32,
    key: u64,
    /// How many messages may wait in it.
    room: usize,
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
        let backlog = Backlog::new(Instant::now());
        Ok(Self { sockets: BTreeMap::new(), epoll, ready, announcer, next: 0, backlog })
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
            Channel::V4 => open::v4(&place.0, index, PROTOCOL)?,
            Channel::Ah => open::ah(&place.0, index)?,
            Channel::V6 => open::v6(&place.0, index)?,
        };
        let key = self.next;
        self.next += 1;
        self.epoll.add(socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, key))?;
        let room = open::room(&socket);
        self.sockets.insert(place.clone(), Advertiser { socket, index, key, room });
        Ok(())
    }

    /// Waits until something has come in. Cancel safe.
    ///
    /// # Errors
    /// When the event loop fails.
    pub async fn readable(&self) -> io::Result<()> {
        if !self.backlog.is_empty() {
            // No event tells of what is there already.
            tokio::task::consume_budget().await;
            return Ok(());
        }
        self.ready.readable().await.map(|mut guard| guard.retain_ready())
    }

    /// Hands over what waits in the sockets, a little from each in turns, and at most so much that the timers get theirs. Gives the
    /// places that hold more, and up to when each was read: silence there is not known to be any later.
    pub fn receive(&mut self, mut take: impl FnMut(&IfName, Arrival<'_>)) -> BTreeMap<Place, Instant> {
        let mut left = A_TURN;
        while left > 0 {
            let begun = Instant::now();
            let waiting = self.waiting();
            if waiting.is_empty() {
                // Nothing more: the next datagram is an event for tokio again.
                if let Ok(Some(mut guard)) = self.try_readable() {
                    guard.clear_ready();
                }
                // What came between the two calls would be missed.
                if self.waiting().is_empty() {
                    self.backlog.end_turn(begun, &[]);
                    return BTreeMap::new();
                }
            }
            for key in waiting {
                let (taken, emptied) = self.receive_some(key, left.min(AT_ONCE), &mut take);
                self.backlog.took(key, taken, emptied);
                // A look costs something even where it finds nothing.
                left = left.saturating_sub(taken + usize::from(emptied));
            }
        }
        let begun = Instant::now();
        let mut events = vec![EpollEvent::empty(); self.sockets.len().max(1)];
        let count = self.epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        let room = |key: u64| Some((key, self.sockets.values().find(|s| s.key == key)?.room));
        let holds_more = events.iter().take(count).filter_map(|event| room(event.data()));
        self.backlog.end_turn(begun, &holds_more.collect::<Vec<_>>());
        let behind = |(place, socket): (&Place, &Advertiser)| {
            Some((place.clone(), self.backlog.read_until(socket.key)?))
        };
        self.sockets.iter().filter_map(behind).collect()
    }

    /// Some of the sockets in which something waits; others the next time.
    fn waiting(&self) -> heapless::Vec<u64, EVENTS> {
        let mut events = [EpollEvent::empty(); EVENTS];
        let count = self.epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        events.iter().take(count).map(EpollEvent::data).collect()
    }

    /// Hands over at most so many messages of a socket. Gives how many there were, and whether it is empty.
    fn receive_some(
        &self,
        key: u64,
        most: usize,
        take: &mut impl FnMut(&IfName, Arrival<'_>),
    ) -> (usize, bool) {
        let mut buffer = [0_u8; DATAGRAM];
        let Some((place, socket)) = self.sockets.iter().find(|(_, socket)| socket.key == key) else {
            return (0, true);
        };
        for taken in 0..most {
            match read(&socket.socket, place.1 == Channel::V6, &mut buffer) {
                Found::Message(arrival) => take(&place.0, arrival),
                Found::Foreign => {}
                Found::Nothing => return (taken, true),
            }
        }
        (most, false)
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
        let Some(advertiser) = self.sockets.get(&(interface.clone(), channel)) else {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        };
        match ends {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                // A whole datagram has its own TTL.
                let ttl = (form != Form::Datagram).then_some(ttl);
                advertiser.send_v4(source, destination, ttl, packet)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                advertiser.send_v6(source, destination, ttl, packet)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT))
            }
        }
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

impl Advertiser {
    fn send_v4(
        &self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        ttl: Option<u8>,
        packet: &[u8],
    ) -> io::Result<()> {
        let info = libc::in_pktinfo {
            ipi_ifindex: libc::c_int::try_from(self.index).unwrap_or(0),
            ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) },
            ipi_addr: libc::in_addr { s_addr: 0 },
        };
        let to = SockaddrIn::from(SocketAddrV4::new(destination, 0));
        let hops = libc::c_int::from(ttl.unwrap_or_default());
        let about = [ControlMessage::Ipv4PacketInfo(&info), ControlMessage::Ipv4Ttl(&hops)];
        let about = if ttl.is_some() { &about } else { about.get(..1).unwrap_or_default() };
        let flags = MsgFlags::MSG_DONTWAIT;
        sendmsg(self.socket.as_raw_fd(), &[IoSlice::new(packet)], about, flags, Some(&to))?;
        Ok(())
    }

    fn send_v6(&self, source: Ipv6Addr, destination: Ipv6Addr, hops: u8, packet: &[u8]) -> io::Result<()> {
        let info = libc::in6_pktinfo {
            ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
            ipi6_ifindex: self.index,
        };
        let to = SockaddrIn6::from(SocketAddrV6::new(destination, 0, 0, self.index));
        let hops = libc::c_int::from(hops);
        let about = [ControlMessage::Ipv6PacketInfo(&info), ControlMessage::Ipv6HopLimit(&hops)];
        let flags = MsgFlags::MSG_DONTWAIT;
        sendmsg(self.socket.as_raw_fd(), &[IoSlice::new(packet)], &about, flags, Some(&to))?;
        Ok(())
    }
}
