//! Virtual routers without a kernel: messages as they are on the wire, one router in slow motion, many on one segment.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod announcements;
mod captures;
mod fuzz;
mod orders;
mod packets;
mod router;
mod scenarios;
mod segment;
mod waits;
