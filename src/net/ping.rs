//! ICMP echo for people (RFC 792, RFC 4443): `director ping` and the console.
//!
//! Blocking, one question at a time. Packets are smoltcp's.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::str::FromStr;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{SockaddrStorage, recvfrom};
use smoltcp::phy::{Checksum, ChecksumCapabilities};
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, Ipv4Packet};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::units::{Refused, show_duration};

/// Octets after the ICMP header, as everybody sends them.
const PAYLOAD: [u8; 56] = [0x61; 56];

/// Whom to ask: an address, a link-local one with its interface as in `fe80::1%eth0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The address.
    pub address: IpAddr,
    /// Index of the interface, 0 = by routing.
    pub scope: u32,
}

impl FromStr for Target {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let (address, link) =
            text.split_once('%').map_or((text, None), |(address, link)| (address, Some(link)));
        let address: IpAddr = address.parse().map_err(|_| {
            Refused(format!(
                "{text:?} is not an address such as \"192.168.61.1\", \"2001:db8::1\" or \"fe80::1%eth0\""
            ))
        })?;
        let scope = match link {
            Some(link) => nix::net::if_::if_nametoindex(link)
                .map_err(|_| Refused(format!("there is no interface {link:?}")))?,
            None => 0,
        };
        Ok(Self { address, scope })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// How often and how patiently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Number of questions.
    pub count: u16,
    /// From one question to the next.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self { count: 4, interval: Duration::from_secs(1), timeout: Duration::from_secs(1) }
    }
}

/// What became of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Answer {
        /// Which, from 1.
        seq: u16,
        /// How long it took.
        time: Duration,
    },
    /// Nobody answered in time.
    Silence {
        /// Which, from 1.
        seq: u16,
        /// How long was waited.
        timeout: Duration,
    },
    /// A router or the host says that it cannot be delivered.
    Refused {
        /// Which, from 1.
        seq: u16,
        /// Who says so.
        from: IpAddr,
        /// In words.
        why: String,
    },
    /// It could not be sent.
    Unsent {
        /// Which, from 1.
        seq: u16,
        /// In words.
        why: String,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { seq, time } => write!(f, "{seq}: answer after {}", millis(*time)),
            Self::Silence { seq, timeout } => {
                write!(f, "{seq}: no answer within {}", show_duration(*timeout))
            }
            Self::Refused { seq, from, why } => write!(f, "{seq}: {why}, says {from}"),
            Self::Unsent { seq, why } => write!(f, "{seq}: not sent: {why}"),
        }
    }
}

/// All questions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Questions.
    pub sent: u32,
    /// Answers.
    pub answered: u32,
    /// The fastest answer.
    pub fastest: Duration,
    /// The slowest answer.
    pub slowest: Duration,
    total: Duration,
}

impl Summary {
    fn count(&mut self, outcome: &Outcome) {
        self.sent += 1;
        if let Outcome::Answer { time, .. } = outcome {
            self.fastest = if self.answered == 0 { *time } else { self.fastest.min(*time) };
            self.slowest = self.slowest.max(*time);
            self.total += *time;
            self.answered += 1;
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sent, {} answered", self.sent, self.answered)?;
        match self.total.checked_div(self.answered) {
            Some(mean) => write!(
                f,
                "; fastest {}, mean {}, slowest {}",
                millis(self.fastest),
                millis(mean),
                millis(self.slowest)
            ),
            None => Ok(()),
        }
    }
}

fn millis(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}

/// Asks `target` as `plan` says and tells `each` what became of each question; `Break` from it ends the series.
///
/// # Errors
/// When no socket can be opened (needs CAP_NET_RAW). A question that cannot be sent is an [`Outcome`].
pub fn ping(
    target: Target,
    plan: Plan,
    mut each: impl FnMut(&Outcome) -> ControlFlow<()>,
) -> io::Result<Summary> {
    let echo = Echo::open(target)?;
    let mut summary = Summary::default();
    for seq in 1..=plan.count {
        let asked = Instant::now();
        let outcome = echo.ask(seq, plan.timeout);
        summary.count(&outcome);
        if each(&outcome).is_break() {
            break;
        }
        if seq < plan.count {
            std::thread::sleep(plan.interval.saturating_sub(asked.elapsed()));
        }
    }
    Ok(summary)
}

struct Echo {
    socket: Socket,
    target: Target,
    ident: u16,
}

impl Echo {
    fn open(target: Target) -> io::Result<Self> {
        let (domain, protocol) = match target.address {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, Type::RAW.cloexec(), Some(protocol))?;
        let random = RandomState::new().build_hasher().finish().to_ne_bytes();
        let ident = random.first_chunk::<2>().map_or(1, |octets| u16::from_ne_bytes(*octets));
        Ok(Self { socket, target, ident })
    }

