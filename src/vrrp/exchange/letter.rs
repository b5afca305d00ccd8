//! A letter on the wire: one UDP datagram, big endian, of at most [`LONGEST`] bytes. Pure.
//!
//! ```text
//!  0 magic "DXCH"           28 mark of what is common   60 what is known
//!  4 format, 1              36 services                 61 length of the host name
//!  5 virtual routers        40 those with quorum        62 length of the firmware's version
//!  6 zero (not signed)      44 real servers             63 zero
//!  8 sender                 48 those that answer        64 virtual routers, 4 bytes each: number, state, priority, zero
//! 16 generation             52 connections              .. host name, version of the firmware
//! 20 mark of the file                                   .. signature of 28 bytes, where there is a key
//! ```
//!
//! The signature is that of an advertisement ([`super::super::trailer`]). Neither can be taken for the other: an advertisement
//! begins with 0x21 or 0x31, and its virtual router is never 0.

use std::fmt;

use crate::config::Marks;
use crate::ipc::message::{LvsSummary, RouterState};
use crate::vrrp::trailer;

/// UDP port of sender and receiver: the one beside that of the synchronised connections.
pub const PORT: u16 = 8849;

const MAGIC: [u8; 4] = *b"DXCH";
const FORMAT: u8 = 1;
const HEAD: usize = 64;
const ROUTER: usize = 4;
/// RFC 1123 section 2.1, and one more than Linux takes.
const HOSTNAME: usize = 64;
const FIRMWARE: usize = 32;
/// Virtual routers in one letter.
pub const ROUTERS: usize = 255;
/// Longest letter: below the least MTU of IPv6.
pub const LONGEST: usize = HEAD + ROUTERS * ROUTER + HOSTNAME + FIRMWARE + trailer::LENGTH;

/// `lvs` has said how much there is.
const TABLE: u8 = 1;
/// Connections are sent from here.
const SENDS: u8 = 2;
/// Connections are heard here.
const HEARS: u8 = 4;
/// The virtual router is one of IPv6.
const IPV6: u8 = 0x80;

/// What one box tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Who: a number by chance, the same for one life of its worker.
    pub sender: u64,
    /// Its host name: letters, digits, `-` and `.`.
    pub hostname: heapless::String<HOSTNAME>,
    /// Version of its firmware.
    pub firmware: heapless::String<FIRMWARE>,
    /// Its configurations since it started.
    pub generation: u32,
    /// What its configuration is.
    pub marks: Marks,
    /// How much it has; `None` = its `lvs` does not answer.
    pub table: Option<LvsSummary>,
    /// Whether it sends its connections to others.
    pub sends: bool,
    /// Whether it takes those of others.
    pub hears: bool,
    /// Its virtual routers that concern the receiver.
    pub routers: heapless::Vec<Told, ROUTERS>,
}

/// One virtual router, as its box tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Number.
    pub vrid: u8,
    /// Family.
    pub ipv6: bool,
    /// State.
    pub state: RouterState,
    /// Priority with the trackers.
    pub priority: u8,
}

/// What is wrong with bytes that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No letter at all.
    Magic,
    /// Of a format that this firmware does not know.
    Format(u8),
    /// Longer or shorter than it says.
    Length,
    /// A value that there is not.
    Value,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("not a letter"),
            Self::Format(format) => write!(f, "format {format}, this firmware knows {FORMAT}"),
            Self::Length => f.write_str("longer or shorter than it says"),
            Self::Value => f.write_str("a value that there is not"),
        }
    }
}

/// The bytes of a letter, without signature.
pub type Bytes = heapless::Vec<u8, LONGEST>;

