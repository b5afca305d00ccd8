//! One probe, its outcome, and its verdict.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use director::check::runner::Runner;
use director::check::tls::Clients;
use director::check::{Outcome, Target, probe};
use director::config::model::{Check, CheckKind, Tls};
use director::ipc::message::Health;
use director_lab::peer::Peer;

use crate::authority::Authority;
use crate::relay::by_ipv6;

/// Of checks that must time out.
pub const TIMEOUT: Duration = Duration::from_millis(300);

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

pub fn free_port() -> u16 {
    director_lab::peer::free_port().unwrap()
}

/// `None`, having said so, where the packages cannot be had.
pub fn fetch(packages: &[&str]) -> Option<Peer> {
    Peer::fetch(packages).inspect_err(|why| eprintln!("skipped: {why:#}")).ok()
}

/// What one probe learns, however long the machine takes. Of a server that is well it learns the same by IPv6.
#[track_caller]
pub fn ask(server: SocketAddr, kind: CheckKind) -> Outcome {
    let outcome = once(server, kind.clone());
    if let (Outcome::Success(_), Some(relay)) = (&outcome, by_ipv6(server, &kind)) {
        assert_eq!(once(relay, kind), outcome, "by IPv6");
    }
    outcome
}

/// For peers that serve one connection.
pub fn once(server: SocketAddr, kind: CheckKind) -> Outcome {
    let target = Target::new(server, Arc::new(Check::new(kind)));
    let clients = Clients::default();
    block_on(async {
        tokio::time::timeout(Duration::from_secs(30), probe::probe(&target, &clients)).await.unwrap()
    })
}

pub fn good(reason: impl Into<String>) -> Outcome {
    Outcome::Success(reason.into().into())
}

pub fn bad(reason: impl Into<String>) -> Outcome {
    Outcome::Failure(reason.into().into())
}

/// The first verdict of the running checks, with a short timeout.
pub fn verdict(server: SocketAddr, kind: CheckKind) -> (Health, String) {
    let interval = Duration::from_millis(500);
    let check = Check { interval, fast: interval, timeout: TIMEOUT, ..Check::new(kind) };
    let target = Target::new(server, Arc::new(check));
    let verdict = block_on(async {
        let mut runner = Runner::new(16);
        runner.set(Instant::now(), &BTreeSet::from([target]));
        tokio::time::timeout(Duration::from_secs(30), runner.next()).await.unwrap()
    });
    (verdict.health, verdict.reason.into_owned())
}

/// TLS with a certificate that `authority` has signed, for this name.
pub fn verified(authority: &Authority, name: &str) -> Tls {
    Tls { name: Some(name.to_owned()), ca: Some(authority.pem()), ..Tls::default() }
}

/// What a probe says that wants `shop.example.com` of a server that shows [`NAME`].
pub const OTHER_NAME: &str = "certificate is for db.example.com, wanted shop.example.com";

/// The name in certificates of servers.
pub const NAME: &str = "db.example.com";
