//! Advertisements on the wire.
//!
//! Version 2 (RFC 3768 section 5.1, with the authentication of RFC 2338):
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+---------------+---------------+---------------+
//! |  2    |  1    | virtual rtr id|   priority    |   addresses   |
//! +-------+-------+---------------+---------------+---------------+
//! |   auth type   | interval, s   |           checksum            |
//! +---------------+---------------+-------------------------------+
//! |                    IPv4 addresses, 4 bytes each               |
//! +---------------------------------------------------------------+
//! |                authentication data, 8 bytes, always           |
//! +---------------------------------------------------------------+
//! ```
//! Version 3 (RFC 9568 section 5.1), IPv4 or IPv6:
//! ```text
//! +-------+-------+---------------+---------------+---------------+
//! |  3    |  1    | virtual rtr id|   priority    |   addresses   |
//! +-------+-------+---------------+---------------+---------------+
//! |  res. | max advertise int, cs |           checksum            |
//! +-------+-----------------------+-------------------------------+
//! |              addresses, 4 or 16 bytes each, one family        |
//! +---------------------------------------------------------------+
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::config::model::{VrrpChecksum, VrrpVersion};

use super::ah::{self, Sealed};
use super::auth::AuthField;
use super::checksum::Sum;
use super::trailer;

pub use reject::Reject;

mod reject; // why a message is dropped

/// IP protocol number of VRRP.
pub const PROTOCOL: u8 = 112;
/// Multicast group of IPv4 (RFC 9568 section 5.1.1.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// Multicast group of IPv6 (RFC 9568 section 5.1.2.2).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// TTL or hop limit of every advertisement, and demanded of those to the group: anything less has crossed a router
/// (RFC 9568 section 5.1.1.3).
pub const TTL: u8 = 255;

/// Addresses that the count field can hold; the configuration allows no more than fit the interface's MTU.
pub const MAX_ADDRESSES: usize = 255;

const HEADER: usize = 8;
const AUTH: usize = 8;
/// Headers of Ethernet and IP, an authentication header and a trailer around the longest message.
pub const MAX_LENGTH: usize = 14 + 40 + ah::LENGTH + HEADER + MAX_ADDRESSES * 16 + trailer::LENGTH;
const TYPE_ADVERTISEMENT: u8 = 1;
const MAX_CENTISECONDS: u128 = 0x0fff;

/// An encoded message, or the datagram around it.
pub type Packet = heapless::Vec<u8, MAX_LENGTH>;
/// The addresses of one message.
pub type Addresses = heapless::Vec<IpAddr, MAX_ADDRESSES>;

/// What the IP header says about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope {
    /// Sender.
    pub source: IpAddr,
    /// The group, or our own address with unicast peers.
    pub destination: IpAddr,
    /// TTL or hop limit on arrival.
    pub ttl: u8,
    /// The authentication header that stood before it.
    pub sealed: Option<Sealed>,
}

impl Envelope {
    /// Of a message without an authentication header.
    #[must_use]
    pub const fn new(source: IpAddr, destination: IpAddr, ttl: u8) -> Self {
        Self { source, destination, ttl, sealed: None }
    }
}

/// An advertisement, units converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertisement {
    /// Version, with what only that version carries.
    pub version: VrrpVersion,
    /// Virtual router, never 0.
    pub vrid: u8,
    /// 0 = the sender resigns; 255 = it owns the addresses.
    pub priority: u8,
    /// Whole seconds in version 2, 10 ms steps in version 3.
    pub interval: Duration,
    /// Version 2; all zero in version 3.
    pub auth: AuthField,
    /// In the order of the message.
    pub addresses: Addresses,
}

/// A decoded message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// What it says.
    pub advert: Advertisement,
    /// How the sender sums version 3 over IPv4; `None` where there is only one way.
    pub checksum: Option<VrrpChecksum>,
    /// The length of the message itself, without what follows it.
    pub length: usize,
    /// What follows it, if that is as long as a signed trailer.
    pub trailer: Option<[u8; trailer::LENGTH]>,
}

