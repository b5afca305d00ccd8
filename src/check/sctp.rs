//! The SCTP check (RFC 9260): an association is established, and aborted at once.

use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;

use super::{Outcome, Reason, Step, Target, reason, socket};
use crate::sys::async_fd::async_fd;

/// Success is an established association.
pub async fn probe(target: &Target) -> Outcome {
    match associate(target).await {
        Ok(()) => Outcome::Success(Reason::Borrowed("associated")),
        Err(ended) => ended,
    }
}

async fn associate(target: &Target) -> Step<()> {
    let (domain, protocol) = (Domain::for_address(target.address), Protocol::from(libc::IPPROTO_SCTP));
    let socket = Socket::new(domain, Type::STREAM.nonblocking().cloexec(), Some(protocol))
        .map_err(|error| reason::opening(&error, "SCTP"))?;
    // An abort in place of a shutdown, as a reset in TCP.
    socket.set_linger(Some(Duration::ZERO))?;
    socket::prepare(&socket, &target.check)?;
    match socket.connect(&target.address.into()) {
        Ok(()) => return Ok(()),
        Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {}
        Err(error) => return Err(error.into()),
    }
    let socket = async_fd(socket)?;
    loop {
        let mut ready = socket.ready(Interest::WRITABLE | Interest::ERROR).await?;
        let socket = SockRef::from(socket.get_ref());
        if let Some(error) = socket.take_error()? {
            return Err(error.into());
        }
        if socket.peer_addr().is_ok() {
            return Ok(());
        }
        ready.clear_ready();
    }
}
