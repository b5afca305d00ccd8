//! Messages of nf_tables, and transactions of them.

use crate::netlink::wire::{self, Writer};

/// `NFT_MSG_*`.
pub mod kind {
    #![expect(missing_docs, reason = "the kernel's names")]
    pub const NEW_TABLE: u8 = 0;
    pub const DELETE_TABLE: u8 = 2;
    pub const NEW_CHAIN: u8 = 3;
    pub const GET_CHAIN: u8 = 4;
    pub const NEW_RULE: u8 = 6;
    pub const GET_RULE: u8 = 7;
    pub const NEW_SET: u8 = 9;
    pub const GET_SET: u8 = 10;
    pub const NEW_ELEMENTS: u8 = 12;
    pub const GET_ELEMENTS: u8 = 13;
    pub const GET_GENERATION: u8 = 16;
}

/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u8 = 10;
/// `NFPROTO_INET`.
const INET: u8 = 1;
/// `NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END`.
const BATCH: [u16; 2] = [16, 17];

/// A request of nf_tables about the family `inet`.
pub fn request(w: &mut Writer, kind: u8, flags: u16, sequence: u32, body: impl FnOnce(&mut Writer)) {
    let number = u16::from_be_bytes([SUBSYSTEM, kind]);
    w.framed(number, wire::REQUEST | flags, sequence, [INET, 0, 0, 0], body);
}

/// Requests that come true together or not at all.
#[derive(Debug)]
pub struct Transaction {
    writer: Writer,
    sequence: u32,
    ids: u32,
}

impl Transaction {
    /// `NLM_F_CREATE`.
    pub const CREATE: u16 = 0x400;
    /// `NLM_F_APPEND`.
    pub const APPEND: u16 = 0x800;

    /// Begins; its messages are numbered from `sequence` on.
    #[must_use]
    pub fn begin(sequence: u32) -> Self {
        let mut begun = Self { writer: Writer::default(), sequence, ids: 0 };
        begun.frame(BATCH[0]);
        begun
    }

    /// Adds a request.
    pub fn add(&mut self, kind: u8, flags: u16, body: impl FnOnce(&mut Writer)) {
        request(&mut self.writer, kind, flags, self.sequence, body);
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// A number for a set, unique in this transaction.
    pub const fn next_id(&mut self) -> u32 {
        self.ids += 1;
        self.ids
    }

    /// Ends. The bytes, and the number of the message that ends it.
    #[must_use]
    pub fn end(mut self) -> (Writer, u32) {
        let last = self.sequence;
        self.frame(BATCH[1]);
        (self.writer, last)
    }

    fn frame(&mut self, number: u16) {
        let [high, low] = u16::from(SUBSYSTEM).to_be_bytes();
        self.writer.framed(number, wire::REQUEST, self.sequence, [0, 0, high, low], |_| ());
        self.sequence = self.sequence.wrapping_add(1);
    }
}
