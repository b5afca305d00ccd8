//! Servers that tell who they are and whom they see, and clients that ask them, over TCP, UDP and SCTP.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use director_lab::namespace::Namespace;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// How long an answer may take: guests are emulated.
const PATIENCE: Duration = Duration::from_secs(5);

/// How one talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Tcp,
    Udp,
    Sctp,
}

impl By {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    fn socket(self, address: SocketAddr) -> io::Result<Socket> {
        let (kind, protocol) = match self {
            Self::Tcp => (Type::STREAM, Protocol::TCP),
            Self::Udp => (Type::DGRAM, Protocol::UDP),
            Self::Sctp => (Type::STREAM, Protocol::from(132)),
        };
        Socket::new(Domain::for_address(address), kind, Some(protocol))
    }
}

/// What a server said of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The server's name.
    pub name: String,
    /// Whom it saw.
    pub peer: SocketAddr,
    /// Under which address it was asked.
    pub local: SocketAddr,
    /// The client as it knows itself.
    pub client: SocketAddr,
}

/// Answers on `address` in `ns` until the process ends. Exactly this address: its answers then come from there.
pub fn serve(ns: &Arc<Namespace>, name: &str, by: By, address: SocketAddr) {
    let socket = ns.run(move || bound(by, address)).unwrap();
    let socket = socket.unwrap_or_else(|error| panic!("{name}: listen on {by:?} {address}: {error}"));
    let name = name.to_owned();
    std::thread::spawn(move || match by {
        By::Udp => answer_datagrams(&UdpSocket::from(socket), &name),
        By::Tcp | By::Sctp => {
            while let Ok((mut stream, peer)) = socket.accept() {
                let local = stream.local_addr().and_then(told).unwrap();
                let said = format!("{name} {} {local}", told(peer).unwrap());
                // The client says first that it is there: an answer must not overtake what made the connection.
                std::thread::spawn(move || {
                    let mut question = [0; 512];
                    let _ = stream.set_read_timeout(Some(PATIENCE));
                    if stream.read(&mut question).is_ok_and(|length| length > 0) {
                        let _ = stream.write_all(said.as_bytes());
                        let _ = stream.read(&mut question); // until the client is done
                    }
                });
            }
        }
    });
}

/// Asks `target` once from `source` in `ns`.
pub fn ask(ns: &Namespace, by: By, source: SocketAddr, target: SocketAddr) -> io::Result<Answer> {
    ns.run(move || open(by, source, target).and_then(|mut line| line.ask("who is there?"))).unwrap()
}

/// An open connection, or a socket for datagrams.
pub struct Line(Socket);

/// Connects from `source`; for UDP this sends nothing.
pub fn open(by: By, source: SocketAddr, target: SocketAddr) -> io::Result<Line> {
    let socket = by.socket(target)?;
    socket.bind(&source.into())?;
    socket.connect_timeout(&target.into(), PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(Line(socket))
}

impl Line {
    /// Asks, and reads the answer.
    pub fn ask(&mut self, question: &str) -> io::Result<Answer> {
        self.0.write_all(question.as_bytes())?;
        let mut buffer = [0; 512];
        let length = self.0.read(&mut buffer)?;
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let words: Vec<&str> = text.split(' ').collect();
        let [name, peer, local] = words[..] else {
            return Err(io::Error::other(format!("answer: {text:?}")));
        };
        Ok(Answer {
            name: name.to_owned(),
            peer: peer.parse().unwrap(),
            local: local.parse().unwrap(),
            client: self.0.local_addr().and_then(told)?,
        })
    }
}

fn bound(by: By, address: SocketAddr) -> io::Result<Socket> {
    let socket = by.socket(address)?;
    socket.bind(&address.into())?;
    if by != By::Udp {
        socket.listen(64)?;
    }
    Ok(socket)
}

fn answer_datagrams(socket: &UdpSocket, name: &str) {
    let local = socket.local_addr().unwrap();
    let mut question = [0; 512];
    while let Ok((_, peer)) = socket.recv_from(&mut question) {
        let _ = socket.send_to(format!("{name} {peer} {local}").as_bytes(), peer);
    }
}

fn told(address: SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| io::Error::other("no internet address"))
}
