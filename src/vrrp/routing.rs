//! Routes and rules of the kernel that bear our mark.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::kernel::Kernel;
use super::ways::{Change, Way, Ways, diff};
use crate::config::model::{RouteKind, VirtualRule};
use crate::owner;
use crate::units::{Cidr, IfName};

/// `RT_TABLE_COMPAT`: the number is in the attribute.
const COMPAT: u8 = 252;

/// Kernel indexes by name.
pub type Indexes = BTreeMap<IfName, u32>;

impl Kernel {
    /// Makes routes and rules so; gives each change, and why it failed.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn agree_on_ways(
        &mut self,
        desired: &Ways,
        links: &Indexes,
    ) -> io::Result<Vec<(Change, Option<String>)>> {
        let observed = self.ways(links)?;
        let changes = diff(&observed, desired).into_iter().map(|change| {
            let result = self.change(&change, links);
            (change, result.err().map(|error| error.to_string()))
        });
        Ok(changes.collect())
    }

    fn ways(&mut self, links: &Indexes) -> io::Result<Ways> {
        let names: BTreeMap<u32, &IfName> = links.iter().map(|(name, index)| (*index, name)).collect();
        let mut ways = Ways::default();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut question = RouteMessage::default();
            question.header.address_family = family;
            for answer in none_of(self.dump(|| RouteNetlinkMessage::GetRoute(question.clone())))? {
                if let RouteNetlinkMessage::NewRoute(message) = answer {
                    ways.routes.extend(read_route(&message, &names));
                }
            }
            let mut question = RuleMessage::default();
            question.header.family = family;
            for answer in none_of(self.dump(|| RouteNetlinkMessage::GetRule(question.clone())))? {
                if let RouteNetlinkMessage::NewRule(message) = answer {
                    ways.rules.extend(read_rule(&message));
                }
            }
        }
        Ok(ways)
    }

    fn change(&mut self, change: &Change, links: &Indexes) -> io::Result<()> {
        let (message, flags) = match change {
            Change::AddRoute(way) => {
                (RouteNetlinkMessage::NewRoute(route_message(way, links)?), NLM_F_CREATE | NLM_F_REPLACE)
            }
            Change::RemoveRoute(way) => (RouteNetlinkMessage::DelRoute(route_message(way, links)?), 0),
            Change::AddRule(rule) => {
                (RouteNetlinkMessage::NewRule(rule_message(rule)), NLM_F_CREATE | NLM_F_EXCL)
            }
            Change::RemoveRule(rule) => (RouteNetlinkMessage::DelRule(rule_message(rule)), 0),
        };
        let removes = matches!(change, Change::RemoveRoute(_) | Change::RemoveRule(_));
        match self.request(message, flags) {
            Err(error)
                if removes
                    && matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOENT | libc::ENODEV)) =>
            {
                Ok(())
            }
            Err(error) if !removes && error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            other => other,
        }
    }
}

/// A kernel without a family, or without rules, has none.
fn none_of(answers: io::Result<Vec<RouteNetlinkMessage>>) -> io::Result<Vec<RouteNetlinkMessage>> {
    match answers {
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EAFNOSUPPORT | libc::EOPNOTSUPP)) =>
        {
            Ok(Vec::new())
        }
        other => other,
    }
}

const fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

const fn wire(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}

const fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

fn route_message(way: &Way, links: &Indexes) -> io::Result<RouteMessage> {
    let mut message = RouteMessage::default();
    let header = &mut message.header;
    header.address_family = family(way.to.address);
    header.destination_prefix_length = way.to.prefix;
    header.protocol = RouteProtocol::from(owner::VRRP);
    header.table = u8::try_from(way.table).unwrap_or(COMPAT);
    (header.kind, header.scope) = match (way.kind, way.via) {
        (RouteKind::Unicast, None) if way.to.address.is_ipv4() => (RouteType::Unicast, RouteScope::Link),
        (RouteKind::Unicast, _) => (RouteType::Unicast, RouteScope::Universe),
        (RouteKind::Local, _) => (RouteType::Local, RouteScope::Host),
        (RouteKind::Blackhole, _) => (RouteType::BlackHole, RouteScope::Universe),
        (RouteKind::Unreachable, _) => (RouteType::Unreachable, RouteScope::Universe),
    };
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Table(way.table));
    attributes.push(RouteAttribute::Priority(way.metric));
    if way.to.prefix > 0 {
        attributes.push(RouteAttribute::Destination(wire(way.to.address)));
    }
    attributes.extend(way.via.map(|via| RouteAttribute::Gateway(wire(via))));
    attributes.extend(way.source.map(|source| RouteAttribute::PrefSource(wire(source))));
    let interface = match (&way.interface, way.kind) {
        (Some(name), _) => Some(name.clone()),
        // Local networks are on the loopback.
        (None, RouteKind::Local) => "lo".parse().ok(),
        (None, RouteKind::Unicast | RouteKind::Blackhole | RouteKind::Unreachable) => None,
    };
    if let Some(name) = interface {
        let index = links.get(&name).ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
        attributes.push(RouteAttribute::Oif(*index));
    }
    Ok(message)
}

