//! Replies that begin with three digits (RFC 5321 section 4.2, RFC 959 section 4.2, RFC 3977 section 3.2).

use super::talk::Talk;
use super::{Outcome, Step};

/// One reply, of one or more lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its number; `None` if it does not begin with three digits.
    pub code: Option<u16>,
    /// Its lines without the number, the first with all it has.
    pub lines: Vec<Vec<u8>>,
}

impl Reply {
    /// Reads a reply to its last line.
    ///
    /// # Errors
    /// The outcome of the probe when it does not come.
    pub async fn read(talk: &mut Talk) -> Step<Self> {
        let first = talk.line().await?;
        let (code, mut more) = number(&first);
        let mut lines = vec![first];
        while more {
            let line = talk.line().await?;
            more = number(&line) != (code, false);
            lines.push(line);
        }
        Ok(Self { code, lines })
    }

    /// Reads a reply that must be one of `wanted`.
    ///
    /// # Errors
    /// The outcome of the probe when it is not.
    pub async fn expect(talk: &mut Talk, wanted: &[u16]) -> Step<Self> {
        let reply = Self::read(talk).await?;
        if reply.code.is_some_and(|code| wanted.contains(&code)) {
            Ok(reply)
        } else {
            Err(reply.unfit(talk, wanted))
        }
    }

    /// The outcome when one of `wanted` was needed.
    #[must_use]
    pub fn unfit(&self, talk: &Talk, wanted: &[u16]) -> Outcome {
        let wanted: Vec<String> = wanted.iter().map(u16::to_string).collect();
        talk.unfit(self.first(), &wanted.join(" or "))
    }

    /// Its first line.
    #[must_use]
    pub fn first(&self) -> &[u8] {
        self.lines.first().map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether one of its lines offers `keyword`, as replies to `EHLO` do.
    #[must_use]
    pub fn offers(&self, keyword: &str) -> bool {
        self.lines.iter().filter_map(|line| line.get(4..)).any(|text| {
            text.split(u8::is_ascii_whitespace)
                .next()
                .is_some_and(|word| word.eq_ignore_ascii_case(keyword.as_bytes()))
        })
    }
}

/// The number of a line, and whether more lines follow.
fn number(line: &[u8]) -> (Option<u16>, bool) {
    let digits = line.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit));
    let code = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    match line.get(3) {
        None | Some(b' ') => (code, false),
        Some(b'-') => (code, code.is_some()),
        Some(_) => (None, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_lines() {
        assert_eq!(number(b"220 mx ESMTP"), (Some(220), false));
        assert_eq!(number(b"250-PIPELINING"), (Some(250), true));
        assert_eq!(number(b"250"), (Some(250), false));
        assert_eq!(number(b"2200 no"), (None, false));
        assert_eq!(number(b"SSH-2.0"), (None, false));
        assert_eq!(number(b""), (None, false));
    }

    #[test]
    fn keywords_are_whole_words() {
        let lines =
            ["250-mx greets you", "250-starttls", "250 SIZE 1000"].map(|line| line.as_bytes().to_vec());
        let reply = Reply { code: Some(250), lines: lines.to_vec() };
        assert!(reply.offers("STARTTLS") && reply.offers("SIZE"));
        assert!(!reply.offers("START") && !reply.offers("greets"));
    }
}
