//! Errors of sockets in words that a person understands, and whose fault they are.

use std::io;

use nix::errno::Errno;

use super::{Outcome, Reason, tls};

/// What a failed socket call says about the server: its fault, or that this box could not ask.
#[must_use]
pub fn outcome(error: &io::Error) -> Outcome {
    match errno(error) {
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM | Errno::EAGAIN) => {
            Outcome::Inconclusive(Reason::Owned(format!("cannot ask: {}", words(error))))
        }
        Some(Errno::ENETUNREACH | Errno::ENETDOWN | Errno::EADDRNOTAVAIL) => {
            Outcome::Unreachable(words(error))
        }
        _ => Outcome::Failure(words(error)),
    }
}

/// The error in words: lower case, no number.
#[must_use]
pub fn words(error: &io::Error) -> Reason {
    match errno(error) {
        Some(Errno::ECONNREFUSED) => Reason::Borrowed("connection refused"),
        Some(Errno::ECONNRESET | Errno::EPIPE) => Reason::Borrowed("connection reset"),
        Some(Errno::EHOSTUNREACH) => Reason::Borrowed("no route to host"),
        Some(Errno::ENETUNREACH | Errno::ENETDOWN) => Reason::Borrowed("network unreachable"),
        Some(Errno::ETIMEDOUT) => Reason::Borrowed("connection timed out"),
        Some(Errno::EADDRNOTAVAIL) => Reason::Borrowed("no local address to ask from"),
        Some(Errno::EACCES | Errno::EPERM) => Reason::Borrowed("forbidden by a local rule"),
        Some(other) => Reason::Owned(other.desc().to_lowercase()),
        None => tls::words(error).unwrap_or_else(|| Reason::Owned(error.to_string().to_lowercase())),
    }
}

/// What it means that no socket of this `kind` could be opened: nothing about the server where this box lacks a right or a
/// protocol, else as [`outcome`].
#[must_use]
pub fn opening(error: &io::Error, kind: &str) -> Outcome {
    let why = match errno(error) {
        Some(Errno::EPERM) => "needs the capability CAP_NET_RAW",
        Some(Errno::EPROTONOSUPPORT | Errno::ESOCKTNOSUPPORT | Errno::EAFNOSUPPORT) => "not in this kernel",
        _ => return outcome(error),
    };
    Outcome::Inconclusive(Reason::Owned(format!("cannot ask: {kind}: {why}")))
}

/// Most characters of a quotation.
const QUOTED: usize = 40;

/// Most characters of a message that a server or a program addresses to people.
const TOLD: usize = 120;

/// What somebody said, in quotation marks: its first 40 characters, control characters escaped.
#[must_use]
pub fn quote(said: &[u8]) -> String {
    quoted(said, QUOTED)
}

/// What somebody said to people, in quotation marks: its first 120 characters, control characters escaped.
#[must_use]
pub fn told(said: &[u8]) -> String {
    quoted(said, TOLD)
}

fn quoted(said: &[u8], most: usize) -> String {
    let mut quoted = String::from("\"");
    let mut written = 0;
    for chunk in said.utf8_chunks() {
        let valid = chunk.valid().chars().map(readable);
        let invalid = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"));
        for piece in valid.chain(invalid) {
            let width = piece.chars().count();
            if written + width > most {
                return quoted + "…\"";
            }
            written += width;
            quoted.push_str(&piece);
        }
    }
    quoted + "\""
}

/// What must not be repeated, however a server does it.
#[derive(Debug, Default)]
pub struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    /// One more.
    pub fn add(&mut self, secret: &str) {
        if !secret.is_empty() {
            self.0.push(secret.as_bytes().to_vec());
        }
    }

    /// As [`quote`], with `***` for each secret.
    #[must_use]
    pub fn quote(&self, said: &[u8]) -> String {
        let mut said = said.to_vec();
        for secret in &self.0 {
            let mut from = 0;
            while let Some(at) = find(said.get(from..).unwrap_or_default(), secret) {
                let start = from + at;
                said.splice(start..start + secret.len(), *b"***");
                from = start + 3;
            }
        }
        quote(&said)
    }
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

fn readable(c: char) -> String {
    match u8::try_from(c) {
        Ok(b'\'') => "'".to_owned(),
        Ok(ascii) if c.is_ascii() => ascii.escape_ascii().to_string(),
        _ => c.escape_debug().to_string(),
    }
}

fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_descriptors_is_not_the_servers_fault() {
        let out = outcome(&io::Error::from_raw_os_error(Errno::EMFILE as i32));
        assert_eq!(out, Outcome::Inconclusive("cannot ask: too many open files".into()));
        let out = outcome(&io::Error::from_raw_os_error(Errno::ECONNREFUSED as i32));
        assert_eq!(out, Outcome::Failure("connection refused".into()));
    }

    #[test]
    fn quotations_are_short_and_without_control_characters() {
        assert_eq!(quote(b"220 it's \"up\"\r\n"), r#""220 it's \"up\"\r\n""#);
        assert_eq!(quote(b"\xff\x00\x1b[31m"), r#""\xff\x00\x1b[31m""#);
        assert_eq!(quote(&[b'a'; 41]), format!("\"{}…\"", "a".repeat(40)));
        assert_eq!(quote(b""), "\"\"");
    }

    #[test]
    fn secrets_are_not_repeated() {
        let mut secrets = Secrets::default();
        secrets.add("tiger");
        secrets.add("");
        assert_eq!(secrets.quote(b"PASS tiger, tiger"), "\"PASS ***, ***\"");
        assert_eq!(secrets.quote(b"PASS *"), "\"PASS *\"");
    }
}
