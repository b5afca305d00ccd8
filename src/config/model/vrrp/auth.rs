//! Authentication of virtual routers.

use serde::{Deserialize, Serialize};

/// Authentication of VRRP version 2 (RFC 2338; removed by RFC 3768, still spoken by old peers).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VrrpAuth {
    /// Type 1: up to 8 bytes in clear text, zero padded. Version 2.
    Pass(heapless::Vec<u8, 8>),
    /// Type 2: IP authentication header (RFC 2402) with HMAC-MD5-96, as keepalived uses it; the key is zero padded. Version 2.
    Ah(heapless::Vec<u8, 8>),
    /// A trailer behind the message, as keepalived 2.4 knows it. Either version.
    Hmac(HmacAuth),
}

/// The trailer: HMAC-SHA256-128 with a sequence that begins with the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HmacAuth {
    /// At least one, each identifier once.
    pub keys: Vec<HmacKey>,
    /// Identifier of the key that signs; one of `keys`.
    pub active: u8,
    /// What keeps old messages out.
    pub replay: Replay,
    /// What is demanded and sent.
    pub mode: HmacMode,
}

/// A key of the trailer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HmacKey {
    /// 1..=255, on the wire beside each signature.
    pub id: u8,
    /// 32..=64 bytes; none, where they are in `file` and it was not read yet.
    pub secret: Vec<u8>,
    /// What the file is called that holds it: a name, or a whole path.
    pub file: Option<String>,
}

impl HmacKey {
    /// Least and most bytes of a key: fewer would be weaker than what is sent of the digest.
    pub const LENGTHS: std::ops::RangeInclusive<usize> = 32..=64;

    /// One whose secret is known.
    #[must_use]
    pub const fn new(id: u8, secret: Vec<u8>) -> Self {
        Self { id, secret, file: None }
    }

    /// A secret in words: `hex:` and digits, or the text itself; `None` with another length than it may have.
    #[must_use]
    pub fn read(text: &str) -> Option<Vec<u8>> {
        let bytes = match text.strip_prefix("hex:") {
            Some(digits) => unhex(digits),
            None => Some(text.as_bytes().to_vec()),
        };
        bytes.filter(|bytes| Self::LENGTHS.contains(&bytes.len()))
    }
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}

impl std::fmt::Debug for HmacKey {
    /// Without the secret: configurations get printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HmacKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What keeps old messages of the trailer out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Replay {
    /// Growing sequences, and a timestamp that is off by at most so many seconds, 1..=300: needs clocks that agree.
    Time(u16),
    /// Growing sequences alone.
    Monotonic,
}

/// What is demanded and sent of the trailer; the first two are for the days of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HmacMode {
    /// Signs nothing, verifies what is signed.
    ReceiveOnly,
    /// Signs, and accepts what is not signed.
    Permissive,
    /// Signs, and accepts only what is signed.
    Enforce,
}
