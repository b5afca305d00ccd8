//! `vrrp_instance` and `vrrp_sync_group`. Pure.

use std::collections::BTreeMap;

use super::auth::{authentication, hmac};
use super::track::track;
use super::tree::Node;
use super::way::{routes, rules};
use super::{after, rest, with_prefix};
use crate::import::draft::{Draft, Table, list, seconds, word};

const KNOWN: &[&str] = &[
    "state",
    "interface",
    "virtual_router_id",
    "priority",
    "advert_int",
    "authentication",
    "auth_hmac",
    "virtual_ipaddress",
    "virtual_ipaddress_excluded",
    "nopreempt",
    "preempt",
    "preempt_delay",
    "garp_master_delay",
    "garp_master_repeat",
    "garp_master_refresh",
    "garp_lower_prio_delay",
    "garp_lower_prio_repeat",
    "mcast_src_ip",
    "unicast_src_ip",
    "unicast_peer",
    "track_interface",
    "track_script",
    "track_file",
    "virtual_routes",
    "virtual_rules",
    "dont_track_primary",
    "version",
    "accept",
    "native_ipv6",
    "lvs_sync_daemon_interface",
    "use_vmac",
    "vmac_xmit_base",
];

/// The group of each instance that has one.
pub(super) fn sync_groups<'a>(nodes: &[Node<'a>]) -> BTreeMap<&'a str, &'a str> {
    let groups = nodes.iter().filter(|node| node.key() == "vrrp_sync_group");
    groups
        .flat_map(|group| {
            let members = group.find("group").into_iter().flat_map(|node| node.items());
            members.map(|(_, member)| (member, group.value())).collect::<Vec<_>>()
        })
        .collect()
}

/// What a group has beside its members.
pub(super) fn sync_group(draft: &mut Draft, node: &Node<'_>) {
    rest(draft, node, &["group"]);
}

