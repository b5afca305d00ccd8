//! Packet sockets (packet(7)): addresses, which nix reads but does not make, and counters, which it does not know.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::libc::{AF_PACKET, PACKET_STATISTICS, SOL_PACKET, sockaddr, sockaddr_ll, socklen_t, tpacket_stats};
use nix::sys::socket::{LinkAddr, SockaddrLike};

/// The address `mac` on the link `index`; for binding `mac` is ignored. `protocol` is an EtherType in host byte order,
/// such as 0x0800; 0 binds without receiving anything.
#[must_use]
pub fn link_address(index: u32, protocol: u16, mac: [u8; 6]) -> Option<LinkAddr> {
    let [a, b, c, d, e, f] = mac;
    let raw = sockaddr_ll {
        sll_family: u16::try_from(AF_PACKET).ok()?,
        sll_protocol: protocol.to_be(),
        sll_ifindex: i32::try_from(index).ok()?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [a, b, c, d, e, f, 0, 0],
    };
    let length = socklen_t::try_from(size_of::<sockaddr_ll>()).ok()?;
    // SAFETY: `raw` is a whole, initialised `sockaddr_ll` that lives across the call, its family says what it is, and
    // `length` is its size; `from_raw` copies it.
    unsafe { LinkAddr::from_raw(std::ptr::from_ref(&raw).cast::<sockaddr>(), Some(length)) }
}

/// Packets that a socket has lost since the last call, because nobody read them in time.
///
/// # Errors
/// It is no packet socket.
pub fn lost(socket: &impl AsFd) -> io::Result<u32> {
    let mut counters = tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut length = socklen_t::try_from(size_of::<tpacket_stats>()).map_err(io::Error::other)?;
    let at = (&raw mut counters).cast();
    // SAFETY: the kernel writes at most `length` octets, the size of `counters`, which outlives the call as `length` does.
    let done = unsafe {
        nix::libc::getsockopt(socket.as_fd().as_raw_fd(), SOL_PACKET, PACKET_STATISTICS, at, &raw mut length)
    };
    nix::errno::Errno::result(done)?;
    Ok(counters.tp_drops)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_link_protocol_and_hardware_address() {
        let address = link_address(7, 0x0806, [2, 0, 0, 0, 0, 1]).unwrap();
        assert_eq!(address.ifindex(), 7);
        assert_eq!(address.protocol(), 0x0806_u16.to_be());
        assert_eq!(address.addr(), Some([2, 0, 0, 0, 0, 1]));
        assert!(link_address(u32::MAX, 0, [0; 6]).is_none());
    }
}
