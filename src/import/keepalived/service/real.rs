//! `real_server` and `sorry_server`. Pure.

use std::net::{IpAddr, SocketAddr};

use super::super::check::{Defaults, checks};
use super::super::rest;
use super::super::tree::Node;
use super::{Front, Method, method_of};
use crate::import::draft::{Draft, Table, is_here};
use crate::import::ipvsadm::listen;

const KNOWN_SERVER: &[&str] = &[
    "weight",
    "lvs_method",
    "lb_kind",
    "uthreshold",
    "lthreshold",
    "inhibit_on_failure",
    "delay_loop",
    "alpha",
    "retry",
    "delay_before_retry",
    "connect_timeout",
    "warmup",
    "virtualhost",
    "TCP_CHECK",
    "HTTP_GET",
    "SSL_GET",
    "SMTP_CHECK",
    "DNS_CHECK",
    "MISC_CHECK",
    "UDP_CHECK",
    "PING_CHECK",
    "FILE_CHECK",
];

/// Where a server is.
struct Place {
    address: SocketAddr,
    /// The port that its checks ask, where they do not say.
    asked: Option<u16>,
}

/// The place of a server as the service wants it; `None` when it cannot be said.
fn place(draft: &mut Draft, node: &Node<'_>, front: &Front, method: &str) -> Option<Place> {
    let ip: Option<IpAddr> = node.value().parse().ok();
    let port = node.words.get(2).map_or(Some(0), |port| port.parse::<u16>().ok());
    let (Some(ip), Some(port)) = (ip, port) else {
        draft.warn(node.line, format!("{}: no address and port: left out", node.words.join(" ")));
        return None;
    };
    if let Some(own) = front.port.filter(|own| method != "nat" && port != 0 && port != *own) {
        // keepalived does so, too, once its checkers have taken the port.
        let what = format!("{ip} {port}: direct routing and tunnels do not change the port: now {own}");
        draft.warn(node.line, what);
        return Some(Place { address: SocketAddr::new(ip, own), asked: Some(port) });
    }
    // Without one port in front, the file has none behind, but by masquerading.
    let keeps = front.port.is_some() || (method == "nat" && front.key == "listen");
    Some(Place { address: SocketAddr::new(ip, if keeps { port } else { 0 }), asked: None })
}

pub(super) fn sorry(draft: &mut Draft, node: &Node<'_>, front: &Front, method: &Method, table: &mut Table) {
    let Some(sorry) = node.find("sorry_server") else { return };
    let own = node.find("sorry_server_lvs_method").map(method_of);
    let method = own.as_ref().unwrap_or(method);
    let Some(Place { address, .. }) = place(draft, sorry, front, method.word) else { return };
    if let Some(node) = node.find("sorry_server_inhibit") {
        draft.warn(node.line, "sorry_server_inhibit: a sorry server that nobody needs leaves the table");
    }
    if is_here(&address) && front.port.is_some() {
        draft.warn(sorry.line, "the sorry server on this box is now Director's own page");
        return table.text("sorry", "local");
    }
    let mut server = Table::default();
    server.text("address", &listen(address));
    if own.is_some() {
        server.text("method", method.word);
    }
    table.set("sorry", format!("[{}]", server.inline()));
}

pub(super) fn real_server(
    draft: &mut Draft,
    node: &Node<'_>,
    front: &Front,
    service: &Method,
    defaults: &Defaults<'_>,
) -> Option<Table> {
    let own = node.find("lvs_method").or_else(|| node.find("lb_kind")).map(method_of);
    let method = own.as_ref().unwrap_or(service);
    let Place { address, asked } = place(draft, node, front, method.word)?;
    let mut table = Table::default();
    table.text("address", &listen(address));
    let weight = node.find("weight").and_then(|node| node.number::<u32>()).or(defaults.weight);
    table.set("weight", weight.unwrap_or(1));
    if method != service {
        table.text("method", method.word);
        if let Some(tunnel) = &method.tunnel {
            table.set("tunnel", tunnel);
        }
    }
    for (theirs, ours) in [("uthreshold", "max_connections"), ("lthreshold", "min_connections")] {
        if let Some(number) =
            node.find(theirs).and_then(|node| node.number::<u32>()).filter(|number| *number > 0)
        {
            table.set(ours, number);
        }
    }
    let checks = checks(draft, node, &defaults.within(node), asked);
    match checks.as_slice() {
        [] => table.text("check", "none"),
        [one] => table.set("check", one.inline()),
        several => {
            let several: Vec<String> = several.iter().map(Table::inline).collect();
            table.set("check", format!("[{}]", several.join(", ")));
        }
    }
    rest(draft, node, KNOWN_SERVER);
    Some(table)
}
