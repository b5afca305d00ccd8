//! `[[route]]`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::faults::Faults;
use super::super::field::{At, Field, List};
use super::super::model::{Route, RouteKind};
use super::super::raw::{self, Destination};
use super::link::{Links, networks, reaches};
use super::{Unique, family, host_address, items};
use crate::units::Cidr;

pub(super) fn routes(raw: &Field<List<raw::Route>>, links: &Links, faults: &mut Faults<'_>) -> Vec<Route> {
    let mut seen = Unique::new();
    let mut routes = Vec::new();
    for At { value: raw, .. } in items(raw) {
        let Some(route) = route(raw, links, faults) else { continue };
        let what = format!("a route to {} with metric {}", route.to, route.metric);
        seen.claim(
            (route.to, route.metric, route.kind == RouteKind::Local),
            raw.to.span().unwrap_or(raw.at),
            what,
            faults,
        );
        routes.push(route);
    }
    routes
}

fn route(raw: &raw::Route, links: &Links, faults: &mut Faults<'_>) -> Option<Route> {
    let kind = raw.kind.get().copied().unwrap_or_default();
    if kind != RouteKind::Unicast {
        special(raw, faults);
    } else if !raw.kind.is_faulty() && !raw.via.is_given() && !raw.interface.is_given() {
        faults.add_with_help(
            raw.at,
            "`via` is missing",
            "a gateway such as via = \"192.168.61.1\", or `interface`",
        );
    }
    if let Some(At { value, span }) = raw.interface.set() {
        links.require(value, *span, faults);
    }
    gateway(raw, links, faults);
    let destination = raw.to.required(raw.at, "to", "to = \"default\"", faults)?;
    let via = raw.via.get().copied();
    let to = match destination.value {
        Destination::Default if via.is_some_and(|via| via.is_ipv6()) => {
            Cidr { address: Ipv6Addr::UNSPECIFIED.into(), prefix: 0 }
        }
        Destination::Default => Cidr { address: Ipv4Addr::UNSPECIFIED.into(), prefix: 0 },
        Destination::Network(cidr) => {
            if cidr.network() != cidr {
                let what = format!("`to` {cidr} is a host, not a network");
                faults.add_with_help(
                    destination.span,
                    what,
                    format!("its network is \"{}\"", cidr.network()),
                );
            }
            cidr
        }
    };
    if let Some(At { value: via, span }) = raw.via.set()
        && via.is_ipv4() != to.address.is_ipv4()
    {
        let (via_family, to_family) = (family(*via), family(to.address));
        faults.add(*span, format!("gateway {via} is {via_family}, but the route is {to_family}"));
    }
    let metric = raw.metric.get().map_or(0, |metric| metric.to(u32::MAX));
    if kind == RouteKind::Local && to.prefix == 0 {
        faults.add(destination.span, "everything is not local: name the network of the VIPs");
    }
    Some(Route { kind, to, via, interface: raw.interface.get().cloned(), metric })
}

/// What ends here goes nowhere else.
fn special(raw: &raw::Route, faults: &mut Faults<'_>) {
    let given = [("via", raw.via.span()), ("interface", raw.interface.span())];
    for (key, span) in given.into_iter().filter_map(|(key, span)| Some((key, span?))) {
        faults.add(span, format!("`{key}` belongs to a route of type = \"unicast\""));
    }
}

fn gateway(raw: &raw::Route, links: &Links, faults: &mut Faults<'_>) {
    let Some(At { value: via, span }) = raw.via.set() else { return };
    host_address(*via, *span, "gateway", faults);
    if let IpAddr::V6(v6) = via
        && v6.is_unicast_link_local()
    {
        if !raw.interface.is_given() {
            faults.add_with_help(*span, format!("gateway {via} is link-local"), "name its `interface`, too");
        }
        return;
    }
    if links.addresses().any(|(address, _)| address == *via) {
        faults.add(*span, format!("gateway {via} is this box itself"));
    }
    let interface = raw.interface.get().filter(|name| links.get(name).is_some());
    if links.complete && !reaches(links, *via, interface) {
        let what = match interface {
            Some(name) => format!("gateway {via} is in no network of interface `{name}`"),
            None => format!("gateway {via} is in no network of an interface"),
        };
        faults.add_with_help(*span, what, format!("networks of the interfaces: {}", networks(links)));
    }
}
