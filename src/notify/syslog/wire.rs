//! The connection to one receiver.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::config::model::{SyslogTarget, SyslogTransport};
use crate::sys::unsent::unsent;

/// Time for a connection, and for a batch of lines to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long what was sent may stay without an acknowledgement, milliseconds (tcp(7), TCP_USER_TIMEOUT).
const USER_TIMEOUT_MS: u32 = 10_000;
/// Time between two looks for acknowledgements.
const GLANCE: Duration = Duration::from_millis(5);
/// As long as a datagram to a neighbour that is not there waits for it: three times a second of asking by ARP (arp(7)).
const PROBATION: Duration = Duration::from_millis(3500);
/// Longest message in a datagram: what every receiver should take (RFC 5426 section 3.2).
const DATAGRAM: usize = 2048;
/// Longest message in a stream.
const FRAME: usize = 8192;

/// An open connection.
#[derive(Debug)]
pub enum Wire {
    /// Datagrams; whether the first one was not refused.
    Udp(UdpSocket, bool),
    /// Frames, and how many bytes of them were written.
    Tcp(TcpStream, u64),
}

impl Wire {
    /// Longest message that `target` takes.
    #[must_use]
    pub const fn longest(target: &SyslogTarget) -> usize {
        match target.transport {
            SyslogTransport::Udp => DATAGRAM,
            SyslogTransport::Tcp => FRAME,
        }
    }

    /// Connects to `target`, which is at `address`.
    ///
    /// # Errors
    /// There is no way to the receiver, or it does not accept.
    pub async fn open(target: &SyslogTarget, address: SocketAddr) -> io::Result<Self> {
        match target.transport {
            SyslogTransport::Udp => {
                let any: IpAddr = if address.is_ipv4() {
                    Ipv4Addr::UNSPECIFIED.into()
                } else {
                    Ipv6Addr::UNSPECIFIED.into()
                };
                let socket = UdpSocket::bind((any, 0)).await?;
                socket.connect(address).await?;
                Ok(Self::Udp(socket, false))
            }
            SyslogTransport::Tcp => {
                let stream = timeout(PATIENCE, TcpStream::connect(address)).await??;
                stream.set_nodelay(true)?;
                // A receiver without power says nothing; without this the kernel would wait for it for a quarter of an hour.
                setsockopt(&stream, sockopt::TcpUserTimeout, &USER_TIMEOUT_MS)?;
                Ok(Self::Tcp(stream, 0))
            }
        }
    }

    /// Whether the other side is known to be gone.
    ///
    /// # Errors
    /// How.
    pub fn check(&self) -> io::Result<()> {
        match self {
            Self::Udp(socket, _) => socket.take_error()?.map_or(Ok(()), Err),
            Self::Tcp(stream, _) => {
                let mut heard = [0; 256];
                loop {
                    match stream.try_read(&mut heard) {
                        Ok(0) => {
                            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "connection closed"));
                        }
                        // A receiver has nothing to say.
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }

    /// Sends one message. After the first datagram it waits until that would have been refused: nobody acknowledges one.
    ///
    /// # Errors
    /// It is not sent.
    pub async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket, proven) => {
                socket.send(message).await?;
                if !*proven {
                    let mut heard = [0; 1];
                    if let Ok(Err(error)) = timeout(PROBATION, socket.recv(&mut heard)).await {
                        return Err(error);
                    }
                    *proven = true;
                }
                Ok(())
            }
            Self::Tcp(stream, written) => {
                let mut frame = format!("{} ", message.len()).into_bytes();
                frame.extend_from_slice(message);
                timeout(PATIENCE, stream.write_all(&frame)).await??;
                *written += u64::try_from(frame.len()).unwrap_or(u64::MAX);
                Ok(())
            }
        }
    }

    /// Bytes written to this connection.
    #[must_use]
    pub const fn written(&self) -> u64 {
        if let Self::Tcp(_, written) = self { *written } else { 0 }
    }

    /// Bytes of them that the other side has: all for datagrams, which nobody acknowledges.
    ///
    /// # Errors
    /// The connection is broken, and nothing is known.
    pub fn acknowledged(&self) -> io::Result<u64> {
        let Self::Tcp(stream, written) = self else { return Ok(0) };
        let waits = unsent(stream)?;
        self.check()?;
        Ok(written.saturating_sub(waits))
    }

    /// Waits until the other side has more than `known` bytes; returns how many.
    ///
    /// # Errors
    /// It takes too long, or the connection is broken.
    pub async fn progress(&self, known: u64) -> io::Result<u64> {
        let more = async {
            loop {
                match self.acknowledged()? {
                    now if now > known => return Ok(now),
                    _ => tokio::time::sleep(GLANCE).await,
                }
            }
        };
        timeout(PATIENCE, more)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it acknowledges nothing"))?
    }
}
