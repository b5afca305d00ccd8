//! Netlink sockets: neli opens them and sets them up, nix reads and writes them.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

use neli::socket::NlSocket;
use nix::errno::Errno;

/// The descriptor of a socket that neli has set up, as nix and poll take it.
#[must_use]
pub fn owned(socket: NlSocket) -> OwnedFd {
    // SAFETY: `into_raw_fd` gives the descriptor away, and neli then neither uses nor closes it: it is open and ours alone.
    unsafe { OwnedFd::from_raw_fd(socket.into_raw_fd()) }
}

/// Asks for errors that do not repeat the whole request (`NETLINK_CAP_ACK`), for which neli has no word.
///
/// # Errors
/// What the kernel says; `ENOPROTOOPT` where it is too old.
pub fn short_errors(socket: &impl AsFd) -> Result<(), Errno> {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of_val(&on)).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the descriptor is open for the life of `socket`; the pointer and the length are those of a local integer,
    // which the kernel only reads during the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_CAP_ACK,
            std::ptr::from_ref(&on).cast(),
            length,
        )
    };
    Errno::result(result).map(drop)
}
