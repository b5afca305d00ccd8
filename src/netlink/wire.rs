//! Netlink messages and attributes as bytes (kernel: include/uapi/linux/netlink.h, genetlink.h).
//!
//! ```text
//!  0               2               4               6               8
//! +-------------------------------+---------------+---------------+
//! | length, header included       | type          | flags         |  nlmsghdr
//! +-------------------------------+---------------+---------------+
//! | sequence number               | port id (0)                   |
//! +-------+-------+---------------+---------------+---------------+
//! | cmd   | vers. | reserved      | attributes, each padded to 4  |  genlmsghdr
//! +-------+-------+---------------+-------------------------------+
//! attribute: length (without the padding), type, value
//! ```
//!
//! Numbers are in the byte order of the machine, except where an attribute says otherwise.

use neli::consts::nl::NlmF;

/// Length of `nlmsghdr`.
pub const MESSAGE_HEADER: usize = 16;
/// Length of `genlmsghdr`.
pub const GENERIC_HEADER: usize = 4;
/// Length of `nlattr`.
const ATTRIBUTE_HEADER: usize = 4;
/// `NLA_F_NESTED | NLA_F_NET_BYTEORDER`: what the upper bits of an attribute's type say about its value.
const ATTRIBUTE_FLAGS: u16 = 0xc000;

/// `NLM_F_REQUEST`.
pub const REQUEST: u16 = NlmF::REQUEST.bits();
/// `NLM_F_MULTI`.
pub const MULTI: u16 = NlmF::MULTI.bits();
/// `NLM_F_ACK`.
pub const ACK: u16 = NlmF::ACK.bits();
/// `NLM_F_DUMP_INTR`: the table changed while it was read.
pub const DUMP_INTERRUPTED: u16 = NlmF::DUMP_INTR.bits();
/// `NLM_F_ROOT | NLM_F_MATCH`.
pub const DUMP: u16 = NlmF::DUMP.bits();
/// `NLM_F_CAPPED` of an acknowledgement: only the header of the request follows.
pub const CAPPED: u16 = NlmF::CAPPED.bits();
/// `NLM_F_ACK_TLVS` of an acknowledgement: attributes follow.
pub const ACK_ATTRIBUTES: u16 = NlmF::ACK_TLVS.bits();

/// `NLMSG_ERROR`: an acknowledgement or an error.
pub const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
pub const DONE: u16 = 3;

/// Bytes that are no netlink message or attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed netlink message: {0}")]
pub struct Malformed(pub &'static str);

/// Builds messages one behind the other in one buffer.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// What was written so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets what was written, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// A generic netlink message of `kind` (a family's id) whose attributes `body` writes.
    pub fn message(
        &mut self,
        kind: u16,
        flags: u16,
        sequence: u32,
        command: u8,
        body: impl FnOnce(&mut Self),
    ) {
        self.framed(kind, flags, sequence, [command, 1, 0, 0], body);
    }

    /// A message with another header in the place of `genlmsghdr`, such as `nfgenmsg`; its length is a multiple of four.
    pub fn framed<const N: usize>(
        &mut self,
        kind: u16,
        flags: u16,
        sequence: u32,
        header: [u8; N],
        body: impl FnOnce(&mut Self),
    ) {
        let start = self.bytes.len();
        self.bytes.reserve(256);
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice([kind.to_ne_bytes(), flags.to_ne_bytes()].as_flattened());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&header);
        body(self);
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.patch(start, &length.to_ne_bytes());
    }

    /// An attribute with these bytes, at most 65531.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.bytes.extend_from_slice(&attribute_header(ATTRIBUTE_HEADER + value.len(), kind));
        self.bytes.extend_from_slice(value);
        self.pad();
    }

    /// A 16 bit attribute.
    pub fn u16(&mut self, kind: u16, value: u16) {
        let [a, b] = value.to_ne_bytes();
        self.word(kind, size_of_val(&value), [a, b, 0, 0]);
    }

    /// A 16 bit attribute in the byte order of the network.
    pub fn be16(&mut self, kind: u16, value: u16) {
        self.u16(kind, value.to_be());
    }

    /// A 32 bit attribute.
    pub fn u32(&mut self, kind: u16, value: u32) {
        self.word(kind, size_of_val(&value), value.to_ne_bytes());
    }

    /// A 32 bit attribute in the byte order of the network.
    pub fn be32(&mut self, kind: u16, value: u32) {
        self.u32(kind, value.to_be());
    }

    /// A text with the zero byte that ends it.
    pub fn text(&mut self, kind: u16, value: &str) {
        self.nested(kind, |w| {
            w.bytes.extend_from_slice(value.as_bytes());
            w.bytes.push(0);
        });
    }

    /// An attribute whose value `body` writes.
    pub fn nested(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&attribute_header(0, kind));
        body(self);
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        self.patch(start, &length.to_ne_bytes());
        self.pad();
    }

    /// Most attributes are a header and up to four bytes: one copy.
    fn word(&mut self, kind: u16, length: usize, value: [u8; 4]) {
        let words = [attribute_header(ATTRIBUTE_HEADER + length, kind), value];
        self.bytes.extend_from_slice(words.as_flattened());
    }

    fn pad(&mut self) {
        let missing = self.bytes.len().next_multiple_of(4) - self.bytes.len();
        self.bytes.extend_from_slice([0; 3].get(..missing).unwrap_or_default());
    }

    fn patch(&mut self, at: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    }
}

/// One message of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// `NLMSG_*` or the id of a family.
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// That of the request.
    pub sequence: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// The messages of a datagram.
pub fn messages(datagram: &[u8]) -> impl Iterator<Item = Result<Message<'_>, Malformed>> {
    Chunks { rest: datagram }
}

