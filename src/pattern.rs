//! What must be found in an answer.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use regex::bytes::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::units::Refused;

/// A regular expression over bytes, compiled once. Equal when its text is equal.
///
/// The syntax is that of the `regex` crate: linear time, no look-around, no back-references.
#[derive(Clone)]
pub struct Pattern(Arc<Regex>);

impl Pattern {
    /// Greatest size of a compiled expression in bytes; an expression that needs more is refused.
    const SIZE: usize = 256 * 1024;

    /// The pattern that finds `text` as it stands.
    ///
    /// # Errors
    /// It is too long.
    pub fn literal(text: &str) -> Result<Self, Refused> {
        regex::escape(text).parse()
    }

    /// Whether it is somewhere in `bytes`.
    #[must_use]
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }

    /// The expression.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Pattern {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let compiled = regex::bytes::RegexBuilder::new(text).size_limit(Self::SIZE).build();
        compiled.map(|regex| Self(Arc::new(regex))).map_err(|error| {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
            Refused(format!("{text:?} is not a regular expression: {why}"))
        })
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_and_refuses() {
        let pattern: Pattern = "(?i)ok [0-9]+".parse().unwrap();
        assert!(pattern.is_in(b"\xff\x00 OK 17"));
        assert!(!pattern.is_in(b"OK"));
        assert!(Pattern::literal("a.b").unwrap().is_in(b"xa.by"));
        assert!(!Pattern::literal("a.b").unwrap().is_in(b"axb"));
        let refused = "a(b".parse::<Pattern>().unwrap_err();
        assert_eq!(refused.to_string(), "\"a(b\" is not a regular expression: unclosed group");
        assert!("(?:a{1000}){1000}".parse::<Pattern>().is_err());
    }
}
