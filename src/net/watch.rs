//! "Something changed": the kernel's multicast about links, addresses and routes.
//!
//! Only *that* something changed is taken from it. Events may be lost when the buffer overflows, and a dump tells the
//! whole truth anyway.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType};
use nix::sys::socket::{bind, recv, socket};
use tokio::io::unix::AsyncFd;

use crate::sys::async_fd::async_fd;

/// Listens to some of the groups of linux/rtnetlink.h.
#[derive(Debug)]
pub struct Watch(AsyncFd<OwnedFd>);

/// `RTNLGRP_LINK`, `_IPV4_IFADDR`, `_IPV6_IFADDR`.
pub const ADDRESSES: &[u32] = &[1, 5, 9];
/// The same with `RTNLGRP_IPV4_ROUTE` and `_IPV6_ROUTE`.
pub const ADDRESSES_AND_ROUTES: &[u32] = &[1, 5, 7, 9, 11];

impl Watch {
    /// Begins to listen in the network namespace of this thread.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub fn open(groups: &[u32]) -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        let groups = groups.iter().fold(0, |groups, group| groups | 1 << (group - 1));
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Self(async_fd(fd)?))
    }

    /// Waits for the next change; several at once count as one.
    ///
    /// # Errors
    /// When the socket fails for another reason than lost events.
    pub async fn changed(&self) -> io::Result<()> {
        loop {
            let mut ready = self.0.readable().await?;
            match drain(ready.get_inner()) {
                Ok(true) => return Ok(()),
                Ok(false) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Empties the buffer; `true` if there was something in it.
fn drain(fd: &OwnedFd) -> nix::Result<bool> {
    let mut buffer = [0_u8; 8192];
    let mut any = false;
    loop {
        match recv(fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_TRUNC) {
            Ok(_) | Err(Errno::ENOBUFS) => any = true,
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Ok(any),
            Err(error) => return Err(error),
        }
    }
}
