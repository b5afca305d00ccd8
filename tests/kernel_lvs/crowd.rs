//! Many connections that stay open, to servers that say with a byte who they are.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use director_lab::segment::Host;
use nix::sys::resource::{Resource, setrlimit};

/// A server that answers each byte with its own number.
pub struct Byte {
    number: u8,
    listener: TcpListener,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Byte {
    /// Starts it on a port of every address of `host`.
    pub fn start(host: &Host, port: u16, number: u8) -> Byte {
        let address = SocketAddr::from(([0, 0, 0, 0], port));
        let listener = host.namespace().run(move || TcpListener::bind(address)).unwrap().unwrap();
        let byte = Byte { number, listener, open: Arc::default() };
        let (listener, open) = (byte.listener.try_clone().unwrap(), Arc::clone(&byte.open));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                open.lock().unwrap().push(stream.try_clone().unwrap());
                let talk = move || converse(stream, number);
                std::thread::Builder::new().stack_size(64 * 1024).spawn(talk).unwrap();
            }
        });
        byte
    }

    /// Ends it as a crash would.
    pub fn stop(&self) {
        // The kernel wakes an accept of a socket that is shut down.
        nix::sys::socket::shutdown(
            std::os::fd::AsRawFd::as_raw_fd(&self.listener),
            nix::sys::socket::Shutdown::Both,
        )
        .unwrap();
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    pub fn number(&self) -> u8 {
        self.number
    }
}

fn converse(mut stream: TcpStream, number: u8) {
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() && stream.write_all(&[number]).is_ok() {}
}

/// Connections, and who answered each of them last.
pub struct Crowd {
    members: Vec<(TcpStream, u8)>,
}

impl Crowd {
    /// Opens so many connections from `client`.
    pub fn open(client: &Host, target: &str, number: usize) -> Crowd {
        // Both ends are in this process.
        setrlimit(Resource::RLIMIT_NOFILE, 16_384, 16_384).unwrap();
        let target: SocketAddr = target.parse().unwrap();
        let connect = move || -> Vec<(TcpStream, u8)> {
            let stream = || TcpStream::connect_timeout(&target, Duration::from_secs(10)).unwrap();
            (0..number).map(|_| (stream(), 0)).collect()
        };
        let mut crowd = Crowd { members: client.namespace().run(connect).unwrap() };
        for (stream, _) in &crowd.members {
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream.set_nodelay(true).unwrap();
        }
        let answers = crowd.ask();
        for ((_, home), answer) in crowd.members.iter_mut().zip(answers) {
            *home = answer.unwrap();
        }
        crowd
    }

    /// How many have this server.
    pub fn of(&self, server: &Byte) -> usize {
        self.members.iter().filter(|(_, home)| *home == server.number()).count()
    }

    /// Asserts that those with these servers still have them.
    pub fn assert_at_home(&mut self, what: &str, servers: &[&Byte]) {
        let answers = self.ask();
        for ((_, home), answer) in self.members.iter().zip(answers) {
            if servers.iter().any(|server| server.number() == *home) {
                assert_eq!(answer.ok(), Some(*home), "{what}");
            }
        }
    }

    /// Forgets those whose server this is, and tells whether all of them have ended.
    pub fn leave(&mut self, server: &Byte) -> bool {
        let number = server.number();
        let (theirs, rest) =
            std::mem::take(&mut self.members).into_iter().partition(|(_, home)| *home == number);
        self.members = rest;
        Crowd { members: theirs }.ask().into_iter().all(|answer| answer.is_err())
    }

    /// Everybody asks, then everybody listens.
    fn ask(&mut self) -> Vec<Result<u8, ErrorKind>> {
        let asked: Vec<_> = self.members.iter_mut().map(|(stream, _)| stream.write_all(b"?")).collect();
        let both = self.members.iter_mut().zip(asked);
        both.map(|((stream, _), asked)| {
            let mut byte = [0];
            asked.and_then(|()| stream.read_exact(&mut byte)).map(|()| byte[0]).map_err(|error| error.kind())
        })
        .collect()
    }
}
