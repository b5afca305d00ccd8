//! `virtual_server` and `virtual_server_group`. Pure.

use std::net::{IpAddr, SocketAddr};

use super::check::{Defaults, alpha};
use super::tree::Node;
use super::{after, rest};
use crate::import::draft::{Draft, Service, Table, list, quoted};
use crate::import::ipvsadm::listen;
use crate::units::Cidr;

use real::{real_server, sorry};

mod real;

/// What `persistence_timeout` means without a value (keepalived(5)).
const PERSISTENCE: u32 = 360;

const KNOWN: &[&str] = &[
    "delay_loop",
    "lb_algo",
    "lvs_sched",
    "lb_kind",
    "lvs_method",
    "persistence_timeout",
    "persistence_granularity",
    "persistence_engine",
    "protocol",
    "ops",
    "quorum",
    "hysteresis",
    "alpha",
    "omega",
    "inhibit_on_failure",
    "sorry_server",
    "sorry_server_lvs_method",
    "sorry_server_inhibit",
    "virtualhost",
    "flag-1",
    "flag-2",
    "flag-3",
    "sh-port",
    "sh-fallback",
    "mh-port",
    "mh-fallback",
    "ip_family",
    "retry",
    "delay_before_retry",
    "connect_timeout",
    "warmup",
    "real_server",
    "weight",
    "ha_suspend",
];

/// A group that nothing uses is told; the others are taken where they are used.
pub(super) fn group(draft: &mut Draft, node: &Node<'_>, nodes: &[Node<'_>]) {
    let used = nodes.iter().any(|other| {
        other.key() == "virtual_server" && other.value() == "group" && other.words.get(2) == node.words.get(1)
    });
    if !used {
        draft.warn(node.line, format!("virtual_server_group {}: no virtual_server uses it", node.value()));
    }
}

/// A virtual server. One of a group becomes a service of all its addresses, and one for each of its firewall marks.
pub(super) fn server(draft: &mut Draft, node: &Node<'_>, nodes: &[Node<'_>]) {
    let words = node.words.get(1..).unwrap_or_default();
    match words {
        ["group", name] => {
            let group =
                nodes.iter().find(|other| other.key() == "virtual_server_group" && other.value() == *name);
            let Some(group) = group else {
                return draft.warn(node.line, format!("there is no virtual_server_group {name}: left out"));
            };
            let (marks, addresses): (Vec<_>, Vec<_>) =
                group.block.iter().partition(|item| item.key() == "fwmark");
            let mut fronts = Vec::new();
            let mut listens = Vec::new();
            let mut port = None;
            for item in addresses {
                match network(draft, item).or_else(|| range(item).inspect(|(_, ip, _)| draft.vip(*ip))) {
                    Some((text, _, own)) => {
                        // A server behind several ports has that of the client.
                        port =
                            if listens.is_empty() { Some(own) } else { port.filter(|known| *known == own) };
                        listens.push(text);
                    }
                    None => draft.warn(item.line, format!("{}: no address: left out", item.words.join(" "))),
                }
            }
            if !listens.is_empty() {
                fronts.push(Front {
                    name: (*name).to_owned(),
                    key: "listen",
                    value: list(&listens),
                    port: port.filter(|p| *p != 0),
                    v6: false,
                });
            }
            fronts.extend(
                marks
                    .iter()
                    .filter_map(|item| Some((item.number::<u32>()?, item.words.get(2) == Some(&"inet6"))))
                    .map(|(mark, v6)| Front { v6, ..Front::of_mark(&format!("{name}-fwmark-{mark}"), mark) }),
            );
            fronts.iter().for_each(|front| service(draft, node, front));
        }
        ["fwmark", mark] => match mark.parse::<u32>() {
            Ok(mark) => service(draft, node, &Front::of_mark(&format!("fwmark-{mark}"), mark)),
            Err(_) => draft.warn(node.line, format!("{mark} is no firewall mark: left out")),
        },
        [address, more @ ..] => {
            match (address.parse::<IpAddr>(), more.first().map_or(Ok(0), |port| port.parse::<u16>())) {
                (Ok(ip), Ok(port)) => {
                    draft.vip(ip);
                    let address = SocketAddr::new(ip, port);
                    let name = format!("{ip}-{port}");
                    let value = quoted(&listen(address));
                    service(
                        draft,
                        node,
                        &Front {
                            name,
                            key: "listen",
                            value,
                            port: Some(port).filter(|port| *port != 0),
                            v6: false,
                        },
                    );
                }
                _ => draft.warn(node.line, format!("{}: no address and port: left out", words.join(" "))),
            }
        }
        [] => draft.warn(node.line, "virtual_server without an address: left out"),
    }
}

