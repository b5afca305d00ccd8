//! What passes on a wire, with the time at which the kernel saw it: no scheduler is between a frame and its time.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::namespace::Namespace;

/// Longest frame that is kept whole.
const LONGEST: usize = 9000;
/// How soon [`Capture::drop`] is noticed, milliseconds.
const TICK: i64 = 100;
/// Bytes that wait while we do not run.
const BUFFER: usize = 4 << 20;

/// One frame, from the Ethernet header on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// When the kernel saw it, since 1970.
    pub at: Duration,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Listens to everything that the cards of a namespace receive and send. On a host of a segment that is all that is sent to
/// groups and what concerns the host itself.
#[derive(Debug)]
pub struct Capture {
    heard: Arc<Heard>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Heard {
    frames: Mutex<Vec<Frame>>,
    news: Condvar,
}

impl Heard {
    fn frames(&self) -> MutexGuard<'_, Vec<Frame>> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Capture {
    /// Begins to listen inside `namespace`.
    ///
    /// # Errors
    /// Without CAP_NET_RAW.
    pub fn start(namespace: &Namespace) -> Result<Self> {
        let socket = namespace.run(open)?.context("opening a packet socket")?;
        let (heard, ended) = (Arc::<Heard>::default(), Arc::new(AtomicBool::new(false)));
        let (sink, end) = (Arc::clone(&heard), Arc::clone(&ended));
        let listen = move || {
            let mut buffer = [0; LONGEST];
            while !end.load(Ordering::Relaxed) {
                if let Some(frame) = read(&socket, &mut buffer) {
                    sink.frames().push(frame);
                    sink.news.notify_all();
                }
            }
        };
        let thread = std::thread::Builder::new().name("capture".to_owned()).spawn(listen)?;
        Ok(Self { heard, ended, thread: Some(thread) })
    }

    /// A place in the capture: what comes after it is new.
    pub fn mark(&self) -> usize {
        self.heard.frames().len()
    }

    /// What was heard after `mark`.
    pub fn frames(&self, mark: usize) -> Vec<Frame> {
        self.heard.frames().iter().skip(mark).cloned().collect()
    }

    /// Waits for the first frame after `mark` of which `find` makes something.
    ///
    /// # Errors
    /// There is none `within` so long.
    pub fn wait<T>(
        &self,
        what: &str,
        mark: usize,
        within: Duration,
        mut find: impl FnMut(&Frame) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + within;
        let mut frames = self.heard.frames();
        let mut next = mark;
        loop {
            if let Some(found) = frames.iter().skip(next).find_map(&mut find) {
                return Ok(found);
            }
            next = frames.len().max(mark);
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("not heard within {within:?}: {what}");
            }
            frames = self.heard.news.wait_timeout(frames, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open() -> nix::Result<OwnedFd> {
    let all = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    setsockopt(&all, sockopt::ReceiveTimestampns, &true)?;
    // As root, beyond what the system allows others.
    setsockopt(&all, sockopt::RcvBufForce, &BUFFER)?;
    setsockopt(&all, sockopt::ReceiveTimeout, &TimeVal::milliseconds(TICK))?;
    Ok(all)
}

/// The next frame; `None` when nothing came for a while.
fn read(socket: &OwnedFd, buffer: &mut [u8]) -> Option<Frame> {
    let mut control = nix::cmsg_space!(nix::libc::timespec);
    let mut data = [IoSliceMut::new(buffer)];
    let message =
        recvmsg::<LinkAddr>(socket.as_raw_fd(), &mut data, Some(&mut control), MsgFlags::empty()).ok()?;
    let at = message.cmsgs().ok()?.find_map(|part| match part {
        ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
        _ => None,
    })?;
    let length = message.bytes;
    Some(Frame { at, bytes: buffer.get(..length)?.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Said, said};
    use crate::segment::Segment;

    #[test]
    fn a_ping_is_heard_both_ways_in_order() {
        if let Err(why) = crate::preflight::namespaces() {
            eprintln!("skipped: {why:#}");
            return;
        }
        let segment = Segment::new().unwrap();
        let (one, _two) =
            (segment.host("a", "10.0.0.1/24").unwrap(), segment.host("b", "10.0.0.2/24").unwrap());
        let capture = Capture::start(one.namespace()).unwrap();
        assert!(one.pings("10.0.0.2".parse().unwrap()));
        let hear = |want: fn(&Said) -> bool| {
            let find = |frame: &Frame| said(&frame.bytes).filter(want).map(|_| frame.at);
            capture.wait("a part of a ping", 0, Duration::from_secs(5), find).unwrap()
        };
        let asked = hear(|said| matches!(said, Said::Echo { reply: false, .. }));
        assert!(hear(|said| matches!(said, Said::Echo { reply: true, .. })) >= asked);
        assert!(capture.wait("nothing", capture.mark(), Duration::ZERO, |_| Some(())).is_err());
    }
}
