//! TCP with a dialogue.

use std::net::TcpListener;
use std::time::Duration;

use director::config::model::{Check, CheckKind, Dialogue};
use director::ipc::message::Health;

use super::ask::{down, late, up, verdict};
use super::nginx::Nginx;
use super::scripted::{drip, endless, lines, nobody, serve, silent};

fn dialogue(send: &str, expect: &str) -> CheckKind {
    CheckKind::Tcp(Dialogue { send: send.into(), expect: Some(expect.parse().unwrap()) })
}

#[test]
fn a_dialogue_with_nginx() {
    let Some(nginx) = Nginx::start() else { return };
    let ask = |expect| dialogue("GET / HTTP/1.0\r\n\r\n", expect);
    let got = "got \"HTTP/1.1 200 OK\\r\\nServer: nginx/";
    let (health, reason) = verdict(nginx.clear, Check::new(ask("(?s)^HTTP/1.[01] 200 .*good$")));
    assert!(health == Health::Up && reason.starts_with(got), "{reason}");
    let (health, reason) = verdict(nginx.clear, Check::new(ask("bad")));
    assert!(
        health == Health::Down && reason.starts_with(got) && reason.ends_with("wanted \"bad\""),
        "{reason}"
    );
}

#[test]
fn an_answer_is_known_before_the_connection_ends() {
    up(lines(&["+PONG\r\n"]), dialogue("", r"^\+PONG\r\n"), "got \"+PONG\\r\\n\"");
    // In two pieces, the second after an answer of ours.
    let pieces = serve(|mut stream| {
        use std::io::Write;
        stream.set_nodelay(true).unwrap();
        stream.write_all(b"+PO").unwrap();
        stream.write_all(b"NG\r\n").unwrap();
        std::thread::sleep(Duration::from_secs(5));
    });
    up(pieces, dialogue("PING\r\n", "PONG\r\n"), "got \"+PONG\\r\\n\"");
}

#[test]
fn what_does_not_come() {
    late(silent(), dialogue("PING\r\n", "PONG"));
    late(drip("PON"), dialogue("", "PONG"));
    down(nobody(), dialogue("", "PONG"), "connection refused");
    down(serve(drop), dialogue("", "PONG"), "connection closed without an answer, wanted \"PONG\"");
    let begin = "a".repeat(40);
    let reason = format!("got \"{begin}…\" and more than 64 KiB, wanted \"PONG\"");
    down(endless("aa", "a"), dialogue("", "PONG"), &reason);
}

#[test]
fn the_source_of_the_probe_is_the_checks() {
    for (listen, source) in [("127.0.0.1:0", "127.0.0.9"), ("[::1]:0", "::1")] {
        let listener = TcpListener::bind(listen).unwrap();
        let server = listener.local_addr().unwrap();
        let check = Check {
            source: Some(source.parse().unwrap()),
            // Asked in place of the server's, which nobody has.
            address: Some(server.ip()),
            port: Some(server.port()),
            ..Check::new(CheckKind::Tcp(Dialogue::default()))
        };
        let asked = verdict("192.0.2.1:1".parse().unwrap(), check);
        assert_eq!(asked, (Health::Up, "connected".to_owned()));
        assert_eq!(listener.accept().unwrap().1.ip().to_string(), source);
    }
}

#[test]
fn a_source_that_this_box_does_not_have_is_told() {
    let check = Check {
        source: Some("192.0.2.77".parse().unwrap()),
        interval: Duration::from_millis(100),
        timeout: Duration::from_millis(100),
        ..Check::new(CheckKind::Tcp(Dialogue::default()))
    };
    assert_eq!(
        verdict(silent(), check),
        (Health::Down, "source 192.0.2.77 is no address of this box".to_owned())
    );
}

#[test]
fn the_mark_of_the_probe_is_the_checks() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let check = Check { mark: 17, ..Check::new(CheckKind::Tcp(Dialogue::default())) };
    match director::check::socket::prepare(&socket, &check) {
        Ok(()) => assert_eq!(socket.mark().unwrap(), 17),
        // Without CAP_NET_ADMIN: nothing is known about the server then.
        Err(ended) => {
            let why = "cannot ask: mark 17: forbidden by a local rule";
            assert_eq!(ended, director::check::Outcome::Inconclusive(why.into()));
        }
    }
}
