//! Virtual routers without a kernel: messages as they are on the wire, one router in slow motion, many on one segment.

#![allow(missing_docs)]

mod packets;
mod scenarios;
mod segment;