/// How a service is reached.
struct Front {
    name: String,
    key: &'static str,
    value: String,
    /// The one port, if there is one.
    port: Option<u16>,
    /// A mark on IPv6 packets.
    v6: bool,
}

impl Front {
    fn of_mark(name: &str, mark: u32) -> Self {
        Self { name: name.to_owned(), key: "fwmark", value: mark.to_string(), port: None, v6: false }
    }
}

/// `192.168.200.0/28 80`: as the file has it, and all of it is local.
fn network(draft: &mut Draft, item: &Node<'_>) -> Option<(String, IpAddr, u16)> {
    let network = item.key().parse::<Cidr>().ok().filter(|_| item.key().contains('/'))?.network();
    let port = item.number::<u16>().unwrap_or(0);
    let mut route = Table::default();
    route.text("to", &network.to_string());
    route.text("type", "local");
    draft.routes.push(route);
    let text = match (network.address.is_ipv4(), port) {
        (true, 0) => network.to_string(),
        (true, port) => format!("{network}:{port}"),
        (false, 0) => format!("[{network}]"),
        (false, port) => format!("[{network}]:{port}"),
    };
    Some((text, network.address, port))
}

/// `192.168.200.1-10 80` or `192.168.200.1 80`: as the file has it, the first address, the port.
fn range(item: &Node<'_>) -> Option<(String, IpAddr, u16)> {
    let port = item.number::<u16>().unwrap_or(0);
    let (first, last) = match item.key().split_once('-') {
        Some((first, last)) => (first, Some(last)),
        None => (item.key(), None),
    };
    let ip: IpAddr = first.parse().ok()?;
    let text = match last {
        None => listen(SocketAddr::new(ip, port)),
        Some(last) => format!("{first}-{last}{}", if port == 0 { String::new() } else { format!(":{port}") }),
    };
    Some((text, ip, port))
}

fn service(draft: &mut Draft, node: &Node<'_>, front: &Front) {
    let mut table = Table::default();
    table.text("name", &draft.name(&front.name));
    table.set(front.key, &front.value);
    let word = |key: &str| node.find(key).map(Node::value);
    if let Some(protocol) = word("protocol").map(str::to_ascii_lowercase).filter(|_| front.key == "listen") {
        table.text("protocol", &protocol);
    } else if front.v6 || word("ip_family") == Some("inet6") {
        table.text("family", "ipv6");
    }
    let scheduler = word("lb_algo").or_else(|| word("lvs_sched"));
    table.text("scheduler", scheduler.unwrap_or("wlc"));
    let flags: Vec<String> =
        ["flag-1", "flag-2", "flag-3", "sh-port", "sh-fallback", "mh-port", "mh-fallback"]
            .into_iter()
            .filter(|flag| node.find(flag).is_some())
            .map(str::to_owned)
            .collect();
    if !flags.is_empty() {
        table.set("scheduler_flags", list(&flags));
    }
    let method = node.find("lb_kind").or_else(|| node.find("lvs_method"));
    let method = method.map_or_else(|| Method { word: "nat", tunnel: None }, method_of);
    table.text("method", method.word);
    if let Some(tunnel) = &method.tunnel {
        table.set("tunnel", tunnel);
    }
    if node.find("ops").is_some() {
        table.set("one_packet", true);
    }
    if let Some(persistence) = persistence(node) {
        table.set("persistence", persistence);
    }
    let defaults = Defaults::of(node);
    table.text("start", start(draft, node, defaults));
    if let Some(quorum) = quorum(node) {
        table.set("quorum", quorum);
    }
    let real: Vec<&Node<'_>> = node.block.iter().filter(|child| child.key() == "real_server").collect();
    let truth = |node: &Node<'_>| node.find("inhibit_on_failure").map(Node::truth);
    let inhibits = |server: &Node<'_>| truth(server).or_else(|| truth(node)).unwrap_or(false);
    let all = real.iter().all(|server| inhibits(server));
    if all {
        table.text("on_fail", "quiesce");
    }
    sorry(draft, node, front, &method, &mut table);
    let mut service = Service { table, servers: Vec::new() };
    for real in real {
        if let Some(mut server) = real_server(draft, real, front, &method, &defaults) {
            if !all && inhibits(real) {
                server.text("on_fail", "quiesce");
            }
            service.servers.push(server);
        }
    }
    rest(draft, node, KNOWN);
    for key in ["omega", "ha_suspend", "warmup"] {
        if let Some(node) = node.find(key) {
            draft.warn(
                node.line,
                format!("{key}: Director keeps the table, and spreads its checks by itself"),
            );
        }
    }
    if service.servers.is_empty() {
        return draft.warn(node.line, "a virtual_server without a real_server that could be taken: left out");
    }
    draft.services.push(service);
}

