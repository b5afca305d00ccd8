//! What comes in on a socket for advertisements.

use std::io::IoSliceMut;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recv, recvmsg};
use socket2::Socket;

use super::super::packet::{Envelope, GROUP_V6, is_foreign, split_ipv4};
use super::Arrival;

/// Longest advertisement (8 + 255 × 16) with the longest IPv4 header.
pub(super) const DATAGRAM: usize = 8 + 255 * 16 + 60;

/// What a look into a socket has found.
pub(super) enum Found<'a> {
    /// A message, or what should have been one.
    Message(Arrival<'a>),
    /// What is none of ours: an authentication header of others. It has cost as much as a message.
    Foreign,
    /// There is no more.
    Nothing,
}

/// Takes one datagram.
pub(super) fn read<'a>(socket: &Socket, ipv6: bool, buffer: &'a mut [u8; DATAGRAM]) -> Found<'a> {
    loop {
        let arrived = if ipv6 { read_v6(socket, buffer) } else { read_v4(socket, buffer) };
        let (envelope, length) = match arrived {
            Err(Errno::EINTR) => continue,
            // Nothing more, or an error of the link that the next look at it will show.
            Err(_) => return Found::Nothing,
            Ok(arrived) => arrived,
        };
        let datagram = buffer.get(..length).unwrap_or_default();
        return match envelope {
            Some(envelope) => Found::Message(Ok((envelope, datagram))),
            None if is_foreign(datagram) => Found::Foreign,
            None => {
                let nobody = IpAddr::from([0, 0, 0, 0]);
                Found::Message(split_ipv4(datagram).map_err(|reject| (nobody, reject)))
            }
        };
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
