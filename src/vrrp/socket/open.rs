//! Sockets for advertisements, each on one interface (RFC 9568 section 5.1: TTL, group, protocol).

use std::io;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use super::super::ah::PROTOCOL_AH;
use super::super::packet::{GROUP_V4, GROUP_V6, PROTOCOL, TTL};
use crate::units::IfName;

/// Internetwork control (RFC 4594 section 3.1), as keepalived sends it.
const TRAFFIC_CLASS: u32 = 0xc0;
/// Enough for a second of advertisements at 10 ms from a whole segment while we sleep.
const RECEIVE_BUFFER: usize = 1 << 20;
/// What the kernel counts for the smallest message at least: the buffer's descriptor and its shared part alone are more (SKB_TRUESIZE in
/// include/linux/skbuff.h).
const A_MESSAGE: usize = 512;

/// `protocol` over IPv4.
pub(super) fn v4(interface: &IfName, index: u32, protocol: u8) -> io::Result<Socket> {
    let socket = open(Domain::IPV4, interface, protocol)?;
    socket.set_ttl_v4(TTL.into())?;
    socket.set_tos_v4(TRAFFIC_CLASS)?;
    socket.set_multicast_ttl_v4(TTL.into())?;
    socket.set_multicast_loop_v4(false)?;
    socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(index))?;
    Ok(socket)
}

/// Delivers every authentication header of the interface, and sends datagrams as they are.
pub(super) fn ah(interface: &IfName, index: u32) -> io::Result<Socket> {
    let socket = v4(interface, index, PROTOCOL_AH)?;
    socket.set_header_included_v4(true)?;
    Ok(socket)
}

/// VRRP over IPv6.
pub(super) fn v6(interface: &IfName, index: u32) -> io::Result<Socket> {
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

/// How many messages wait in a socket at most.
pub(super) fn room(socket: &Socket) -> usize {
    socket.recv_buffer_size().unwrap_or(2 * RECEIVE_BUFFER) / A_MESSAGE + 1
}

fn open(domain: Domain, interface: &IfName, protocol: u8) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(protocol))))?;
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(interface.as_str().as_bytes()))?;
    // As much as the system allows is enough where this is refused.
    let _ = setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER);
    Ok(socket)
}
