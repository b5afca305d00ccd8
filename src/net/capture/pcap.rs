//! The file format that every packet analyser reads: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-06.txt>. Pure.

use std::time::Duration;

/// Times with nanoseconds.
const MAGIC: u32 = 0xa1b2_3c4d;
const MAJOR: u16 = 2;
const MINOR: u16 = 4;

/// Octets before each packet.
pub const RECORD: usize = 16;

/// How frames begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkType {
    /// With an Ethernet header.
    Ethernet,
    /// With the IP header.
    Raw,
}

/// What a file begins with. `longest`: octets of a packet that are kept.
#[must_use]
pub fn header(kind: LinkType, longest: u32) -> [u8; 24] {
    let mut out = [0; 24];
    let number = match kind {
        LinkType::Ethernet => 1_u32,
        LinkType::Raw => 101,
    };
    let fields =
        [MAGIC.to_ne_bytes(), version(), [0; 4], [0; 4], longest.to_ne_bytes(), number.to_ne_bytes()];
    for (place, field) in out.chunks_exact_mut(4).zip(fields) {
        place.copy_from_slice(&field);
    }
    out
}

/// What stands before a packet of `kept` octets that had `length` on the wire, `time` after the epoch.
#[must_use]
pub fn record(time: Duration, kept: u32, length: u32) -> [u8; RECORD] {
    let mut out = [0; RECORD];
    // The format ends in 2106.
    let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let fields = [seconds, time.subsec_nanos(), kept, length];
    for (place, field) in out.chunks_exact_mut(4).zip(fields) {
        place.copy_from_slice(&field.to_ne_bytes());
    }
    out
}

fn version() -> [u8; 4] {
    let [[a, b], [c, d]] = [MAJOR.to_ne_bytes(), MINOR.to_ne_bytes()];
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn as_the_draft_has_it() {
        assert_eq!(
            header(LinkType::Ethernet, 256),
            [0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0]
        );
        assert_eq!(record(Duration::new(1, 2), 3, 256), [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 1, 0, 0]);
    }
}
