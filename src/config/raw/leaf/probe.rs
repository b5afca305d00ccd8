//! What a `check` is made of.

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::DeValue;

use super::super::{CheckTable, TlsTable};
use crate::config::faults::Faults;
use crate::config::field::{At, Field};
use crate::config::model::ProbeRoute;
use crate::config::report::Span;
use crate::config::schema::{self, Definitions};
use crate::config::value::{FromTable, FromValue, Int, accept, text, wrong_type};
use crate::units::Refused;

macro_rules! types {
    ($($word:literal $name:ident $doc:literal),* $(,)?) => {
        /// `type` of `check`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum CheckType { $(#[doc = $doc] $name,)* }

        impl CheckType {
            /// Every type by its word.
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$name)),*];
        }
    };
}

types! {
    "tcp" Tcp "A connection.",
    "tls" Tls "A TLS handshake.",
    "http" Http "A request over HTTP.",
    "https" Https "A request over HTTPS.",
    "proxy" Proxy "A request through an HTTP proxy.",
    "smtp" Smtp "A greeting of a mail server.",
    "smtps" Smtps "The same over TLS.",
    "dns" Dns "A question.",
    "udp" Udp "A datagram.",
    "ping" Ping "An ICMP echo.",
    "arp" Arp "An ARP request or neighbour solicitation.",
    "sctp" Sctp "An association.",
    "exec" Exec "A program.",
    "file" File "A file.",
    "agent" Agent "A line of words from an agent.",
    "ftp" Ftp "A greeting of a file server.",
    "pop3" Pop3 "A greeting of a mailbox server.",
    "pop3s" Pop3s "The same over TLS.",
    "imap" Imap "A greeting of a mailbox server.",
    "imaps" Imaps "The same over TLS.",
    "nntp" Nntp "A greeting of a news server.",
    "nntps" Nntps "The same over TLS.",
    "ldap" Ldap "A bind.",
    "ldaps" Ldaps "The same over TLS.",
    "mysql" Mysql "A handshake, or a query.",
    "pgsql" Pgsql "A handshake, or a query.",
    "radius" Radius "An Access-Request, or Status-Server.",
    "sip" Sip "OPTIONS.",
    "none" None "Nothing.",
}

impl CheckType {
    /// The word of the file.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| *word)
    }
}

impl FromValue for CheckType {
    const WANTS: &'static str = "a type of check such as \"tcp\" or \"http\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let text = text(key, value, Self::WANTS, faults)?;
        let known = Self::WORDS.iter().find(|(word, _)| *word == text).map(|(_, kind)| *kind);
        if known.is_none() {
            let words: Vec<_> = Self::WORDS.iter().map(|(word, _)| format!("{word:?}")).collect();
            let what = format!("`{key}` {text:?} is unknown");
            faults.add_with_help(value.span().into(), what, format!("one of {}", words.join(", ")));
        }
        known
    }

    fn schema(_: &mut Definitions) -> Json {
        let words: Vec<&str> = Self::WORDS.iter().map(|(word, _)| *word).collect();
        schema::one_of(&words)
    }
}

words!(ProbeRoute { "server" => Self::Server, "vip" => Self::Vip });
words!(Transport { "udp" => Self::Udp, "tcp" => Self::Tcp });

/// `transport` of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
}

/// Bytes in hexadecimal digits; blanks and colons between them mean nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hex(pub Vec<u8>);

impl FromValue for Hex {
    const WANTS: &'static str = "bytes in hexadecimal such as \"00 ff 1a\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let text = text(key, value, Self::WANTS, faults)?;
        let bytes = from_hex(text).map(Self);
        accept(value, bytes.ok_or_else(|| Refused(format!("`{key}` is not {}", Self::WANTS))), faults)
    }

    fn schema(_: &mut Definitions) -> Json {
        schema::text(Self::WANTS)
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b':');
    let digits: Vec<u8> = digits
        .map(|b| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// `headers` of a check: names with values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers(pub Vec<(At<String>, At<String>)>);

impl FromValue for Headers {
    const WANTS: &'static str = "a table such as { Accept = \"text/html\" }";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            wrong_type(key, value, Self::WANTS, faults);
            return None;
        };
        let headers = table.iter().filter_map(|(name, value)| {
            let text = String::from_value(name.get_ref(), value, faults)?;
            let name = At { value: name.get_ref().to_string(), span: name.span().into() };
            Some((name, At { value: text, span: value.span().into() }))
        });
        Some(Self(headers.collect()))
    }

    fn schema(tables: &mut Definitions) -> Json {
        let value = String::schema(tables);
        serde_json::json!({ "type": "object", "additionalProperties": value })
    }
}

/// `tls` of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// On or off, with the defaults for all else.
    Switch(bool),
    /// On, with settings.
    Table(Box<TlsTable>),
}

impl FromValue for Tls {
    const WANTS: &'static str = "true, or { name = \"www.example.com\", … }";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Boolean(on) => Some(Self::Switch(*on)),
            DeValue::Table(table) => {
                Some(Self::Table(Box::new(TlsTable::from_table(table, value.span().into(), faults))))
            }
            _ => {
                wrong_type(key, value, Self::WANTS, faults);
                None
            }
        }
    }

    fn schema(tables: &mut Definitions) -> Json {
        schema::any_of(Self::WANTS, vec![bool::schema(tables), TlsTable::table_schema(tables)])
    }
}

/// One `check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check(pub Box<CheckTable>);

impl FromValue for Check {
    const WANTS: &'static str = "\"tcp\", \"http\", \"none\", or { type = \"http\", … }";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let at = Span::from(value.span());
        if let Some(table) = value.get_ref().as_table() {
            return Some(Self(Box::new(CheckTable::from_table(table, at, faults))));
        }
        if value.get_ref().is_str() {
            let kind = CheckType::from_value(key, value, faults)?;
            let kind = Field::Set(At { value: kind, span: at });
            return Some(Self(Box::new(CheckTable { at, kind, ..CheckTable::default() })));
        }
        wrong_type(key, value, Self::WANTS, faults);
        None
    }

    fn schema(tables: &mut Definitions) -> Json {
        schema::any_of(Self::WANTS, vec![CheckType::schema(tables), CheckTable::table_schema(tables)])
    }
}

/// One element of `status`: a range of status codes, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u16, pub u16);

impl FromValue for Status {
    const WANTS: &'static str = "a status code such as 200, or a range such as \"200-299\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        if value.get_ref().is_integer() {
            let code: u16 = Int::<100, 599>::from_value(key, value, faults)?.to(0);
            return Some(Self(code, code));
        }
        let text = text(key, value, Self::WANTS, faults)?;
        let code = |text: &str| text.parse().ok().filter(|code| (100..=599).contains(code));
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = code(first).zip(code(last)).filter(|(first, last)| first <= last);
        let refuse = || Refused(format!("`{key}` {text:?} is not {}, within 100 to 599", Self::WANTS));
        accept(value, range.map(|(first, last)| Self(first, last)).ok_or_else(refuse), faults)
    }

    fn schema(_: &mut Definitions) -> Json {
        let code = schema::number(Some(100), Some(599), Self::WANTS);
        schema::any_of(Self::WANTS, vec![code, schema::text(Self::WANTS)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_bytes() {
        assert_eq!(from_hex("00 ff:1A"), Some(vec![0, 0xff, 0x1a]));
        assert_eq!(from_hex(""), Some(Vec::new()));
        for bad in ["0", "0x00", "g0", "0ä"] {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
    }
}
