//! IPVS, the kernel's layer 4 balancer, over its generic netlink family. Knows nothing of health or configuration.
//!
//! [`connections`]: the connections as the kernel lists them · [`table`]: what the kernel's table holds · [`codec`]: the table
//! as netlink · [`client`]: the socket, requests, dumps and batches · [`daemon`]: the daemons that keep a twin informed.

pub mod client;
pub mod codec;
pub mod connections;
pub mod daemon;
pub mod table;

pub use crate::netlink::wire;
pub use client::{Client, Error, Failure};
pub use table::{
    Command, Connections, Family, Forward, Name, Persistence, Rates, Server, ServerEntry, Service,
    ServiceEntry, ServiceId, Stats, Tunnel,
};
