//! `routes` and `rules` of `[[vrrp]]`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::super::faults::Faults;
use super::super::super::field::{At, Field};
use super::super::super::model::{RouteKind, VirtualRoute, VirtualRule};
use super::super::super::raw::{self, Destination};
use super::super::link::Links;
use super::super::{Unique, family, host_address, items};
use crate::units::Cidr;

/// `RT_TABLE_MAIN`.
const MAIN: u32 = 254;

pub(super) fn routes(
    raw: &raw::Vrrp,
    links: &Links,
    ipv4: bool,
    faults: &mut Faults<'_>,
) -> Vec<VirtualRoute> {
    let mut seen = Unique::new();
    let mut routes = Vec::new();
    for At { value: raw, span } in items(&raw.routes) {
        let Some(route) = route(raw, links, ipv4, faults) else { continue };
        let what = format!("a route to {} with metric {} in table {}", route.to, route.metric, route.table);
        seen.claim((route.to, route.metric, route.table), *span, what, faults);
        routes.push(route);
    }
    routes
}

fn route(
    raw: &raw::VirtualRoute,
    links: &Links,
    ipv4: bool,
    faults: &mut Faults<'_>,
) -> Option<VirtualRoute> {
    let destination = raw.to.required(raw.at, "to", "to = \"default\"", faults)?;
    let kind = raw.kind.get().copied().unwrap_or_default();
    let via = raw.via.get().copied();
    let to = match destination.value {
        Destination::Network(cidr) => {
            network("to", cidr, destination, faults);
            cidr
        }
        Destination::Default if via.map_or(ipv4, |via| via.is_ipv4()) => {
            Cidr { address: Ipv4Addr::UNSPECIFIED.into(), prefix: 0 }
        }
        Destination::Default => Cidr { address: Ipv6Addr::UNSPECIFIED.into(), prefix: 0 },
    };
    for (key, field) in [("via", &raw.via), ("source", &raw.source)] {
        let Some(At { value: address, span }) = field.set() else { continue };
        host_address(*address, *span, key, faults);
        if address.is_ipv4() != to.address.is_ipv4() {
            let (ours, theirs) = (family(*address), family(to.address));
            faults.add(*span, format!("`{key}` {address} is {ours}, but the route is {theirs}"));
        }
    }
    if let Some(At { value, span }) = raw.interface.set() {
        links.require(value, *span, faults);
    }
    let leaves = [("via", raw.via.span()), ("interface", raw.interface.span())];
    for (key, span) in leaves.into_iter().filter(|_| kind != RouteKind::Unicast) {
        if let Some(span) = span {
            faults.add(span, format!("`{key}` belongs to a route of type = \"unicast\""));
        }
    }
    Some(VirtualRoute {
        to,
        via,
        interface: raw.interface.get().cloned(),
        table: raw.table.get().map_or(MAIN, |table| table.to(MAIN)),
        metric: raw.metric.get().map_or(0, |metric| metric.to(u32::MAX)),
        source: raw.source.get().copied(),
        kind,
    })
}

pub(super) fn rules(raw: &raw::Vrrp, links: &Links, ipv4: bool, faults: &mut Faults<'_>) -> Vec<VirtualRule> {
    let mut rules = Vec::new();
    for At { value: raw, .. } in items(&raw.rules) {
        let table = raw.table.required(raw.at, "table", "table = 100", faults);
        let preference = raw.preference.required(raw.at, "preference", "preference = 1000", faults);
        for (key, field) in [("from", &raw.from), ("to", &raw.to)] {
            if let Some(at) = field.set() {
                network(key, at.value, at, faults);
            }
        }
        let network = |field: &Field<Cidr>| field.get().map(|cidr| cidr.address.is_ipv4());
        if let (Some(from), Some(to)) = (network(&raw.from), network(&raw.to))
            && from != to
        {
            faults.add(raw.at, "`from` and `to` of a rule are of one family");
        }
        if let Some(At { value, span }) = raw.interface.set() {
            links.require(value, *span, faults);
        }
        let given = [raw.from.is_given(), raw.to.is_given(), raw.interface.is_given(), raw.mark.is_given()];
        if !given.contains(&true) {
            let help = "for example from = \"192.168.61.45/32\"";
            faults.add_with_help(raw.at, "a rule needs `from`, `to`, `interface` or `mark`", help);
        }
        let (Some(table), Some(preference)) = (table, preference) else { continue };
        rules.push(VirtualRule {
            from: raw.from.get().copied(),
            to: raw.to.get().copied(),
            interface: raw.interface.get().cloned(),
            mark: raw.mark.get().map(|mark| mark.to(u32::MAX)),
            table: table.value.to(MAIN),
            preference: preference.value.to(1),
            ipv6: !network(&raw.from).or_else(|| network(&raw.to)).unwrap_or(ipv4),
        });
    }
    rules
}

fn network<T>(key: &str, cidr: Cidr, at: &At<T>, faults: &mut Faults<'_>) {
    if cidr.network() != cidr {
        let help = format!("its network is \"{}\"", cidr.network());
        faults.add_with_help(at.span, format!("`{key}` {cidr} is a host, not a network"), help);
    }
}
