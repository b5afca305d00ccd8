//! IP authentication header around messages of version 2 (RFC 2402 with HMAC-MD5-96 of RFC 2403), as keepalived uses it.
//!
//! ```text
//! | IPv4 header, protocol 51 | 112 | 4 | 0 | SPI = source | sequence | ICV, 12 bytes | VRRP, auth type 2, data zero |
//!   20 bytes, no options      next  len res
//! ```
//! The ICV covers everything with the fields that routers change as zero: TOS, fragment offset, checksum, the ICV itself, and
//! for unicast the TTL. Not so the identification, hence the whole IP header is made here and not by the kernel.

use std::net::{IpAddr, Ipv4Addr};

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

use super::packet::{PROTOCOL, Packet, Reject};

/// IP protocol number of the authentication header.
pub const PROTOCOL_AH: u8 = 51;
/// Length of the header with its ICV.
pub const LENGTH: usize = 24;

const IP: usize = 20;
/// What stands before the ICV.
const HEAD: usize = 12;
const ICV: usize = 12;
/// 32-bit words of the header, less two (RFC 2402 section 2.2).
const WORDS: u8 = 4;
/// Internetwork control, as keepalived sends it.
const TRAFFIC_CLASS: u8 = 0xc0;

/// The headers of a datagram that came in, as far as the ICV covers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    ip: [u8; IP],
    head: [u8; HEAD],
    icv: [u8; ICV],
}

impl Sealed {
    /// Takes the authentication header off what follows an IP header of 20 bytes. `None` when it is none that carries VRRP.
    #[must_use]
    pub fn split<'a>(ip: &[u8; IP], rest: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = rest.split_first_chunk::<HEAD>()?;
        let (icv, message) = rest.split_first_chunk::<ICV>()?;
        let [next, words, ..] = *head;
        (next == PROTOCOL && words == WORDS).then_some((Self { ip: *ip, head: *head, icv: *icv }, message))
    }

    /// The sequence number that the sender gave it.
    #[must_use]
    pub fn sequence(&self) -> u32 {
        self.head.last_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }

    /// Judges origin and integrity, not the sequence.
    ///
    /// # Errors
    /// The ICV was made with another key or over another datagram, or the SPI is not the source.
    pub fn verify(&self, key: &[u8], source: IpAddr, unicast: bool, message: &[u8]) -> Result<(), Reject> {
        let [_, _, _, _, spi @ .., _, _, _, _] = self.head;
        let mac = mac(key, &self.ip, unicast, &self.head, message);
        mac.verify_truncated_left(&self.icv).map_err(|_| Reject::Icv)?;
        if IpAddr::from(spi) == source { Ok(()) } else { Err(Reject::Spi) }
    }
}

/// A complete IPv4 datagram around `message`. `id` is not 0, which the kernel would replace.
#[must_use]
pub fn seal(
    key: &[u8],
    (source, destination): (Ipv4Addr, Ipv4Addr),
    ttl: u8,
    id: u16,
    sequence: u32,
    message: &[u8],
) -> Packet {
    let length = u16::try_from(IP + LENGTH + message.len()).unwrap_or(u16::MAX);
    let ip = header(source, destination, ttl, id, length);
    let mut head = [PROTOCOL, WORDS, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let fields = source.octets().into_iter().chain(sequence.to_be_bytes());
    head.iter_mut().skip(4).zip(fields).for_each(|(to, from)| *to = from);
    let unicast = !destination.is_multicast();
    let digest = mac(key, &ip, unicast, &head, message).finalize().into_bytes();
    let parts: [&[u8]; 4] = [&ip, &head, digest.get(..ICV).unwrap_or_default(), message];
    parts.into_iter().flatten().copied().take(super::packet::MAX_LENGTH).collect()
}

fn header(source: Ipv4Addr, destination: Ipv4Addr, ttl: u8, id: u16, length: u16) -> [u8; IP] {
    let ([l0, l1], [i0, i1]) = (length.to_be_bytes(), id.to_be_bytes());
    let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (source.octets(), destination.octets());
    // The kernel fills in the checksum.
    [0x45, TRAFFIC_CLASS, l0, l1, i0, i1, 0, 0, ttl, PROTOCOL_AH, 0, 0, s0, s1, s2, s3, d0, d1, d2, d3]
}

/// The digest that the ICV is cut from. A password is padded with zeros, which HMAC does by itself.
fn mac(key: &[u8], ip: &[u8; IP], unicast: bool, head: &[u8; HEAD], message: &[u8]) -> Hmac<Md5> {
    let [v, _, l0, l1, i0, i1, _, _, ttl, p, _, _, addresses @ ..] = *ip;
    let ttl = if unicast { 0 } else { ttl };
    // HMAC takes keys of any length: no key is refused.
    let mut mac = Hmac::<Md5>::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(&[v, 0, l0, l1, i0, i1, 0, 0, ttl, p, 0, 0]);
    mac.update(&addresses);
    mac.update(head);
    mac.update(&[0; ICV]);
    mac.update(message);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"12345678";
    const MESSAGE: &[u8] = b"twelve bytes";

    fn unseal(datagram: &[u8]) -> (Sealed, Vec<u8>) {
        let (ip, rest) = datagram.split_first_chunk().unwrap();
        let (sealed, message) = Sealed::split(ip, rest).unwrap();
        (sealed, message.to_vec())
    }

    #[test]
    fn what_is_sealed_is_verified() {
        let (us, group) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(224, 0, 0, 18));
        for (to, unicast) in [(group, false), (Ipv4Addr::new(10, 0, 0, 2), true)] {
            let datagram = seal(KEY, (us, to), 255, 7, 42, MESSAGE);
            let (sealed, message) = unseal(&datagram);
            assert_eq!((sealed.sequence(), message.as_slice()), (42, MESSAGE));
            assert_eq!(sealed.verify(KEY, us.into(), unicast, &message), Ok(()));
            assert_eq!(sealed.verify(b"1", us.into(), unicast, &message), Err(Reject::Icv));
            assert_eq!(sealed.verify(KEY, to.into(), unicast, &message), Err(Reject::Spi));
            for place in 0..datagram.len() {
                let mut other = datagram.clone();
                other[place] ^= 1;
                let (ip, rest) = other.split_first_chunk().unwrap();
                let Some((sealed, message)) = Sealed::split(ip, rest) else { continue };
                let mutable = matches!(place, 1 | 6 | 7 | 10 | 11) || (unicast && place == 8);
                assert_eq!(sealed.verify(KEY, us.into(), unicast, message).is_ok(), mutable, "byte {place}");
            }
        }
    }

    #[test]
    fn other_traffic_is_left_alone() {
        let mut datagram = seal(KEY, (Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST), 255, 7, 42, MESSAGE);
        datagram[IP] = 6;
        let (ip, rest) = datagram.split_first_chunk().unwrap();
        assert_eq!(Sealed::split(ip, rest), None);
        assert_eq!(Sealed::split(ip, &rest[..23]), None);
    }
}
