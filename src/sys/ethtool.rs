//! The light of a NIC (linux/ethtool.h, ETHTOOL_PHYS_ID).

use std::io;
use std::os::fd::AsRawFd;

use nix::libc::{SIOCETHTOOL, ifreq};

use crate::units::IfName;

const PHYS_ID: u32 = 0x1c;

/// struct ethtool_value.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Lets the light of `interface` blink for so many seconds; returns when it has. Needs CAP_NET_ADMIN.
///
/// # Errors
/// EOPNOTSUPP where the driver cannot.
pub fn blink(interface: &IfName, seconds: u32) -> io::Result<()> {
    let socket = std::net::UdpSocket::bind(("127.0.0.1", 0))?;
    let mut value = Value { command: PHYS_ID, data: seconds };
    // SAFETY: `ifreq` is plain data for which zeros are a value: an empty name and a null pointer.
    let mut request: ifreq = unsafe { std::mem::zeroed() };
    let name = interface.as_str().bytes();
    // A name is at most 15 bytes, so the last byte of the array stays 0.
    for (place, byte) in request.ifr_name.iter_mut().take(15).zip(name) {
        *place = byte.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the kernel reads `request`, and reads and writes one `Value` behind its pointer; both outlive the call.
    let done = unsafe { nix::libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) };
    nix::errno::Errno::result(done)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_has_no_light() {
        assert!(blink(&"lo".parse().unwrap(), 1).is_err());
        assert!(blink(&"nosuch0".parse().unwrap(), 1).is_err());
    }
}
