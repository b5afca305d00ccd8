//! The signed trailer behind a message, wire compatible with `auth_hmac` of keepalived 2.4.
//!
//! ```text
//! | 1 | key id | 0, 0 | seconds since 1970, 32 bits | 1/65536 s | counter | HMAC-SHA256, its first 16 bytes |
//! ```
//! The signature covers a pseudo-header (family, version, virtual router, 0, source in 16 bytes), the message with its
//! checksum as zero, and the trailer with its signature as zero. Seconds, fraction and counter are one sequence of 64 bits
//! that only grows, compared as serial numbers (RFC 1982).

use std::net::IpAddr;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::packet::Reject;
use crate::config::model::{HmacAuth, HmacMode, Replay, VrrpVersion};

/// Length of a trailer.
pub const LENGTH: usize = 28;

const SCHEME: u8 = 1;
const SIGNATURE: usize = 16;
const HEAD: usize = LENGTH - SIGNATURE;
/// Where the checksum is in a message.
const CHECKSUM: std::ops::Range<usize> = 6..8;
/// Senders whose sequence is remembered; more than one at a time only compete for a moment.
const SENDERS: usize = 4;

/// What binds a signature to one virtual router and one sender.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// Version of the message.
    pub version: VrrpVersion,
    /// Virtual router.
    pub vrid: u8,
    /// Sender.
    pub source: IpAddr,
}

/// The sequences sent and heard by one virtual router.
#[derive(Debug, Clone, Default)]
pub struct Sequences {
    sent: u64,
    heard: heapless::Deque<(IpAddr, u64), SENDERS>,
}

impl Sequences {
    /// The trailer of the next `message`; `None` where nothing is signed. `unix` is the time since 1970.
    pub fn sign(
        &mut self,
        auth: &HmacAuth,
        binding: Binding,
        unix: Duration,
        message: &[u8],
    ) -> Option<[u8; LENGTH]> {
        if auth.mode == HmacMode::ReceiveOnly {
            return None;
        }
        self.sent = next(self.sent, unix, auth.replay);
        let mut trailer = [0; LENGTH];
        let head = [SCHEME, auth.active, 0, 0].into_iter().chain(self.sent.to_be_bytes());
        let key = auth.keys.iter().find(|key| key.id == auth.active)?;
        trailer.iter_mut().zip(head).for_each(|(to, from)| *to = from);
        let digest = mac(&key.secret, binding, message, trailer.first_chunk()?).finalize().into_bytes();
        trailer.iter_mut().skip(HEAD).zip(digest).for_each(|(to, from)| *to = from);
        Some(trailer)
    }

    /// Judges the trailer of a message that came in, and remembers its sequence.
    ///
    /// # Errors
    /// What is wrong with it, or that there is none and has to be.
    pub fn verify(
        &mut self,
        auth: &HmacAuth,
        binding: Binding,
        unix: Duration,
        message: &[u8],
        trailer: Option<&[u8; LENGTH]>,
    ) -> Result<(), Reject> {
        let Some(trailer) = trailer else {
            return if auth.mode == HmacMode::Enforce { Err(Reject::TrailerMissing) } else { Ok(()) };
        };
        let (Some(head), Some(signature)) =
            (trailer.first_chunk::<HEAD>(), trailer.last_chunk::<SIGNATURE>())
        else {
            return Err(Reject::TrailerMalformed);
        };
        let [SCHEME, id, 0, 0, sequence @ ..] = *head else { return Err(Reject::TrailerMalformed) };
        let sequence = u64::from_be_bytes(sequence);
        let key = auth.keys.iter().find(|key| key.id == id).ok_or(Reject::UnknownKey(id))?;
        let mac = mac(&key.secret, binding, message, head);
        mac.verify_truncated_left(signature).map_err(|_| Reject::Signature)?;
        // After the digest: one who knows the key, and whose clock differs, is no stranger.
        if let Replay::Time(window) = auth.replay {
            let off = off(sequence, unix);
            if off.unsigned_abs() > u32::from(window) {
                return Err(Reject::Stale { seconds: off, window });
            }
        }
        self.remember(binding.source, sequence, unix, auth.replay)
    }

    fn remember(
        &mut self,
        source: IpAddr,
        sequence: u64,
        unix: Duration,
        replay: Replay,
    ) -> Result<(), Reject> {
        // A mark outside the window orders only what the window refuses: a sender whose clock was set back is heard again.
        let counts = |mark: u64| match replay {
            Replay::Time(window) => off(mark, unix).unsigned_abs() <= u32::from(window),
            Replay::Monotonic => true,
        };
        match self.heard.iter_mut().find(|(from, _)| *from == source) {
            Some((_, mark)) if counts(*mark) && !after(sequence, *mark) => return Err(Reject::Replay),
            Some((_, mark)) => *mark = sequence,
            None => {
                if self.heard.is_full() {
                    self.heard.pop_front();
                }
                // There is room: one has just left.
                let _ = self.heard.push_back((source, sequence));
            }
        }
        // With growth as the only measure a box that boots with an old clock would be refused until that has caught up.
        if replay == Replay::Monotonic && (self.sent == 0 || after(sequence, self.sent)) {
            self.sent = sequence;
        }
        Ok(())
    }
}