impl Letter {
    /// The letter without a signature.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let count = u8::try_from(self.routers.len()).unwrap_or(u8::MAX);
        let length = |text: &str| u8::try_from(text.len()).unwrap_or(u8::MAX);
        let table = self.table.unwrap_or_default();
        let flag = |is: bool, bit: u8| if is { bit } else { 0 };
        let known = flag(self.table.is_some(), TABLE) | flag(self.sends, SENDS) | flag(self.hears, HEARS);
        let parts: [&[u8]; 12] = [
            &MAGIC,
            &[FORMAT, count, 0, 0],
            &self.sender.to_be_bytes(),
            &self.generation.to_be_bytes(),
            &self.marks.text.to_be_bytes(),
            &self.marks.common.to_be_bytes(),
            &table.services.to_be_bytes(),
            &table.services_up.to_be_bytes(),
            &table.servers.to_be_bytes(),
            &table.servers_up.to_be_bytes(),
            &table.connections.to_be_bytes(),
            &[known, length(&self.hostname), length(&self.firmware), 0],
        ];
        let routers = self.routers.iter().take(usize::from(count)).flat_map(|router| {
            [router.vrid, code(router.state) | flag(router.ipv6, IPV6), router.priority, 0]
        });
        let texts = self.hostname.bytes().chain(self.firmware.bytes());
        // There is room for the longest.
        parts.into_iter().flatten().copied().chain(routers).chain(texts).take(LONGEST).collect()
    }

    /// Takes apart what came in; gives the letter and its length without a signature.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<(Self, usize), Fault> {
        if !bytes.starts_with(&MAGIC) {
            return Err(Fault::Magic);
        }
        let mut rest = Reader(bytes.get(MAGIC.len()..).unwrap_or_default());
        let [format, count, reserved @ ..]: [u8; 4] = rest.take()?;
        match (format, reserved) {
            (FORMAT, [0, 0]) => {}
            (FORMAT, _) => return Err(Fault::Value),
            (other, _) => return Err(Fault::Format(other)),
        }
        let sender = u64::from_be_bytes(rest.take()?);
        let generation = u32::from_be_bytes(rest.take()?);
        let marks =
            Marks { text: u64::from_be_bytes(rest.take()?), common: u64::from_be_bytes(rest.take()?) };
        let table = LvsSummary {
            services: u32::from_be_bytes(rest.take()?),
            services_up: u32::from_be_bytes(rest.take()?),
            servers: u32::from_be_bytes(rest.take()?),
            servers_up: u32::from_be_bytes(rest.take()?),
            connections: u64::from_be_bytes(rest.take()?),
            ..LvsSummary::default()
        };
        let [known, hostname, firmware, 0] = rest.take()? else { return Err(Fault::Value) };
        let table = Some(table).filter(|table| known & TABLE != 0 || *table != LvsSummary::default());
        if known & !(TABLE | SENDS | HEARS) != 0 || table.is_some() != (known & TABLE != 0) {
            return Err(Fault::Value);
        }
        let mut routers = heapless::Vec::new();
        for _ in 0..count {
            // There is room for 255.
            let _ = routers.push(router(rest.take()?)?);
        }
        let hostname = rest.text(hostname, |c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.'))?;
        let firmware = rest.text(firmware, |c| c.is_ascii_graphic())?;
        let length = bytes.len() - rest.0.len();
        if !matches!(rest.0.len(), 0 | trailer::LENGTH) {
            return Err(Fault::Length);
        }
        let (sends, hears) = (known & SENDS != 0, known & HEARS != 0);
        Ok((Self { sender, hostname, firmware, generation, marks, table, sends, hears, routers }, length))
    }
}

const fn code(state: RouterState) -> u8 {
    match state {
        RouterState::Initialize => 1,
        RouterState::Backup => 2,
        RouterState::Master => 3,
        RouterState::Fault => 4,
    }
}

