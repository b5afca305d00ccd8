//! Messages of PostgreSQL's protocol, as bytes.

use md5::{Digest, Md5};

use super::super::frame::Bytes;
use crate::config::model::Login;

/// First bytes of messages, of both sides.
pub mod tag {
    pub const AUTHENTICATION: u8 = b'R';
    pub const COPY_BOTH: u8 = b'W';
    pub const COPY_IN: u8 = b'G';
    pub const ERROR: u8 = b'E';
    pub const KEY: u8 = b'K';
    pub const NOTICE: u8 = b'N';
    pub const PARAMETER: u8 = b'S';
    pub const PASSWORD: u8 = b'p';
    pub const QUERY: u8 = b'Q';
    pub const READY: u8 = b'Z';
    pub const ROW: u8 = b'D';
    pub const TERMINATE: u8 = b'X';
    pub const VERSION: u8 = b'v';
}

/// Version 3.0.
const PROTOCOL: u32 = 3 << 16;
/// In place of a version: TLS, please.
const SSL_REQUEST: u32 = 80_877_103;

/// What a server wants to see before it lets in.
#[derive(Debug, PartialEq, Eq)]
pub enum Demand<'a> {
    /// Nothing more.
    Nothing,
    /// The password.
    Clear,
    /// Its hash with this salt.
    Md5([u8; 4]),
    /// One of these methods.
    Sasl(Vec<&'a [u8]>),
    /// An answer to this.
    SaslContinue(&'a [u8]),
    /// That this is believed.
    SaslFinal(&'a [u8]),
    /// Something else, by its number.
    Other(u32),
}

impl<'a> Demand<'a> {
    /// `None`: it is cut short.
    #[must_use]
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let mut rest = Bytes(body);
        Some(match u32::from_be_bytes(rest.array()?) {
            0 => Self::Nothing,
            3 => Self::Clear,
            5 => Self::Md5(rest.array()?),
            10 => {
                let mut methods = Vec::new();
                while let Some(method) = rest.until_zero().filter(|method| !method.is_empty()) {
                    methods.push(method);
                }
                Self::Sasl(methods)
            }
            11 => Self::SaslContinue(rest.0),
            12 => Self::SaslFinal(rest.0),
            other => Self::Other(other),
        })
    }
}

/// What an error says.
#[derive(Debug, PartialEq, Eq)]
pub struct Notice<'a> {
    /// Five letters and digits (manual, appendix "Error Codes").
    pub state: &'a [u8],
    /// In the server's words.
    pub message: &'a [u8],
}

impl<'a> Notice<'a> {
    /// `None`: it is none.
    #[must_use]
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let mut rest = Bytes(body);
        let (mut state, mut message) = (None, None);
        loop {
            match rest.byte()? {
                0 => return Some(Self { state: state?, message: message? }),
                b'C' => state = Some(rest.until_zero()?),
                b'M' => message = Some(rest.until_zero()?),
                _ => drop(rest.until_zero()?),
            }
        }
    }

    /// Whether it is about who asks: class 28 (invalid authorization), or a data base that is not there.
    #[must_use]
    pub fn denies(&self) -> bool {
        self.state.starts_with(b"28") || self.state == b"3D000"
    }
}

/// The value of a parameter, if it is this one.
#[must_use]
pub fn parameter<'a>(body: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = Bytes(body);
    (rest.until_zero()? == name).then(|| rest.until_zero()).flatten()
}

/// The request for TLS.
#[must_use]
pub fn ssl_request() -> Vec<u8> {
    [8_u32.to_be_bytes(), SSL_REQUEST.to_be_bytes()].concat()
}

/// The first message: who wants to use which data base; without one, that of the user's name.
#[must_use]
pub fn startup(user: &str, database: Option<&str>) -> Vec<u8> {
    let mut body = PROTOCOL.to_be_bytes().to_vec();
    let mut add = |name: &str, value: &str| body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    add("user", user);
    if let Some(database) = database {
        add("database", database);
    }
    add("application_name", "director");
    body.push(0);
    with_length(body)
}

/// A message of this type.
#[must_use]
pub fn encode(kind: u8, body: &[u8]) -> Vec<u8> {
    [vec![kind], with_length(body.to_vec())].concat()
}

/// A password, or its hash.
#[must_use]
pub fn password(password: &[u8]) -> Vec<u8> {
    encode(tag::PASSWORD, &[password, &[0]].concat())
}

/// What `method` begins with.
#[must_use]
pub fn sasl_begin(method: &str, first: &str) -> Vec<u8> {
    let length = u32::try_from(first.len()).unwrap_or(u32::MAX).to_be_bytes();
    encode(tag::PASSWORD, &[method.as_bytes(), &[0], &length, first.as_bytes()].concat())
}

/// `md5`, and the hash of the salt and the hash of password and user.
#[must_use]
pub fn md5_proof(login: &Login, salt: [u8; 4]) -> String {
    let inner = hex_md5(&[login.password.as_bytes(), login.user.as_bytes()]);
    format!("md5{}", hex_md5(&[inner.as_bytes(), &salt]))
}

fn hex_md5(parts: &[&[u8]]) -> String {
    let mut hash = Md5::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn with_length(body: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [length.to_be_bytes().to_vec(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_understood() {
        assert_eq!(Demand::parse(b"\0\0\0\0"), Some(Demand::Nothing));
        assert_eq!(Demand::parse(b"\0\0\0\x05abcd"), Some(Demand::Md5(*b"abcd")));
        let methods = Demand::Sasl(vec![b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256"]);
        assert_eq!(Demand::parse(b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"), Some(methods));
        assert_eq!(Demand::parse(b"\0\0\0\x05ab"), None);
        let notice = Notice::parse(b"SFATAL\0C28P01\0Mno\0\0").unwrap();
        assert_eq!(notice, Notice { state: b"28P01", message: b"no" });
        assert!(notice.denies());
        assert!(!Notice::parse(b"C57P03\0Mthe database system is starting up\0\0").unwrap().denies());
        assert_eq!(parameter(b"server_version\x0015.6\0", b"server_version"), Some(b"15.6".as_slice()));
    }

    #[test]
    fn messages_have_their_length() {
        assert_eq!(ssl_request(), b"\0\0\0\x08\x04\xd2\x16\x2f");
        let wanted = b"\0\0\0\x2f\0\x03\0\0user\0u\0database\0d\0application_name\0director\0\0";
        assert_eq!(startup("u", Some("d"))[4..], wanted[4..]);
        assert_eq!(usize::from(startup("u", Some("d"))[3]), startup("u", Some("d")).len());
        assert_eq!(encode(b'X', b""), b"X\0\0\0\x04");
    }

    #[test]
    fn the_md5_proof_is_as_the_manual_computes_it() {
        let login = Login { user: "u".into(), password: "p".into() };
        assert_eq!(md5_proof(&login, *b"salt"), "md5c827f95590aef08f2d04ac5e8d94d9c3");
    }

    #[test]
    fn any_bytes_are_understood_or_not() {
        crate::check::fuzz::mutations(b"SFATAL\0C28P01\0Mno\0\0", |bytes| {
            let _ = (Notice::parse(bytes), Demand::parse(bytes), parameter(bytes, b"SFATAL"));
        });
    }
}
