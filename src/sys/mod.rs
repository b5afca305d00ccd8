//! The only `unsafe` of the project: what nix does not offer, one small safe function each.

#![allow(unsafe_code)]

pub mod async_fd; // descriptors in tokio's event loop
pub mod clock; // the kernel's clock and the RTC
pub mod ethtool; // the light of a NIC
pub mod heap; // the allocator
pub mod late_port; // source addresses of probes
pub mod loopback; // `lo` up
pub mod mapped; // files as shared memory
pub mod netlink; // options of netlink sockets
pub mod packet; // addresses of packet sockets
pub mod process; // signals, leaked descriptors, sync and reboot in a child
pub mod program; // a program of the operator, as another user
pub mod random; // entropy for the kernel
pub mod realtime; // SCHED_RR
pub mod terminal; // the size of a terminal
pub mod unsent; // what a TCP connection has not acknowledged
pub mod watchdog; // the hardware watchdog's ioctls
