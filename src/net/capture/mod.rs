//! Packets of one interface into a file: `director capture` and the console. Bounded in count, time and size.
//!
//! It sees what the kernel sees: everything that arrives for this box and everything that leaves it.

pub mod filter; // which frames are wanted (pure)
pub mod pcap; // the file format (pure)

use std::fmt;
use std::fs;
use std::io::{self, IoSliceMut, Write};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{RcvBufForce, ReceiveTimestampns};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, bind, recvmsg, setsockopt, socket,
};
use nix::sys::time::TimeSpec;

use crate::sys::packet;
use crate::units::IfName;
use filter::{ENOUGH, Filter};
use pcap::LinkType;

/// Every protocol (linux/if_ether.h, ETH_P_ALL).
const EVERYTHING: u16 = 0x0003;
/// Octets that the kernel may keep for us.
const BUFFER: usize = 4 << 20;
/// How often the caller is asked whether to go on.
const PULSE: Duration = Duration::from_millis(250);
/// Ethernet and loopback (linux/if_arp.h): both have an Ethernet header.
const WITH_HEADER: [&str; 2] = ["1", "772"];

/// What is captured, and how much of it at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where.
    pub interface: IfName,
    /// Packets at most.
    pub count: u32,
    /// Time at most.
    pub duration: Duration,
    /// Octets kept of each packet, 1 to 65535.
    pub longest: u16,
    /// Octets of the file at most.
    pub bytes: u64,
    /// Which packets.
    pub filter: Filter,
}

impl Plan {
    /// All packets of `interface`: 1000, in 30 s, 256 octets of each, 16 MiB together.
    #[must_use]
    pub const fn of(interface: IfName) -> Self {
        let filter = Filter { host: None, port: None };
        let duration = Duration::from_secs(30);
        Self { interface, count: 1000, duration, longest: 256, bytes: 16 << 20, filter }
    }
}

/// Why a capture ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// There are as many packets as were wanted.
    Count,
    /// The time is over.
    Time,
    /// The file has its size.
    Size,
    /// The caller had enough.
    Stopped,
}

impl End {
    /// One word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Time => "time",
            Self::Size => "size",
            Self::Stopped => "stopped",
        }
    }
}

/// What was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Packets in the file.
    pub packets: u32,
    /// Octets of the file.
    pub bytes: u64,
    /// Packets that the kernel could not keep for us.
    pub dropped: u32,
    /// Why no more.
    pub end: End,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match self.end {
            End::Count => "as many as wanted",
            End::Time => "the time is over",
            End::Size => "the file is full",
            End::Stopped => "stopped",
        };
        write!(f, "{} packets, {} octets: {end}", self.packets, self.bytes)?;
        if self.dropped > 0 {
            write!(f, "; {} more came too fast", self.dropped)?;
        }
        Ok(())
    }
}

/// Writes packets to `out` as `plan` says; `go_on` is told how many there are, several times a second.
///
/// # Errors
/// There is no such interface, no socket can be opened (needs CAP_NET_RAW), or `out` cannot be written.
pub fn capture(
    plan: &Plan,
    out: &mut impl Write,
    mut go_on: impl FnMut(u32) -> ControlFlow<()>,
) -> io::Result<Summary> {
    let kind = link_type(&plan.interface)?;
    let socket = open(&plan.interface)?;
    let head = pcap::header(kind, plan.longest.into());
    out.write_all(&head)?;
    let mut file = File { out, packets: 0, bytes: head.len() as u64 };
    let started = Instant::now();
    let mut buffer = vec![0; ENOUGH.max(plan.longest.into())];
    let mut asked = started;
    let end = loop {
        if file.packets >= plan.count {
            break End::Count;
        }
        if file.bytes >= plan.bytes {
            break End::Size;
        }
        let left = plan.duration.saturating_sub(started.elapsed());
        if left.is_zero() {
            break End::Time;
        }
        if asked.elapsed() >= PULSE {
            asked = Instant::now();
            if go_on(file.packets).is_break() {
                break End::Stopped;
            }
        }
        if let Some(frame) = next(&socket, &mut buffer, left.min(PULSE))?
            && frame.wanted(plan.filter, kind)
        {
            file.add(&frame, plan.longest)?;
        }
    };
    let dropped = packet::lost(&socket).unwrap_or(0);
    file.out.flush()?;
    Ok(Summary { packets: file.packets, bytes: file.bytes, dropped, end })
}

struct File<'o, W> {
    out: &'o mut W,
    packets: u32,
    bytes: u64,
}