/// Takes the IPv4 header off what a raw socket delivers, and an authentication header behind it. Padding behind the total
/// length is cut off.
///
/// # Errors
/// [`Reject::Length`] when the datagram is shorter than its header says.
pub fn split_ipv4(datagram: &[u8]) -> Result<(Envelope, &[u8]), Reject> {
    const MIN: usize = 20;
    let short = |need| Reject::Length { have: datagram.len(), need };
    let header: &[u8; MIN] = datagram.first_chunk().ok_or_else(|| short(MIN))?;
    let [ihl, _, l0, l1, _, _, _, _, ttl, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    let header_length = usize::from(ihl & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([l0, l1]));
    let payload =
        datagram.get(header_length.max(MIN)..total).ok_or_else(|| short(total.max(header_length)))?;
    let source = Ipv4Addr::new(s0, s1, s2, s3).into();
    let destination = Ipv4Addr::new(d0, d1, d2, d3).into();
    let envelope = Envelope::new(source, destination, ttl);
    if protocol != ah::PROTOCOL_AH {
        return Ok((envelope, payload));
    }
    // The ICV covers options as they were sent; nobody sends VRRP with any.
    let split = (header_length == MIN).then(|| Sealed::split(header, payload)).flatten();
    let (sealed, payload) = split.ok_or_else(|| short(MIN + ah::LENGTH))?;
    Ok((Envelope { sealed: Some(sealed), ..envelope }, payload))
}

/// Whether a datagram has an authentication header that carries something else than VRRP: none of our business.
#[must_use]
pub fn is_foreign(datagram: &[u8]) -> bool {
    let next = datagram.first().and_then(|ihl| datagram.get(usize::from(ihl & 0x0f) * 4));
    datagram.get(9) == Some(&ah::PROTOCOL_AH) && next.is_none_or(|next| *next != PROTOCOL)
}

/// The virtual router that a message names, however wrong the rest may be: whose counter it belongs to.
#[must_use]
pub fn peek_vrid(payload: &[u8]) -> Option<u8> {
    payload.get(1).copied()
}

/// Reads an advertisement, with the checks of RFC 9568 section 7.1 that need no configuration.
///
/// # Errors
/// The first check that fails.
pub fn decode(envelope: Envelope, payload: &[u8]) -> Result<Decoded, Reject> {
    // Unicast is in no RFC: a peer may be behind a router, and keepalived sends IPv6 with the system's hop limit.
    if envelope.destination.is_multicast() && envelope.ttl != TTL {
        return Err(Reject::Ttl(envelope.ttl));
    }
    let short = |need| Reject::Length { have: payload.len(), need };
    let (header, _) = payload.split_first_chunk::<HEADER>().ok_or_else(|| short(HEADER))?;
    let [version_type, vrid, priority, count, auth_or_interval, interval, _, _] = *header;
    let ipv6 = envelope.source.is_ipv6();
    let version = match (version_type >> 4, ipv6) {
        (2, false) => VrrpVersion::V2,
        (3, _) => VrrpVersion::V3,
        (other, _) => return Err(Reject::Version(other)),
    };
    if version_type & 0x0f != TYPE_ADVERTISEMENT {
        return Err(Reject::Type(version_type & 0x0f));
    }
    let addresses_end = HEADER + usize::from(count) * if ipv6 { 16 } else { 4 };
    let end = addresses_end + if version == VrrpVersion::V2 { AUTH } else { 0 };
    let message = payload.get(..end).ok_or_else(|| short(end))?;
    let trailer = payload.get(end..).and_then(|rest| rest.try_into().ok());
    // Over IPv6 the kernel of the sender sums all that it sends.
    let whole = ipv6 && trailer.is_some();
    let summed =
        verify(envelope, version, message).or_else(|| whole.then(|| verify(envelope, version, payload))?);
    let checksum = summed.ok_or(Reject::Checksum)?;
    if count == 0 {
        return Err(Reject::NoAddress);
    }
    let (interval, auth) = match version {
        VrrpVersion::V2 => {
            let data = message.last_chunk::<AUTH>().copied().unwrap_or_default();
            (Duration::from_secs(interval.into()), AuthField { kind: auth_or_interval, data })
        }
        VrrpVersion::V3 => {
            let centiseconds = u16::from_be_bytes([auth_or_interval & 0x0f, interval]);
            (Duration::from_millis(u64::from(centiseconds) * 10), AuthField::default())
        }
    };
    let addresses = read_addresses(message.get(HEADER..addresses_end).unwrap_or_default(), ipv6);
    let advert = Advertisement { version, vrid, priority, interval, auth, addresses };
    Ok(Decoded { advert, checksum, length: end, trailer })
}

impl Advertisement {
    /// Writes the message. An interval that is no multiple of the wire's unit is rounded up, so that no backup expects
    /// more than is sent; `checksum` counts for version 3 over IPv4 only.
    #[must_use]
    pub fn encode(&self, source: IpAddr, destination: IpAddr, checksum: VrrpChecksum) -> Packet {
        let mut packet = self.message();
        self.sum(&mut packet, source, destination, checksum);
        packet
    }

    /// The message with a checksum of zero: what a trailer signs.
    #[must_use]
    pub fn message(&self) -> Packet {
        let count = u8::try_from(self.addresses.len()).unwrap_or(u8::MAX);
        let mut packet = Packet::new();
        // The capacity holds 255 addresses of either family, and `Addresses` holds no more: pushing cannot fail.
        let mut put = |bytes: &[u8]| packet.extend_from_slice(bytes).is_ok();
        put(&[self.version_and_type(), self.vrid, self.priority, count]);
        put(&match self.version {
            VrrpVersion::V2 => [self.auth.kind, seconds(self.interval), 0, 0],
            VrrpVersion::V3 => {
                let [high, low] = centiseconds(self.interval).to_be_bytes();
                [high, low, 0, 0]
            }
        });
        for address in &self.addresses {
            match address {
                IpAddr::V4(a) => put(&a.octets()),
                IpAddr::V6(a) => put(&a.octets()),
            };
        }
        if self.version == VrrpVersion::V2 {
            put(&self.auth.data);
        }
        packet
    }

    /// Fills in the checksum. Over IPv6 it covers a trailer that is in `packet` already, as it does with a kernel's sums.
    pub fn sum(&self, packet: &mut Packet, source: IpAddr, destination: IpAddr, checksum: VrrpChecksum) {
        let with_pseudo_header =
            self.version == VrrpVersion::V3 && (source.is_ipv6() || checksum == VrrpChecksum::PseudoHeader);
        let sum = if with_pseudo_header {
            Sum::default().pseudo_header(source, destination, PROTOCOL, packet.len())
        } else {
            Sum::default()
        };
        let [high, low] = sum.over(packet).finish().to_be_bytes();
        if let Some(field) = packet.get_mut(6..8) {
            field.copy_from_slice(&[high, low]);
        }
    }

    const fn version_and_type(&self) -> u8 {
        match self.version {
            VrrpVersion::V2 => 0x20 | TYPE_ADVERTISEMENT,
            VrrpVersion::V3 => 0x30 | TYPE_ADVERTISEMENT,
        }
    }
}

/// The interval in the unit and range of the wire, converted back: what a backup will read.
#[must_use]
pub fn wire_interval(version: VrrpVersion, interval: Duration) -> Duration {
    match version {
        VrrpVersion::V2 => Duration::from_secs(seconds(interval).into()),
        VrrpVersion::V3 => Duration::from_millis(u64::from(centiseconds(interval)) * 10),
    }
}

fn seconds(interval: Duration) -> u8 {
    u8::try_from(interval.as_millis().div_ceil(1000).max(1)).unwrap_or(u8::MAX)
}

fn centiseconds(interval: Duration) -> u16 {
    u16::try_from(interval.as_micros().div_ceil(10_000).clamp(1, MAX_CENTISECONDS)).unwrap_or(u16::MAX)
}

/// Some = right; the inner value tells the form where two are in use (RFC 9568 section 5.2.8 against RFC 5798).
fn verify(envelope: Envelope, version: VrrpVersion, message: &[u8]) -> Option<Option<VrrpChecksum>> {
    let plain = Sum::default().over(message).finish() == 0;
    if version == VrrpVersion::V2 {
        return plain.then_some(None);
    }
    if plain && envelope.source.is_ipv4() {
        return Some(Some(VrrpChecksum::Rfc9568));
    }
    let pseudo = Sum::default()
        .pseudo_header(envelope.source, envelope.destination, PROTOCOL, message.len())
        .over(message)
        .finish()
        == 0;
    pseudo.then_some(envelope.source.is_ipv4().then_some(VrrpChecksum::PseudoHeader))
}

fn read_addresses(bytes: &[u8], ipv6: bool) -> Addresses {
    if ipv6 {
        bytes.as_chunks::<16>().0.iter().map(|octets| IpAddr::from(*octets)).collect()
    } else {
        bytes.as_chunks::<4>().0.iter().map(|octets| IpAddr::from(*octets)).collect()
    }
}
