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

/// One datagram; `None` when there is no more.
pub(super) fn read<'a>(socket: &Socket, ipv6: bool, buffer: &'a mut [u8; DATAGRAM]) -> Option<Arrival<'a>> {
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
