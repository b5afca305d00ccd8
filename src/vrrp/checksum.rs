//! The Internet checksum (RFC 1071) over a message and over the pseudo-headers of IPv4 and IPv6.

use std::net::IpAddr;

/// A running one's complement sum.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum(u32);

impl Sum {
    /// Goes on over 16-bit words in network order; an odd last byte is padded with zero. At most 64 KiB in all.
    #[must_use]
    pub fn over(self, bytes: &[u8]) -> Self {
        Self(bytes.chunks(2).fold(self.0, |sum, pair| match *pair {
            [high, low] => sum + u32::from(u16::from_be_bytes([high, low])),
            [high] => sum + u32::from(u16::from_be_bytes([high, 0])),
            _ => sum,
        }))
    }

    /// Adds the pseudo-header of a payload of `length` bytes (RFC 9293 section 3.1, RFC 8200 section 8.1).
    #[must_use]
    pub fn pseudo_header(self, source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Self {
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        self.over(&octets(source)).over(&octets(destination)).over(&length).over(&[0, protocol])
    }

    /// The complement, as it is written into the message. Over a message with a right checksum it is 0.
    #[must_use]
    pub fn finish(self) -> u16 {
        let once = (self.0 & 0xffff) + (self.0 >> 16);
        let twice = (once & 0xffff) + (once >> 16);
        !u16::try_from(twice).unwrap_or(u16::MAX)
    }
}

fn octets(address: IpAddr) -> heapless::Vec<u8, 16> {
    match address {
        IpAddr::V4(a) => a.octets().into_iter().collect(),
        IpAddr::V6(a) => a.octets().into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_1071_example() {
        assert_eq!(Sum::default().over(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]).finish(), !0xddf2);
    }

    #[test]
    fn an_odd_byte_is_the_high_half() {
        assert_eq!(Sum::default().over(&[0x12]).finish(), !0x1200);
    }

    #[test]
    fn carries_fold_twice() {
        assert_eq!(Sum::default().over(&[0xff; 4096]).finish(), 0);
    }
}
