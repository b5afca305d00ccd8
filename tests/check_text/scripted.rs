//! Peers that no project builds: silent, dripping, endless.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

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
        let (mut heard, mut lines) = ([0; 4096], lines.iter());
        let mut said = lines.next().unwrap().as_bytes().to_vec();
        loop {
            let Ok(()) = stream.write_all(&said) else { return };
            let Ok(read @ 1..) = stream.read(&mut heard) else { return };
            let echo = || heard.iter().copied().take(read).collect();
            said = lines.next().map_or_else(echo, |line| line.as_bytes().to_vec());
        }
    })
}

/// Nobody listens there, nor ever will: the port stays taken.
pub fn nobody() -> SocketAddr {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(socket);
    address
}