/// The clock, at first or where it is later; else one more than the last. A clock that was set back by more than the window is followed.
fn next(sent: u64, unix: Duration, replay: Replay) -> u64 {
    let fraction = (u64::from(unix.subsec_nanos()) << 16) / 1_000_000_000;
    let clock = (unix.as_secs() & 0xffff_ffff) << 32 | fraction << 16;
    let stranded = match replay {
        Replay::Time(window) => off(sent, unix) < -i32::from(window),
        Replay::Monotonic => false,
    };
    // Zero: nothing yet, whatever the serial numbers say of it from 2038 on.
    if sent == 0 || after(clock, sent) || stranded { clock } else { sent.wrapping_add(1) }
}

/// Seconds by which `sequence` is behind the clock; negative: ahead of it.
const fn off(sequence: u64, unix: Duration) -> i32 {
    let [a, b, c, d, ..] = sequence.to_be_bytes();
    let [.., e, f, g, h] = unix.as_secs().to_be_bytes();
    i32::from_be_bytes([e, f, g, h]).wrapping_sub(i32::from_be_bytes([a, b, c, d]))
}

/// RFC 1982: whether `a` is later than `b`.
const fn after(a: u64, b: u64) -> bool {
    (a.wrapping_sub(b).cast_signed()) > 0
}

