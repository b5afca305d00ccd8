//! Peers that no project builds: silent, dripping, endless.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A server that treats each connection by `serve`, on a thread of its own, until the test program ends.
pub fn serve(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Accepts, and never says a word.
pub fn silent() -> SocketAddr {
    serve(|mut stream| {
        let mut nobody_cares = [0; 1024];
        while stream.read(&mut nobody_cares).is_ok_and(|read| read > 0) {}
    })
}

/// Closes with what it was sent unread, which the kernel makes a reset.
pub fn resets() -> SocketAddr {
    serve(|stream| drop(stream.peek(&mut [0])))
}

/// Says one byte of `text` after the other, and goes on with its last byte for ever.
pub fn drip(text: &'static str) -> SocketAddr {
    serve(move |mut stream| {
        let last = *text.as_bytes().last().unwrap();
        for byte in text.bytes().chain(std::iter::repeat(last)) {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    })
}

/// Says `begin`, then `more` without end.
pub fn endless(begin: &'static str, more: &'static str) -> SocketAddr {
    serve(move |mut stream| {
        let more = more.repeat(4096 / more.len());
        let mut text = begin;
        while stream.write_all(text.as_bytes()).is_ok() {
            text = &more;
        }
    })
}

/// Says the first of `lines`, and each other one when it has heard something. Then it repeats whatever it hears.
pub fn lines(lines: &'static [&'static str]) -> SocketAddr {
    serve(move |mut stream| {
        if say(&mut stream, lines) {
            repeat(stream, b"");
        }
    })
}

/// Says `plain` as [`lines()`] does, then `inside` by TLS.
pub fn secure(
    server: &Arc<ServerConfig>,
    plain: &'static [&'static str],
    inside: &'static [&'static str],
) -> SocketAddr {
    let server = Arc::clone(server);
    serve(move |mut stream| {
        if !say(&mut stream, plain) {
            return;
        }
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&server)).unwrap(), stream);
        if say(&mut stream, inside) {
            repeat(stream, b"");
        }
    })
}

/// Answers by `answer`, with whatever it hears behind it.
pub fn repeats(answer: &'static str) -> SocketAddr {
    serve(move |stream| repeat(stream, answer.as_bytes()))
}

/// Whether all could be said.
fn say(stream: &mut (impl Read + Write), lines: &[&str]) -> bool {
    lines.iter().enumerate().all(|(n, line)| {
        let heard = n == 0 || matches!(stream.read(&mut [0; 4096]), Ok(1..));
        heard && stream.write_all(line.as_bytes()).is_ok()
    })
}

fn repeat(mut stream: impl Read + Write, before: &[u8]) {
    let mut heard = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut heard) {
        if stream.write_all(&[before, &heard[..read]].concat()).is_err() {
            return;
        }
    }
}

/// Nobody listens there, nor ever will: the port stays taken.
pub fn nobody() -> SocketAddr {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(socket);
    address
}
