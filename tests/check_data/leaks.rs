//! Probes that are given up, of every kind, and good ones that need no server of Debian's, leave no descriptor, no process and no memory behind.

use std::net::UdpSocket;

use director::config::model::CheckKind;

use crate::ask::local;
use crate::bad::{kinds, serve};
use crate::datagrams::echo;
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

#[test]
fn good_probes_leave_nothing_behind() {
    if asks_alone() {
        return;
    }
    let (_folder, program) = script("exit 0");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state");
    std::fs::write(&file, "up\n").unwrap();
    let answers = local(echo(b"pong"));
    let udp = |reply: Option<&str>| CheckKind::Udp {
        send: b"ping".to_vec(),
        reply: reply.map(|reply| reply.parse().unwrap()),
    };
    let file = CheckKind::File { path: file.to_str().unwrap().into() };
    let mut asked = vec![
        Asked::good(answers, udp(Some("^pong$"))),
        Asked::good(answers, udp(None)),
        Asked::good(local(80), file),
        Asked::good(local(80), exec(&program, &[], false)),
    ];
    if nix::unistd::geteuid().is_root() {
        asked
            .extend(["127.0.0.1:0", "[::1]:0"].map(|own| Asked::good(own.parse().unwrap(), CheckKind::Ping)));
    }
    leave_nothing("leaks::good_probes_leave_nothing_behind", &asked, 4_000);
}
