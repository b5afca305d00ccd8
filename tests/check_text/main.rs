//! Checks of text protocols and TLS on the loopback: against servers as Debian builds them, and against peers that misbehave in
//! each known way. What is asserted is the verdict and the words that the operator reads.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod ask;
mod authority;
mod every;
mod http;
mod mail;
mod many;
mod nginx;
mod other;
#[path = "../common/relay.rs"]
mod relay; // the same server by IPv6
mod residue; // whether probes leave anything behind
mod scripted;
mod tcp;
mod tls;
