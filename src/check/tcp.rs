//! The TCP check: a connection is established, and reset at once.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};

use super::{Outcome, Reason, reason};

/// Connects; success is an established connection.
pub async fn probe(address: SocketAddr) -> Outcome {
    match connect(address).await {
        Ok(_stream) => Outcome::Success(Reason::Borrowed("connected")),
        Err(error) => reason::outcome(&error),
    }
}

/// A connection that ends with a reset when it is dropped: it leaves no TIME-WAIT behind on either side.
///
/// # Errors
/// What the socket calls return.
pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    let stream = socket.connect(address).await?;
    // On this very box a connect to a free ephemeral port may meet itself (RFC 9293 section 3.5, simultaneous open).
    if address.ip().is_loopback() && stream.local_addr()? == address {
        return Err(io::Error::from_raw_os_error(libc::ECONNREFUSED));
    }
    Ok(stream)
}
