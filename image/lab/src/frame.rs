//! What frames say, as far as measurements of virtual routers need it. Nothing is verified: that is the business of the
//! routers under test.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// A VRRP advertisement (RFC 9568 section 5.1; RFC 3768 section 5.1), with or without an authentication header.
    Advert {
        /// Sender.
        source: IpAddr,
        /// Virtual router.
        vrid: u8,
        /// 0: resigns.
        priority: u8,
        /// The interval that it names.
        interval: Duration,
    },
    /// Tells where an address is: a gratuitous ARP or an unsolicited neighbour advertisement.
    Announcement(IpAddr),
    /// ICMP echo over IPv4.
    Echo {
        /// Whether it is the answer.
        reply: bool,
        /// Its number, from 1 on and then around.
        number: u16,
    },
}

/// Reads an Ethernet frame; `None` when it is about something else.
pub fn said(frame: &[u8]) -> Option<Said> {
    let payload = frame.get(14..)?;
    match frame.get(12..14)? {
        [0x08, 0x00] => ipv4(payload),
        [0x86, 0xdd] => ipv6(payload),
        [0x08, 0x06] => arp(payload),
        _ => None,
    }
}

fn ipv4(packet: &[u8]) -> Option<Said> {
    let header = usize::from(packet.first()? & 0xf) * 4;
    let source = IpAddr::from(Ipv4Addr::from(*packet.get(12..)?.first_chunk::<4>()?));
    let body = packet.get(header..)?;
    match packet.get(9)? {
        1 => echo(body),
        112 => advert(source, body),
        // The authentication header (RFC 4302 section 2): next header, and its length in words less two.
        51 if body.first()? == &112 => advert(source, body.get((usize::from(*body.get(1)?) + 2) * 4..)?),
        _ => None,
    }
}

fn ipv6(packet: &[u8]) -> Option<Said> {
    let source = IpAddr::from(Ipv6Addr::from(*packet.get(8..)?.first_chunk::<16>()?));
    let body = packet.get(40..)?;
    match packet.get(6)? {
        112 => advert(source, body),
        // A neighbour advertisement that nobody asked for (RFC 4861 section 4.4): the flag S is clear.
        58 if body.first()? == &136 && body.get(4)? & 0x40 == 0 => {
            Some(Said::Announcement(Ipv6Addr::from(*body.get(8..)?.first_chunk::<16>()?).into()))
        }
        _ => None,
    }
}

fn advert(source: IpAddr, message: &[u8]) -> Option<Said> {
    let &[kind, vrid, priority, _, high, low] = message.first_chunk::<6>()?;
    let interval = match kind {
        0x21 => Duration::from_secs(low.into()),
        0x31 => Duration::from_millis(10) * u32::from(u16::from_be_bytes([high & 0xf, low])),
        _ => return None,
    };
    Some(Said::Advert { source, vrid, priority, interval })
}

fn echo(message: &[u8]) -> Option<Said> {
    let number = u16::from_be_bytes(*message.get(6..)?.first_chunk()?);
    match message.first()? {
        0 => Some(Said::Echo { reply: true, number }),
        8 => Some(Said::Echo { reply: false, number }),
        _ => None,
    }
}

/// Sender and target are the same (RFC 5227 section 3).
fn arp(message: &[u8]) -> Option<Said> {
    let sender: [u8; 4] = *message.get(14..)?.first_chunk()?;
    let target: [u8; 4] = *message.get(24..)?.first_chunk()?;
    (sender == target).then(|| Said::Announcement(Ipv4Addr::from(sender).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: String = hex.split_whitespace().collect();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn advertisements_of_every_kind_are_read() {
        let ethernet = "0100 5e00 0012 0200 0000 0001";
        let version_3 = bytes(&format!(
            "{ethernet} 0800 45c0 0020 0001 0000 ff70 0000 c0a8 3d01 e000 0012 3133 ff01 0064 f357 c0a8 3d2d"
        ));
        let source: IpAddr = "192.168.61.1".parse().unwrap();
        let one = Duration::from_secs(1);
        let expected = Said::Advert { source, vrid: 51, priority: 255, interval: one };
        assert_eq!(said(&version_3), Some(expected));
        // The header of version 2, with 24 bytes of authentication before it.
        let signed = bytes(&format!(
            "{ethernet} 0800 45c0 0040 0001 0000 ff33 0000 c0a8 3d01 e000 0012 7004 0000 0000 0001 0000 0001 \
             0000 0000 0000 0000 0000 0000 2133 ff02 0201 0000 c0a8 3d2d 0000 0000 0000 0000"
        ));
        assert_eq!(said(&signed), Some(expected));
        let v6 = bytes(
            "3333 0000 0012 0200 0000 0001 86dd 6c00 0000 0018 70ff fe80 0000 0000 0000 0000 0000 0000 0001 \
             ff02 0000 0000 0000 0000 0000 0000 0012 3133 0001 000a 0000 fe80 0000 0000 0000 0000 0000 0000 0045",
        );
        let source: IpAddr = "fe80::1".parse().unwrap();
        let interval = Duration::from_millis(100);
        assert_eq!(said(&v6), Some(Said::Advert { source, vrid: 51, priority: 0, interval }));
        for cut in [v6, signed] {
            (0..30).for_each(|length| assert_eq!(said(&cut[..length]), None));
            (30..cut.len()).for_each(|length| {
                let _ = said(&cut[..length]);
            });
        }
    }

    #[test]
    fn only_who_tells_of_himself_announces() {
        let arp = |target: &str| {
            bytes(&format!(
                "ffff ffff ffff 0200 0000 0001 0806 0001 0800 0604 0001 0200 0000 0001 0a00 002d 0000 0000 0000 {target}"
            ))
        };
        assert_eq!(said(&arp("0a00 002d")), Some(Said::Announcement("10.0.0.45".parse().unwrap())));
        assert_eq!(said(&arp("0a00 0001")), None);
    }
}
