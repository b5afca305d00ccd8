//! Gratuitous ARP (RFC 826, RFC 5227 section 3): a broadcast request in which sender and target are the VIP.
//!
//! ```text
//! | ff:ff:ff:ff:ff:ff | MAC | 0806 | 0001 | 0800 | 6 | 4 | 0001 | MAC | VIP | 00:00:00:00:00:00 | VIP |
//!   destination        source type   hw     proto  lengths request sender      target hw           target
//! ```

use std::net::Ipv4Addr;

use crate::units::Mac;

/// Ethernet header (14) and ARP for IPv4 over Ethernet (28).
pub const LENGTH: usize = 42;

/// A complete Ethernet frame that tells a segment where `vip` is now. A request, not a reply: every stack that hears it
/// updates an entry it has, and none takes it for an answer that it did not ask for.
#[must_use]
pub fn gratuitous(mac: Mac, vip: Ipv4Addr) -> heapless::Vec<u8, LENGTH> {
    let parts: [&[u8]; 8] = [
        &[0xff; 6],
        &mac.0,
        &[0x08, 0x06],
        &[0x00, 0x01, 0x08, 0x00, 6, 4, 0x00, 0x01],
        &mac.0,
        &vip.octets(),
        &[0; 6],
        &vip.octets(),
    ];
    parts.into_iter().flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_frame() {
        let frame = gratuitous(Mac([2, 0, 0, 0, 0, 1]), Ipv4Addr::new(192, 168, 61, 45));
        let expected = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, 0x00, 0x01,
            0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 192, 168, 61, 45, 0x00,
            0x00, 0x00, 0x00, 0x00, 0x00, 192, 168, 61, 45,
        ];
        assert_eq!(frame.as_slice(), expected);
    }
}
