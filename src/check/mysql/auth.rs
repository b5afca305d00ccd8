//! How a password is proven to MySQL.

use ring::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

use super::super::{Outcome, Reason, Step, reason};
use crate::config::model::Login;

/// The cache knows the password: wait for the end of the log-in.
const FAST: &[u8] = &[super::packet::MORE, 3];
/// It does not: the server wants the password itself.
const FULL: &[u8] = &[super::packet::MORE, 4];

/// What follows on a packet with more of a method.
#[derive(Debug, PartialEq, Eq)]
pub enum More {
    /// Nothing.
    Wait,
    /// This.
    Say(Vec<u8>),
}

/// The proof of the password by `method`.
///
/// # Errors
/// The outcome of the probe: the method is unknown, or not to be used without TLS.
pub fn answer(method: &[u8], login: &Login, nonce: &[u8], encrypted: bool) -> Step<Vec<u8>> {
    let password = login.password.as_bytes();
    match method {
        b"mysql_native_password" | b"caching_sha2_password" if password.is_empty() => Ok(Vec::new()),
        b"mysql_native_password" => {
            let (hash, twice) = hashes(&SHA1_FOR_LEGACY_USE_ONLY, password);
            Ok(cover(&hash, digest(&SHA1_FOR_LEGACY_USE_ONLY, &[nonce, &twice].concat()).as_ref()))
        }
        b"caching_sha2_password" => {
            let (hash, twice) = hashes(&SHA256, password);
            Ok(cover(&hash, digest(&SHA256, &[&twice, nonce].concat()).as_ref()))
        }
        b"mysql_clear_password" if encrypted => Ok([password, &[0]].concat()),
        // What is said first matters to nobody who is not known anyway.
        _ if login.user.is_empty() => Ok(Vec::new()),
        other => Err(Outcome::Failure(Reason::Owned(format!(
            "log-in: the server wants {}, which this check cannot{}",
            reason::quote(other),
            if encrypted { "" } else { " without TLS" }
        )))),
    }
}

/// What a packet with more means (`caching_sha2_password`).
///
/// # Errors
/// The outcome of the probe: it wants the password itself and there is no TLS, or something unknown.
pub fn more(packet: &[u8], login: &Login, encrypted: bool) -> Step<More> {
    match packet {
        FAST => Ok(More::Wait),
        FULL if encrypted => Ok(More::Say([login.password.as_bytes(), &[0]].concat())),
        FULL => Err(Outcome::Failure(Reason::Borrowed(
            "log-in: the server has not cached the password and wants it by TLS (caching_sha2_password)",
        ))),
        other => {
            Err(Outcome::Failure(Reason::Owned(format!("log-in: unknown step {}", reason::quote(other)))))
        }
    }
}

fn hashes(algorithm: &'static Algorithm, password: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let once = digest(algorithm, password);
    (once.as_ref().to_vec(), digest(algorithm, once.as_ref()).as_ref().to_vec())
}

fn cover(hash: &[u8], with: &[u8]) -> Vec<u8> {
    hash.iter().zip(with).map(|(one, other)| one ^ other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(password: &str) -> Login {
        Login { user: "monitor".into(), password: password.into() }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn proofs_are_as_the_manual_computes_them() {
        let nonce = b"abcdefghijklmnopqrst";
        let of = |method: &[u8]| hex(&answer(method, &login("secret"), nonce, false).unwrap());
        assert_eq!(of(b"mysql_native_password"), "8817c50fa779daef010ee7577825b0847df9842e");
        assert_eq!(
            of(b"caching_sha2_password"),
            "c76e2898612a4cf042c77fa8c4702c4c64c0c2c557c53c4d75595aaa6abae809"
        );
        assert_eq!(answer(b"mysql_native_password", &login(""), nonce, false), Ok(Vec::new()));
    }

    #[test]
    fn a_password_is_not_sent_in_clear() {
        assert!(answer(b"mysql_clear_password", &login("secret"), b"", false).is_err());
        assert_eq!(answer(b"mysql_clear_password", &login("s"), b"", true), Ok(b"s\0".to_vec()));
        assert!(more(FULL, &login("secret"), false).is_err());
        assert_eq!(more(FULL, &login("s"), true), Ok(More::Say(b"s\0".to_vec())));
        assert_eq!(more(FAST, &login("s"), false), Ok(More::Wait));
        assert!(more(&[1, 9], &login("s"), true).is_err());
        assert!(answer(b"client_ed25519", &login("s"), b"", true).is_err());
    }
}
