//! Servers that misbehave, and every kind of check that talks over TCP with them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use director::config::model::{CheckKind, Database, Login};
use director::ipc::message::Health;

use crate::ask::{ask, bad, free_port, local, verdict};

fn login() -> Login {
    Login { user: "monitor".into(), password: "secret".into() }
}

/// Each kind, with its name for messages.
pub fn kinds() -> Vec<(&'static str, CheckKind)> {
    let database = Database { login: Some(login()), query: Some("SELECT 1".into()), ..Database::default() };
    let ldap = CheckKind::Ldap { login: Some(login()), base: Some("dc=example".into()), tls: None };
    let dns =
        CheckKind::Dns { name: "example.com".into(), record: "A".into(), expect: Vec::new(), tcp: true };
    vec![
        ("mysql", CheckKind::Mysql(database.clone())),
        ("pgsql", CheckKind::Pgsql(database)),
        ("ldap", ldap),
        ("dns", dns),
        ("agent", CheckKind::Agent { send: Vec::new() }),
    ]
}

/// A server that treats each connection by `serve`, on its own thread, until the test program ends.
pub fn serve(serve: impl Fn(TcpStream) + Send + Sync + Copy + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

#[test]
fn nobody_there() {
    for (name, kind) in kinds() {
        assert_eq!(ask(local(free_port()), kind), bad("connection refused"), "{name}");
    }
}

#[test]
fn a_silent_server_is_bounded_by_the_timeout() {
    let address = serve(|stream| {
        std::thread::sleep(Duration::from_secs(30));
        drop(stream);
    });
    for (name, kind) in kinds() {
        let wanted = (Health::Down, "no answer within 300ms".to_owned());
        assert_eq!(verdict(address, kind), wanted, "{name}");
    }
}

#[test]
fn a_slow_drip_is_bounded_by_the_timeout() {
    // The beginning of something right for each: a long greeting, a long message.
    for ((name, kind), start) in kinds().into_iter().zip([
        b"\xff\0\0\0\x0a8.0.36".as_slice(),
        b"R\0\0\0\xff",
        b"\x30\x7f\x02\x01\x01",
        b"\x01\0",
        b"u",
    ]) {
        let address = serve(move |mut stream| {
            for byte in start.iter().chain(std::iter::repeat(&b'a')) {
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        assert_eq!(verdict(address, kind), (Health::Down, "no answer within 300ms".into()), "{name}");
    }
}

#[test]
fn other_protocols_are_told_from_the_right_one() {
    let http = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    let quoted = "\"HTTP/1.1 400 Bad Request\"";
    for ((name, kind), wanted) in kinds().into_iter().zip([
        "not MySQL: \"HTTP\"".to_owned(),
        "not PostgreSQL: \"HTTP/\"".to_owned(),
        "not LDAP: \"HT\"".to_owned(),
        "connection closed without an answer".to_owned(),
        format!("says {quoted}, no words of an agent"),
    ]) {
        let address = serve(|mut stream| {
            let _ = stream.write_all(http);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        assert_eq!(ask(address, kind), bad(wanted), "{name}");
    }
}

#[test]
fn an_early_end_is_told_from_a_reset() {
    let closes = serve(|mut stream| {
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    for (name, kind) in kinds().into_iter().filter(|(name, _)| *name != "agent") {
        assert_eq!(ask(closes, kind), bad("connection closed without an answer"), "{name}");
    }
    let resets = serve(|stream| {
        let mut byte = [0];
        let _ = stream.peek(&mut byte);
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    for (name, kind) in kinds().into_iter().filter(|(name, _)| !["agent", "mysql"].contains(name)) {
        assert_eq!(ask(resets, kind), bad("connection reset"), "{name}");
    }
}

#[test]
fn oversized_answers_are_not_read() {
    for ((name, kind), (start, wanted)) in kinds().into_iter().zip([
        (b"\xff\xff\xff\0\x0a8.0.36".as_slice(), "not MySQL: \"\\xff\\xff\\xff\\x00\""),
        (b"R\x7f\xff\xff\xff", "not PostgreSQL: \"R\\x7f\\xff\\xff\\xff\""),
        (b"\x30\x84\x7f\xff\xff\xff", "answer of 2147483647 bytes, more than 64 KiB"),
        (b"\0\x02ab", "not DNS: shorter than a header"),
        (b"up", "says more than 1024 bytes in one line"),
    ]) {
        let address = serve(move |mut stream| {
            let _ = stream.write_all(start);
            while stream.write_all(&[b' '; 4096]).is_ok() {}
        });
        assert_eq!(ask(address, kind), bad(wanted), "{name}");
    }
}
