//! Director: the firmware of a dedicated LVS director.
//!
//! ```text
//! director.toml ─▶ config::raw ─▶ config::model ──────────────┐
//!                     │ every fault at once                     ▼
//! kernel ─▶ observe ─▶ State (observed)      facts ─▶ desired(model, facts) ─▶ State (desired)
//!               │                             ▲                     │
//!               └────────────▶ diff ◀─────────┼─────────────────────┘      facts = what changes while running:
//!                               ▼             │                             VRRP role, check verdicts, drains, links
//!                        Vec<Op>, ordered ─▶ apply (batched netlink) ─▶ kernel
//! ```
//!
//! One binary, many processes: `init` (or `director run`) starts each [`role::Role`] as a process of its own. The same names
//! mean the same thing in every folder: `desired`, `diff` and `fsm` are pure; `run` holds the loop; `socket`, `observe` and
//! `apply` touch the kernel.

pub mod api; // metrics and the status page: what others may read, nothing that they may change
pub mod check; // health checks: when to ask (pure), how to ask, and the loop that asks
pub mod config; // director.toml: the user's words → a checked model, every fault in one report
pub mod console; // the menu on a terminal
pub mod ctl; // the verbs of the command line, as a table
pub mod import; // keepalived.conf, ldirectord.cf and rules of ipvsadm as director.toml
pub mod init; // the supervisor: on the appliance PID 1, elsewhere `director run`
pub mod ipc; // the messages between processes, one JSON document a line, and the sockets that carry them
pub mod ipvs; // the kernel's balancer over generic netlink: its table, and the client that reads and edits it
mod listen; // on an address that may not be here yet
pub mod logging; // `log` records → "<6>text" lines on stderr, which the supervisor rings
pub mod lvs; // the worker that owns IPVS: services, real servers, quorum, the sorry page
pub mod names; // names of hosts as addresses, for what may wait
pub mod net; // links, addresses of NICs, routes, network sysctls
pub mod netlink; // netlink as bytes, and the socket that carries it
pub mod nft; // marks and source addresses by nftables: the rules that services need, and the table that holds them
pub mod notify; // logs and alarms on their way out of the box
pub mod owner; // whose an address or a route in the kernel is
pub mod paths; // where the processes meet: the run directory and what lies in it
pub mod pattern; // what must be found in an answer: a regular expression, compiled once
pub mod pin; // the PIN of the console as a hash
pub mod realserver; // what a real server needs for DR and TUN: planned, shown, done and taken back
pub mod role; // the processes that one binary can be, as data
pub mod secret; // what stands for a secret that lies in a file of its own
pub mod store; // which configuration counts; clock, seed and boot slot: what outlives a boot
pub mod support; // everything that helps others to help, as one file
pub mod sys; // the only `unsafe`: what nix does not offer
pub mod time; // the clock, by time servers
pub mod units; // Vrid, Priority, Weight, IfName, Cidr…: checked once, by TryFrom
pub mod vrrp; // virtual routers: elections, VIPs and their announcements
pub mod worker; // the entry point of each process that the supervisor starts
