//! The packet socket of a client: it hears answers before the link has an address.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, bind, recv, sendto};
use smoltcp::wire::{DHCP_CLIENT_PORT, DHCP_SERVER_PORT};
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::message;
use crate::sys::async_fd::async_fd;
use crate::sys::packet::link_address;
use crate::units::IfName;

const IPV4: u16 = 0x0800;
const EVERYBODY: [u8; 6] = [0xff; 6];

/// An open socket on one link. Only UDP to port 68 passes its filter, so the traffic of a director costs it next to
/// nothing, and it is open only while an answer is awaited.
#[derive(Debug)]
pub struct PacketSocket {
    fd: AsyncFd<OwnedFd>,
    index: u32,
}

impl PacketSocket {
    /// Opens a socket on the link `index`.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, or when the link is gone.
    pub fn open(index: u32) -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        // Without a protocol nothing is received before filter and link are set.
        let fd = nix::sys::socket::socket(AddressFamily::Packet, SockType::Datagram, flags, None)?;
        SockRef::from(&fd).attach_filter(&to_port(DHCP_CLIENT_PORT))?;
        bind(fd.as_raw_fd(), &address(index)?)?;
        Ok(Self { fd: async_fd(fd)?, index })
    }

    /// Sends `message` to every server on the link.
    ///
    /// # Errors
    /// When the link is down or its queue is full.
    pub fn broadcast(&self, message: &[u8], from: Ipv4Addr) -> io::Result<()> {
        let packet = message::wrap(message, from, Ipv4Addr::BROADCAST);
        let fd = self.fd.get_ref().as_raw_fd();
        sendto(fd, &packet, &address(self.index)?, MsgFlags::empty())?;
        Ok(())
    }

    /// Waits for a message to a DHCP client of this link, which may be another one's. Cancel safe.
    ///
    /// # Errors
    /// When the link is gone or down.
    pub async fn receive(&self) -> io::Result<message::Incoming> {
        let mut buffer = [0_u8; 2048];
        loop {
            let mut ready = self.fd.readable().await?;
            match ready.try_io(|fd| Ok(recv(fd.get_ref().as_raw_fd(), &mut buffer, MsgFlags::empty())?)) {
                Ok(Ok(length)) => {
                    let packet = buffer.get(..length).unwrap_or(&[]);
                    if let Some(message) = message::unwrap(packet).and_then(message::Incoming::decode) {
                        return Ok(message);
                    }
                }
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
    }
}

/// Sends `message` from `from` to `server` by ordinary routing. The socket that is returned has to live while an answer
/// is awaited (which the packet socket hears as well), or the kernel tells the server that nobody is here.
///
/// # Errors
/// When the address is not ours any more or the server is not reachable.
pub fn unicast(link: &IfName, from: Ipv4Addr, server: Ipv4Addr, message: &[u8]) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.bind_device(Some(link.as_str().as_bytes()))?;
    socket.bind(&SocketAddrV4::new(from, DHCP_CLIENT_PORT).into())?;
    socket.send_to(message, &SocketAddrV4::new(server, DHCP_SERVER_PORT).into())?;
    Ok(socket)
}

fn address(index: u32) -> io::Result<nix::sys::socket::LinkAddr> {
    link_address(index, IPV4, EVERYBODY).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Classic BPF over an IPv4 packet: UDP, not a later fragment, to `port` (linux/filter.h).
fn to_port(port: u16) -> [SockFilter; 9] {
    let op = SockFilter::new;
    [
        op(0x30, 0, 0, 9),               // ldb [9]              protocol
        op(0x15, 0, 5, 17),              // jeq udp, else drop
        op(0x28, 0, 0, 6),               // ldh [6]              flags and offset
        op(0x45, 3, 0, 0x1fff),          // jset offset: drop
        op(0xb1, 0, 0, 0),               // ldxb 4*([0]&0xf)     header length
        op(0x48, 0, 0, 2),               // ldh [x+2]            destination port
        op(0x15, 1, 0, u32::from(port)), // jeq port: accept
        op(0x06, 0, 0, 0),               // drop
        op(0x06, 0, 0, 0xffff),          // accept, whole
    ]
}
