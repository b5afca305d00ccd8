//! What a certificate says of its life.

use std::time::{Duration, SystemTime};

use der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use der::{Decode, Reader, SliceReader, Tag, TagNumber};

use crate::check::{Notice, Reason};

/// When an X.509 certificate ends (`notAfter`, RFC 5280 section 4.1.2.5); `None` if it is none.
#[must_use]
pub fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(ends(certificate).ok()?)
}

fn ends(certificate: &[u8]) -> der::Result<Duration> {
    let outer = AnyRef::from_der(certificate)?;
    let mut outer = SliceReader::new(outer.value())?;
    let tbs: AnyRef<'_> = outer.decode()?;
    let mut fields = SliceReader::new(tbs.value())?;
    let version = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
    let first: AnyRef<'_> = fields.decode()?;
    if der::Tagged::tag(&first) == version {
        let _serial: AnyRef<'_> = fields.decode()?;
    }
    let _algorithm: AnyRef<'_> = fields.decode()?;
    let _issuer: AnyRef<'_> = fields.decode()?;
    let validity: AnyRef<'_> = fields.decode()?;
    let mut validity = SliceReader::new(validity.value())?;
    let _not_before: AnyRef<'_> = validity.decode()?;
    let not_after: AnyRef<'_> = validity.decode()?;
    if der::Tagged::tag(&not_after) == Tag::UtcTime {
        return Ok(not_after.decode_as::<UtcTime>()?.to_unix_duration());
    }
    Ok(not_after.decode_as::<GeneralizedTime>()?.to_unix_duration())
}

/// What is to be told about a certificate that ends at `end`, at `now`, if the operator wants to know `ahead` of it (zero:
/// never).
#[must_use]
pub fn expiry(end: SystemTime, now: SystemTime, ahead: Duration) -> Option<Notice> {
    if ahead.is_zero() {
        return None;
    }
    match end.duration_since(now) {
        Ok(left) if left > ahead => None,
        Ok(left) => Some(Notice {
            reason: Reason::Owned(format!("certificate expires in {}", span(left))),
            days_left: whole_days(left),
        }),
        Err(past) => Some(Notice {
            reason: Reason::Owned(format!("certificate expired {} ago", span(past.duration()))),
            days_left: -1 - whole_days(past.duration()),
        }),
    }
}

fn whole_days(time: Duration) -> i32 {
    i32::try_from(time.as_secs() / 86_400).unwrap_or(i32::MAX - 1)
}

/// A length of time in its greatest unit: `6 d`, `3 h`, `20 min`.
#[must_use]
pub fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds >= 86_400 => format!("{} d", seconds / 86_400),
        seconds if seconds >= 3600 => format!("{} h", seconds / 3600),
        seconds => format!("{} min", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_is_told_in_time() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let (day, week) = (Duration::from_secs(86_400), Duration::from_secs(7 * 86_400));
        assert_eq!(expiry(now + week + day, now, week), None);
        let told = |end| expiry(end, now, week).map(|notice| (notice.reason.into_owned(), notice.days_left));
        assert_eq!(told(now + day * 6 + day / 2).unwrap(), ("certificate expires in 6 d".to_owned(), 6));
        assert_eq!(told(now + day / 2).unwrap(), ("certificate expires in 12 h".to_owned(), 0));
        assert_eq!(told(now - day / 2).unwrap(), ("certificate expired 12 h ago".to_owned(), -1));
        assert_eq!(told(now - day * 3).unwrap(), ("certificate expired 3 d ago".to_owned(), -4));
        assert_eq!(expiry(now - day * 3, now, Duration::ZERO), None);
    }

    #[test]
    fn garbage_has_no_end() {
        assert_eq!(not_after(b""), None);
        assert_eq!(not_after(b"\x30\x03\x30\x01\x05"), None);
    }
}
