//! A client that asks an address every few milliseconds, whether or not answers come. What was answered is read off the wire
//! ([`Tally`]), where the kernel has noted the time.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};

use crate::capture::Frame;
use crate::frame::{Said, said};
use crate::segment::Host;

/// Asks by ICMP echo (RFC 792), which the kernel answers by itself: no server is between the VIP and its answer.
#[derive(Debug)]
pub struct Asker {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Asker {
    /// Begins to ask from inside `host`.
    ///
    /// # Errors
    /// Without CAP_NET_RAW.
    pub fn start(host: &Host, target: Ipv4Addr, every: Duration) -> Result<Self> {
        let open = || socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp);
        let socket = host.namespace().run(open)?.context("opening a raw socket")?;
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let ask = move || {
            let to = SockaddrIn::from(SocketAddrV4::new(target, 0));
            let (mut next, mut number) = (Instant::now(), 0_u16);
            while !end.load(Ordering::Relaxed) {
                number = number.wrapping_add(1);
                // What cannot be sent is missing in the tally of the wire.
                let _ = sendto(socket.as_raw_fd(), &question(number), &to, MsgFlags::MSG_DONTWAIT);
                next += every;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        };
        let thread = std::thread::Builder::new().name("asker".to_owned()).spawn(ask)?;
        Ok(Self { ended, thread: Some(thread) })
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An echo request without data.
fn question(number: u16) -> [u8; 8] {
    const ECHO: u16 = 0x0800;
    const IDENTIFIER: u16 = 0x4c42;
    let sum = u32::from(ECHO) + u32::from(IDENTIFIER) + u32::from(number);
    // The carry of three words is at most 2: one addition folds it, and the complement of that is the checksum (RFC 1071).
    let folded = (sum & 0xffff) + (sum >> 16);
    let [_, _, high, low] = (!((folded & 0xffff) + (folded >> 16))).to_be_bytes();
    let ([a, b], [c, d], [e, f]) = (ECHO.to_be_bytes(), IDENTIFIER.to_be_bytes(), number.to_be_bytes());
    [a, b, high, low, c, d, e, f]
}

/// Questions and answers on a wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often was asked.
    pub asked: u32,
    /// How many were not answered.
    pub lost: u32,
    /// The longest wait for an answer that came.
    pub slowest: Duration,
}

impl Tally {
    /// Counts what is in `frames`, which a capture at the client has heard.
    pub fn of(frames: &[Frame]) -> Self {
        let mut open = std::collections::HashMap::new();
        let mut tally = Self::default();
        for frame in frames {
            match said(&frame.bytes) {
                Some(Said::Echo { reply: false, number }) => {
                    tally.asked += 1;
                    // A number that comes round again finds the one before unanswered.
                    tally.lost += u32::from(open.insert(number, frame.at).is_some());
                }
                Some(Said::Echo { reply: true, number }) => {
                    if let Some(asked) = open.remove(&number) {
                        tally.slowest = tally.slowest.max(frame.at.saturating_sub(asked));
                    }
                }
                _ => {}
            }
        }
        tally.lost += u32::try_from(open.len()).unwrap_or(u32::MAX);
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Capture;
    use crate::segment::Segment;

    #[test]
    fn the_checksum_makes_the_sum_of_all_words_ones() {
        for number in [0, 1, 0x7fff, 0xb3bd, 0xb3be, 0xffff] {
            let sum: u32 = question(number)
                .chunks(2)
                .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
                .sum();
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "{number}");
        }
    }

    #[test]
    fn answers_are_counted_and_their_absence_too() {
        if let Err(why) = crate::preflight::namespaces() {
            eprintln!("skipped: {why:#}");
            return;
        }
        let segment = Segment::new().unwrap();
        let client = segment.host("client", "10.0.0.9/24").unwrap();
        let server = segment.host("server", "10.0.0.1/24").unwrap();
        let wire = Capture::start(client.namespace()).unwrap();
        let asker = Asker::start(&client, Ipv4Addr::new(10, 0, 0, 1), Duration::from_millis(2)).unwrap();
        let answered = |after: usize| {
            wire.wait("an answer", after, Duration::from_secs(5), |frame| {
                matches!(said(&frame.bytes), Some(Said::Echo { reply: true, .. })).then_some(())
            })
        };
        answered(wire.mark() + 20).unwrap();
        let (mark, good) = (wire.mark(), Tally::of(&wire.frames(0)));
        assert!(good.asked >= 5 && good.lost <= 1, "{good:?}");
        segment.cable(&server, false).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        drop(asker);
        let bad = Tally::of(&wire.frames(mark));
        assert!(bad.lost > 0, "{bad:?}");
    }
}
