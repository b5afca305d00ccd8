//! One verdict, as the runner gives it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use director::check::Target;
use director::check::runner::Runner;
use director::config::model::{Check, CheckKind, Login};
use director::ipc::message::Health;

use crate::relay::by_ipv6;

/// For servers that answer, on a busy machine.
pub const PATIENT: Duration = Duration::from_secs(20);
/// For servers that never do.
pub const SHORT: Duration = Duration::from_millis(300);

pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

pub fn login(user: &str, password: &str) -> Login {
    Login { user: user.into(), password: password.into() }
}

/// The first verdict on a check, and its reason.
pub fn verdict(server: SocketAddr, check: Check) -> (Health, String) {
    let target = Target::new(server, Arc::new(check));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let verdict = runtime.block_on(async {
        let mut runner = Runner::new(4);
        runner.set(Instant::now(), &BTreeSet::from([target]));
        runner.next().await
    });
    (verdict.health, verdict.reason.into_owned())
}

/// With all the time in the world.
pub fn patient(kind: CheckKind) -> Check {
    Check { interval: PATIENT, timeout: PATIENT, ..Check::new(kind) }
}

/// The server is up, for this reason; by IPv6, too.
#[track_caller]
pub fn up(server: SocketAddr, kind: CheckKind, reason: &str) {
    let wanted = (Health::Up, reason.to_owned());
    let relay = by_ipv6(server, &kind);
    if let Some(relay) = relay {
        assert_eq!(verdict(relay, patient(kind.clone())), wanted, "by IPv6");
    }
    assert_eq!(verdict(server, patient(kind)), wanted);
}

/// The server is down, for this reason.
#[track_caller]
pub fn down(server: SocketAddr, kind: CheckKind, reason: &str) {
    assert_eq!(verdict(server, patient(kind)), (Health::Down, reason.to_owned()));
}

/// The server has not answered in time.
#[track_caller]
pub fn late(server: SocketAddr, kind: CheckKind) {
    let began = Instant::now();
    let check = Check { interval: SHORT, timeout: SHORT, ..Check::new(kind) };
    assert_eq!(verdict(server, check), (Health::Down, "no answer within 300ms".to_owned()));
    assert!(began.elapsed() < PATIENT, "{:?}", began.elapsed());
}