impl<W: Write> File<'_, W> {
    fn add(&mut self, frame: &Frame<'_>, longest: u16) -> io::Result<()> {
        let kept = frame.bytes.get(..longest.into()).unwrap_or(frame.bytes);
        let number = |length| u32::try_from(length).unwrap_or(u32::MAX);
        self.out.write_all(&pcap::record(frame.time, number(kept.len()), number(frame.length)))?;
        self.out.write_all(kept)?;
        self.packets += 1;
        self.bytes += (pcap::RECORD + kept.len()) as u64;
        Ok(())
    }
}

struct Frame<'b> {
    bytes: &'b [u8],
    length: usize,
    time: Duration,
}

impl Frame<'_> {
    fn wanted(&self, filter: Filter, kind: LinkType) -> bool {
        match kind {
            LinkType::Ethernet => filter.ethernet(self.bytes),
            LinkType::Raw => filter.packet(self.bytes),
        }
    }
}

fn link_type(interface: &IfName) -> io::Result<LinkType> {
    let path = format!("/sys/class/net/{interface}/type");
    let kind = fs::read_to_string(path)
        .map_err(|_| io::Error::new(io::ErrorKind::NotFound, format!("there is no interface {interface}")))?;
    let with_header = WITH_HEADER.contains(&kind.trim());
    Ok(if with_header { LinkType::Ethernet } else { LinkType::Raw })
}

fn open(interface: &IfName) -> io::Result<OwnedFd> {
    let index = nix::net::if_::if_nametoindex(interface.as_str())?;
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    // Without a protocol it hears nothing until it is bound, and then only its interface.
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
    // Only a wish: an ordinary user has no right to so much.
    let _ = setsockopt(&socket, RcvBufForce, &BUFFER);
    setsockopt(&socket, ReceiveTimestampns, &true)?;
    let place = packet::link_address(index, EVERYTHING, [0; 6]).ok_or(Errno::ENODEV)?;
    bind(socket.as_raw_fd(), &place)?;
    Ok(socket)
}

/// The next frame; `None` if there is none for `patience`.
fn next<'b>(socket: &OwnedFd, buffer: &'b mut [u8], patience: Duration) -> io::Result<Option<Frame<'b>>> {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    let patience = PollTimeout::try_from(patience.as_millis() + 1).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, patience) {
        Ok(0) | Err(Errno::EINTR) => return Ok(None),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let (length, time) = {
        let mut about = nix::cmsg_space!(TimeSpec);
        let mut parts = [IoSliceMut::new(buffer)];
        match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut about), MsgFlags::MSG_TRUNC) {
            Ok(message) => {
                let stamp = message.cmsgs()?.find_map(|about| match about {
                    ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
                    _ => None,
                });
                (message.bytes, stamp)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    };
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let bytes = buffer.get(..length.min(buffer.len())).unwrap_or_default();
    Ok(Some(Frame { bytes, length, time: time.unwrap_or_else(now) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn datagrams_of_the_loopback_are_kept() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = receiver.local_addr().unwrap().port();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let filter = Filter { host: "127.0.0.1".parse().ok(), port: Some(port) };
        let plan = Plan { count: 2, longest: 60, filter, ..Plan::of("lo".parse().unwrap()) };
        let mut file = Vec::new();
        // Asked several times a second, it sends until both are there.
        let summary = capture(&plan, &mut file, |_| {
            sender.send_to(&[7; 1000], ("127.0.0.1", port)).unwrap();
            ControlFlow::Continue(())
        });
        match summary {
            Ok(summary) => {
                assert_eq!((summary.packets, summary.end), (2, End::Count));
                assert_eq!(file.len(), 24 + 2 * (pcap::RECORD + 60));
                assert_eq!(summary.bytes, file.len() as u64);
                let length = file.get(24 + 12..24 + 16).unwrap();
                assert_eq!(length, 1042_u32.to_ne_bytes(), "Ethernet, IPv4, UDP, 1000 octets");
            }
            Err(error) => eprintln!("skipped: packet sockets: {error}"),
        }
    }

    #[test]
    fn it_ends_by_itself_and_when_it_is_told() {
        let filter = Filter { port: Some(1), ..Filter::default() };
        let plan = Plan { duration: Duration::from_millis(50), filter, ..Plan::of("lo".parse().unwrap()) };
        let Ok(summary) = capture(&plan, &mut Vec::new(), |_| ControlFlow::Continue(())) else {
            return eprintln!("skipped: packet sockets");
        };
        assert_eq!(summary.end, End::Time);
        let plan = Plan { duration: Duration::from_secs(60), ..plan };
        let summary = capture(&plan, &mut Vec::new(), |_| ControlFlow::Break(())).unwrap();
        assert_eq!((summary.packets, summary.end), (0, End::Stopped));
        let plan = Plan::of("nosuch0".parse().unwrap());
        let error = capture(&plan, &mut Vec::new(), |_| ControlFlow::Break(())).unwrap_err();
        assert_eq!(error.to_string(), "there is no interface nosuch0");
    }
}
