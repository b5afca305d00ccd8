//! `[[service.server]]` and the elements of `sorry`.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::super::faults::Faults;
use super::super::field::{At, Field};
use super::super::model::{Listen, Method, Server, Tunnel, TunnelChecksum};
use super::super::raw::{self, Targets, TunnelKind};
use super::super::report::Span;
use super::check::{Checks, Shared, checks};
use super::listen::{Front, MOST_KEYS};
use super::{Unique, family, host_address};
use crate::units::Weight;

/// Port of generic UDP encapsulation (IANA: gue).
const GUE_PORT: u16 = 6080;

/// What [`Defaults::what`] calls the elements of `sorry`.
pub(super) const SORRY_SERVER: &str = "sorry server";

/// What servers have that say nothing of it.
pub(super) struct Defaults<'a> {
    /// `real server` or `sorry server`.
    pub what: &'a str,
    /// The weight.
    pub weight: Weight,
    /// The checks, as servers with a port of their own have them.
    pub checks: &'a Checks,
    /// Whether the kernel heeds the port of a server that differs from the service's.
    pub keeps_port: bool,
}

pub(super) fn servers(
    raw: &[At<raw::Server>],
    front: &Front,
    defaults: &Defaults<'_>,
    shared: &mut Shared<'_>,
    faults: &mut Faults<'_>,
) -> Vec<Server> {
    let mut seen = Unique::new();
    let mut servers = Vec::with_capacity(raw.len());
    for At { value: raw, .. } in raw {
        let what = defaults.what;
        let example = "address = \"192.168.61.22:80\"";
        let method = raw.method.get().copied().unwrap_or(front.method);
        let tunnel = tunnel(&raw.tunnel, front.tunnel, faults);
        misplaced(raw, method, what, faults);
        let (upper, lower) = limits(raw, faults);
        let own = raw.check.is_given().then(|| checks(&raw.check, raw.at, front, shared, faults));
        let Some(At { value: targets, span }) = raw.address.required(raw.at, "address", example, faults)
        else {
            continue;
        };
        let port = port(*targets, *span, front, method, defaults, faults);
        let crosses = front.is_known() && targets.addresses.first.is_ipv6() != front.ipv6;
        let checks = own.as_ref().unwrap_or(defaults.checks).of(
            SocketAddr::new(targets.addresses.first, port),
            method,
            crosses,
            faults,
        );
        let count = targets.addresses.count();
        if count > MOST_KEYS {
            faults.add(*span, format!("`address` stands for {count} servers, at most {MOST_KEYS} are taken"));
            continue;
        }
        let entries = ports_in_the_kernel(front, port);
        for address in targets.addresses.iter() {
            let address = SocketAddr::new(address, port);
            host_address(address.ip(), *span, what, faults);
            other_family(address, *span, front, method, what, faults);
            shared.neighbour(checks, address.ip(), *span, faults);
            if front.keys.iter().any(|key| key.value.listen == Listen::Address(address)) {
                faults.add(*span, format!("{what} {address} is the service itself"));
            }
            entries.iter().all(|port| {
                let entry = SocketAddr::new(address.ip(), *port);
                seen.claim(entry, *span, format_args!("{what} {entry} of this service"), faults)
            });
            servers.push(Server {
                address,
                weight: raw.weight.get().copied().unwrap_or(defaults.weight),
                method,
                tunnel,
                upper,
                lower,
                enabled: raw.enabled.get().copied().unwrap_or(true),
                on_fail: raw.on_fail.get().copied(),
                checks: checks.to_vec(),
            });
        }
    }
    servers
}

/// What other servers may have.
fn misplaced(raw: &raw::Server, method: Method, what: &str, faults: &mut Faults<'_>) {
    if let Some(span) = raw.tunnel.span()
        && method != Method::Tun
    {
        faults.add(span, "`tunnel` is for method = \"tun\"");
    }
    if let Some(span) = raw.on_fail.span().filter(|_| what == SORRY_SERVER) {
        faults.add(span, "`on_fail` is for real servers: a sorry server that fails is left out");
    }
}

/// The ports under which the kernel has a server of this `port`: one for both `10.0.0.1` and `10.0.0.1:80` behind port 80.
fn ports_in_the_kernel(front: &Front, port: u16) -> BTreeSet<u16> {
    let behind = front.keys.iter().filter_map(|key| match key.value.listen {
        Listen::Address(own) if port == 0 => Some(own.port()),
        Listen::Address(_) | Listen::Fwmark { .. } => None,
    });
    let behind: BTreeSet<u16> = behind.collect();
    if behind.is_empty() { BTreeSet::from([port]) } else { behind }
}

