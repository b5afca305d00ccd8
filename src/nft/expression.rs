//! Expressions of nftables as netlink attributes (kernel: include/uapi/linux/netfilter/nf_tables.h).
//!
//! Values lie in 16 registers of 32 bits. A key of several fields takes successive registers, each field from a register of
//! its own on, in the byte order of the network.

use crate::netlink::wire::Writer;

/// `NFT_REG32_00`: the number of the first register.
const REGISTERS: u32 = 8;

/// `NFTA_LIST_ELEM`.
pub const LIST_ELEMENT: u16 = 1;
/// `NFTA_DATA_VALUE`.
pub const DATA_VALUE: u16 = 1;

/// `NFT_META_*`.
#[derive(Debug, Clone, Copy)]
pub enum Meta {
    /// The firewall mark, 32 bits of the machine's order.
    Mark = 3,
    /// Family of the packet, a byte.
    Family = 15,
    /// Protocol behind the network header, a byte.
    Protocol = 16,
}

/// `NFT_CT_*` of the direction in which a connection began.
#[derive(Debug, Clone, Copy)]
pub enum Tracking {
    /// Port to which it goes.
    DestinationPort = 12,
    /// IPv4 address to which it goes.
    Destination4 = 20,
    /// IPv6 address to which it goes.
    Destination6 = 22,
}

/// Where in a packet.
#[derive(Debug, Clone, Copy)]
pub enum Header {
    /// `NFT_PAYLOAD_NETWORK_HEADER`.
    Network = 1,
    /// `NFT_PAYLOAD_TRANSPORT_HEADER`.
    Transport = 2,
}

/// `NFT_CMP_*`.
#[derive(Debug, Clone, Copy)]
pub enum Comparison {
    /// Equal.
    Equal = 0,
    /// Less or equal.
    AtMost = 3,
    /// Greater or equal.
    AtLeast = 5,
}

/// Writes the expressions of one rule.
#[derive(Debug)]
pub struct Expressions<'a>(pub &'a mut Writer);

impl Expressions<'_> {
    fn add(&mut self, name: &str, data: impl FnOnce(&mut Writer)) {
        self.0.nested(LIST_ELEMENT, |w| {
            w.text(1, name);
            w.nested(2, data);
        });
    }

    /// Loads what is known beside the packet.
    pub fn meta(&mut self, key: Meta, register: u32) {
        self.add("meta", |w| {
            w.be32(1, REGISTERS + register);
            w.be32(2, key as u32);
        });
    }

    /// Gives the packet the mark in a register.
    pub fn set_mark(&mut self, register: u32) {
        self.add("meta", |w| {
            w.be32(2, Meta::Mark as u32);
            w.be32(3, REGISTERS + register);
        });
    }

    /// Loads `length` bytes of the packet. Where it has none, or is a later fragment, the rule ends.
    pub fn payload(&mut self, header: Header, offset: u32, length: u32, register: u32) {
        self.add("payload", |w| {
            w.be32(1, REGISTERS + register);
            w.be32(2, header as u32);
            w.be32(3, offset);
            w.be32(4, length);
        });
    }

    /// Loads what is known of the connection. Where there is none the rule ends.
    pub fn tracking(&mut self, key: Tracking, register: u32) {
        /// `IP_CT_DIR_ORIGINAL`.
        const ORIGINAL: u8 = 0;
        self.add("ct", |w| {
            w.be32(1, REGISTERS + register);
            w.be32(2, key as u32);
            w.attribute(3, &[ORIGINAL]);
        });
    }

    /// Ends the rule unless the comparison holds.
    pub fn compare(&mut self, register: u32, comparison: Comparison, value: &[u8]) {
        self.add("cmp", |w| {
            w.be32(1, REGISTERS + register);
            w.be32(2, comparison as u32);
            w.nested(3, |w| w.attribute(DATA_VALUE, value));
        });
    }

    /// Ends the rule unless the registers from `key` on are in a set; with a map, loads its value.
    pub fn lookup(&mut self, set: &str, key: u32, value: Option<u32>) {
        self.add("lookup", |w| {
            w.text(1, set);
            w.be32(2, REGISTERS + key);
            if let Some(value) = value {
                w.be32(3, REGISTERS + value);
            }
        });
    }

    /// Ends the rule if the registers from `key` on are in a set.
    pub fn not_in(&mut self, set: &str, key: u32) {
        /// `NFT_LOOKUP_F_INV`.
        const INVERTED: u32 = 1;
        self.add("lookup", |w| {
            w.text(1, set);
            w.be32(2, REGISTERS + key);
            w.be32(5, INVERTED);
        });
    }

    /// Loads a constant.
    pub fn immediate(&mut self, register: u32, value: &[u8]) {
        self.add("immediate", |w| {
            w.be32(1, REGISTERS + register);
            w.nested(2, |w| w.attribute(DATA_VALUE, value));
        });
    }

    /// A number below `modulus` from the `length` bytes from a register on, in the byte order of the network. The same bytes
    /// give the same number in every rule.
    pub fn hash(&mut self, from: u32, length: u32, modulus: u32, register: u32) {
        /// Without one the kernel draws another for each expression (net/netfilter/nft_hash.c), and a connection may then
        /// belong to the part of no rule.
        const SEED: u32 = 0x6c76_7364;
        self.add("hash", |w| {
            w.be32(1, REGISTERS + from);
            w.be32(2, REGISTERS + register);
            w.be32(3, length);
            w.be32(4, modulus);
            w.be32(5, SEED);
        });
        /// `NFT_BYTEORDER_HTON`.
        const TO_NETWORK: u32 = 1;
        self.add("byteorder", |w| {
            w.be32(1, REGISTERS + register);
            w.be32(2, REGISTERS + register);
            w.be32(3, TO_NETWORK);
            w.be32(4, 4);
            w.be32(5, 4);
        });
    }

    /// Rewrites the source: to an address between those in two registers. `family` is `NFPROTO_*`.
    pub fn source(&mut self, family: u8, first: u32, last: u32) {
        /// `NFT_NAT_SNAT`.
        const SOURCE: u32 = 0;
        self.add("nat", |w| {
            w.be32(1, SOURCE);
            w.be32(2, u32::from(family));
            w.be32(3, REGISTERS + first);
            w.be32(4, REGISTERS + last);
        });
    }

    /// Rewrites the source: to the address of the interface by which the packet leaves.
    pub fn masquerade(&mut self) {
        self.add("masq", |_| ());
    }

    /// Keeps the packet from being tracked.
    pub fn untracked(&mut self) {
        self.add("notrack", |_| ());
    }
}
