//! Netlink as IPVS and nftables speak it.
//!
//! [`wire`]: messages and attributes as bytes · [`socket`]: sending and receiving them.

pub mod socket;
pub mod wire;