    fn ask(&self, seq: u16, timeout: Duration) -> Outcome {
        let asked = Instant::now();
        let to = match self.target.address {
            IpAddr::V4(address) => SockAddr::from(SocketAddr::from((address, 0))),
            IpAddr::V6(address) => SocketAddrV6::new(address, 0, 0, self.target.scope).into(),
        };
        if let Err(error) = self.socket.send_to(&self.question(seq), &to) {
            return Outcome::Unsent { seq, why: super::told(&error) };
        }
        loop {
            let left = timeout.saturating_sub(asked.elapsed());
            match self.hear(left) {
                Ok(Some((from, message))) => match self.judge(&message, from, seq) {
                    Some(Heard::Answer) => return Outcome::Answer { seq, time: asked.elapsed() },
                    Some(Heard::Refused(why)) => return Outcome::Refused { seq, from, why },
                    None => {}
                },
                Ok(None) => return Outcome::Silence { seq, timeout },
                Err(error) => return Outcome::Unsent { seq, why: super::told(&error) },
            }
        }
    }

    fn question(&self, seq: u16) -> Vec<u8> {
        let (ident, seq_no, data) = (self.ident, seq, PAYLOAD.as_slice());
        match self.target.address {
            IpAddr::V4(_) => {
                let repr = Icmpv4Repr::EchoRequest { ident, seq_no, data };
                let mut bytes = vec![0; repr.buffer_len()];
                let checksums = ChecksumCapabilities::default();
                repr.emit(&mut Icmpv4Packet::new_unchecked(&mut bytes), &checksums);
                bytes
            }
            IpAddr::V6(any) => {
                let repr = Icmpv6Repr::EchoRequest { ident, seq_no, data };
                let mut bytes = vec![0; repr.buffer_len()];
                // The kernel fills in the checksum: it knows the source address (RFC 3542 section 3.1).
                repr.emit(&any, &any, &mut Icmpv6Packet::new_unchecked(&mut bytes), &unchecked());
                bytes
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

    fn judge(&self, message: &[u8], from: IpAddr, seq: u16) -> Option<Heard> {
        match self.target.address {
            IpAddr::V4(_) => judge_v4(message, self.ident, seq),
            IpAddr::V6(_) => judge_v6(message, self.ident, seq),
        }
        .filter(|heard| matches!(heard, Heard::Refused(_)) || from == self.target.address)
    }
}

fn sender(from: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = from.as_sockaddr_in().map(|from| IpAddr::V4(from.ip()));
    v4.or_else(|| from.as_sockaddr_in6().map(|from| IpAddr::V6(from.ip())))
}

#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Answer,
    Refused(String),
}

fn unchecked() -> ChecksumCapabilities {
    let mut checksums = ChecksumCapabilities::default();
    checksums.icmpv6 = Checksum::None;
    checksums
}

/// Judges an IPv4 packet, as raw sockets give it.
fn judge_v4(packet: &[u8], ident: u16, seq: u16) -> Option<Heard> {
    let packet = Ipv4Packet::new_checked(packet).ok()?;
    let icmp = Icmpv4Packet::new_checked(packet.payload()).ok()?;
    match Icmpv4Repr::parse(&icmp, &ChecksumCapabilities::default()).ok()? {
        Icmpv4Repr::EchoReply { ident: i, seq_no, .. } if (i, seq_no) == (ident, seq) => Some(Heard::Answer),
        Icmpv4Repr::DstUnreachable { reason, data, .. } if quoted(data, ident, seq) => {
            Some(Heard::Refused(words(&reason.to_string())))
        }
        Icmpv4Repr::TimeExceeded { data, .. } if quoted(data, ident, seq) => {
            Some(Heard::Refused("too many hops".to_owned()))
        }
        _ => None,
    }
}

/// Judges an ICMPv6 message.
fn judge_v6(message: &[u8], ident: u16, seq: u16) -> Option<Heard> {
    let icmp = Icmpv6Packet::new_checked(message).ok()?;
    let any = std::net::Ipv6Addr::UNSPECIFIED;
    match Icmpv6Repr::parse(&any, &any, &icmp, &unchecked()).ok()? {
        Icmpv6Repr::EchoReply { ident: i, seq_no, .. } if (i, seq_no) == (ident, seq) => Some(Heard::Answer),
        Icmpv6Repr::DstUnreachable { reason, data, .. } if quoted(data, ident, seq) => {
            Some(Heard::Refused(words(&reason.to_string())))
        }
        Icmpv6Repr::TimeExceeded { data, .. } if quoted(data, ident, seq) => {
            Some(Heard::Refused("too many hops".to_owned()))
        }
        _ => None,
    }
}

/// Whether an error quotes our question: the first eight octets of it.
fn quoted(data: &[u8], ident: u16, seq: u16) -> bool {
    data.get(4..6) == Some(&ident.to_be_bytes()) && data.get(6..8) == Some(&seq.to_be_bytes())
}

fn words(reason: &str) -> String {
    reason.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_say_what_they_want() {
        assert_eq!("127.0.0.1".parse(), Ok(Target { address: "127.0.0.1".parse().unwrap(), scope: 0 }));
        assert_eq!("fe80::1%lo".parse::<Target>().unwrap().scope, 1);
        for bad in ["", "host", "1.2.3", "fe80::1%nosuch", "1.2.3.4/24"] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_our_own_answer_counts() {
        let mut reply = vec![129, 0, 0, 0, 0x12, 0x34, 0, 7];
        reply.extend_from_slice(&PAYLOAD);
        assert_eq!(judge_v6(&reply, 0x1234, 7), Some(Heard::Answer));
        assert_eq!(judge_v6(&reply, 0x1234, 8), None);
        assert_eq!(judge_v6(&reply, 0x4321, 7), None);
        assert_eq!(judge_v6(&[], 1, 1), None);
        assert_eq!(judge_v4(&[0x45; 30], 1, 1), None);
    }

    #[test]
    fn the_summary_counts_answers_only() {
        let mut summary = Summary::default();
        summary.count(&Outcome::Answer { seq: 1, time: Duration::from_millis(3) });
        summary.count(&Outcome::Answer { seq: 2, time: Duration::from_millis(1) });
        summary.count(&Outcome::Silence { seq: 3, timeout: Duration::from_secs(1) });
        let words = "3 sent, 2 answered; fastest 1.000 ms, mean 2.000 ms, slowest 3.000 ms";
        assert_eq!(summary.to_string(), words);
    }

    #[test]
    fn the_loopback_answers_at_once() {
        for target in ["127.0.0.1", "::1"] {
            let plan = Plan { count: 2, interval: Duration::ZERO, timeout: Duration::from_secs(2) };
            match ping(target.parse().unwrap(), plan, |_| ControlFlow::Continue(())) {
                Ok(summary) => assert_eq!(summary.answered, 2, "{target}"),
                Err(error) => eprintln!("skipped: {target}: raw sockets: {error}"),
            }
        }
    }
}
