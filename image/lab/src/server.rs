//! Tiny real servers: HTTP that answers with its own name.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::segment::Host;

/// A real server: answers `200` with its name as body to every HTTP request, several on one connection if asked so.
/// Requests whose path is `/health` or begins with it are answered too but not counted.
#[derive(Debug)]
pub struct RealServer {
    host: Host,
    listen: SocketAddr,
    running: Option<Running>,
    requests: Arc<AtomicU64>,
}

impl RealServer {
    /// Starts the server inside `host`. Listen on an unspecified address to answer for a VIP as well.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(host: &Host, listen: SocketAddr) -> Result<RealServer> {
        let mut server = RealServer { host: host.clone(), listen, running: None, requests: Arc::default() };
        server.resume()?;
        Ok(server)
    }

    /// The name that it answers with: its host's.
    pub fn name(&self) -> &str {
        self.host.name()
    }

    /// How many requests it has answered, health checks not among them.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Stops it as a crash would: the port refuses, open connections are reset or closed.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Starts it again after [`RealServer::stop`].
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn resume(&mut self) -> Result<()> {
        if self.running.is_none() {
            self.running = Some(Running::start(&self.host, self.listen, Arc::clone(&self.requests))?);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Running {
    stop: Arc<AtomicBool>,
    listen: SocketAddr,
    host: Host,
    open: Connections,
    thread: Option<JoinHandle<()>>,
}

type Connections = Arc<Mutex<Vec<TcpStream>>>;

impl Running {
    fn start(host: &Host, listen: SocketAddr, requests: Arc<AtomicU64>) -> Result<Running> {
        let what = || format!("real server {} on {listen}", host.name());
        let listener = host.namespace().run(move || TcpListener::bind(listen))?.with_context(what)?;
        let (stop, open) = (Arc::new(AtomicBool::new(false)), Connections::default());
        let accept = Accept {
            listener,
            stop: Arc::clone(&stop),
            open: Arc::clone(&open),
            name: host.name().into(),
            requests,
        };
        let thread =
            thread::Builder::new().name(format!("server-{}", host.name())).spawn(move || accept.run())?;
        Ok(Running { stop, listen, host: host.clone(), open, thread: Some(thread) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let mut awake = self.listen;
        if awake.ip().is_unspecified() {
            awake.set_ip(if awake.is_ipv4() {
                [127, 0, 0, 1].into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        // The accepting thread looks at `stop` after each connection: this is one.
        let _ = self
            .host
            .namespace()
            .run(move || TcpStream::connect_timeout(&awake, Duration::from_secs(1)).map(drop));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for connection in lock(&self.open).drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

struct Accept {
    listener: TcpListener,
    stop: Arc<AtomicBool>,
    open: Connections,
    name: Arc<str>,
    requests: Arc<AtomicU64>,
}

impl Accept {
    fn run(self) {
        for stream in self.listener.incoming() {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            let mut open = lock(&self.open);
            open.retain(|other| other.peer_addr().is_ok()); // forget those that were closed
            open.extend(stream.try_clone());
            drop(open);
            let (name, requests) = (Arc::clone(&self.name), Arc::clone(&self.requests));
            thread::spawn(move || {
                let _ = converse(&stream, &name, &requests);
                let _ = stream.shutdown(Shutdown::Both); // the copy in `open` would keep it open
            });
        }
    }
}

/// Answers one connection's requests until the peer closes it or asks for no more.
fn converse(stream: &TcpStream, name: &str, requests: &AtomicU64) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split_whitespace().nth(1).unwrap_or("/").to_owned();
        let mut keep = line.trim_end().ends_with("HTTP/1.1");
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
                break;
            }
            keep &= !line.trim_end().eq_ignore_ascii_case("connection: close");
        }
        if !path.starts_with("/health") {
            requests.fetch_add(1, Ordering::Relaxed);
        }
        let connection = if keep { "keep-alive" } else { "close" };
        let body = format!("{name}\n");
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
            body.len()
        );
        (&*stream).write_all((head + &body).as_bytes())?;
        if !keep {
            return Ok(());
        }
    }
}

fn lock(open: &Connections) -> MutexGuard<'_, Vec<TcpStream>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}
