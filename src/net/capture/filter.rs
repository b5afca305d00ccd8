//! Which frames are wanted: by host and port. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of a frame that suffice to judge it: Ethernet, two VLAN tags, an outer and an inner IPv6 header with extensions, ports.
pub const ENOUGH: usize = 256;

/// VLAN tags, or packets in packets, that are looked through.
const DEPTH: usize = 2;
/// Extension headers of IPv6 that are looked through.
const EXTENSIONS: usize = 8;

/// What is wanted; without anything, all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filter {
    /// Source or destination, or whom ARP is about.
    pub host: Option<IpAddr>,
    /// Source or destination port of TCP, UDP or SCTP.
    pub port: Option<u16>,
}

impl Filter {
    /// Whether an Ethernet frame is wanted, by its own addresses or by those of a packet that it tunnels.
    #[must_use]
    pub fn ethernet(&self, frame: &[u8]) -> bool {
        if *self == Self::default() {
            return true;
        }
        let mut at = 12;
        for _ in 0..=DEPTH {
            match be16(frame, at) {
                Some(0x8100 | 0x88a8) => at += 4,
                Some(0x0800 | 0x86dd) => return self.packet(frame.get(at + 2..).unwrap_or_default()),
                Some(0x0806) => return self.arp(frame.get(at + 2..).unwrap_or_default()),
                _ => return false,
            }
        }
        false
    }

    /// The same of a bare IP packet.
    #[must_use]
    pub fn packet(&self, packet: &[u8]) -> bool {
        if *self == Self::default() {
            return true;
        }
        let mut packet = packet;
        for _ in 0..DEPTH {
            let Some(header) = header(packet) else { return false };
            let host = self.host.is_none_or(|host| host == header.source || host == header.target);
            let port = self.port.is_none_or(|port| header.ports().is_some_and(|ports| ports.contains(&port)));
            if host && port {
                return true;
            }
            match header.protocol {
                4 | 41 => packet = header.payload,
                _ => return false,
            }
        }
        false
    }

    /// ARP for IPv4 over Ethernet (RFC 826): sender at 14, target at 24.
    fn arp(&self, packet: &[u8]) -> bool {
        let is = |at| {
            let octets = packet.get(at..at + 4).and_then(|octets| <[u8; 4]>::try_from(octets).ok());
            self.host == octets.map(|octets| IpAddr::V4(Ipv4Addr::from(octets)))
        };
        self.port.is_none() && self.host.is_some() && (is(14) || is(24))
    }
}

struct Header<'p> {
    source: IpAddr,
    target: IpAddr,
    protocol: u8,
    /// Only the first fragment of a packet has ports.
    first: bool,
    payload: &'p [u8],
}

impl Header<'_> {
    fn ports(&self) -> Option<[u16; 2]> {
        let has_ports = matches!(self.protocol, 6 | 17 | 132) && self.first;
        has_ports.then(|| Some([be16(self.payload, 0)?, be16(self.payload, 2)?])).flatten()
    }
}

fn header(packet: &[u8]) -> Option<Header<'_>> {
    match packet.first()? >> 4 {
        4 => {
            let length = usize::from(packet.first()? & 15) * 4;
            let address = |at| octets::<4>(packet, at).map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
            Some(Header {
                source: address(12)?,
                target: address(16)?,
                protocol: *packet.get(9)?,
                first: be16(packet, 6)? & 0x1fff == 0,
                payload: packet.get(length..).unwrap_or_default(),
            })
        }
        6 => {
            let address = |at| octets::<16>(packet, at).map(|octets| IpAddr::V6(Ipv6Addr::from(octets)));
            let (source, target) = (address(8)?, address(24)?);
            let (mut protocol, mut at, mut first) = (*packet.get(6)?, 40, true);
            for _ in 0..EXTENSIONS {
                match protocol {
                    0 | 43 | 60 => {
                        protocol = *packet.get(at)?;
                        at += 8 + usize::from(*packet.get(at + 1)?) * 8;
                    }
                    44 => {
                        first = be16(packet, at + 2)? >> 3 == 0;
                        protocol = *packet.get(at)?;
                        at += 8;
                    }
                    _ => break,
                }
            }
            Some(Header { source, target, protocol, first, payload: packet.get(at..).unwrap_or_default() })
        }
        _ => None,
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    octets::<2>(bytes, at).map(u16::from_be_bytes)
}

