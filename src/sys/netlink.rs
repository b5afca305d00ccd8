//! Options of netlink sockets.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

/// An option of a netlink socket that is on or off (`SOL_NETLINK`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetlinkOption {
    /// Errors carry the kernel's own sentence.
    ExtendedAck,
    /// Errors do not repeat the whole request.
    CapAck,
}

/// Switches an option of a netlink socket on.
///
/// # Errors
/// What the kernel says; `ENOPROTOOPT` where it is too old.
pub fn enable(socket: &impl AsFd, option: NetlinkOption) -> Result<(), Errno> {
    let name = match option {
        NetlinkOption::ExtendedAck => libc::NETLINK_EXT_ACK,
        NetlinkOption::CapAck => libc::NETLINK_CAP_ACK,
    };
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of_val(&on)).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the descriptor is open for the life of `socket`; the pointer and the length are those of a local integer,
    // which the kernel only reads during the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_NETLINK,
            name,
            std::ptr::from_ref(&on).cast(),
            length,
        )
    };
    Errno::result(result).map(drop)
}

/// Makes a netlink socket hear a multicast group (`NETLINK_ADD_MEMBERSHIP`).
///
/// # Errors
/// What the kernel says; `EINVAL` for a group that is none.
pub fn join(socket: &impl AsFd, group: u32) -> Result<(), Errno> {
    let length = libc::socklen_t::try_from(size_of_val(&group)).map_err(|_| Errno::EINVAL)?;
    // SAFETY: as above: an open descriptor, and the pointer and length of a local integer that is only read.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_ADD_MEMBERSHIP,
            std::ptr::from_ref(&group).cast(),
            length,
        )
    };
    Errno::result(result).map(drop)
}
