//! Descriptors in tokio's event loop.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// Puts a descriptor of ours into the event loop of the runtime that this runs in. It should be non-blocking.
///
/// # Errors
/// When the event loop refuses it (a regular file, no memory).
pub fn async_fd(fd: impl Into<OwnedFd>) -> io::Result<AsyncFd<OwnedFd>> {
    let fd: OwnedFd = fd.into();
    // SAFETY: an `OwnedFd` is open for all its life and always names the same descriptor; nobody else closes it, and the
    // `AsyncFd` owns it.
    Ok(unsafe { AsyncFd::register(fd) }?)
}
