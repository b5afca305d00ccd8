//! The SCTP check: in the shipped kernel, because that of most hosts has no SCTP.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use director::check::tls::Clients;
use director::check::{Outcome, Target, probe};
use director::config::model::{Check, CheckKind};
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
