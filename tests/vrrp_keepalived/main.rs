//! Virtual routers on a real wire: Director against keepalived, Director against Director, in network namespaces.
//!
//! Needs root, `ip` and keepalived; without them each test says so and counts as skipped.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod crashes;
mod director;
mod exchange;
mod heartbeat;
mod keepalived;
#[allow(dead_code, reason = "the other program needs more of it")]
mod load;
mod log;
mod orders;
mod pair;
mod record;
mod reload;
mod repair;
mod rolling;
mod tie;
mod versus;
mod vmac;
mod ways;
#[path = "../common/witness.rs"]
mod witness;

/// Why the tests of this program cannot run here, if so.
fn skip() -> bool {
    let why = director_lab::preflight::namespaces().err().map(|error| format!("{error:#}")).or_else(|| {
        let found = std::process::Command::new("keepalived").arg("--version").output().is_ok();
        (!found).then(|| "keepalived is missing: apt-get install keepalived".to_owned())
    });
    if let Some(why) = &why {
        eprintln!("skipped: {why}");
    }
    why.is_some()
}