/// The attributes of a payload, with the flag bits of their types cleared.
pub fn attributes(payload: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), Malformed>> {
    Attributes { rest: payload }
}

/// Command and attributes of a generic netlink payload.
///
/// # Errors
/// When it is shorter than its header.
pub fn generic(payload: &[u8]) -> Result<(u8, &[u8]), Malformed> {
    match payload.split_at_checked(GENERIC_HEADER) {
        Some(([command, ..], attributes)) => Ok((*command, attributes)),
        _ => Err(Malformed("generic header cut short")),
    }
}

/// What follows the four bytes of a family's own header (`genlmsghdr`, `nfgenmsg`).
///
/// # Errors
/// When the payload is shorter than that.
pub fn body(payload: &[u8]) -> Result<&[u8], Malformed> {
    payload.get(GENERIC_HEADER..).ok_or(Malformed("the family's header is cut short"))
}

/// A 16 bit value in the machine's byte order.
///
/// # Errors
/// When the value is of another length.
pub fn u16_of(value: &[u8]) -> Result<u16, Malformed> {
    value.try_into().map(u16::from_ne_bytes).map_err(|_| Malformed("attribute is not 16 bits long"))
}

/// A 32 bit value in the machine's byte order.
///
/// # Errors
/// When the value is of another length.
pub fn u32_of(value: &[u8]) -> Result<u32, Malformed> {
    value.try_into().map(u32::from_ne_bytes).map_err(|_| Malformed("attribute is not 32 bits long"))
}

/// A 64 bit value in the machine's byte order.
///
/// # Errors
/// When the value is of another length.
pub fn u64_of(value: &[u8]) -> Result<u64, Malformed> {
    value.try_into().map(u64::from_ne_bytes).map_err(|_| Malformed("attribute is not 64 bits long"))
}

/// A text up to its zero byte.
///
/// # Errors
/// When it is not UTF-8.
pub fn text_of(value: &[u8]) -> Result<&str, Malformed> {
    let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
    std::str::from_utf8(text).map_err(|_| Malformed("text is not UTF-8"))
}

fn attribute_header(length: usize, kind: u16) -> [u8; ATTRIBUTE_HEADER] {
    let [a, b] = u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes();
    let [c, d] = kind.to_ne_bytes();
    [a, b, c, d]
}

struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Chunks<'a> {
    fn take(&mut self) -> Result<Message<'a>, Malformed> {
        let short = Malformed("message header cut short");
        let (header, _) = self.rest.split_at_checked(MESSAGE_HEADER).ok_or(short)?;
        let field = |from: usize, to: usize| header.get(from..to).ok_or(short);
        let length = usize::try_from(u32_of(field(0, 4)?)?).map_err(|_| short)?;
        let whole = self.rest.get(..length).ok_or(Malformed("message cut short"))?;
        let message = Message {
            kind: u16_of(field(4, 6)?)?,
            flags: u16_of(field(6, 8)?)?,
            sequence: u32_of(field(8, 12)?)?,
            payload: whole.get(MESSAGE_HEADER..).ok_or(Malformed("message shorter than its header"))?,
        };
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Ok(message)
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let taken = self.take();
        if taken.is_err() {
            self.rest = &[];
        }
        Some(taken)
    }
}

struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    fn take(&mut self) -> Result<(u16, &'a [u8]), Malformed> {
        let short = Malformed("attribute header cut short");
        let length = usize::from(u16_of(self.rest.get(..2).ok_or(short)?)?);
        let kind = u16_of(self.rest.get(2..ATTRIBUTE_HEADER).ok_or(short)?)? & !ATTRIBUTE_FLAGS;
        let value = self.rest.get(ATTRIBUTE_HEADER..length).ok_or(Malformed("attribute cut short"))?;
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Ok((kind, value))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(u16, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let taken = self.take();
        if taken.is_err() {
            self.rest = &[];
        }
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back_as_it_was_written() {
        let mut w = Writer::default();
        w.message(0x1c, REQUEST | ACK, 7, 3, |w| {
            w.u16(1, 0x0102);
            w.nested(2, |w| w.text(6, "wlc"));
        });
        w.message(0x1d, REQUEST, 8, 4, |_| ());
        let all: Vec<_> = messages(w.bytes()).collect::<Result<_, _>>().unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].kind, all[0].flags, all[0].sequence), (0x1c, REQUEST | ACK, 7));
        let (command, body) = generic(all[0].payload).unwrap();
        assert_eq!(command, 3);
        let list: Vec<_> = attributes(body).collect::<Result<_, _>>().unwrap();
        assert_eq!(list[0], (1, &0x0102_u16.to_ne_bytes()[..]));
        let inner: Vec<_> = attributes(list[1].1).collect::<Result<_, _>>().unwrap();
        assert_eq!(inner, [(6, &b"wlc\0"[..])]);
        assert_eq!(text_of(inner[0].1), Ok("wlc"));
    }

    #[test]
    fn what_is_cut_short_is_refused_at_every_length() {
        let mut w = Writer::default();
        w.message(0x1c, 0, 1, 1, |w| w.u32(1, 5));
        let whole = w.bytes();
        for end in 1..whole.len() {
            assert!(messages(&whole[..end]).any(|m| m.is_err()), "{end}");
        }
        let body = &whole[MESSAGE_HEADER + GENERIC_HEADER..];
        for end in 1..body.len() {
            assert!(attributes(&body[..end]).any(|a| a.is_err()), "{end}");
        }
        assert!(attributes(&[0, 0, 1, 0]).any(|a| a.is_err()), "a length of zero must not loop");
    }
}
