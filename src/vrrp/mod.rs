//! Virtual routers: who is master, the VIPs, and their announcements (RFC 9568, RFC 3768).
//!
//! ```text
//! socket ──datagram──▶ packet ──▶ instance ──Event──▶ fsm ──Action──▶ instance ──Effect──▶ run ──▶ socket, kernel
//!                                  ▲    ▲                                 │
//! kernel (observe) ──▶ facts ──▶ track  └── deadline: one timer           └─▶ garp: when VIPs are announced
//! ```
//!
//! Only `run`, `socket`, `kernel`, `apply`, `alarm`, `keys`, `memory` and `punctual` touch the outside. The loop waits for nothing but
//! its descriptors: no file but a few bytes on tmpfs, no name, no other worker, and not for the kernel's lock over links and
//! addresses, which a thread beside it takes.

pub mod accept; // checks of an advertisement that need the configuration
pub mod ah; // version 2 behind an IP authentication header
pub mod alarm; // one timer with the kernel's resolution
pub mod apply; // the thread that talks to the kernel's tables
pub mod arp; // gratuitous ARP
pub mod auth; // version 2 passwords
pub mod checksum; // the Internet checksum
pub mod devices; // which devices with a virtual MAC address there should be
pub mod effect; // what the pure part asks of the outside
pub mod engine; // every virtual router, and what they share
pub mod event; // the vocabulary of the state machine
pub mod exchange; // what the boxes of a group tell each other beside the advertisements
pub mod facts; // what the kernel and the other workers say
pub mod fsm; // the state machine of one virtual router
pub mod garp; // when VIPs are announced
pub mod group; // virtual routers that are master together or not at all
pub mod instance; // one virtual router of the file
pub mod kernel; // links and addresses by netlink
pub mod keys; // keys that lie in files
pub mod macvlan; // those devices by netlink
pub mod memory; // what a master leaves for its next life
pub mod nd; // unsolicited neighbour advertisements
pub mod packet; // advertisements on the wire
pub mod punctual; // real-time, locked in memory, never waiting for the log
pub mod quiet; // log lines that would repeat
pub mod routing; // routes and rules by netlink
pub mod run; // the worker
pub mod seal; // what authentication remembers
pub mod socket; // raw sockets
pub mod status; // the state for people and programs
pub mod sync; // the IPVS synchronisation daemons
pub mod track; // may it take part, with which priority, from which address
pub mod trailer; // the signed trailer of keepalived 2.4
pub mod vips; // which addresses to set and to take off
pub mod watcher; // the thread that asks gateways, files and programs
pub mod ways; // routes and rules that move with mastership
