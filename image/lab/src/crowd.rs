//! Ten thousand real servers in one thread: who asks them, and when.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::namespace::Namespace;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// Events taken in one turn.
const EVENTS: usize = 512;
/// How soon [`Crowd::drop`] is noticed, milliseconds.
const TICK: u16 = 100;

/// Servers that answer every HTTP request with 200, on each of some ports of every address that is local in a namespace.
///
/// Addresses need not be set one by one: `ip route add local 10.128.0.0/9 dev lo` makes them all local.
#[derive(Debug)]
pub struct Crowd {
    seen: Arc<Mutex<Seen>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What was seen so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// When each server was asked last.
    last: HashMap<SocketAddr, Instant>,
    /// Times between two requests to the same server, in microseconds.
    gaps: Vec<u32>,
    /// Requests, first ones among them.
    requests: u64,
}

impl Seen {
    /// How many servers were asked at all.
    pub fn servers(&self) -> usize {
        self.last.len()
    }

    /// How many connections were made.
    pub const fn requests(&self) -> u64 {
        self.requests
    }

    /// How much later than `period` after the one before requests came, in ascending order; those in time are zero.
    pub fn lateness(&self, period: Duration) -> Vec<Duration> {
        let mut late: Vec<Duration> =
            self.gaps.iter().map(|gap| Duration::from_micros((*gap).into()).saturating_sub(period)).collect();
        late.sort_unstable();
        late
    }

    /// How long the server that waits longest has not been asked.
    pub fn longest_wait(&self, now: Instant) -> Duration {
        self.last.values().map(|last| now.saturating_duration_since(*last)).max().unwrap_or_default()
    }

    fn note(&mut self, server: SocketAddr, now: Instant) {
        self.requests += 1;
        if let Some(before) = self.last.insert(server, now) {
            let gap = now.saturating_duration_since(before).as_micros();
            self.gaps.push(u32::try_from(gap).unwrap_or(u32::MAX));
        }
    }
}

/// The value below which `share` (0..=1) of `ascending` lie.
pub fn quantile(ascending: &[Duration], share: f64) -> Duration {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
    let at = (ascending.len() as f64 * share) as usize;
    ascending.get(at.min(ascending.len().saturating_sub(1))).copied().unwrap_or_default()
}

impl Crowd {
    /// Starts to listen inside `namespace` on `ports` of every address.
    ///
    /// # Errors
    /// A port cannot be bound.
    pub fn start(namespace: &Namespace, ports: std::ops::Range<u16>) -> Result<Self> {
        let bind = move || ports.map(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))).collect();
        let listeners: std::io::Result<Vec<TcpListener>> = namespace.run(bind)?;
        let listeners = listeners.context("binding the ports of real servers")?;
        let (seen, ended) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let mut turn = Turn::new(listeners, Arc::clone(&seen))?;
        let end = Arc::clone(&ended);
        let serve = move || {
            while !end.load(Ordering::Relaxed) && turn.once().is_ok() {}
        };
        let thread = std::thread::Builder::new().name("crowd".to_owned()).spawn(serve)?;
        Ok(Self { seen, ended, thread: Some(thread) })
    }

    /// How many servers were asked since the start.
    pub fn asked(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).servers()
    }

    /// What was seen since the start or since [`Crowd::forget`].
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the gaps and the count, but not who was asked last.
    pub fn forget(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.gaps.clear();
        seen.requests = 0;
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The loop's state.
struct Turn {
    epoll: Epoll,
    listeners: Vec<TcpListener>,
    streams: HashMap<u64, TcpStream>,
    seen: Arc<Mutex<Seen>>,
}

impl Turn {
    fn new(listeners: Vec<TcpListener>, seen: Arc<Mutex<Seen>>) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        for (at, listener) in listeners.iter().enumerate() {
            listener.set_nonblocking(true)?;
            epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, u64::try_from(at)?))?;
        }
        Ok(Self { epoll, listeners, streams: HashMap::new(), seen })
    }

    fn once(&mut self) -> Result<()> {
        let mut events = [EpollEvent::empty(); EVENTS];
        let count = match self.epoll.wait(&mut events, EpollTimeout::from(TICK)) {
            Err(nix::errno::Errno::EINTR) => 0,
            other => other?,
        };
        for event in events.iter().take(count) {
            match usize::try_from(event.data())?.checked_sub(self.listeners.len()) {
                None => self.accept(event.data()),
                Some(_) => self.answer(event.data()),
            }
        }
        Ok(())
    }

    fn accept(&mut self, at: u64) {
        let listener = usize::try_from(at).ok().and_then(|at| self.listeners.get(at));
        while let Some(Ok((stream, _))) = listener.map(TcpListener::accept) {
            if let Ok(server) = stream.local_addr() {
                self.seen.lock().unwrap_or_else(PoisonError::into_inner).note(server, Instant::now());
            }
            let key = u64::try_from(stream.as_raw_fd()).unwrap_or(0) + self.listeners.len() as u64;
            let ready = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT, key);
            if stream.set_nonblocking(true).is_ok() && self.epoll.add(stream.as_fd(), ready).is_ok() {
                self.streams.insert(key, stream);
            }
        }
    }

    fn answer(&mut self, key: u64) {
        if let Some(mut stream) = self.streams.remove(&key)
            && stream.read(&mut [0; 2048]).is_ok_and(|length| length > 0)
        {
            let _ = stream.write(ANSWER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_what_exceeds_the_period() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        let server: SocketAddr = "10.0.0.1:80".parse().unwrap();
        for millis in [0, 100, 350, 450] {
            seen.note(server, start + Duration::from_millis(millis));
        }
        let late = seen.lateness(Duration::from_millis(100));
        assert_eq!(late, [Duration::ZERO, Duration::ZERO, Duration::from_millis(150)]);
        assert_eq!((seen.servers(), seen.requests()), (1, 4));
        assert_eq!(quantile(&late, 0.5), Duration::ZERO);
        assert_eq!(quantile(&late, 0.999), Duration::from_millis(150));
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
        assert_eq!(seen.longest_wait(start + Duration::from_millis(500)), Duration::from_millis(50));
    }

    #[test]
    fn every_address_is_a_server() {
        if let Err(why) = crate::preflight::namespaces() {
            eprintln!("skipped: {why:#}");
            return;
        }
        let namespace = Namespace::new("crowd").unwrap();
        namespace.ip("route add local 10.128.0.0/9 dev lo").unwrap();
        let crowd = Crowd::start(&namespace, 8000..8010).unwrap();
        for server in ["10.128.0.1:8000", "10.200.3.4:8009", "10.128.0.1:8000"] {
            let server: SocketAddr = server.parse().unwrap();
            let ask = move || crate::client::ask(server, "/", Duration::from_secs(5)).answer;
            assert_eq!(namespace.run(ask).unwrap().unwrap(), "");
        }
        let seen = crowd.seen();
        assert_eq!((seen.servers(), seen.requests(), seen.lateness(Duration::ZERO).len()), (2, 3, 1));
    }
}
