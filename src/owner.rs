//! Whose an address or a route in the kernel is, by the protocol number that it carries.
//!
//! The kernel keeps a byte with each address (`IFA_PROTO`, Linux 5.18) and each route (`rtm_protocol`). Each worker marks
//! what it makes and removes only what bears its mark, so ownership survives the worker. The values lie in the range that
//! the kernel leaves to users and that no known routing daemon takes (iproute2, `/etc/iproute2/rt_protos`).

/// Made by `net`: addresses of NICs, routes of the file and of DHCP leases.
pub const NET: u8 = 0xD0;
/// Made by `vrrp`: VIPs.
pub const VRRP: u8 = 0xD1;
