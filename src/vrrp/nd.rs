//! Unsolicited Neighbor Advertisement (RFC 4861 section 7.2.6), the gratuitous ARP of IPv6.
//!
//! ```text
//! | 33:33:00:00:00:01 | MAC | 86dd | IPv6: next header 58, hop limit 255, VIP → ff02::1 |
//! | 136 | 0 | checksum | R S O flags | VIP (target) | option 2: link-layer address | 1 | MAC |
//! ```

use std::net::Ipv6Addr;

use crate::units::Mac;

use super::checksum::Sum;

/// Ethernet header (14), IPv6 header (40), advertisement (24), option (8).
pub const LENGTH: usize = 86;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ICMPV6: u8 = 58;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const ROUTER: u8 = 0x80;
const OVERRIDE: u8 = 0x20;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;

/// A complete Ethernet frame that tells a segment where `vip` is now: Override set, Solicited clear, Router as this host
/// forwards or not (RFC 9568 section 6.4.2).
#[must_use]
pub fn unsolicited(mac: Mac, vip: Ipv6Addr, router: bool) -> heapless::Vec<u8, LENGTH> {
    let flags = OVERRIDE | if router { ROUTER } else { 0 };
    let body: [&[u8]; 4] = [&[flags, 0, 0, 0], &vip.octets(), &[TARGET_LINK_LAYER_ADDRESS, 1], &mac.0];
    let mut message: heapless::Vec<u8, 32> = [NEIGHBOR_ADVERTISEMENT, 0, 0, 0].into_iter().collect();
    message.extend(body.into_iter().flatten().copied());
    let checksum = Sum::default()
        .pseudo_header(vip.into(), ALL_NODES.into(), ICMPV6, message.len())
        .over(&message)
        .finish()
        .to_be_bytes();
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&checksum);
    }
    let frame: [&[u8]; 7] = [
        &[0x33, 0x33, 0, 0, 0, 1],
        &mac.0,
        &[0x86, 0xdd],
        // Version 6, traffic class 0, flow label 0, payload 32 bytes.
        &[0x60, 0, 0, 0, 0, 32, ICMPV6, 255],
        &vip.octets(),
        &ALL_NODES.octets(),
        &message,
    ];
    frame.into_iter().flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_frame() {
        let frame = unsolicited(Mac([2, 0, 0, 0, 0, 1]), "2001:db8::45".parse().unwrap(), true);
        assert_eq!(frame.len(), LENGTH);
        assert_eq!(&frame[..14], [0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd]);
        assert_eq!(frame[21], 255, "hop limit");
        assert_eq!(frame[54], 136);
        assert_eq!(frame[58], 0xa0, "router and override");
        assert_eq!(&frame[78..], [2, 1, 2, 0, 0, 0, 0, 1]);
        let sum =
            Sum::default().pseudo_header("2001:db8::45".parse().unwrap(), "ff02::1".parse().unwrap(), 58, 32);
        assert_eq!(sum.over(&frame[54..]).finish(), 0);
    }

    #[test]
    fn a_host_does_not_claim_to_route() {
        assert_eq!(unsolicited(Mac([2; 6]), Ipv6Addr::LOCALHOST, false)[58], 0x20);
    }
}
