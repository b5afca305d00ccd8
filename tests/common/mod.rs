//! What kernel tests share.

#![allow(dead_code, reason = "each test takes what it needs")]

pub mod publish;
pub mod segment;
pub mod worker;

use std::time::{Duration, Instant};

/// How long anything may take that is awaited: guests are emulated.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Why tests that need namespaces and IPVS cannot run here, if they cannot.
pub fn hindrance() -> Option<String> {
    if let Err(why) = director_lab::preflight::namespaces() {
        return Some(format!("{why:#}"));
    }
    let has_ipvs = std::path::Path::new("/proc/net/ip_vs").exists();
    let must = std::env::var_os("DIRECTOR_KERNEL_TEST").is_some();
    (!has_ipvs && !must)
        .then(|| "this kernel has no IPVS (/proc/net/ip_vs): `cargo image test --only kernel`".into())
}

/// The program under test.
pub fn binary() -> String {
    std::env::var("DIRECTOR_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_director").into())
}

/// Waits until `holds`.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
