//! A rule set as one transaction of nf_tables (kernel: include/uapi/linux/netfilter/nf_tables.h).
//!
//! ```text
//! table inet director
//!   exempt_in, exempt_out  raw        nothing of full NAT: not tracked
//!   mark_in, mark_out      mangle     ip daddr . protocol . dport → mark
//!   source                 srcnat     original destination . real server: source rewritten
//! ```

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::area::{Area, Family};
use super::expression::{Comparison, Expressions, Header, Meta, Tracking};
use super::message::{Transaction, kind};
use super::object::{
    TABLE, address_type, areas, chain, hook, key, length, number, octets, padded, priority, rule, set, table,
};
use super::ruleset::{Connection, Ruleset, Tracked};
use crate::config::model::{AddressRange, Protocol};
use crate::netlink::wire;

/// Protocols with ports, by the set that holds them.
const PROTOCOLS: &str = "protocols";
/// Replaces the table as a whole: packets meet the old rules or the new ones. An empty rule set leaves no table.
/// The last request asks for an acknowledgement.
pub fn replace(t: &mut Transaction, ruleset: &Ruleset) {
    table(t, 0);
    if ruleset.is_empty() {
        return t.add(kind::DELETE_TABLE, wire::ACK, |w| w.text(1, TABLE));
    }
    t.add(kind::DELETE_TABLE, 0, |w| w.text(1, TABLE));
    table(t, 0);
    if let Some(tracked) = &ruleset.tracked {
        exempt(t, tracked);
    }
    marks(t, ruleset);
    sources(t, ruleset);
    // Changes nothing.
    table(t, wire::ACK);
}

/// Packets that are no business of full NAT are not tracked, so that DR and TUN cost no more than without it.
fn exempt(t: &mut Transaction, tracked: &Tracked) {
    let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].map(|protocol| vec![number(protocol)]);
    set(t, PROTOCOLS, &[(key::PROTOCOL, 1)], None, &protocols.map(|key| (key, None)));
    chain(t, "exempt_in", "filter", hook::PREROUTING, priority::RAW);
    chain(t, "exempt_out", "filter", hook::OUTPUT, priority::RAW);
    for family in [Family::V4, Family::V6] {
        let services: Vec<&Area> = tracked.services.iter().filter(|area| area.family == family).collect();
        let servers: BTreeSet<&IpAddr> =
            tracked.servers.iter().filter(|server| Family::of(**server) == family).collect();
        let (of_services, of_servers) = (named("tracked", family), named("servers", family));
        let any = !services.is_empty();
        if any {
            areas(t, &of_services, family, services.into_iter().map(|area| (*area, None)));
            let elements: Vec<_> = servers.iter().map(|server| (octets(**server), None)).collect();
            set(t, &of_servers, &[address_type(family)], None, &elements);
        }
        rule(t, "exempt_in", |e| {
            ports_of(e, family);
            if any {
                destination(e, family);
                e.not_in(&of_services, 0);
                e.payload(Header::Network, source_offset(family), length(family), 0);
                e.not_in(&of_servers, 0);
            }
            e.untracked();
        });
        rule(t, "exempt_out", |e| {
            ports_of(e, family);
            if any {
                destination(e, family);
                e.not_in(&of_services, 0);
                e.not_in(&of_servers, 0);
                area_of(e, family, source_offset(family), 0);
                e.not_in(&of_services, 0);
            }
            e.untracked();
        });
    }
}

fn marks(t: &mut Transaction, ruleset: &Ruleset) {
    if ruleset.marks.is_empty() {
        return;
    }
    chain(t, "mark_in", "filter", hook::PREROUTING, priority::MANGLE);
    chain(t, "mark_out", "filter", hook::OUTPUT, priority::MANGLE);
    for family in [Family::V4, Family::V6] {
        let mine: Vec<_> = ruleset.marks.iter().filter(|(area, _)| area.family == family).collect();
        if mine.is_empty() {
            continue;
        }
        let name = named("marks", family);
        areas(t, &name, family, mine.into_iter().map(|(area, mark)| (*area, Some(*mark))));
        for chain in ["mark_in", "mark_out"] {
            rule(t, chain, |e| {
                of_family(e, family);
                destination(e, family);
                e.lookup(&name, 0, Some(0));
                e.set_mark(0);
            });
        }
    }
}

fn sources(t: &mut Transaction, ruleset: &Ruleset) {
    if ruleset.sources.is_empty() {
        return;
    }
    chain(t, "source", "nat", hook::POSTROUTING, priority::SOURCE);
    for (index, ((family, pool), connections)) in ruleset.sources.iter().enumerate() {
        for shape in [Shape::Port, Shape::AnyPort, Shape::Mark] {
            let elements: Vec<_> =
                connections.iter().filter_map(|c| shape.key(c)).map(|k| (k, None)).collect();
            if elements.is_empty() {
                continue;
            }
            let name = format!("source{index}_{}", shape.word());
            set(t, &name, &shape.fields(*family), None, &elements);
            for share in shares(pool) {
                rule(t, "source", |e| {
                    of_family(e, *family);
                    shape.load(e, *family);
                    e.lookup(&name, 0, None);
                    rewrite(e, *family, share);
                });
            }
        }
    }
}

/// One range of a pool, and which part of the connections it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    range: AddressRange,
    first: u32,
    last: u32,
    all: u32,
}

