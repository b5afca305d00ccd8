//! What authentication remembers of one virtual router: sequences sent and heard. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::ah;
use super::checksum::Sum;
use super::packet::{
    Advertisement, Decoded, Envelope, GROUP_V4, GROUP_V6, MAX_LENGTH, PROTOCOL, Packet, Reject, TTL,
};
use super::trailer::{Binding, Sequences};
use crate::config::model::{VrrpAuth, VrrpChecksum, VrrpInstance};
use crate::units::Mac;

/// The clock of the calendar, read at one time of the clock that never jumps.
#[derive(Debug, Clone, Copy)]
pub struct Wall {
    at: Instant,
    unix: Duration,
}

impl Wall {
    /// `unix` is the time since 1970, read at `at`.
    #[must_use]
    pub const fn new(at: Instant, unix: Duration) -> Self {
        Self { at, unix }
    }

    /// The time since 1970 at `now`.
    #[must_use]
    pub fn unix(&self, now: Instant) -> Duration {
        self.unix + now.saturating_duration_since(self.at)
    }
}

/// How an encoded advertisement leaves the box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// A message: the kernel makes the IP header.
    Message,
    /// A datagram with an authentication header: the IP header is there.
    Datagram,
    /// A datagram over IPv6 whose source is on another interface, which the kernel would not send: the IP header is there, the
    /// one of the link is not.
    Frame,
}

/// Senders whose last number is remembered.
const SENDERS: usize = 8;

/// The sequences of one virtual router.
#[derive(Debug, Clone)]
pub struct Seal {
    wall: Wall,
    hmac: Sequences,
    /// What the next number of an authentication header has to be above. keepalived counts for the whole group: it heeds only
    /// what is above all that it has sent and heard.
    ah: u32,
    /// The last number of each sender: two that count in step must not take each other for replays.
    heard: heapless::Deque<(IpAddr, u32), SENDERS>,
    /// Identification of the last datagram made here.
    id: u16,
}

impl Seal {
    /// Nothing was sent or heard.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            wall: Wall::new(now, Duration::ZERO),
            hmac: Sequences::default(),
            ah: 0,
            heard: heapless::Deque::new(),
            id: 0,
        }
    }

    /// What the next number of an authentication header has to be above; 0 before there was any.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.ah
    }

    /// Goes on after the last number that is known of an earlier life. One more is left out, which may have been sent and not written down.
    pub fn resume(&mut self, last: u32) {
        if last > 0 {
            self.ah = self.ah.max(last.saturating_add(1));
        }
    }

    /// The calendar may have been set.
    pub const fn set_wall(&mut self, wall: Wall) {
        self.wall = wall;
    }

    /// Judges who sent a message that is otherwise right.
    ///
    /// # Errors
    /// What is wrong with its authentication.
    pub fn verify(
        &mut self,
        now: Instant,
        config: &VrrpInstance,
        envelope: &Envelope,
        decoded: &Decoded,
        payload: &[u8],
    ) -> Result<(), Reject> {
        match (&config.auth, envelope.sealed) {
            (Some(VrrpAuth::Ah(key)), Some(sealed)) => {
                let unicast = !envelope.destination.is_multicast();
                sealed.verify(key, envelope.source, unicast, payload)?;
                self.heed(envelope.source, sealed.sequence())
            }
            (Some(VrrpAuth::Ah(_)), None) => Err(Reject::AuthMismatch { theirs: 0, ours: 2 }),
            (_, Some(_)) => Err(Reject::AuthMismatch { theirs: 2, ours: 0 }),
            (Some(VrrpAuth::Hmac(auth)), None) => {
                let binding = binding(config, envelope.source);
                let message = payload.get(..decoded.length).unwrap_or_default();
                self.hmac.verify(auth, binding, self.wall.unix(now), message, decoded.trailer.as_ref())
            }
            (Some(VrrpAuth::Pass(_)) | None, None) => Ok(()),
        }
    }

    fn heed(&mut self, source: IpAddr, sequence: u32) -> Result<(), Reject> {
        match self.heard.iter_mut().find(|(from, _)| *from == source) {
            Some((_, last)) if sequence <= *last => return Err(Reject::Sequence(sequence)),
            Some((_, last)) => *last = sequence,
            None => {
                if self.heard.is_full() {
                    self.heard.pop_front();
                }
                // There is room: one has just left.
                let _ = self.heard.push_back((source, sequence));
            }
        }
        // One is left out: a keepalived that counts in step with us would heed nothing of ours.
        self.ah = self.ah.max(sequence.saturating_add(1));
        Ok(())
    }

    /// One advertisement for each destination, all under one sequence number.
    pub fn make(
        &mut self,
        now: Instant,
        config: &VrrpInstance,
        advert: &Advertisement,
        source: IpAddr,
        checksum: VrrpChecksum,
    ) -> Made {
        let mut message = advert.message();
        if let Some(VrrpAuth::Hmac(auth)) = &config.auth
            && let Some(trailer) =
                self.hmac.sign(auth, binding(config, source), self.wall.unix(now), &message)
        {
            let length = message.len();
            // There is room for it in every packet.
            let _ = message.extend_from_slice(&trailer);
            return Made { advert: advert.clone(), message, length, source, checksum, ah: None };
        }
        let length = message.len();
        let ah = match &config.auth {
            Some(VrrpAuth::Ah(key)) => {
                self.ah = next(self.ah, self.wall.unix(now));
                self.id = self.id.wrapping_add(1).max(1);
                Some((key.clone(), self.ah, self.id))
            }
            Some(VrrpAuth::Pass(_) | VrrpAuth::Hmac(_)) | None => None,
        };
        Made { advert: advert.clone(), message, length, source, checksum, ah }
    }
}

