//! Packets of MySQL's protocol, as bytes.

use super::super::frame::Bytes;
use crate::config::model::{Database, Login};

/// First byte of the packet that ends something well.
pub const OK: u8 = 0x00;
/// First byte of a packet with more for the method of the log-in.
pub const MORE: u8 = 0x01;
/// First byte of a request for a file of ours, which nobody gets.
pub const LOCAL_FILE: u8 = 0xfb;
/// First byte of a request for another method; the same as of the end of a list.
pub const SWITCH: u8 = 0xfe;
/// First byte of the short packet that ends a list.
pub const END: u8 = 0xfe;
/// First byte of an error.
pub const ERROR: u8 = 0xff;
/// The command that ends a connection.
pub const QUIT: u8 = 0x01;
/// The command that carries a query.
pub const QUERY: u8 = 0x03;

/// utf8mb4_general_ci: every server knows it.
const UTF8: u8 = 45;

/// Capabilities of the two sides.
pub mod flag {
    use super::{Database, Greeting};

    const LONG_PASSWORD: u32 = 1;
    /// The response names a data base.
    pub const WITH_DATABASE: u32 = 1 << 3;
    const PROTOCOL_41: u32 = 1 << 9;
    /// TLS after the greeting.
    pub const SSL: u32 = 1 << 11;
    const TRANSACTIONS: u32 = 1 << 13;
    const SECURE_CONNECTION: u32 = 1 << 15;
    /// The response names a method.
    pub const PLUGIN: u32 = 1 << 19;

    /// What this client uses of what the server has.
    #[must_use]
    pub fn wanted(greeting: &Greeting, database: &Database) -> u32 {
        let mut flags = LONG_PASSWORD | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION;
        flags |= greeting.flags & PLUGIN;
        if database.login.is_some() && database.database.is_some() {
            flags |= WITH_DATABASE;
        }
        if database.tls.is_some() {
            flags |= SSL;
        }
        flags
    }
}

/// What a server says first (protocol version 10).
#[derive(Debug, PartialEq, Eq)]
pub struct Greeting<'a> {
    /// Version of the server, as it calls itself.
    pub version: &'a [u8],
    /// Its capabilities.
    pub flags: u32,
    /// What the proof of the password is mixed with.
    pub nonce: [u8; 20],
    /// How it wants the password proven.
    pub method: &'a [u8],
}

impl<'a> Greeting<'a> {
    /// `None`: it is none.
    #[must_use]
    pub fn parse(packet: &'a [u8]) -> Option<Self> {
        let mut rest = Bytes(packet);
        if rest.byte()? != 10 {
            return None;
        }
        let version = rest.until_zero()?;
        rest.take(4)?; // connection
        let start = rest.take(8)?;
        rest.take(1)?;
        let low: [u8; 2] = rest.array()?;
        rest.take(3)?; // character set, status
        let high: [u8; 2] = rest.array()?;
        rest.take(11)?; // length of the nonce, always 21 with its zero; reserved
        let end = rest.take(12)?;
        rest.take(1)?;
        let flags = u32::from(u16::from_le_bytes(low)) | (u32::from(u16::from_le_bytes(high)) << 16);
        // Some servers forget the zero after the name.
        let named = rest.until_zero().unwrap_or(rest.0);
        let method = if flags & flag::PLUGIN == 0 { b"mysql_native_password" } else { named };
        Some(Self { version, flags, nonce: [start, end].concat().try_into().ok()?, method })
    }
}

impl Greeting<'_> {
    /// The server and its version for people: `MySQL 8.0.36`, `MariaDB 10.11.6`.
    #[must_use]
    pub fn server(&self) -> String {
        // What MariaDB puts in front, so that old replicas of MySQL take it for newer than themselves.
        let version = self.version.strip_prefix(b"5.5.5-").unwrap_or(self.version);
        let version = String::from_utf8_lossy(version);
        let name = if version.contains("MariaDB") { "MariaDB" } else { "MySQL" };
        let number: String =
            version.chars().take_while(|c| c.is_ascii_digit() || *c == '.').take(20).collect();
        format!("{name} {number}")
    }
}

/// What an error packet says.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// Number of the error.
    pub code: u16,
    /// In the server's words.
    pub message: &'a [u8],
}

impl<'a> Refusal<'a> {
    /// `None`: it is none.
    #[must_use]
    pub fn parse(packet: &'a [u8]) -> Option<Self> {
        let mut rest = Bytes(packet);
        if rest.byte()? != ERROR {
            return None;
        }
        let code = u16::from_le_bytes(rest.array()?);
        // An SQL state of five digits, except in errors before the handshake.
        let message = match rest.0.split_first() {
            Some((b'#', state)) => state.get(5..)?,
            _ => rest.0,
        };
        Some(Self { code, message })
    }
}

