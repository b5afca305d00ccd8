//! Connections of probes, by the source address and the mark that the check names.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

use super::{Outcome, Reason, Step, Target, reason};
use crate::config::model::Check;
use crate::sys::late_port::late_port;

/// A connection that ends with a reset when it is dropped: it leaves no TIME-WAIT behind on either side.
///
/// # Errors
/// The outcome of the probe when there is no connection.
pub async fn connect(target: &Target) -> Step<TcpStream> {
    let address = target.address;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    prepare(&socket, &target.check)?;
    let stream = socket.connect(address).await?;
    // On this very box a connect to a free ephemeral port may meet itself (RFC 9293 section 3.5, simultaneous open).
    if address.ip().is_loopback() && stream.local_addr()? == address {
        return Err(io::Error::from_raw_os_error(libc::ECONNREFUSED).into());
    }
    Ok(stream)
}

/// Gives a socket that is not yet bound the source address and the mark of the check.
///
/// # Errors
/// The outcome of the probe when one of them is not to be had.
pub fn prepare(descriptor: &impl AsFd, check: &Check) -> Step<()> {
    let socket = SockRef::from(descriptor);
    if check.mark != 0 {
        socket.set_mark(check.mark).map_err(|error| {
            let why = reason::words(&error);
            Outcome::Inconclusive(Reason::Owned(format!("cannot ask: mark {}: {why}", check.mark)))
        })?;
    }
    let Some(source) = check.source else { return Ok(()) };
    // Without it the port is chosen at once: fewer probes at a time, nothing else.
    let _ = late_port(descriptor);
    socket.bind(&SocketAddr::new(source, 0).into()).map_err(|error| {
        if error.raw_os_error() == Some(Errno::EADDRNOTAVAIL as i32) {
            return Outcome::Unreachable(Reason::Owned(format!("source {source} is no address of this box")));
        }
        error.into()
    })
}