/// A virtual router; `nodes` is the whole file.
pub(super) fn instance(
    draft: &mut Draft,
    node: &Node<'_>,
    nodes: &[Node<'_>],
    groups: &BTreeMap<&str, &str>,
    version: Option<u8>,
) {
    let name = node.value();
    let Some(interface) = node.find("interface").map(Node::value).filter(|name| !name.is_empty()) else {
        return draft.warn(node.line, format!("vrrp_instance {name} without an interface: left out"));
    };
    let Some(vips) = node.find("virtual_ipaddress").filter(|vips| !vips.block.is_empty()) else {
        return draft.warn(node.line, format!("vrrp_instance {name} without an address: left out"));
    };
    draft.interface(interface, None);
    let mut table = Table::default();
    table.text("name", &word(name));
    table.text("interface", interface);
    numbers(draft, node, &mut table);
    let ipv6 = vips.block.first().is_some_and(|vip| vip.key().contains(':'));
    let version = node.find("version").and_then(|node| node.number::<u8>()).or(version);
    let version = version.unwrap_or(if ipv6 { 3 } else { 2 });
    if !ipv6 {
        // keepalived's default.
        table.set("version", version);
    }
    if let Some(group) = groups.get(name) {
        table.text("group", &word(group));
    }
    let addresses: Vec<String> = vips.block.iter().map(|vip| address(draft, vip)).collect();
    table.set("addresses", format!("[{}]", addresses.join(", ")));
    if let Some(more) = node.find("virtual_ipaddress_excluded") {
        let more: Vec<String> = more.block.iter().map(|vip| address(draft, vip)).collect();
        table.set("also", format!("[{}]", more.join(", ")));
    }
    if let Some(auth) = node.find("auth_hmac") {
        hmac(draft, auth, &mut table);
    } else if let Some(auth) = node.find("authentication") {
        authentication(draft, auth, version, &mut table);
    }
    if let Some(peers) = node.find("unicast_peer") {
        let peers: Vec<String> = peers.block.iter().map(|peer| peer.key().to_owned()).collect();
        table.set("peers", list(&peers));
    }
    if let Some(source) = node.find("unicast_src_ip").or_else(|| node.find("mcast_src_ip")) {
        table.text("source", source.value());
    }
    for (key, value) in
        [("routes", routes(draft, node)), ("rules", rules(draft, node)), ("track", track(draft, node, nodes))]
    {
        if let Some(value) = value {
            table.set(key, value);
        }
    }
    if let Some(daemon) = node.find("lvs_sync_daemon_interface") {
        sync(draft, daemon.value(), &word(name));
    }
    if node.find("use_vmac").is_some() {
        let base = node.find("vmac_xmit_base").or_else(|| node.find("unicast_peer"));
        table.text("virtual_mac", if base.is_some() { "vips" } else { "all" });
    }
    rest(draft, node, KNOWN);
    draft.vrrp.push(table);
}

fn numbers(draft: &mut Draft, node: &Node<'_>, table: &mut Table) {
    if let Some(vrid) = node.find("virtual_router_id").and_then(|node| node.number::<u8>()) {
        table.set("vrid", vrid);
    } else {
        draft.warn(node.line, "no virtual_router_id: give it a `vrid`");
    }
    table.set("priority", node.find("priority").and_then(|node| node.number::<u8>()).unwrap_or(100));
    table.set(
        "interval",
        seconds(node.find("advert_int").and_then(|node| node.number::<f64>()).unwrap_or(1.0)),
    );
    if node.find("nopreempt").is_some() {
        table.set("preempt", false);
    }
    if let Some(delay) = node.find("preempt_delay").and_then(|node| node.number::<f64>()) {
        if node.find("nopreempt").is_some() {
            draft.warn(node.line, "preempt_delay says nothing beside nopreempt");
        } else {
            table.set("preempt_delay", seconds(delay));
        }
    }
    let mut garp = Table::default();
    for (theirs, ours) in [
        ("garp_master_delay", "delay"),
        ("garp_master_refresh", "refresh"),
        ("garp_lower_prio_delay", "rival_delay"),
    ] {
        if let Some(time) = node.find(theirs).and_then(|node| node.number::<f64>()) {
            garp.set(ours, seconds(time));
        }
    }
    for (theirs, ours) in [("garp_master_repeat", "repeat"), ("garp_lower_prio_repeat", "rival_repeat")] {
        if let Some(repeat) = node.find(theirs).and_then(|node| node.number::<u8>()).filter(|n| *n > 0) {
            garp.set(ours, repeat);
        }
    }
    if garp != Table::default() {
        table.set("garp", garp.inline());
    }
}

fn address(draft: &mut Draft, vip: &Node<'_>) -> String {
    let cidr = with_prefix(vip.key());
    draft.place(&cidr);
    let mut table = Table::default();
    table.text("address", &cidr);
    if let Some(interface) = after(&vip.words, "dev") {
        draft.interface(interface, None);
        table.text("interface", interface);
    }
    if let Some(label) = after(&vip.words, "label") {
        table.text("label", label);
    }
    if let Some(scope) = after(&vip.words, "scope").filter(|scope| *scope != "global") {
        table.text("scope", scope);
    }
    let long = table.has("interface") || table.has("label") || table.has("scope");
    if long { table.inline() } else { crate::import::draft::quoted(&cidr) }
}

/// `lvs_sync_daemon INTERFACE INSTANCE [id NUM] [maxlen LEN] [port NUM] [ttl NUM] [group ADDRESS]` of `global_defs`.
pub(super) fn sync_daemon(draft: &mut Draft, node: &Node<'_>) {
    let follows = node.words.get(2).copied().unwrap_or_default();
    let table = sync(draft, node.value(), &word(follows));
    for (theirs, ours) in
        [("id", "id"), ("syncid", "id"), ("maxlen", "max_length"), ("port", "port"), ("ttl", "ttl")]
    {
        if let Some(number) = after(&node.words, theirs).and_then(|number| number.parse::<u32>().ok()) {
            table.set(ours, number);
        }
    }
    if let Some(group) = after(&node.words, "group") {
        table.text("group", group);
    }
}

/// `[sync]` by an interface, as long as a virtual router is master.
fn sync<'a>(draft: &'a mut Draft, interface: &str, follow: &str) -> &'a mut Table {
    draft.interface(interface, None);
    let table = draft.sync.get_or_insert_default();
    table.text("interface", interface);
    table.text("follow", follow);
    table
}