/// Connections from which a server is passed over, and below which it is used again.
fn limits(raw: &raw::Server, faults: &mut Faults<'_>) -> (u32, u32) {
    let upper = raw.max_connections.get().map_or(0, |most| most.to(u32::MAX));
    let lower = raw.min_connections.get().map_or(0, |least| least.to(u32::MAX));
    if let Some(span) = raw.min_connections.span()
        && lower > upper
        && !raw.max_connections.is_faulty()
    {
        let what = format!("`min_connections` {lower} is more than `max_connections`, {upper}");
        faults.add_with_help(
            span,
            what,
            "a full server is used again once it has fewer than `min_connections`",
        );
    }
    (upper, lower)
}

/// A tunnel, or `default`.
pub(super) fn tunnel(field: &Field<raw::Tunnel>, default: Tunnel, faults: &mut Faults<'_>) -> Tunnel {
    let Some(At { value: raw::Tunnel(table), .. }) = field.set() else { return default };
    let kind = table.kind.required(table.at, "type", "type = \"gue\"", faults);
    let kind = kind.map_or(TunnelKind::Ipip, |at| at.value);
    let checksum = table.checksum.get().copied().unwrap_or_default();
    let port = table.port.get().map_or(GUE_PORT, |port| port.to(GUE_PORT));
    if let Some(span) = table.port.span()
        && kind != TunnelKind::Gue
    {
        faults.add(span, "`port` belongs to a tunnel of type = \"gue\"");
    }
    if let Some(span) = table.checksum.span() {
        match (kind, checksum) {
            (TunnelKind::Ipip, _) => {
                faults.add(span, "`checksum` belongs to a tunnel of type = \"gue\" or \"gre\"");
            }
            (TunnelKind::Gre, TunnelChecksum::Remote) => {
                faults.add(span, "`checksum` \"remote\" belongs to a tunnel of type = \"gue\"");
            }
            _ => {}
        }
    }
    match kind {
        TunnelKind::Ipip => Tunnel::Ipip,
        TunnelKind::Gue => Tunnel::Gue { port, checksum },
        TunnelKind::Gre => Tunnel::Gre { checksum },
    }
}

/// The port on the server: DR and TUN leave the packet as it is, so there it is the service's.
fn port(
    targets: Targets,
    span: Span,
    front: &Front,
    method: Method,
    defaults: &Defaults<'_>,
    faults: &mut Faults<'_>,
) -> u16 {
    if !front.is_known() {
        return targets.port.unwrap_or(0);
    }
    let what = defaults.what;
    let rewritten = matches!(method, Method::Nat | Method::FullNat);
    let Some(port) = front.port else {
        let Some(given) = targets.port.filter(|port| *port != 0) else { return 0 };
        let every = front.ask.is_none() && !front.is_marked();
        if rewritten && defaults.keeps_port && !every {
            return given;
        }
        if only_port(front) != Some(given) {
            let of = match () {
                () if front.is_marked() => "by firewall mark",
                () if every => "of every port",
                () => "of several ports",
            };
            let help = "leave the port out; `port` of the `check` says where to ask";
            faults.add_with_help(span, format!("{what} of a service {of} has a port, {given}"), help);
        }
        return 0;
    };
    let given = targets.port.unwrap_or(port);
    if given == 0 {
        faults.add(span, format!("port 0 of a {what} is no port: 1 to 65535"));
    } else if given != port && !rewritten {
        let method = if method == Method::Dr { "dr" } else { "tun" };
        faults.add_with_help(
            span,
            format!(
                "port {given} differs from port {port} of the service, and `{method}` does not change it"
            ),
            format!("leave the port out, write {port}, or set method = \"nat\""),
        );
    }
    given
}

/// The one port that packets with our mark have.
fn only_port(front: &Front) -> Option<u16> {
    match front.marking.as_ref()?.ports.as_slice() {
        [(first, last)] if first == last => Some(*first),
        _ => None,
    }
}

fn other_family(
    address: SocketAddr,
    span: Span,
    front: &Front,
    method: Method,
    what: &str,
    faults: &mut Faults<'_>,
) {
    if front.is_known() && address.is_ipv6() != front.ipv6 && method != Method::Tun {
        faults.add_with_help(
            span,
            format!(
                "{what} {} is {}, but the service is {}",
                address.ip(),
                family(address.ip()),
                front.family()
            ),
            "only method = \"tun\" joins the families",
        );
    }
}
