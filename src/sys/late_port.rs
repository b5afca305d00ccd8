//! A source address without a source port, until it is known whom the socket talks to.

use std::os::fd::AsFd;

use nix::libc;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::SetBool;

/// `IP_BIND_ADDRESS_NO_PORT` (ip(7)), for IPv6 too.
#[derive(Debug, Clone, Copy)]
struct LatePort;

nix::setsockopt_impl!(LatePort, libc::SOL_IP, libc::IP_BIND_ADDRESS_NO_PORT, bool, SetBool);

/// Makes a later `bind` to port 0 leave the port open until `connect`: a port may then serve many peers, in place of 28,000
/// in all.
///
/// # Errors
/// The kernel refuses.
pub fn late_port(socket: &impl AsFd) -> nix::Result<()> {
    setsockopt(socket, LatePort, &true)
}
