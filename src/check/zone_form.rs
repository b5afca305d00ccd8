//! Record data in the form of a zone file (RFC 1035 section 5.1), compared as DNS compares it.

use std::net::IpAddr;

/// Whether two records say the same: words apart by blanks, names without regard to case and to a last dot, addresses by
/// value, and what is in quotes to the letter.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    let (one, other) = (words(one), words(other));
    one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| one.is(other))
}

#[derive(Debug, PartialEq)]
struct Word {
    text: String,
    quoted: bool,
}

impl Word {
    fn is(&self, other: &Self) -> bool {
        if self.quoted || other.quoted {
            return self.text == other.text;
        }
        if let (Ok(one), Ok(other)) = (self.text.parse::<IpAddr>(), other.text.parse::<IpAddr>()) {
            return one == other;
        }
        bare(&self.text).eq_ignore_ascii_case(bare(&other.text))
    }
}

fn bare(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let (mut open, mut within) = (None::<Word>, false);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                within = !within;
                open.get_or_insert(Word { text: String::new(), quoted: false }).quoted = true;
            }
            blank if blank.is_ascii_whitespace() && !within => words.extend(open.take()),
            letter => {
                let word = open.get_or_insert(Word { text: String::new(), quoted: false });
                // `\"` is a quote and `\\` a backslash; `\DDD` stays as it is, in both forms alike.
                match letter {
                    '\\' => match letters.next() {
                        Some(plain @ ('"' | '\\')) => word.text.push(plain),
                        Some(other) => word.text.extend(['\\', other]),
                        None => word.text.push('\\'),
                    },
                    other => word.text.push(other),
                }
            }
        }
    }
    words.extend(open);
    // Data of unknown types (RFC 3597 section 5): hexadecimal digits with blanks anywhere among them.
    if words.first().is_some_and(|word| word.text == "\\#") {
        let digits = words.split_off(words.len().min(2));
        words.push(Word { text: digits.into_iter().map(|word| word.text).collect(), quoted: false });
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_as_dns_does() {
        for (one, other) in [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:0DB8:0:0:0:0:0:1"),
            ("10 mail.example.com", "10  MAIL.example.com."),
            ("\"v=spf1 -all\"", "\"v=spf1 -all\""),
            ("\"word\"", "word"),
            ("\"say \\\"a\\\\\\\"\"", "\"say \\\"a\\\\\\\"\""),
            (".", "."),
            ("\\# 3 01 02 ab", "\\# 3 0102AB"),
        ] {
            assert!(same(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("192.0.2.1", "192.0.2.10"),
            ("10 mail.example.com", "20 mail.example.com"),
            ("\"A\"", "\"a\""),
            ("\"a b\"", "\"a  b\""),
            ("\"a\" \"b\"", "\"a b\""),
            ("a", "a b"),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }
}