/// keepalived enters a server before its first check unless it is told `alpha`, by the virtual server or below. Here that is
/// said of a whole service.
fn start(draft: &mut Draft, node: &Node<'_>, defaults: Defaults<'_>) -> &'static str {
    let servers = node.block.iter().filter(|child| child.key() == "real_server");
    let starts: Vec<_> = servers.filter_map(|server| Some((server, alpha(server, defaults)?))).collect();
    let word = |down: bool| if down { "down" } else { "up" };
    let own = defaults.alpha.1;
    let down = match starts.split_first() {
        Some(((_, (_, first)), rest)) if rest.iter().all(|(_, (_, other))| other == first) => *first,
        _ => own,
    };
    for (server, (line, wanted)) in starts {
        if wanted != down {
            draft.warn(
                line.unwrap_or(server.line),
                format!(
                    "alpha of {} alone: `start` is of the whole service: {}",
                    server.words.get(1..).unwrap_or_default().join(" "),
                    word(down)
                ),
            );
        }
    }
    word(down)
}

#[derive(Clone, PartialEq, Eq)]
struct Method {
    word: &'static str,
    tunnel: Option<String>,
}

/// `DR`, `NAT`, `TUN [type ipip|gue port NUM|gre] [nocsum|csum|remcsum]`.
fn method_of(node: &Node<'_>) -> Method {
    let word = match node.value().to_ascii_uppercase().as_str() {
        "DR" => "dr",
        "TUN" => "tun",
        _ => "nat",
    };
    let kind = after(&node.words, "type").filter(|kind| word == "tun" && *kind != "ipip");
    let tunnel = kind.map(|kind| {
        let mut table = Table::default();
        table.text("type", kind);
        if let Some(port) = after(&node.words, "port").and_then(|port| port.parse::<u16>().ok()) {
            table.set("port", port);
        }
        for (theirs, ours) in [("csum", "full"), ("remcsum", "remote")] {
            if node.words.contains(&theirs) {
                table.text("checksum", ours);
            }
        }
        table.inline()
    });
    Method { word, tunnel }
}

fn persistence(node: &Node<'_>) -> Option<String> {
    let timeout = node.find("persistence_timeout");
    let (mask, engine) = (node.find("persistence_granularity"), node.find("persistence_engine"));
    if timeout.is_none() && mask.is_none() && engine.is_none() {
        return None;
    }
    let timeout = timeout.and_then(|node| node.number::<u32>()).unwrap_or(PERSISTENCE);
    let mut table = Table::default();
    table.text("timeout", &format!("{timeout}s"));
    match mask.map(Node::value) {
        Some(mask) if mask.contains('.') => table.text("netmask", mask),
        Some(prefix) => table.set("prefix", prefix),
        None => {}
    }
    if let Some(engine) = engine {
        table.text("engine", engine.value());
    }
    Some(if mask.is_none() && engine.is_none() { quoted(&format!("{timeout}s")) } else { table.inline() })
}

fn quorum(node: &Node<'_>) -> Option<String> {
    let need = node.find("quorum").and_then(|node| node.number::<u32>());
    let hysteresis =
        node.find("hysteresis").and_then(|node| node.number::<u32>()).filter(|number| *number > 0);
    match (need, hysteresis) {
        (None | Some(1), None) => None,
        (need, None) => Some(need.unwrap_or(1).to_string()),
        (need, Some(hysteresis)) => {
            Some(format!("{{ weight = {}, hysteresis = {hysteresis} }}", need.unwrap_or(1)))
        }
    }
}
