//! Tables, chains, rules and sets as requests (kernel: include/uapi/linux/netfilter/nf_tables.h).

use std::net::IpAddr;

use super::area::{Area, Family};
use super::expression::{DATA_VALUE, Expressions, LIST_ELEMENT};
use super::message::{Transaction, kind};
use crate::config::model::Protocol;
use crate::netlink::wire::Writer;

/// The name of the table, of family `inet`.
pub const TABLE: &str = "director";

/// What fits one message: its length has 16 bits.
const ELEMENTS: usize = 400;

/// Types of keys by nft's numbers, for those who list the table.
pub(super) mod key {
    pub const IPV4: u32 = 7;
    pub const IPV6: u32 = 8;
    pub const PROTOCOL: u32 = 12;
    pub const PORT: u32 = 13;
    pub const MARK: u32 = 19;
}

pub(super) fn table(t: &mut Transaction, flags: u16) {
    /// Shown by those who list the table.
    const COMMENT: &[u8] = b"kept by Director, which undoes other changes\0";
    /// How libnftnl keeps a comment: type 0, length, text (include/libnftnl/udata.h).
    const LENGTH: u8 = 45;
    const _: () = assert!(COMMENT.len() == LENGTH as usize);
    t.add(kind::NEW_TABLE, Transaction::CREATE | flags, |w| {
        w.text(1, TABLE);
        w.attribute(6, &[&[0, LENGTH], COMMENT].concat());
    });
}

/// Numbers of hooks (`NF_INET_*`).
pub(super) mod hook {
    pub const PREROUTING: u32 = 0;
    pub const OUTPUT: u32 = 3;
    pub const POSTROUTING: u32 = 4;
}

/// `NF_IP_PRI_*`: IPVS comes at 98 and later.
pub(super) mod priority {
    pub const RAW: i32 = -300;
    pub const MANGLE: i32 = -150;
    pub const SOURCE: i32 = 100;
}

pub(super) fn chain(t: &mut Transaction, name: &str, kind_of: &str, hook: u32, priority: i32) {
    t.add(kind::NEW_CHAIN, Transaction::CREATE, |w| {
        w.text(1, TABLE);
        w.text(3, name);
        w.nested(4, |w| {
            w.be32(1, hook);
            w.attribute(2, &priority.to_be_bytes());
        });
        w.text(7, kind_of);
    });
}

pub(super) fn rule(t: &mut Transaction, chain: &str, body: impl FnOnce(&mut Expressions<'_>)) {
    t.add(kind::NEW_RULE, Transaction::CREATE | Transaction::APPEND, |w| {
        w.text(1, TABLE);
        w.text(2, chain);
        w.nested(4, |w| body(&mut Expressions(w)));
    });
}

pub(super) type Element = (Vec<u8>, Option<u32>);

/// A set, or with `value` a map to marks, of single keys. `fields`: type and length of each.
pub(super) fn set(
    t: &mut Transaction,
    name: &str,
    fields: &[(u32, u32)],
    value: Option<u32>,
    elements: &[Element],
) {
    define(t, name, fields, value, false, elements.len());
    for part in elements.chunks(ELEMENTS) {
        fill(t, name, |w| part.iter().for_each(|(key, value)| element(w, key, None, *value)));
    }
}

/// A set of areas, or a map from areas to marks.
pub(super) fn areas(
    t: &mut Transaction,
    name: &str,
    family: Family,
    of: impl Iterator<Item = (Area, Option<u32>)>,
) {
    let of: Vec<_> = of.collect();
    let fields = [address_type(family), (key::PROTOCOL, 1), (key::PORT, 2)];
    let value = of.iter().find_map(|(_, mark)| mark.map(|_| key::MARK));
    define(t, name, &fields, value, true, of.len());
    for part in of.chunks(ELEMENTS) {
        fill(t, name, |w| {
            for (area, mark) in part {
                let (first, last) = area.ends();
                let key = |address, port: u16| {
                    [octets(address), padded(&[number(area.protocol)]), padded(&port.to_be_bytes())].concat()
                };
                element(w, &key(first, area.ports.0), Some(&key(last, area.ports.1)), *mark);
            }
        });
    }
}

fn define(
    t: &mut Transaction,
    name: &str,
    fields: &[(u32, u32)],
    value: Option<u32>,
    intervals: bool,
    size: usize,
) {
    /// For those who list the set: the value is in the machine's order. Type 1, length, number (include/libnftnl/udata.h).
    const MACHINE_ORDER: [u8; 6] = [1, 4, 1, 0, 0, 0];
    /// `NFT_SET_CONSTANT`, `NFT_SET_INTERVAL`, `NFT_SET_MAP`, `NFT_SET_CONCAT`.
    const FLAGS: [u32; 4] = [0x02, 0x04, 0x08, 0x80];
    let [constant, interval, map, concatenation] = FLAGS;
    let mut flags = constant;
    if intervals {
        flags |= interval | concatenation;
    }
    if value.is_some() {
        flags |= map;
    }
    let id = t.next_id();
    let length = |(_, length): &(u32, u32)| length.next_multiple_of(4);
    let whole = match fields {
        [(_, length)] => *length,
        several => several.iter().map(length).sum(),
    };
    t.add(kind::NEW_SET, Transaction::CREATE, |w| {
        w.text(1, TABLE);
        w.text(2, name);
        w.be32(3, flags);
        w.be32(4, fields.iter().fold(0, |types, (kind, _)| types << 6 | kind));
        w.be32(5, whole);
        if let Some(kind) = value {
            w.be32(6, kind);
            w.be32(7, 4);
        }
        w.nested(9, |w| {
            w.be32(1, u32::try_from(size).unwrap_or(u32::MAX));
            if intervals {
                w.nested(2, |w| {
                    fields.iter().for_each(|(_, length)| w.nested(LIST_ELEMENT, |w| w.be32(1, *length)));
                });
            }
        });
        w.be32(10, id);
        if value.is_some() {
            w.attribute(13, &MACHINE_ORDER);
        }
    });
}

fn fill(t: &mut Transaction, set: &str, elements: impl FnOnce(&mut Writer)) {
    t.add(kind::NEW_ELEMENTS, Transaction::CREATE, |w| {
        w.text(1, TABLE);
        w.text(2, set);
        w.nested(3, elements);
    });
}

fn element(w: &mut Writer, key: &[u8], end: Option<&[u8]>, value: Option<u32>) {
    w.nested(LIST_ELEMENT, |w| {
        w.nested(1, |w| w.attribute(DATA_VALUE, key));
        if let Some(end) = end {
            w.nested(10, |w| w.attribute(DATA_VALUE, end));
        }
        if let Some(value) = value {
            w.nested(2, |w| w.attribute(DATA_VALUE, &value.to_ne_bytes()));
        }
    });
}

pub(super) const fn address_type(family: Family) -> (u32, u32) {
    match family {
        Family::V4 => (key::IPV4, 4),
        Family::V6 => (key::IPV6, 16),
    }
}

/// Length of an address.
pub(super) const fn length(family: Family) -> u32 {
    address_type(family).1
}

/// `IPPROTO_*`.
pub(super) const fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// A field of a key fills whole registers.
pub(super) fn padded(field: &[u8]) -> Vec<u8> {
    let mut field = field.to_vec();
    field.resize(field.len().next_multiple_of(4), 0);
    field
}
