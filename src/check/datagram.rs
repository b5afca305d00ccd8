//! Sockets of the checks that ask by datagrams: UDP, ICMP.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use nix::sys::socket::{MsgFlags, recv, setsockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::{Step, Target, reason, socket};

/// Largest datagram that there is, with its headers.
pub const LARGEST: usize = 65_535;

/// A UDP socket that talks with the target alone. What ICMP says about it, the next call returns as an error.
///
/// # Errors
/// The outcome of the probe when there is no way to the target.
pub fn udp(target: &Target) -> Step<UdpSocket> {
    let socket = connected(target, target.address, Type::DGRAM, Protocol::UDP)?;
    Ok(UdpSocket::from_std(socket.into())?)
}

/// A raw socket for ICMP that hears the target alone, and errors about it as [`udp`] does.
///
/// # Errors
/// The outcome of the probe without CAP_NET_RAW, or when there is no way to the target.
pub fn icmp(target: &Target) -> Step<Socket> {
    let mut address = target.address;
    address.set_port(0);
    let protocol = if address.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    connected(target, address, Type::RAW, protocol)
}

/// What a socket is waited for: a datagram, or an error alone, which the event loop does not take for something to read.
pub const ANSWER: Interest = Interest::READABLE.add(Interest::ERROR);

/// Receives one datagram into a buffer of its own.
///
/// # Errors
/// What recv(2) returns, ICMP errors among it.
pub async fn receive(socket: &UdpSocket) -> io::Result<Vec<u8>> {
    socket
        .async_io(ANSWER, || {
            let mut buffer = vec![0; LARGEST];
            let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            buffer.truncate(length);
            Ok(buffer)
        })
        .await
}

fn connected(target: &Target, address: SocketAddr, kind: Type, protocol: Protocol) -> Step<Socket> {
    let name = if kind == Type::RAW { "ICMP" } else { "UDP" };
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking().cloexec(), Some(protocol))
        .map_err(|error| reason::opening(&error, name))?;
    // Without it a connected socket hears of closed ports only, not of routers that know no way (ip(7)).
    match address.ip() {
        IpAddr::V4(_) => setsockopt(&socket, Ipv4RecvErr, &true),
        IpAddr::V6(_) => setsockopt(&socket, Ipv6RecvErr, &true),
    }
    .map_err(io::Error::from)?;
    socket::prepare(&socket, &target.check)?;
    socket.connect(&address.into())?;
    Ok(socket)
}
