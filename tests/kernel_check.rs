//! The SCTP check: in the shipped kernel, because that of most hosts has no SCTP.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "shared with other tests")]
#[path = "check_text/residue.rs"]
mod residue; // whether probes leave anything behind

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use director::check::runner::Runner;
use director::check::tls::Clients;
use director::check::{Outcome, Target, probe};
use director::config::model::{Check, CheckKind};
use director::ipc::message::Health;
use director_lab::namespace::Namespace;
use residue::{Asked, asks_alone, leave_nothing};
use socket2::{Domain, Protocol, Socket, Type};

/// IPPROTO_SCTP (linux/in.h).
const SCTP: i32 = 132;

fn ask(address: SocketAddr) -> Outcome {
    let target = Target::new(address, Arc::new(Check::new(CheckKind::Sctp)));
    let clients = Clients::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(30), probe::probe(&target, &clients)).await.unwrap()
    })
}

#[test]
fn an_association_is_established_refused_and_leaves_nothing() {
    if std::env::var_os("DIRECTOR_KERNEL_TEST").is_none() {
        eprintln!("skipped: runs in a guest with the shipped kernel");
        return;
    }
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let address: SocketAddr = address.parse().unwrap();
        let kind = (Domain::for_address(address), Type::STREAM, Some(Protocol::from(SCTP)));
        let server = Socket::new(kind.0, kind.1, kind.2).unwrap();
        server.bind(&address.into()).unwrap();
        server.listen(64).unwrap();
        server.set_nonblocking(true).unwrap();
        let address = server.local_addr().unwrap().as_socket().unwrap();
        for _ in 0..200 {
            assert_eq!(ask(address), Outcome::Success("associated".into()), "{address}");
            // The kernel keeps even an aborted association for who accepts it, and refuses more than it may keep.
            while server.accept().is_ok() {}
        }
        let left = std::fs::read_to_string("/proc/net/sctp/assocs").unwrap();
        assert!(left.lines().count() < 20, "{left}");
        drop(server);
        assert_eq!(ask(address), Outcome::Failure("connection refused".into()), "{address}");
    }
}

#[test]
fn many_probes_leave_nothing_behind() {
    if std::env::var_os("DIRECTOR_KERNEL_TEST").is_none() {
        eprintln!("skipped: runs in a guest with the shipped kernel");
        return;
    }
    if asks_alone() {
        return;
    }
    let servers = ["127.0.0.1:0", "[::1]:0"].map(|address| {
        let address: SocketAddr = address.parse().unwrap();
        let server =
            Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::from(SCTP))).unwrap();
        server.bind(&address.into()).unwrap();
        server.listen(128).unwrap();
        let address = server.local_addr().unwrap().as_socket().unwrap();
        std::thread::spawn(move || while server.accept().is_ok() {});
        address
    });
    let mut asked = Vec::from(servers.map(|server| Asked::good(server, CheckKind::Sctp)));
    asked.push(Asked::bad("127.0.0.1:9".parse().unwrap(), CheckKind::Sctp));
    leave_nothing("many_probes_leave_nothing_behind", &asked, 1_000);
}

/// What a dummy interface is sent is gone.
#[test]
fn a_host_that_never_answers_is_down_in_time() {
    if std::env::var_os("DIRECTOR_KERNEL_TEST").is_none() {
        eprintln!("skipped: runs in a guest with the shipped kernel");
        return;
    }
    let void = Namespace::new("sctp-void").unwrap();
    for command in [
        "link add void type dummy",
        "addr add 10.77.0.1/24 dev void",
        "addr add 2001:db8:77::1/64 dev void nodad",
        "link set void up",
    ] {
        void.ip(command).unwrap();
    }
    for address in ["10.77.0.9:9", "[2001:db8:77::9]:9"] {
        let said = void.run(move || verdict(address.parse().unwrap())).unwrap();
        assert_eq!(said, (Health::Down, "no answer within 1s".to_owned()), "{address}");
    }
}

fn verdict(address: SocketAddr) -> (Health, String) {
    let time = Duration::from_secs(1);
    let check = Check { interval: time, timeout: time, ..Check::new(CheckKind::Sctp) };
    let target = Target::new(address, Arc::new(check));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let verdict = runtime.block_on(async {
        let mut runner = Runner::new(1);
        runner.set(Instant::now(), [&target]);
        runner.next().await
    });
    (verdict.health, verdict.reason.into_owned())
}
