//! UDP and ping.

use std::net::UdpSocket;

use director::check::Outcome;
use director::config::model::CheckKind;
use director::ipc::message::Health;
use nix::unistd::geteuid;

use crate::ask::{ask, bad, free_port, good, local, verdict};

fn udp(reply: Option<&str>) -> CheckKind {
    CheckKind::Udp { send: b"ping".to_vec(), reply: reply.map(|reply| reply.parse().unwrap()) }
}

/// Answers every datagram with `answer`.
pub fn echo(answer: &'static [u8]) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((_, from)) = socket.recv_from(&mut [0; 100]) {
            let _ = socket.send_to(answer, from);
        }
    });
    port
}

#[test]
fn an_answer_must_fit_where_one_is_wanted() {
    let port = echo(b"pong 17");
    assert_eq!(ask(local(port), udp(Some("^pong [0-9]+$"))), good("7 bytes answered as wanted"));
    assert_eq!(ask(local(port), udp(Some("^PONG"))), bad("answered \"pong 17\", wanted \"^PONG\""));
    assert_eq!(ask(local(port), udp(None)), good("7 bytes answered"));
}

#[test]
fn silence_is_good_unless_an_answer_is_wanted() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    assert_eq!(verdict(address, udp(None)), (Health::Up, "no ICMP error within 270ms".into()));
    assert_eq!(verdict(address, udp(Some("."))), (Health::Down, "no answer within 300ms".into()));
}

#[test]
fn a_closed_port_is_known_at_once() {
    for reply in [None, Some(".")] {
        assert_eq!(ask(local(free_port()), udp(reply)), bad("connection refused"));
        let v6 = format!("[::1]:{}", free_port()).parse().unwrap();
        assert_eq!(ask(v6, udp(reply)), bad("connection refused"));
    }
}

#[test]
fn this_box_answers_pings() {
    for address in ["127.0.0.1:80", "[::1]:80"] {
        let outcome = ask(address.parse().unwrap(), CheckKind::Ping);
        if !geteuid().is_root() && matches!(outcome, Outcome::Inconclusive(_)) {
            eprintln!("skipped: {outcome:?}");
            return;
        }
        assert_eq!(outcome, good("answered"), "{address}");
    }
}
