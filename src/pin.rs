//! The PIN of the console as Argon2id (RFC 9106), in the form that others write it in, too: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.

use std::fmt;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Params, Version};
use base64ct::{Base64Unpadded, Encoding};
use serde::{Deserialize, Serialize};

use crate::units::Refused;

/// KiB of memory at most: a file must not stop its box.
const MOST_MEMORY: u32 = 64 * 1024;
/// Passes at most.
const MOST_PASSES: u32 = 10;
/// Lanes at most.
const MOST_LANES: u32 = 4;
/// Octets of the salt of a new hash.
pub const SALT: usize = 16;
/// Octets of a new hash.
const HASH: usize = 32;

/// A hash of a PIN.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PinHash {
    memory: u32,
    passes: u32,
    lanes: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl PinHash {
    /// Of a new PIN: 19 MiB of memory and two passes, as OWASP advises.
    #[must_use]
    pub fn new(pin: &str, salt: [u8; SALT]) -> Option<Self> {
        let (memory, passes, lanes) =
            (Params::DEFAULT_M_COST, Params::DEFAULT_T_COST, Params::DEFAULT_P_COST);
        let empty = Self { memory, passes, lanes, salt: salt.to_vec(), hash: vec![0; HASH] };
        let hash = empty.of(pin)?;
        Some(Self { hash, ..empty })
    }

    /// Whether it is this PIN. Takes a noticeable time, whatever the answer.
    #[must_use]
    pub fn verify(&self, pin: &str) -> bool {
        let Some(found) = self.of(pin) else { return false };
        // Every octet is compared, so that the time tells nothing.
        let differs = found.iter().zip(&self.hash).fold(0, |differs, (a, b)| differs | (a ^ b));
        differs == 0 && found.len() == self.hash.len()
    }

    fn of(&self, pin: &str) -> Option<Vec<u8>> {
        let params = Params::new(self.memory, self.passes, self.lanes, Some(self.hash.len())).ok()?;
        let mut out = vec![0; self.hash.len()];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(pin.as_bytes(), &self.salt, &mut out)
            .ok()?;
        Some(out)
    }
}

impl FromStr for PinHash {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let refuse = |why: &str| Refused(format!("the hash of a PIN {why}: `director pin` makes one"));
        let mut parts = text.split('$');
        let (Some(""), Some("argon2id"), Some("v=19")) = (parts.next(), parts.next(), parts.next()) else {
            return Err(refuse("begins with \"$argon2id$v=19$\""));
        };
        let (Some(params), Some(salt), Some(hash), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(refuse("has parameters, salt and hash"));
        };
        let number = |key: &str, most: u32| {
            let value = params.split(',').find_map(|param| param.strip_prefix(key)?.strip_prefix('='));
            let value = value.and_then(|value| value.parse().ok());
            value
                .filter(|value| (1..=most).contains(value))
                .ok_or_else(|| refuse(&format!("has {key} from 1 to {most}")))
        };
        let decode =
            |text: &str| Base64Unpadded::decode_vec(text).map_err(|_| refuse("has salt and hash in base64"));
        let found = Self {
            memory: number("m", MOST_MEMORY)?,
            passes: number("t", MOST_PASSES)?,
            lanes: number("p", MOST_LANES)?,
            salt: decode(salt)?,
            hash: decode(hash)?,
        };
        if !(8..=64).contains(&found.salt.len()) || !(16..=64).contains(&found.hash.len()) {
            return Err(refuse("has a salt of 8 to 64 octets and a hash of 16 to 64"));
        }
        if found.memory < 8 * found.lanes {
            return Err(refuse("has m of at least 8 times p"));
        }
        Ok(found)
    }
}

impl fmt::Display for PinHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, passes, lanes, salt, hash } = self;
        let (salt, hash) = (Base64Unpadded::encode_string(salt), Base64Unpadded::encode_string(hash));
        write!(f, "$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}")
    }
}

/// Not even a hash is for the log.
impl fmt::Debug for PinHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinHash")
    }
}

impl TryFrom<String> for PinHash {
    type Error = Refused;

    fn try_from(text: String) -> Result<Self, Refused> {
        text.parse()
    }
}

impl From<PinHash> for String {
    fn from(hash: PinHash) -> Self {
        hash.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0$";
    /// Of "4711", by the reference implementation (`argon2-cffi`).
    const REFERENCE: &str =
        "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$OFJNJAgyT6yJfh17BusrlEol5U4epfHsxJaZlWMqA9o";

    #[test]
    fn a_pin_is_known_again_and_no_other() {
        let small = PinHash { memory: 64, passes: 1, lanes: 1, salt: vec![7; 16], hash: vec![0; 32] };
        let hash = PinHash { hash: small.of("4711").unwrap(), ..small };
        let again: PinHash = hash.to_string().parse().unwrap();
        assert_eq!(again, hash);
        assert!(again.verify("4711"));
        for wrong in ["", "4712", "47110", "471", " 4711"] {
            assert!(!again.verify(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn the_reference_implementation_agrees() {
        let hash: PinHash = REFERENCE.parse().unwrap();
        assert!(hash.verify("4711") && !hash.verify("4712"));
        assert_eq!(hash.to_string(), REFERENCE);
    }

    #[test]
    fn what_is_no_hash_is_refused_with_a_reason() {
        let good = format!("{HEAD}{}", Base64Unpadded::encode_string(&[1; 32]));
        assert!(good.parse::<PinHash>().is_ok());
        for (bad, why) in [
            ("1234".to_owned(), "begins with"),
            (good.replace("argon2id", "argon2i"), "begins with"),
            (good.replace("m=64", "m=99999999"), "has m from 1 to 65536"),
            (good.replace("t=2", "t=0"), "has t from 1 to 10"),
            (good.replace("c2Fs", "!!!!"), "base64"),
            (good.replace("m=64", "m=4"), "at least 8 times p"),
            (format!("{good}$x"), "parameters, salt and hash"),
            (HEAD.to_owned(), "a hash of 16 to 64"),
        ] {
            let refused = bad.parse::<PinHash>().unwrap_err().to_string();
            assert!(refused.contains(why), "{bad}: {refused}");
        }
    }
}