/// An advertisement that lacks only what depends on its destination.
#[derive(Debug)]
pub struct Made {
    advert: Advertisement,
    message: Packet,
    length: usize,
    source: IpAddr,
    checksum: VrrpChecksum,
    ah: Option<(heapless::Vec<u8, 8>, u32, u16)>,
}

impl Made {
    /// The bytes for one destination.
    #[must_use]
    pub fn to(&self, destination: IpAddr, ttl: u8) -> (Form, Packet) {
        let mut packet = self.message.clone();
        if self.source.is_ipv4() {
            // A trailer is not summed over IPv4.
            let mut message: Packet = packet.iter().take(self.length).copied().collect();
            self.advert.sum(&mut message, self.source, destination, self.checksum);
            packet.iter_mut().zip(message).for_each(|(to, from)| *to = from);
        } else {
            self.advert.sum(&mut packet, self.source, destination, self.checksum);
        }
        match (&self.ah, self.source, destination) {
            (Some((key, sequence, id)), IpAddr::V4(source), IpAddr::V4(destination)) => {
                (Form::Datagram, ah::seal(key, (source, destination), ttl, *id, *sequence, &packet))
            }
            _ => (Form::Message, packet),
        }
    }
}

/// An advertisement to the group behind an Ethernet header from `mac`; `form` says what `message` is. IPv6: RFC 8200 section 3
/// and RFC 2464; IPv4: RFC 791 section 3.1 and RFC 894.
#[must_use]
pub fn frame(mac: Mac, source: IpAddr, form: Form, message: &[u8]) -> Packet {
    let (ethernet, ip): (_, heapless::Vec<u8, 40>) = match source {
        // RFC 2464 section 7: the group's last four bytes.
        IpAddr::V6(source) => (([0x33, 0x33, 0, 0, 0, 0x12], [0x86, 0xdd]), ipv6_header(source, message)),
        // RFC 1112 section 6.4: the group's last 23 bits.
        IpAddr::V4(source) => {
            let ip = if form == Form::Datagram { heapless::Vec::new() } else { ipv4_header(source, message) };
            (([1, 0, 0x5e, 0, 0, 0x12], [8, 0]), ip)
        }
    };
    let ((group, kind), mut message) = (ethernet, message.iter().copied().collect::<Packet>());
    if source.is_ipv4() && form == Form::Datagram {
        // What the kernel fills in where it sends.
        let sum = Sum::default().over(message.get(..20).unwrap_or_default()).finish().to_be_bytes();
        message.iter_mut().skip(10).zip(sum).for_each(|(to, from)| *to = from);
    }
    let parts: [&[u8]; 5] = [&group, &mac.0, &kind, &ip, &message];
    parts.into_iter().flatten().copied().take(MAX_LENGTH).collect()
}

fn ipv6_header(source: Ipv6Addr, message: &[u8]) -> heapless::Vec<u8, 40> {
    let [high, low] = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes();
    // Version 6, traffic class 0xc0 (internetwork control), flow label 0.
    let head = [0x6c, 0, 0, 0, high, low, PROTOCOL, TTL];
    head.into_iter().chain(source.octets()).chain(GROUP_V6.octets()).collect()
}

fn ipv4_header(source: Ipv4Addr, message: &[u8]) -> heapless::Vec<u8, 40> {
    let [high, low] = u16::try_from(message.len() + 20).unwrap_or(u16::MAX).to_be_bytes();
    // Five words, internetwork control, never in fragments.
    let head = [0x45, 0xc0, high, low, 0, 0, 0x40, 0, TTL, PROTOCOL, 0, 0];
    let mut header: heapless::Vec<u8, 40> =
        head.into_iter().chain(source.octets()).chain(GROUP_V4.octets()).collect();
    let sum = Sum::default().over(&header).finish().to_be_bytes();
    header.iter_mut().skip(10).zip(sum).for_each(|(to, from)| *to = from);
    header
}

/// One more than the last, and never behind the time: a box that starts again goes on above its former numbers. What was sent more often
/// than once a second is ahead of that, hence [`Seal::resume`].
fn next(last: u32, unix: Duration) -> u32 {
    u32::try_from(unix.as_secs()).unwrap_or(0).max(last.saturating_add(1))
}

