//! The raw socket of a ping.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{SockaddrStorage, recvfrom};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::icmp::{self, Heard};
use super::{Outcome, Target};

/// Questions to one target and their answers.
pub struct Echo {
    socket: Socket,
    target: Target,
    ident: u16,
}

/// What one question came to.
pub enum Exchange {
    /// Somebody spoke about it.
    Heard {
        /// Who.
        from: IpAddr,
        /// After how long.
        time: Duration,
        /// What.
        heard: Heard,
    },
    /// Nobody in time.
    Silence,
    /// It could not be sent, and why.
    Unsent(String),
}

impl Echo {
    /// Opens a raw socket.
    ///
    /// # Errors
    /// Without CAP_NET_RAW.
    pub fn open(target: Target) -> io::Result<Self> {
        let (domain, protocol) = match target.address {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, Type::RAW.cloexec(), Some(protocol))?;
        let random = RandomState::new().build_hasher().finish().to_ne_bytes();
        let ident = random.first_chunk::<2>().map_or(1, |octets| u16::from_ne_bytes(*octets));
        Ok(Self { socket, target, ident })
    }

    /// From now on no question passes more than `hops` routers less one.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn limit_hops(&self, hops: u8) -> io::Result<()> {
        match self.target.address {
            IpAddr::V4(_) => self.socket.set_ttl_v4(hops.into()),
            IpAddr::V6(_) => self.socket.set_unicast_hops_v6(hops.into()),
        }
    }

    /// Asks once and waits at most `timeout`.
    pub fn ask(&self, seq: u16, timeout: Duration) -> Outcome {
        match self.exchange(seq, timeout) {
            Exchange::Heard { time, heard: Heard::Answer, .. } => Outcome::Answer { seq, time },
            Exchange::Heard { from, heard: Heard::Expired, .. } => {
                Outcome::Refused { seq, from, why: "too many hops".to_owned() }
            }
            Exchange::Heard { from, heard: Heard::Refused(why), .. } => Outcome::Refused { seq, from, why },
            Exchange::Silence => Outcome::Silence { seq, timeout },
            Exchange::Unsent(why) => Outcome::Unsent { seq, why },
        }
    }

    /// Asks once and waits at most `timeout` for whoever has something to say about it.
    pub fn exchange(&self, seq: u16, timeout: Duration) -> Exchange {
        let asked = Instant::now();
        let to = match self.target.address {
            IpAddr::V4(address) => SockAddr::from(SocketAddr::from((address, 0))),
            IpAddr::V6(address) => SocketAddrV6::new(address, 0, 0, self.target.scope).into(),
        };
        if let Err(error) = self.socket.send_to(&icmp::question(self.target.address, self.ident, seq), &to) {
            return Exchange::Unsent(crate::net::told(&error));
        }
        loop {
            match self.hear(timeout.saturating_sub(asked.elapsed())) {
                Ok(Some((from, message))) => {
                    if let Some(heard) = icmp::judge(&message, from, self.target.address, self.ident, seq) {
                        return Exchange::Heard { from, time: asked.elapsed(), heard };
                    }
                }
                Ok(None) => return Exchange::Silence,
                Err(error) => return Exchange::Unsent(crate::net::told(&error)),
            }
        }
    }

    /// The next ICMP message of anybody, without IP header; `None` when `left` is over.
    fn hear(&self, left: Duration) -> io::Result<Option<(IpAddr, Vec<u8>)>> {
        if left.is_zero() {
            return Ok(None);
        }
        self.socket.set_read_timeout(Some(left))?;
        let mut buffer = [0_u8; 2048];
        match recvfrom::<SockaddrStorage>(self.socket.as_raw_fd(), &mut buffer) {
            Ok((length, from)) => {
                let message = buffer.get(..length).unwrap_or(&[]).to_vec();
                Ok(Some((from.and_then(|from| sender(&from)).unwrap_or(self.target.address), message)))
            }
            Err(Errno::EAGAIN) => Ok(None),
            Err(Errno::EINTR) => Ok(Some((self.target.address, Vec::new()))),
            Err(error) => Err(error.into()),
        }
    }
}

fn sender(from: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = from.as_sockaddr_in().map(|from| IpAddr::V4(from.ip()));
    v4.or_else(|| from.as_sockaddr_in6().map(|from| IpAddr::V6(from.ip())))
}
