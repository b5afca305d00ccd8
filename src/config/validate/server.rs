//! `[[service.server]]` and the elements of `sorry`.

use std::net::SocketAddr;

use super::super::faults::Faults;
use super::super::field::At;
use super::super::model::{Listen, Method, Protocol, Server};
use super::super::raw::{self, Endpoint};
use super::super::report::Span;
use super::{Unique, family, host_address};
use crate::units::Weight;

/// What a real server needs to know of its service.
#[derive(Clone, Copy)]
pub(super) struct Front {
    /// What clients talk to; `None` where that was refused.
    pub listen: Option<Listen>,
    /// Its protocol.
    pub protocol: Option<Protocol>,
    /// The method of servers that name none.
    pub method: Method,
}

impl Front {
    /// The one port of the service; `None` for every port and for a firewall mark.
    pub(super) fn port(self) -> Option<u16> {
        match self.listen {
            Some(Listen::Address(address)) => Some(address.port()).filter(|port| *port != 0),
            _ => None,
        }
    }

    pub(super) fn is_ipv6(self) -> bool {
        match self.listen {
            Some(Listen::Address(address)) => address.is_ipv6(),
            Some(Listen::Fwmark { ipv6, .. }) => ipv6,
            None => false,
        }
    }
}

pub(super) fn servers(
    raw: &[At<raw::Server>],
    front: Front,
    what: &str,
    faults: &mut Faults<'_>,
) -> Vec<Server> {
    let mut seen = Unique::new();
    let mut servers = Vec::with_capacity(raw.len());
    for At { value: raw, .. } in raw {
        let method = raw.method.get().copied().unwrap_or(front.method);
        let example = "address = \"192.168.61.22:80\"";
        let Some(At { value, span }) = raw.address.required(raw.at, "address", example, faults) else {
            continue;
        };
        let address = SocketAddr::new(value.address, port(*value, *span, front, method, what, faults));
        host_address(value.address, *span, what, faults);
        other_family(address, *span, front, method, what, faults);
        if front.listen == Some(Listen::Address(address)) {
            faults.add(*span, format!("{what} {address} is the service itself"));
        }
        seen.claim(address, *span, format!("{what} {address} of this service"), faults);
        let weight = raw.weight.get().copied().unwrap_or(Weight::DEFAULT);
        servers.push(Server { weight, ..Server::new(address, method) });
    }
    servers
}

/// The port on the server: DR and TUN leave the packet as it is, so there it is the service's.
fn port(
    endpoint: Endpoint,
    span: Span,
    front: Front,
    method: Method,
    what: &str,
    faults: &mut Faults<'_>,
) -> u16 {
    let Some(listen) = front.listen else { return endpoint.port.unwrap_or(0) };
    let Some(port) = front.port() else {
        if let Some(given) = endpoint.port.filter(|port| *port != 0) {
            let of = if let Listen::Fwmark { .. } = listen { "by firewall mark" } else { "of every port" };
            let help = "leave the port out; `port` of the `check` says where to ask";
            faults.add_with_help(span, format!("{what} of a service {of} has a port, {given}"), help);
        }
        return 0;
    };
    let given = endpoint.port.unwrap_or(port);
    if given == 0 {
        faults.add(span, format!("port 0 of a {what} is no port: 1 to 65535"));
    } else if given != port && method != Method::Nat {
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

fn other_family(
    address: SocketAddr,
    span: Span,
    front: Front,
    method: Method,
    what: &str,
    faults: &mut Faults<'_>,
) {
    if front.listen.is_some() && address.is_ipv6() != front.is_ipv6() && method != Method::Tun {
        let service = if front.is_ipv6() { "IPv6" } else { "IPv4" };
        faults.add_with_help(
            span,
            format!("{what} {} is {}, but the service is {service}", address.ip(), family(address.ip())),
            "only method = \"tun\" joins the families",
        );
    }
}