const fn binding(config: &VrrpInstance, source: IpAddr) -> Binding {
    Binding { version: config.version, vrid: config.vrid.get(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{VirtualAddress, VrrpVersion};
    use crate::units::{Cidr, Vrid};
    use crate::vrrp::auth::AuthField;
    use crate::vrrp::packet::{decode, split_ipv4};

    const MAC: Mac = Mac([0, 0, 0x5e, 0, 1, 51]);
    const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    /// The Ethernet header, and what a raw socket would be given of the rest.
    fn taken_apart(frame: &[u8]) -> ([u8; 14], Envelope, Vec<u8>) {
        let (ethernet, datagram) = frame.split_first_chunk().unwrap();
        let ip: &[u8; 20] = datagram.first_chunk().unwrap();
        assert_eq!(Sum::default().over(ip).finish(), 0, "checksum of the IPv4 header");
        let (envelope, message) = split_ipv4(datagram).unwrap();
        (*ethernet, envelope, message.to_vec())
    }

    #[test]
    fn a_message_from_the_virtual_address() {
        let frame = frame(MAC, SOURCE.into(), Form::Message, b"\x31\x33 message");
        let (ethernet, envelope, message) = taken_apart(&frame);
        assert_eq!(ethernet, [1, 0, 0x5e, 0, 0, 0x12, 0, 0, 0x5e, 0, 1, 51, 8, 0]);
        assert_eq!(
            (envelope.source, envelope.destination, envelope.ttl),
            (SOURCE.into(), GROUP_V4.into(), TTL)
        );
        assert_eq!(message, b"\x31\x33 message");
    }

    #[test]
    fn a_datagram_with_authentication_header_from_the_virtual_address() {
        let datagram = ah::seal(b"1111", (SOURCE, GROUP_V4), TTL, 7, 42, b"\x21\x33 message");
        let frame = frame(MAC, SOURCE.into(), Form::Datagram, &datagram);
        let (_, envelope, message) = taken_apart(&frame);
        assert!(envelope.sealed.unwrap().verify(b"1111", SOURCE.into(), false, &message).is_ok());
        assert_eq!(message, b"\x21\x33 message");
    }

    /// An advertisement under the header as `from` seals it at `now`, and what `to` says of it.
    fn say(from: &mut Seal, to: &mut Seal, now: Instant) -> Result<(), Reject> {
        let vip = VirtualAddress::from("10.0.0.45".parse::<Cidr>().unwrap());
        let vrid = Vrid::try_from(51).unwrap();
        let config = VrrpInstance {
            version: VrrpVersion::V2,
            auth: Some(VrrpAuth::Ah(b"1111".iter().copied().collect())),
            ..VrrpInstance::new("VI_1", "eth0".parse().unwrap(), vrid, vec![vip.clone()])
        };
        let advert = Advertisement {
            version: VrrpVersion::V2,
            vrid: 51,
            priority: 100,
            interval: Duration::from_secs(1),
            auth: AuthField::for_config(config.auth.as_ref()),
            addresses: [vip.cidr.address].into_iter().collect(),
        };
        let made = from.make(now, &config, &advert, SOURCE.into(), VrrpChecksum::default());
        let (form, datagram) = made.to(GROUP_V4.into(), TTL);
        assert_eq!(form, Form::Datagram);
        let (envelope, payload) = split_ipv4(&datagram).unwrap();
        let decoded = decode(envelope, payload).unwrap();
        to.verify(now, &config, &envelope, &decoded, payload)
    }

    #[test]
    fn a_life_counts_on_after_the_one_before_whatever_the_clock() {
        let (now, then) = (Instant::now(), Duration::from_secs(1_700_000_000));
        let at = |seconds: u64| now + Duration::from_secs(seconds);
        let life = |unix: Duration| {
            let mut seal = Seal::new(now);
            seal.set_wall(Wall::new(now, unix));
            seal
        };
        let (mut first, mut backup) = (life(then), Seal::new(now));
        // Answers to a rival: more than one a second, and then one a second for as long as one likes.
        for second in [0, 0, 0, 0, 0, 0, 1, 2, 3] {
            assert_eq!(say(&mut first, &mut backup, at(second)), Ok(()));
        }
        let last = first.sequence();
        assert_eq!(last, 1_700_000_008);
        let forgetful = say(&mut life(then), &mut backup.clone(), at(4));
        assert_eq!(forgetful, Err(Reject::Sequence(1_700_000_004)), "what the record is for");
        for unix in [then, then.saturating_sub(Duration::from_secs(3600))] {
            let (mut next, mut backup) = (life(unix), backup.clone());
            next.resume(last);
            // One was sent whose number was not written down.
            assert_eq!(say(&mut first.clone(), &mut backup, at(4)), Ok(()));
            for second in 4..20 {
                assert_eq!(say(&mut next, &mut backup, at(second)), Ok(()), "{unix:?} {second}");
            }
        }
        // The clock is followed where it is ahead.
        let mut next = life(then + Duration::from_secs(60));
        next.resume(last);
        assert_eq!(say(&mut next, &mut backup, now), Ok(()));
        assert_eq!(next.sequence(), 1_700_000_060);
        let mut none = life(then);
        none.resume(0);
        assert_eq!(none.sequence(), 0, "no header was ever sent");
    }
}
