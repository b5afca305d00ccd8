//! UDP, from and to [`PORT`]: one socket for each family. Nothing here waits.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::net::if_::{if_indextoname, if_nametoindex};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage, recvmsg,
    sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::letter::{LONGEST, PORT};
use super::peers::Arrival;
use crate::sys::async_fd::async_fd;
use crate::units::IfName;
use crate::vrrp::packet::{GROUP_V4, GROUP_V6, TTL};

/// The sockets of one family.
#[derive(Debug)]
pub struct Post {
    fd: AsyncFd<OwnedFd>,
    ipv6: bool,
}

impl Post {
    /// Opens the socket. Needs a tokio runtime.
    ///
    /// # Errors
    /// The port is taken, or the kernel knows no such family.
    pub fn open(ipv6: bool) -> io::Result<Self> {
        let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        let any: IpAddr = if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        if ipv6 {
            socket.set_only_v6(true)?;
            socket.set_multicast_loop_v6(false)?;
            socket.set_multicast_hops_v6(TTL.into())?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
        } else {
            socket.set_multicast_loop_v4(false)?;
            socket.set_multicast_ttl_v4(TTL.into())?;
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
            setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
        }
        socket.bind(&SocketAddr::new(any, PORT).into())?;
        Ok(Self { fd: async_fd(socket)?, ipv6 })
    }

    /// Hears the group of the advertisements on `interface`. That it does so already, or that the interface is not there, is
    /// no failure: it is asked again and again.
    pub fn join(&self, interface: &IfName) {
        let Ok(index) = if_nametoindex(interface.as_str()) else { return };
        let socket = SockRef::from(self.fd.get_ref());
        let _ = if self.ipv6 {
            socket.join_multicast_v6(&GROUP_V6, index)
        } else {
            socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(index))
        };
    }

    /// Waits until something has come in. Cancel safe.
    ///
    /// # Errors
    /// When the event loop fails.
    pub async fn readable(&self) -> io::Result<()> {
        self.fd.readable().await.map(|mut guard| guard.retain_ready())
    }

    /// Hands over what has come in, at most `most` datagrams; returns how many there were.
    pub fn receive(&self, most: usize, mut take: impl FnMut(Arrival<'_>)) -> usize {
        use futures_util::FutureExt;
        // One byte more than a letter: what is longer is noticed.
        let mut buffer = [0; LONGEST + 1];
        for count in 0..most {
            match self.read(&mut buffer, &mut take) {
                Ok(()) | Err(nix::errno::Errno::EINTR) => {}
                // A peer's host has refused an earlier letter: it has no Director.
                Err(nix::errno::Errno::ECONNREFUSED) => {}
                Err(_) => {
                    if let Some(Ok(mut guard)) = self.fd.readable().now_or_never() {
                        guard.clear_ready();
                    }
                    return count;
                }
            }
        }
        most
    }

    fn read(&self, buffer: &mut [u8], take: &mut impl FnMut(Arrival<'_>)) -> nix::Result<()> {
        let mut control = nix::cmsg_space!(libc::in6_pktinfo, libc::c_int);
        let (mut index, mut multicast, mut ttl) = (0, false, 0);
        let (source, length) = {
            let mut data = [IoSliceMut::new(buffer)];
            let flags = MsgFlags::MSG_DONTWAIT;
            let message =
                recvmsg::<SockaddrStorage>(self.fd.as_raw_fd(), &mut data, Some(&mut control), flags)?;
            for part in message.cmsgs()? {
                match part {
                    ControlMessageOwned::Ipv4Ttl(hops) | ControlMessageOwned::Ipv6HopLimit(hops) => {
                        ttl = u8::try_from(hops).unwrap_or(0);
                    }
                    ControlMessageOwned::Ipv4PacketInfo(info) => {
                        index = u32::try_from(info.ipi_ifindex).unwrap_or(0);
                        multicast = Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).is_multicast();
                    }
                    ControlMessageOwned::Ipv6PacketInfo(info) => {
                        index = info.ipi6_ifindex;
                        multicast = Ipv6Addr::from(info.ipi6_addr.s6_addr).is_multicast();
                    }
                    _ => {}
                }
            }
            let address = message.address;
            let v4 = address.and_then(|a| a.as_sockaddr_in().map(|a| IpAddr::from(a.ip())));
            let v6 = || address.and_then(|a| a.as_sockaddr_in6().map(|a| IpAddr::from(a.ip())));
            (v4.or_else(v6), message.bytes)
        };
        let interface = if_indextoname(index).ok().and_then(|name| name.to_str().ok()?.parse().ok());
        if let (Some(interface), Some(source), Some(bytes)) = (interface, source, buffer.get(..length)) {
            take(Arrival { interface: &interface, source, multicast, ttl, bytes });
        }
        Ok(())
    }

    /// Sends a letter on `interface` from the first of `ends` to the second.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn send(&self, interface: &IfName, ends: (IpAddr, IpAddr), ttl: u8, bytes: &[u8]) -> io::Result<()> {
        let index = if_nametoindex(interface.as_str())?;
        let hops = libc::c_int::from(ttl);
        let (fd, data, flags) = (self.fd.as_raw_fd(), [IoSlice::new(bytes)], MsgFlags::MSG_DONTWAIT);
        match ends {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: libc::c_int::try_from(index).unwrap_or(0),
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                let to = SockaddrIn::from(SocketAddrV4::new(destination, PORT));
                let about = [ControlMessage::Ipv4PacketInfo(&info), ControlMessage::Ipv4Ttl(&hops)];
                sendmsg(fd, &data, &about, flags, Some(&to))?;
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
                    ipi6_ifindex: index,
                };
                let to = SockaddrIn6::from(SocketAddrV6::new(destination, PORT, 0, index));
                let about = [ControlMessage::Ipv6PacketInfo(&info), ControlMessage::Ipv6HopLimit(&hops)];
                sendmsg(fd, &data, &about, flags, Some(&to))?;
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                return Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT));
            }
        }
        Ok(())
    }
}
