//! `keepalived.conf` (keepalived(5)). Pure.
//!
//! [`tree`]: lines and blocks · [`include`]: files in files · `vrrp`: virtual routers · `way`: their routes and rules · `track`:
//! what they track · `service`: virtual servers and their groups · `check`: checkers.

mod auth;
mod check;
pub mod include;
mod service;
mod track;
pub mod tree;
mod vrrp;
mod way;

use std::path::Path;

use super::draft::{Draft, Table, seconds};
use include::{Look, Whole};
use tree::Node;

/// Keys of any block that say who is told, or how it is logged.
const TOLD: &[&str] = &[
    "notify",
    "notify_master",
    "notify_backup",
    "notify_fault",
    "notify_stop",
    "notify_deleted",
    "notify_up",
    "notify_down",
    "quorum_up",
    "quorum_down",
    "smtp_alert",
    "notify_master_rx_lower_pri",
];

/// Reads a file with those that it includes, which `look` reads. What Director has no word for is a warning.
#[must_use]
pub fn read(path: &Path, text: &str, look: &mut Look<'_>) -> Draft {
    let whole = Whole::of(path, text, look);
    let mut draft = read_whole(&whole.text);
    for (line, why) in &whole.missing {
        draft.warn(*line, why.as_str());
    }
    for warning in &mut draft.warnings {
        (warning.file, warning.line) = whole.place(warning.line);
    }
    draft
}

fn read_whole(text: &str) -> Draft {
    let mut draft = Draft::default();
    let (nodes, faults) = tree::parse(text);
    for (line, fault) in faults {
        draft.warn(line, fault);
    }
    let groups = vrrp::sync_groups(&nodes);
    let version = nodes
        .iter()
        .find(|node| node.key() == "global_defs")
        .and_then(|globals| globals.find("vrrp_version").and_then(|node| node.number::<u8>()));
    for node in &nodes {
        match node.key() {
            "global_defs" => globals(&mut draft, node),
            "static_ipaddress" | "static_addresses" => static_addresses(&mut draft, node),
            "static_routes" => static_routes(&mut draft, node),
            "vrrp_sync_group" => vrrp::sync_group(&mut draft, node),
            "vrrp_instance" => vrrp::instance(&mut draft, node, &nodes, &groups, version),
            "virtual_server" => service::server(&mut draft, node, &nodes),
            "virtual_server_group" => service::group(&mut draft, node, &nodes),
            "vrrp_script" | "vrrp_track_file" | "track_file" => track::definition(&mut draft, node),
            other => draft.warn(node.line, format!("{other}: not known to Director")),
        }
    }
    draft
}

/// Warns of what a block has beside `known`, once for each key.
fn rest(draft: &mut Draft, node: &Node<'_>, known: &[&str]) {
    for child in &node.block {
        let key = child.key();
        if known.contains(&key) {
            continue;
        }
        let why = if TOLD.contains(&key) {
            "not taken: `[[notify]]` says who is told of what"
        } else {
            "not known to Director"
        };
        draft.warn(child.line, format!("{key}: {why}"));
    }
}

/// Who gets mail; keepalived sends it where `smtp_alert` says so, Director of everything unless `events` says otherwise.
fn mail(draft: &mut Draft, node: &Node<'_>) {
    let Some(receivers) = node.find("notification_email") else { return };
    let text = |key: &str| node.find(key).map(Node::value).filter(|text| !text.is_empty());
    let to: Vec<&str> = receivers.block.iter().flat_map(|line| line.words.iter().copied()).collect();
    let from = text("notification_email_from").or_else(|| to.first().copied());
    let (Some(server), Some(from)) = (node.find("smtp_server"), from) else {
        return draft.warn(receivers.line, "notification_email: no `smtp_server` is named: see `[[notify]]`");
    };
    let port = server.words.get(2).and_then(|port| port.parse::<u16>().ok()).unwrap_or(25);
    let host = server.value();
    let host = if host.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() };
    draft.mail(server.line, &format!("{host}:{port}"), from, &to, text("smtp_helo_name"));
}

fn globals(draft: &mut Draft, node: &Node<'_>) {
    mail(draft, node);
    for child in &node.block {
        match child.key() {
            "router_id" => draft
                .warn(child.line, format!("router_id {}: mails have the name of the host", child.value())),
            "vrrp_version" => {}
            "lvs_sync_daemon" => vrrp::sync_daemon(draft, child),
            "lvs_timeouts" => timeouts(draft, child),
            "notification_email" | "notification_email_from" | "smtp_server" | "smtp_helo_name" => {}
            "smtp_connect_timeout" => {
                draft.warn(
                    child.line,
                    "smtp_connect_timeout: `timeout` of `[[notify]]` is for a whole delivery",
                );
            }
            other => draft.warn(child.line, format!("{other}: not known to Director")),
        }
    }
}

/// Longest idle time of a connection that keepalived takes, seconds: 31 days.
const LONGEST_IDLE: u32 = 31 * 86_400;

/// `lvs_timeouts [tcp SECS] [tcpfin SECS] [udp SECS]`: what is not said stays as it is.
fn timeouts(draft: &mut Draft, node: &Node<'_>) {
    let mut table = draft.timeouts.take().unwrap_or_default();
    for pair in node.words.get(1..).unwrap_or_default().chunks(2) {
        let key = match pair.first() {
            Some(&"tcp") => "tcp",
            Some(&"tcpfin") => "tcp_fin",
            Some(&"udp") => "udp",
            _ => "",
        };
        let number = pair.get(1).and_then(|number| number.parse::<u32>().ok());
        match number.filter(|number| !key.is_empty() && (1..=LONGEST_IDLE).contains(number)) {
            Some(number) => table.set(key, seconds(f64::from(number))),
            None => draft.warn(node.line, format!("lvs_timeouts {}: left out", pair.join(" "))),
        }
    }
    draft.timeouts = Some(table).filter(|table| *table != Table::default());
}

fn static_addresses(draft: &mut Draft, node: &Node<'_>) {
    for child in &node.block {
        let interface = after(&child.words, "dev").unwrap_or("eth0");
        let address = with_prefix(child.key());
        draft.interface(interface, Some(&address));
    }
}

fn static_routes(draft: &mut Draft, node: &Node<'_>) {
    for child in &node.block {
        let mut table = Table::default();
        let to = if child.key() == "default" { "default".to_owned() } else { with_prefix(child.key()) };
        table.text("to", &to);
        if let Some(via) = after(&child.words, "via").or_else(|| after(&child.words, "gw")) {
            table.text("via", via);
        }
        if let Some(interface) = after(&child.words, "dev") {
            table.text("interface", interface);
        }
        if let Some(metric) = after(&child.words, "metric").and_then(|metric| metric.parse::<u32>().ok()) {
            table.set("metric", metric);
        }
        draft.routes.push(table);
    }
}

/// The word behind `key`.
fn after<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().skip_while(|word| **word != key).nth(1).copied()
}

/// An address without prefix is one host.
fn with_prefix(address: &str) -> String {
    match (address.contains('/'), address.contains(':')) {
        (true, _) => address.to_owned(),
        (false, true) => format!("{address}/128"),
        (false, false) => format!("{address}/32"),
    }
}