fn read_route(message: &RouteMessage, names: &BTreeMap<u32, &IfName>) -> Option<Way> {
    let header = &message.header;
    if u8::from(header.protocol) != owner::VRRP {
        return None;
    }
    let kind = match header.kind {
        RouteType::Unicast => RouteKind::Unicast,
        RouteType::Local => RouteKind::Local,
        RouteType::BlackHole => RouteKind::Blackhole,
        RouteType::Unreachable => RouteKind::Unreachable,
        _ => return None,
    };
    let any: IpAddr = match header.address_family {
        AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
        AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let to = Cidr { address: any, prefix: header.destination_prefix_length };
    let table = header.table.into();
    let mut way = Way { table, kind, to, metric: 0, via: None, interface: None, source: None };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(table) => way.table = *table,
            RouteAttribute::Priority(metric) => way.metric = *metric,
            RouteAttribute::Destination(address) => way.to.address = ip(address)?,
            RouteAttribute::Gateway(address) => way.via = Some(ip(address)?),
            RouteAttribute::PrefSource(address) => way.source = Some(ip(address)?),
            RouteAttribute::Oif(index) if kind == RouteKind::Unicast => {
                way.interface = Some((*names.get(index)?).clone());
            }
            _ => {}
        }
    }
    Some(way)
}

fn rule_message(rule: &VirtualRule) -> RuleMessage {
    let mut message = RuleMessage::default();
    let header = &mut message.header;
    header.family = if rule.ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    header.action = RuleAction::ToTable;
    header.table = u8::try_from(rule.table).unwrap_or(COMPAT);
    let attributes = &mut message.attributes;
    attributes.push(RuleAttribute::Table(rule.table));
    attributes.push(RuleAttribute::Priority(rule.preference));
    attributes.push(RuleAttribute::Protocol(RouteProtocol::from(owner::VRRP)));
    if let Some(from) = rule.from {
        header.src_len = from.prefix;
        attributes.push(RuleAttribute::Source(from.address));
    }
    if let Some(to) = rule.to {
        header.dst_len = to.prefix;
        attributes.push(RuleAttribute::Destination(to.address));
    }
    attributes.extend(rule.interface.as_ref().map(|name| RuleAttribute::Iifname(name.to_string())));
    attributes.extend(rule.mark.map(RuleAttribute::FwMark));
    message
}

fn read_rule(message: &RuleMessage) -> Option<VirtualRule> {
    let header = &message.header;
    let mut ours = false;
    let mut rule = VirtualRule {
        from: None,
        to: None,
        interface: None,
        mark: None,
        table: header.table.into(),
        preference: 0,
        ipv6: header.family == AddressFamily::Inet6,
    };
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Protocol(protocol) => ours = u8::from(*protocol) == owner::VRRP,
            RuleAttribute::Table(table) => rule.table = *table,
            RuleAttribute::Priority(preference) => rule.preference = *preference,
            RuleAttribute::Source(address) => {
                rule.from = Some(Cidr { address: *address, prefix: header.src_len });
            }
            RuleAttribute::Destination(address) => {
                rule.to = Some(Cidr { address: *address, prefix: header.dst_len });
            }
            RuleAttribute::Iifname(name) => rule.interface = name.parse().ok(),
            RuleAttribute::FwMark(mark) => rule.mark = Some(*mark),
            _ => {}
        }
    }
    ours.then_some(rule)
}
