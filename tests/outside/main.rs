//! What Director tells the outside: metrics and the status page, logs, alarms; each against the real program at the other end,
//! in a network namespace of the test's own.

// A test that finds nothing to hold on to is to end there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod api;
#[allow(dead_code)] // shared with the tests of checks
#[path = "../check_text/authority.rs"]
mod authority;
mod events;
mod names;
mod notify;
mod page;
mod rig;
mod secrets;
mod syslog;
mod time;