fn mac(secret: &[u8], binding: Binding, message: &[u8], head: &[u8; HEAD]) -> Hmac<Sha256> {
    let Binding { version, vrid, source } = binding;
    let version = match version {
        VrrpVersion::V2 => 2,
        VrrpVersion::V3 => 3,
    };
    let mut address = [0; 16];
    let family = match source {
        IpAddr::V4(source) => {
            address.iter_mut().zip(source.octets()).for_each(|(to, from)| *to = from);
            4
        }
        IpAddr::V6(source) => {
            address = source.octets();
            6
        }
    };
    // HMAC takes keys of any length: no key is refused.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(&[family, version, vrid, 0]);
    mac.update(&address);
    mac.update(message.get(..CHECKSUM.start).unwrap_or_default());
    mac.update(&[0, 0]);
    mac.update(message.get(CHECKSUM.end..).unwrap_or_default());
    mac.update(head);
    mac.update(&[0; SIGNATURE]);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::HmacKey;

    /// Key 00..1f, virtual router 51, priority 200, sequence 0x6800000080000000: the vectors of the draft's appendix, which are
    /// also those of keepalived's own test.
    const IPV4: &str = "3133c80100644402c0000264010100006800000080000000";
    const IPV4_SIGNATURE: &str = "1b84bc4e8e43892dc6d98448f8ee2265";
    const IPV6: &str = "3133c8010064a2e9fe800000000000000000000000000100010100006800000080000000";
    const IPV6_SIGNATURE: &str = "c8c56146ebfd66ee10ec4d8186461b78";
    /// The time of the vectors.
    const THEN: Duration = Duration::new(0x6800_0000, 500_000_000);

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    fn auth(replay: Replay) -> HmacAuth {
        let keys = vec![HmacKey::new(1, (0..32).collect())];
        HmacAuth { keys, active: 1, replay, mode: HmacMode::Enforce }
    }

    fn binding(source: &str) -> Binding {
        Binding { version: VrrpVersion::V3, vrid: 51, source: source.parse().unwrap() }
    }

    fn vector(head: &str, signature: &str) -> (Vec<u8>, [u8; LENGTH]) {
        let mut all = bytes(head);
        all.extend(bytes(signature));
        let trailer = all.split_off(all.len() - LENGTH);
        (all, trailer.try_into().unwrap())
    }

    #[test]
    fn the_vectors_of_the_draft() {
        for (head, signature, source) in
            [(IPV4, IPV4_SIGNATURE, "198.51.100.10"), (IPV6, IPV6_SIGNATURE, "fe80::10")]
        {
            let (message, trailer) = vector(head, signature);
            let auth = auth(Replay::Time(5));
            let signed = Sequences::default().sign(&auth, binding(source), THEN, &message);
            assert_eq!(signed, Some(trailer), "{source}");
            let heard = Sequences::default().verify(&auth, binding(source), THEN, &message, Some(&trailer));
            assert_eq!(heard, Ok(()), "{source}");
        }
    }

    #[test]
    fn each_change_is_noticed_but_for_the_checksum() {
        let (message, trailer) = vector(IPV6, IPV6_SIGNATURE);
        let verify = |message: &[u8], trailer: &[u8; LENGTH], binding: Binding| {
            Sequences::default().verify(&auth(Replay::Monotonic), binding, THEN, message, Some(trailer))
        };
        let fe80 = binding("fe80::10");
        for place in 0..message.len() {
            let mut other = message.clone();
            other[place] ^= 1;
            let expected = if CHECKSUM.contains(&place) { Ok(()) } else { Err(Reject::Signature) };
            assert_eq!(verify(&other, &trailer, fe80), expected, "byte {place}");
        }
        for place in 0..LENGTH {
            let mut other = trailer;
            other[place] ^= 1;
            let expected = match place {
                0 | 2 | 3 => Reject::TrailerMalformed,
                1 => Reject::UnknownKey(0),
                _ => Reject::Signature,
            };
            assert_eq!(verify(&message, &other, fe80), Err(expected), "byte {place} of the trailer");
        }
        assert_eq!(verify(&message, &trailer, binding("fe80::20")), Err(Reject::Signature));
        assert_eq!(verify(&message, &trailer, Binding { vrid: 52, ..fe80 }), Err(Reject::Signature));
    }

    #[test]
    fn old_and_repeated_ones_are_refused() {
        let (message, trailer) = vector(IPV4, IPV4_SIGNATURE);
        let from = binding("198.51.100.10");
        let mut heard = Sequences::default();
        let mut at = |auth: &HmacAuth, unix| heard.verify(auth, from, unix, &message, Some(&trailer));
        let timed = auth(Replay::Time(5));
        assert_eq!(at(&timed, THEN + Duration::from_secs(6)), Err(Reject::Stale { seconds: 6, window: 5 }));
        assert_eq!(at(&timed, THEN - Duration::from_secs(6)), Err(Reject::Stale { seconds: -6, window: 5 }));
        assert_eq!(at(&timed, THEN + Duration::from_secs(5)), Ok(()));
        assert_eq!(at(&timed, THEN), Err(Reject::Replay));
        assert_eq!(at(&auth(Replay::Monotonic), THEN + Duration::from_secs(99)), Err(Reject::Replay));
    }

    #[test]
    fn a_clock_set_back_strands_nobody() {
        let (timed, monotonic) = (Replay::Time(5), Replay::Monotonic);
        let hour = Duration::from_secs(3600);
        let ahead = next(0, THEN + hour, timed);
        assert_eq!(next(ahead, THEN, timed), next(0, THEN, timed), "time follows the clock");
        assert_eq!(next(ahead, THEN, monotonic), ahead + 1, "growth does not");
        assert_eq!(next(next(0, THEN, timed), THEN, timed), next(0, THEN, timed) + 1, "twice at one time");
        let mut marks = Sequences::default();
        let source = "198.51.100.10".parse().unwrap();
        assert_eq!(marks.remember(source, ahead, THEN + hour, timed), Ok(()));
        assert_eq!(marks.remember(source, next(0, THEN, timed), THEN, timed), Ok(()));
    }

    /// The battery of its clock is empty; its twin remembers what it sent before.
    #[test]
    fn growth_goes_on_above_what_is_heard_after_a_boot_with_an_old_clock() {
        let auth = auth(Replay::Monotonic);
        let (message, _) = vector(IPV4, IPV4_SIGNATURE);
        let (ours, twins) = (binding("198.51.100.10"), binding("198.51.100.20"));
        let mut twin = Sequences::default();
        let before = Sequences::default().sign(&auth, ours, THEN, &message).unwrap();
        assert_eq!(twin.verify(&auth, ours, THEN, &message, Some(&before)), Ok(()));

        let (long_ago, later) = (Duration::from_secs(1_000), THEN + Duration::from_secs(60));
        let mut booted = Sequences::default();
        let deaf = booted.clone().sign(&auth, ours, long_ago, &message).unwrap();
        assert_eq!(twin.verify(&auth, ours, later, &message, Some(&deaf)), Err(Reject::Replay));
        let heard = twin.sign(&auth, twins, later, &message).unwrap();
        assert_eq!(booted.verify(&auth, twins, long_ago, &message, Some(&heard)), Ok(()));
        for _ in 0..2 {
            let signed = booted.sign(&auth, ours, long_ago, &message).unwrap();
            assert_eq!(twin.verify(&auth, ours, later, &message, Some(&signed)), Ok(()));
        }
    }

    /// Half of all numbers count as earlier than zero.
    #[test]
    fn the_first_number_is_the_clock_after_2038_too() {
        let unix = Duration::from_secs(0x9000_0000);
        for replay in [Replay::Time(5), Replay::Monotonic] {
            assert_eq!(next(0, unix, replay), 0x9000_0000 << 32);
        }
    }

    #[test]
    fn a_migration_hurts_nobody() {
        let (message, _) = vector(IPV4, IPV4_SIGNATURE);
        let from = binding("198.51.100.10");
        for (mode, signs, unsigned) in [
            (HmacMode::ReceiveOnly, false, Ok(())),
            (HmacMode::Permissive, true, Ok(())),
            (HmacMode::Enforce, true, Err(Reject::TrailerMissing)),
        ] {
            let auth = HmacAuth { mode, ..auth(Replay::Monotonic) };
            let mut sequences = Sequences::default();
            assert_eq!(sequences.sign(&auth, from, THEN, &message).is_some(), signs);
            assert_eq!(sequences.verify(&auth, from, THEN, &message, None), unsigned);
        }
    }
}