/// Each range with a part as large as it is; `None` = there is no pool.
fn shares(pool: &[AddressRange]) -> Vec<Option<Share>> {
    if pool.is_empty() {
        return vec![None];
    }
    let size = |range: &AddressRange| {
        let (first, last) = Area::new(*range, Protocol::Tcp, (0, 0)).addresses;
        u32::try_from(last.saturating_sub(first).saturating_add(1)).map_or(1 << 16, |size| size.min(1 << 16))
    };
    let all = pool.iter().map(size).fold(0, u32::saturating_add);
    let mut next: u32 = 0;
    let share = |range: &AddressRange| {
        let first = next;
        next = next.saturating_add(size(range));
        Some(Share { range: *range, first, last: next.saturating_sub(1), all })
    };
    pool.iter().map(share).collect()
}

fn rewrite(e: &mut Expressions<'_>, family: Family, share: Option<Share>) {
    let Some(Share { range, first, last, all }) = share else { return e.masquerade() };
    if last.saturating_sub(first).saturating_add(1) < all {
        // By address and port of the client: the connections of one client, too, are spread.
        let words = length(family) / 4;
        e.payload(Header::Network, source_offset(family), length(family), 0);
        e.payload(Header::Transport, 0, 2, words);
        e.hash(0, length(family) + 4, all, 0);
        e.compare(0, Comparison::AtLeast, &first.to_be_bytes());
        e.compare(0, Comparison::AtMost, &last.to_be_bytes());
    }
    let words = length(family) / 4;
    e.immediate(0, &octets(range.first));
    e.immediate(words, &octets(range.last));
    e.source(nfproto(family), 0, words);
}

/// What tells the connections of a set apart.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Port,
    AnyPort,
    Mark,
}

impl Shape {
    const fn word(self) -> &'static str {
        match self {
            Self::Port => "port",
            Self::AnyPort => "anyport",
            Self::Mark => "mark",
        }
    }

    /// Types and lengths of the fields.
    fn fields(self, family: Family) -> Vec<(u32, u32)> {
        let address = address_type(family);
        match self {
            Self::Port => vec![address, (key::PROTOCOL, 1), (key::PORT, 2), address],
            Self::AnyPort => vec![address, (key::PROTOCOL, 1), address],
            Self::Mark => vec![(key::MARK, 4), address],
        }
    }

    /// The key of a connection of this shape.
    fn key(self, connection: &Connection) -> Option<Vec<u8>> {
        let (start, server) = match (self, connection) {
            (Self::Port, Connection::Port { vip, protocol, port, server }) => {
                ([octets(*vip), padded(&[number(*protocol)]), padded(&port.to_be_bytes())].concat(), server)
            }
            (Self::AnyPort, Connection::AnyPort { vip, protocol, server }) => {
                ([octets(*vip), padded(&[number(*protocol)])].concat(), server)
            }
            (Self::Mark, Connection::Mark { mark, server }) => (mark.to_ne_bytes().to_vec(), server),
            _ => return None,
        };
        Some([start, octets(*server)].concat())
    }

    /// Loads the fields of a packet to a real server: what it was before IPVS is known from its connection.
    fn load(self, e: &mut Expressions<'_>, family: Family) {
        let words = length(family) / 4;
        let vip = match family {
            Family::V4 => Tracking::Destination4,
            Family::V6 => Tracking::Destination6,
        };
        let server = match self {
            Self::Port => {
                e.tracking(vip, 0);
                e.meta(Meta::Protocol, words);
                e.tracking(Tracking::DestinationPort, words + 1);
                words + 2
            }
            Self::AnyPort => {
                e.tracking(vip, 0);
                e.meta(Meta::Protocol, words);
                words + 1
            }
            Self::Mark => {
                e.meta(Meta::Mark, 0);
                1
            }
        };
        e.payload(Header::Network, destination_offset(family), length(family), server);
    }
}

fn of_family(e: &mut Expressions<'_>, family: Family) {
    e.meta(Meta::Family, 0);
    e.compare(0, Comparison::Equal, &[nfproto(family)]);
}

/// Of this family, and of a protocol with ports.
fn ports_of(e: &mut Expressions<'_>, family: Family) {
    of_family(e, family);
    e.meta(Meta::Protocol, 0);
    e.lookup(PROTOCOLS, 0, None);
}

/// Loads where a packet goes, as the key of an area.
fn destination(e: &mut Expressions<'_>, family: Family) {
    area_of(e, family, destination_offset(family), 2);
}

fn area_of(e: &mut Expressions<'_>, family: Family, address: u32, port: u32) {
    let words = length(family) / 4;
    e.payload(Header::Network, address, length(family), 0);
    e.meta(Meta::Protocol, words);
    e.payload(Header::Transport, port, 2, words + 1);
}

fn named(word: &str, family: Family) -> String {
    format!("{word}{}", if family == Family::V4 { '4' } else { '6' })
}

/// `NFPROTO_*`.
const fn nfproto(family: Family) -> u8 {
    match family {
        Family::V4 => 2,
        Family::V6 => 10,
    }
}

const fn source_offset(family: Family) -> u32 {
    match family {
        Family::V4 => 12,
        Family::V6 => 8,
    }
}

const fn destination_offset(family: Family) -> u32 {
    match family {
        Family::V4 => 16,
        Family::V6 => 24,
    }
}