fn router([vrid, state, priority, zero]: [u8; ROUTER]) -> Result<Told, Fault> {
    let ipv6 = state & IPV6 != 0;
    let state = match state & !IPV6 {
        1 => RouterState::Initialize,
        2 => RouterState::Backup,
        3 => RouterState::Master,
        4 => RouterState::Fault,
        _ => return Err(Fault::Value),
    };
    if vrid == 0 || zero != 0 { Err(Fault::Value) } else { Ok(Told { vrid, ipv6, state, priority }) }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Fault::Length)?;
        self.0 = rest;
        Ok(*first)
    }

    /// It is shown on terminals: no byte that these might obey.
    fn text<const N: usize>(
        &mut self,
        length: u8,
        allowed: fn(u8) -> bool,
    ) -> Result<heapless::String<N>, Fault> {
        let (text, rest) = self.0.split_at_checked(length.into()).ok_or(Fault::Length)?;
        self.0 = rest;
        let text = std::str::from_utf8(text).map_err(|_| Fault::Value)?;
        if !text.bytes().all(allowed) {
            return Err(Fault::Value);
        }
        heapless::String::try_from(text).map_err(|_| Fault::Value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> Letter {
        let told = |vrid, ipv6, state, priority| Told { vrid, ipv6, state, priority };
        Letter {
            sender: 0x0102_0304_0506_0708,
            hostname: "lb2.example".try_into().unwrap(),
            firmware: "0.1.0".try_into().unwrap(),
            generation: 7,
            marks: Marks { text: 11, common: 12 },
            table: Some(LvsSummary {
                services: 3,
                services_up: 2,
                servers: 30,
                servers_up: 29,
                connections: 1 << 40,
                ..LvsSummary::default()
            }),
            sends: true,
            hears: false,
            routers: [
                told(51, false, RouterState::Master, 200),
                told(51, true, RouterState::Fault, 100),
                told(255, false, RouterState::Backup, 254),
                told(1, true, RouterState::Initialize, 0),
            ]
            .into_iter()
            .collect(),
        }
    }

    #[test]
    fn a_letter_comes_back_as_it_was_with_and_without_signature() {
        let letters =
            [letter(), Letter { table: None, hears: true, routers: heapless::Vec::new(), ..letter() }];
        for letter in letters {
            let mut bytes = letter.encode();
            assert_eq!(Letter::decode(&bytes), Ok((letter.clone(), bytes.len())));
            let length = bytes.len();
            bytes.extend_from_slice(&[9; trailer::LENGTH]).unwrap();
            assert_eq!(Letter::decode(&bytes), Ok((letter, length)));
        }
    }

    #[test]
    fn the_longest_one_fits() {
        let told = Told { vrid: 1, ipv6: false, state: RouterState::Backup, priority: 1 };
        let long = Letter {
            hostname: "h".repeat(HOSTNAME).as_str().try_into().unwrap(),
            firmware: "1".repeat(FIRMWARE).as_str().try_into().unwrap(),
            routers: [told; ROUTERS].into_iter().collect(),
            ..letter()
        };
        let bytes = long.encode();
        assert_eq!(bytes.len(), LONGEST - trailer::LENGTH);
        const { assert!(LONGEST <= 1280 - 40 - 8) };
        assert_eq!(Letter::decode(&bytes).unwrap().0, long);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let good = letter().encode();
        let changed = |place: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[place] = byte;
            Letter::decode(&bytes).unwrap_err()
        };
        assert_eq!(changed(0, b'X'), Fault::Magic);
        assert_eq!(changed(4, 2), Fault::Format(2));
        assert_eq!(changed(6, 1), Fault::Value, "reserved");
        assert_eq!(changed(60, 0x40), Fault::Value, "unknown flag");
        assert_eq!(changed(61, 255), Fault::Length, "host name");
        assert_eq!(changed(HEAD, 0), Fault::Value, "number 0");
        assert_eq!(changed(HEAD + 1, 9), Fault::Value, "state");
        assert_eq!(changed(HEAD + 4 * ROUTER, 0x1b), Fault::Value, "an escape in the host name");
        for length in 0..good.len() {
            assert!(Letter::decode(&good[..length]).is_err(), "{length}");
        }
        let longer: Vec<u8> = good.iter().copied().chain([0]).collect();
        assert_eq!(Letter::decode(&longer), Err(Fault::Length));
    }
}
