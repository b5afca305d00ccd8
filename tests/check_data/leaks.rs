//! Probes of every kind that are given up leave no descriptor, no process and no memory behind.

use std::net::UdpSocket;

use director::config::model::CheckKind;

use crate::ask::local;
use crate::bad::{kinds, serve};
use crate::programs::{exec, script};
use crate::residue::{Asked, asks_alone, leave_nothing};

#[test]
fn probes_that_are_given_up_leave_nothing_behind() {
    if asks_alone() {
        return;
    }
    let hangs = serve(|stream| {
        // As long as the client is there.
        let _ = std::io::copy(&mut &stream, &mut std::io::sink());
    });
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap();
    let (_folder, quick) = script("exit 0");
    let (_slow_folder, slow) = script("exec sleep 60");
    let mut asked: Vec<Asked> = kinds().into_iter().map(|(_, kind)| Asked::any(hangs, kind)).collect();
    let udp = || CheckKind::Udp { send: b"x".to_vec(), reply: None };
    let dns = CheckKind::Dns { name: "a".into(), record: "A".into(), expect: Vec::new(), tcp: false };
    let radius = CheckKind::Radius { login: None, secret: "secret".into() };
    let packets = [(udp(), silent_port), (dns, silent_port), (radius, silent_port), (udp(), local(9))];
    let others = [(CheckKind::Ping, local(0)), (CheckKind::Arp, local(0)), (CheckKind::Sctp, local(9))];
    let programs = [(exec(&quick, &[], false), local(80)), (exec(&slow, &[], false), local(80))];
    let all = packets.into_iter().chain(others).chain(programs);
    asked.extend(all.map(|(kind, server)| Asked::any(server, kind)));
    asked.push(Asked::bad(local(80), CheckKind::File { path: "/etc/hostname".into() }));
    leave_nothing("leaks::probes_that_are_given_up_leave_nothing_behind", &asked, 4_000);
}