fn octets<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipv4(protocol: u8, source: [u8; 4], target: [u8; 4], payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
        packet.extend_from_slice(&source);
        packet.extend_from_slice(&target);
        packet.extend_from_slice(payload);
        packet
    }

    fn frame(kind: &[u8], packet: &[u8]) -> Vec<u8> {
        [&[0; 12], kind, packet].concat()
    }

    fn filter(host: &str, port: u16) -> Filter {
        Filter { host: host.parse().ok(), port: Some(port).filter(|port| *port != 0) }
    }

    /// 10.0.0.1:1000 → 10.0.0.2:80.
    fn segment() -> Vec<u8> {
        ipv4(6, [10, 0, 0, 1], [10, 0, 0, 2], &[0x03, 0xe8, 0, 80, 0, 0])
    }

    #[test]
    fn hosts_and_ports_of_either_side() {
        let frame = frame(&[8, 0], &segment());
        for (wanted, is) in [
            (filter("10.0.0.1", 0), true),
            (filter("10.0.0.2", 80), true),
            (filter("10.0.0.2", 1000), true),
            (filter("", 81), false),
            (filter("10.0.0.3", 80), false),
            (Filter::default(), true),
        ] {
            assert_eq!(wanted.ethernet(&frame), is, "{wanted:?}");
        }
    }

    #[test]
    fn tags_and_tunnels_are_looked_through() {
        let tagged = frame(&[0x81, 0, 0, 7, 8, 0], &segment());
        assert!(filter("10.0.0.2", 80).ethernet(&tagged));
        let tunnelled = ipv4(4, [192, 0, 2, 1], [192, 0, 2, 2], &segment());
        let tunnelled = frame(&[8, 0], &tunnelled);
        assert!(filter("192.0.2.2", 0).ethernet(&tunnelled));
        assert!(filter("10.0.0.2", 80).ethernet(&tunnelled));
        assert!(!filter("192.0.2.2", 80).ethernet(&tunnelled), "host and port are of one header");
    }

    #[test]
    fn ipv6_behind_extensions_and_fragments() {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, 0, 64];
        packet.extend_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend_from_slice(&"2001:db8::2".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend_from_slice(&[44, 0, 0, 0, 0, 0, 0, 0]); // hop by hop, then a fragment
        let mut first = packet.clone();
        first.extend_from_slice(&[17, 0, 0, 1, 0, 0, 0, 1, 0, 53, 0x10, 0]);
        assert!(filter("2001:db8::2", 53).ethernet(&frame(&[0x86, 0xdd], &first)));
        let mut later = packet;
        later.extend_from_slice(&[17, 0, 0, 9, 0, 0, 0, 1, 0, 53, 0x10, 0]);
        assert!(!filter("", 53).ethernet(&frame(&[0x86, 0xdd], &later)));
        assert!(filter("2001:db8::1", 0).ethernet(&frame(&[0x86, 0xdd], &later)));
    }

    #[test]
    fn arp_is_about_hosts() {
        let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        arp.extend_from_slice(&[10, 0, 0, 2]);
        let arp = frame(&[8, 6], &arp);
        assert!(filter("10.0.0.2", 0).ethernet(&arp) && filter("10.0.0.1", 0).ethernet(&arp));
        assert!(!filter("10.0.0.3", 0).ethernet(&arp) && !filter("10.0.0.2", 80).ethernet(&arp));
    }

    #[test]
    fn whatever_comes_is_judged() {
        let whole = frame(&[0x81, 0, 0, 7, 8, 0], &ipv4(4, [1; 4], [2; 4], &segment()));
        for length in 0..whole.len() {
            let cut = whole.get(..length).unwrap_or_default();
            assert!(!filter("9.9.9.9", 9).ethernet(cut) && !filter("9.9.9.9", 9).packet(cut));
        }
        let mut seed = 1_u32;
        for length in 0..2000 {
            let noise: Vec<u8> = (0..length % 200)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    seed.to_be_bytes()[0]
                })
                .collect();
            let _ = filter("10.0.0.2", 80).ethernet(&noise);
            let _ = filter("2001:db8::1", 80).packet(&noise);
        }
    }
}
