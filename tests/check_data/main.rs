//! Health checks over binary protocols, datagrams and programs: against the servers that Debian ships, unpacked and not
//! installed, and against servers that misbehave in each known way.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod arp; // arp, and sctp as far as this kernel goes
mod ask; // one probe, its outcome, and its verdict
#[allow(dead_code, reason = "shared with other tests")]
#[path = "../check_text/authority.rs"]
mod authority; // certificates
mod bad; // servers that misbehave
mod datagrams; // udp, ping
mod dns; // against NSD
mod ldap; // against slapd
mod leaks; // many probes leave nothing behind
mod mysql; // against MariaDB
mod pgsql; // against PostgreSQL
mod programs; // exec, file, agent
mod radius; // against FreeRADIUS
#[path = "../common/relay.rs"]
mod relay; // the same server by IPv6
#[path = "../check_text/residue.rs"]
mod residue; // whether probes leave anything behind
mod sha2; // a log-in of MySQL's that MariaDB does not have
