//! Links, addresses of NICs, routes and network sysctls: the role `net`.
//!
//! ```text
//! config + observed + leases ─▶ desired ─▶ diff ─▶ ops ─▶ apply ─▶ kernel ─▶ watch, observe ─┐
//!                 ▲                                                                           │
//!                 └───────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Start, reload, repair and a restart after a crash are one path: observe, compare, apply.

pub mod apply; // one operation → one netlink request or file write
pub mod arping; // who has an address, for people
pub mod backoff; // how soon the same operation may be tried again (pure)
pub mod capture; // packets into a file, for people
pub mod desired; // configuration + what is there → what should be (pure)
pub mod dhcp; // DHCPv4 client
pub mod diff; // what is → what should be, as ordered operations (pure)
pub mod journal; // what is said to people about a pass
pub mod kernel; // the netlink connection and its errors in words
pub mod memory; // what the worker remembers for its next life
pub mod observe; // the kernel's dumps → State
pub mod ping; // ICMP echo for people
pub mod run; // the worker
pub mod settled; // what was in place, to tell a repair from a change (pure)
pub mod state; // one shape for what is and what should be
pub mod status; // the worker's state for people (pure)
pub mod sysctl; // what a director wants of /proc/sys/net, each with its reason
pub mod trace; // the way to an address, for people
pub mod watch; // "something changed", by netlink multicast

/// The kernel's error without the number that says nothing to people.
fn told(error: &std::io::Error) -> String {
    error
        .raw_os_error()
        .map_or_else(|| error.to_string(), |code| nix::errno::Errno::from_raw(code).desc().to_lowercase())
}