/// First byte of a packet.
#[must_use]
pub fn first(packet: &[u8]) -> Option<&u8> {
    packet.first()
}

/// The method and the nonce of a request for another method.
#[must_use]
pub fn switch(packet: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = Bytes(packet);
    rest.take(1)?;
    let method = rest.until_zero()?;
    Some((method, rest.0.strip_suffix(&[0]).unwrap_or(rest.0)))
}

/// The beginning of a response, after which TLS begins.
#[must_use]
pub fn ssl_request(flags: u32) -> Vec<u8> {
    let mut packet = flags.to_le_bytes().to_vec();
    packet.extend_from_slice(&(1_u32 << 24).to_le_bytes());
    packet.push(UTF8);
    packet.extend_from_slice(&[0; 23]);
    packet
}

/// The response to a greeting: who logs in, with which proof (at most 255 bytes), to which data base.
#[must_use]
pub fn response(flags: u32, login: &Login, proof: &[u8], database: Option<&str>, method: &[u8]) -> Vec<u8> {
    let mut packet = ssl_request(flags);
    packet.extend_from_slice(login.user.as_bytes());
    packet.push(0);
    packet.push(u8::try_from(proof.len()).unwrap_or_default());
    packet.extend_from_slice(proof.get(..255).unwrap_or(proof));
    if let Some(database) = database.filter(|_| flags & flag::WITH_DATABASE != 0) {
        packet.extend_from_slice(database.as_bytes());
        packet.push(0);
    }
    if flags & flag::PLUGIN != 0 {
        packet.extend_from_slice(method);
        packet.push(0);
    }
    packet
}

/// A command, as the first packet of a new exchange.
#[must_use]
pub fn command(command: u8, text: &[u8]) -> Vec<u8> {
    frame(0, &[&[command], text].concat())
}

/// A packet: length, number, payload (less than 16 MiB).
#[must_use]
pub fn frame(number: u8, payload: &[u8]) -> Vec<u8> {
    let [a, b, c, _] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    [&[a, b, c, number], payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of MySQL 8.0, as tcpdump has it.
    pub fn greeting() -> Vec<u8> {
        let mut packet = b"\x0a8.0.36\0\x08\0\0\0abcdefgh\0\xff\xff\xff\x02\0\xff\xdf\x15".to_vec();
        packet.extend_from_slice(&[0; 10]);
        packet.extend_from_slice(b"ijklmnopqrst\0caching_sha2_password\0");
        packet
    }

    #[test]
    fn a_greeting_is_understood() {
        let packet = greeting();
        let wanted = Greeting {
            version: b"8.0.36",
            flags: 0xdfff_ffff,
            nonce: *b"abcdefghijklmnopqrst",
            method: b"caching_sha2_password",
        };
        assert_eq!(Greeting::parse(&packet).as_ref(), Some(&wanted));
        assert_eq!(wanted.server(), "MySQL 8.0.36");
        assert_eq!(Greeting { version: b"5.5.5-10.11.6-MariaDB-1", ..wanted }.server(), "MariaDB 10.11.6");
        assert_eq!(Greeting::parse(b"SSH-2.0"), None);
    }

    #[test]
    fn errors_have_a_state_or_not() {
        let refusal = Refusal::parse(b"\xff\x15\x04#28000Access denied").unwrap();
        assert_eq!(refusal, Refusal { code: 1045, message: b"Access denied" });
        let refusal = Refusal::parse(b"\xff\x69\x04Host is blocked").unwrap();
        assert_eq!(refusal, Refusal { code: 1129, message: b"Host is blocked" });
    }

    #[test]
    fn a_response_names_all_that_its_flags_say() {
        let login = Login { user: "u".into(), password: String::new() };
        let packet = response(flag::PLUGIN | flag::WITH_DATABASE, &login, b"pp", Some("d"), b"m");
        assert_eq!(packet[32..], *b"u\0\x02ppd\0m\0");
        assert_eq!(response(0, &login, b"", Some("d"), b"m")[32..], *b"u\0\0");
        assert_eq!(frame(3, b"ab"), [2, 0, 0, 3, b'a', b'b']);
        assert_eq!(switch(b"\xfemethod\0nonce\0"), Some((b"method".as_slice(), b"nonce".as_slice())));
    }

    #[test]
    fn any_bytes_are_understood_or_not() {
        crate::check::fuzz::mutations(&greeting(), |bytes| {
            let _ = (Greeting::parse(bytes), Refusal::parse(bytes), switch(bytes));
        });
    }
}
