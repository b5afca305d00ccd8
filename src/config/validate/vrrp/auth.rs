//! `auth` of `[[vrrp]]`.

use std::time::Duration;

use super::super::super::faults::Faults;
use super::super::super::field::At;
use super::super::super::model::{HmacAuth, HmacKey, HmacMode, Replay, VrrpAuth, VrrpVersion};
use super::super::super::raw;
use super::super::super::raw::AuthKind;
use super::super::super::report::Span;
use super::super::{Bounds, Unique, items, secret_place};
use crate::secret;

const WINDOW: Bounds = Bounds::new(Duration::from_secs(1), Duration::from_secs(300), Duration::from_secs(1));
/// The identifier of a key that stands alone.
const ONLY: u8 = 1;

pub(super) fn auth(
    raw: &raw::Vrrp,
    version: VrrpVersion,
    interval: Duration,
    faults: &mut Faults<'_>,
) -> Option<VrrpAuth> {
    let At { value: auth, span } = raw.auth.set()?;
    let kind = *auth.kind.required(auth.at, "type", "type = \"hmac\"", faults).map(|at| &at.value)?;
    if version == VrrpVersion::V3 && kind != AuthKind::Hmac && !raw.version.is_faulty() {
        let help = "use `type = \"hmac\"`, remove it, or set `version = 2`";
        faults.add_with_help(*span, "`auth` by password or \"ah\" is not part of version 3", help);
    }
    if kind == AuthKind::Hmac {
        return hmac(auth, interval, faults).map(VrrpAuth::Hmac);
    }
    foreign(auth, faults);
    let At { value: key, span } = auth.key.required(auth.at, "key", "key = \"1111\"", faults)?;
    let key = Some(key).filter(|key| !key.is_empty());
    let bytes = key.and_then(|key| heapless::Vec::from_slice(key.as_bytes()).ok());
    if bytes.is_none() {
        faults.add(*span, "`key` of an `auth` by password or \"ah\" is 1 to 8 bytes long");
    }
    bytes.map(if kind == AuthKind::Ah { VrrpAuth::Ah } else { VrrpAuth::Pass })
}

/// Keys that the trailer alone knows.
fn foreign(auth: &raw::Auth, faults: &mut Faults<'_>) {
    let given = [
        ("keys", auth.keys.span()),
        ("active", auth.active.span()),
        ("mode", auth.mode.span()),
        ("replay", auth.replay.span()),
        ("window", auth.window.span()),
    ];
    for (key, span) in given {
        if let Some(span) = span {
            faults.add(span, format!("`{key}` is for an `auth` of type \"hmac\" only"));
        }
    }
}

fn hmac(auth: &raw::Auth, interval: Duration, faults: &mut Faults<'_>) -> Option<HmacAuth> {
    let keys = keys(auth, faults);
    let first = keys.first().map(|key| key.id);
    let active = auth.active.get().map(|id| id.to(ONLY)).or(first);
    if let Some(At { value: id, span }) = auth.active.set()
        && first.is_some()
        && !keys.iter().any(|key| Some(key.id) == active)
    {
        faults.add(*span, format!("`active` names key {}, which is not in `keys`", id.get()));
    }
    let timed = auth.replay.get().is_none_or(|kind| *kind == raw::ReplayKind::Time);
    if let Some(span) = auth.window.span()
        && !timed
    {
        faults.add(span, "`window` is a choice of `replay = \"time\"` only");
    }
    // keepalived: at least five seconds, and time for three advertisements.
    let usual = Duration::from_secs((3 * interval).as_secs().clamp(5, 300));
    let window = WINDOW.take("window", &auth.window, usual, faults);
    Some(HmacAuth {
        keys,
        active: active?,
        replay: match timed {
            true => Replay::Time(u16::try_from(window.as_secs()).unwrap_or(u16::MAX)),
            false => Replay::Monotonic,
        },
        mode: auth.mode.get().copied().unwrap_or(HmacMode::Enforce),
    })
}

fn keys(auth: &raw::Auth, faults: &mut Faults<'_>) -> Vec<HmacKey> {
    if let Some(At { value, span }) = auth.key.set() {
        if let Some(keys) = auth.keys.span() {
            faults.add(keys, "either `key` or `keys`, not both");
        }
        return key(ONLY, value, *span, faults).into_iter().collect();
    }
    if !auth.keys.is_given() && !auth.key.is_given() {
        let help = "for example key = \"hex:…\" with 32 bytes, or keys = [{ id = 1, key = \"hex:…\" }]";
        faults.add_with_help(auth.at, "`key` is missing", help);
    }
    if let Some(given) = auth.keys.set()
        && given.value.items.is_empty()
        && given.value.complete
    {
        faults.add(given.span, "`keys` is empty, there is at least one");
    }
    let mut seen = Unique::new();
    let mut keys = Vec::new();
    for At { value: raw, .. } in items(&auth.keys) {
        let id = raw.id.required(raw.at, "id", "id = 1", faults);
        let text = raw.key.required(raw.at, "key", "key = \"hex:…\"", faults);
        if let (Some(id), Some(text)) = (id, text) {
            let number = id.value.to(ONLY);
            seen.claim(number, id.span, format!("key {number}"), faults);
            keys.extend(key(number, &text.value, text.span, faults));
        }
    }
    keys
}

/// `file:` and a path, `hex:` and digits, or the text itself.
fn key(id: u8, text: &str, span: Span, faults: &mut Faults<'_>) -> Option<HmacKey> {
    if let Some(path) = secret::file(text) {
        if !secret_place(path, span, faults) {
            return None;
        }
        return Some(HmacKey { file: Some(path.to_owned()), ..HmacKey::new(id, Vec::new()) });
    }
    let found = HmacKey::read(text);
    if found.is_none() {
        let (least, most) = (HmacKey::LENGTHS.start(), HmacKey::LENGTHS.end());
        let help = "\"hex:\" and two digits for each byte, that many characters, or \"file:\" and the name of a file with either";
        faults.add_with_help(span, format!("a key of the trailer has {least} to {most} bytes"), help);
    }
    found.map(|secret| HmacKey::new(id, secret))
}
