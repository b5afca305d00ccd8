//! SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.
//!
//! Passwords are taken as they are: for ASCII that is what SASLprep makes of them, and where SASLprep fails PostgreSQL takes
//! them as they are, too.

use std::num::NonZeroU32;

use base64ct::{Base64, Encoding};
use ring::{digest, hmac, pbkdf2};

use super::super::{Step, random};
use crate::config::model::Login;

/// The name of this method.
pub const METHOD: &str = "SCRAM-SHA-256";
/// Most rounds that a server may ask for: each costs time in which no other check runs. PostgreSQL's default is 4096.
const MOST_ROUNDS: u32 = 100_000;
/// "No channel binding, no other user", and its Base64.
const HEADER: (&str, &str) = ("n,,", "biws");

/// A log-in that has begun.
#[derive(Debug)]
pub struct Scram {
    password: Vec<u8>,
    nonce: String,
    signature: Option<hmac::Tag>,
    /// The server has shown that it knows the password.
    pub proven: bool,
}

impl Scram {
    /// Begins, with a new nonce.
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn begin(login: &Login) -> Step<Self> {
        Ok(Self::with(login, Base64::encode_string(&random::bytes::<18>()?)))
    }

    fn with(login: &Login, nonce: String) -> Self {
        Self { password: login.password.clone().into_bytes(), nonce, signature: None, proven: false }
    }

    /// The first message. The name of the user is in PostgreSQL's own first message.
    #[must_use]
    pub fn first(&self) -> String {
        format!("{}{}", HEADER.0, self.bare())
    }

    fn bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// The proof, as an answer to the server's first message.
    ///
    /// # Errors
    /// In words: what is wrong with that.
    pub fn answer(&mut self, said: &[u8]) -> Result<Vec<u8>, String> {
        let (nonce, salt, rounds) =
            challenge(said).ok_or_else(|| "the server's challenge is malformed".to_owned())?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("the server's challenge is for somebody else".to_owned());
        }
        let rounds = NonZeroU32::new(rounds)
            .filter(|rounds| rounds.get() <= MOST_ROUNDS)
            .ok_or_else(|| format!("the server wants {rounds} rounds of hashing, more than {MOST_ROUNDS}"))?;
        let mut salted = [0; digest::SHA256_OUTPUT_LEN];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, &self.password, &mut salted);
        let salted = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let last = format!("c={},r={nonce}", HEADER.1);
        let signed = [self.bare().as_bytes(), b",", said, b",", last.as_bytes()].concat();

        let client_key = hmac::sign(&salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, client_key.as_ref());
        let proof = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, stored.as_ref()), &signed);
        let proof: Vec<u8> = client_key.as_ref().iter().zip(proof.as_ref()).map(|(a, b)| a ^ b).collect();

        let server_key = hmac::sign(&salted, b"Server Key");
        self.signature = Some(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, server_key.as_ref()), &signed));
        Ok(format!("{last},p={}", Base64::encode_string(&proof)).into_bytes())
    }

    /// Takes the server's own proof.
    ///
    /// # Errors
    /// In words: it is none.
    pub fn verify(&mut self, said: &[u8]) -> Result<(), String> {
        let proof =
            std::str::from_utf8(said).ok().and_then(|said| Base64::decode_vec(said.strip_prefix("v=")?).ok());
        self.proven = match (&self.signature, proof) {
            (Some(wanted), Some(proof)) => wanted.as_ref() == proof,
            _ => false,
        };
        if self.proven { Ok(()) } else { Err("the server does not know the password either".to_owned()) }
    }
}

/// Nonce, salt and rounds.
fn challenge(said: &[u8]) -> Option<(&str, Vec<u8>, u32)> {
    let mut parts = std::str::from_utf8(said).ok()?.split(',');
    let nonce = parts.next()?.strip_prefix("r=")?;
    let salt = Base64::decode_vec(parts.next()?.strip_prefix("s=")?).ok()?;
    Some((nonce, salt, parts.next()?.strip_prefix("i=")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &[u8] =
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn begun() -> Scram {
        let login = Login { user: "user".into(), password: "pencil".into() };
        Scram::with(&login, "rOprNGfwEbeRWgbNEkqO".into())
    }

    /// The exchange of RFC 7677 section 3, whose first message names a user; PostgreSQL's does not. Server and client are
    /// computed anew for that.
    #[test]
    fn both_sides_prove_that_they_know_the_password() {
        let mut scram = begun();
        assert_eq!(scram.first(), "n,,n=,r=rOprNGfwEbeRWgbNEkqO");
        let answer = String::from_utf8(scram.answer(FIRST).unwrap()).unwrap();
        assert_eq!(
            answer,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=qvT2SWdEH5Q06albL+hjSYuUhCG7VndFyzIb7CK4n9k="
        );
        assert!(scram.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").is_err(), "of another user");
        scram.verify(b"v=3HO6Qt1M4MKJrmlKaoOqLAI0/0TV0HZe7J9H3MBtSOg=").unwrap();
        assert!(scram.proven);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let of = |said: &[u8]| begun().answer(said).unwrap_err();
        assert_eq!(of(b"r=other,s=AAAA,i=1"), "the server's challenge is for somebody else");
        assert_eq!(of(b"r=rOprNGfwEbeRWgbNEkqO,s=AAAA,i=1"), "the server's challenge is for somebody else");
        assert_eq!(of(b"e=other-error"), "the server's challenge is malformed");
        assert_eq!(
            of(b"r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=4000000000"),
            "the server wants 4000000000 rounds of hashing, more than 100000"
        );
        assert!(begun().verify(b"v=AAAA").is_err());
    }

    #[test]
    fn any_bytes_are_answered_or_not() {
        crate::check::fuzz::mutations(b"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=2", |bytes| {
            let _ = challenge(bytes);
            let _ = begun().verify(bytes);
        });
    }
}
