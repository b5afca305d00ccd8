//! `virtual_routes` and `virtual_rules` of a virtual router. Pure.

use super::tree::Node;
use super::with_prefix;
use crate::import::draft::{Draft, Table};

/// Preference of the first rule that has none: the kernel gives each the next smaller one (fib_rules.c).
const LAST: u32 = 32_765;

/// Kinds of routes that both know.
const KINDS: [&str; 3] = ["blackhole", "unreachable", "local"];

/// The routes of a virtual router, as a list.
pub(super) fn routes(draft: &mut Draft, node: &Node<'_>) -> Option<String> {
    let lines = &node.find("virtual_routes")?.block;
    let routes: Vec<String> = lines.iter().filter_map(|line| route(draft, line)).collect();
    (!routes.is_empty()).then(|| format!("[{}]", routes.join(", ")))
}

/// `[src ADDRESS] [to] NETWORK [via|gw ADDRESS] [dev IF] [table ID] [metric NUM] [scope SCOPE]`, or `blackhole NETWORK`.
fn route(draft: &mut Draft, line: &Node<'_>) -> Option<String> {
    let mut table = Table::default();
    let mut words = line.words.iter().copied();
    while let Some(word) = words.next() {
        let known = match word {
            "to" => words.next().map(|to| table.text("to", &destination(to))),
            "src" => words.next().map(|source| table.text("source", source)),
            "via" | "gw" => words.next().map(|via| table.text("via", via)),
            "dev" | "oif" => words.next().map(|name| {
                draft.interface(name, None);
                table.text("interface", name);
            }),
            "table" => words.next().and_then(table_id).map(|id| table.set("table", id)),
            "metric" | "priority" | "preference" => words
                .next()
                .and_then(|metric| metric.parse::<u32>().ok())
                .map(|metric| table.set("metric", metric)),
            kind if KINDS.contains(&kind) => {
                table.text("type", kind);
                Some(())
            }
            // The kernel's choice is what people write: `link` without a gateway, else `global`.
            "scope" => words.next().map(drop),
            "no_track" => {
                untracked(draft, line, "route");
                Some(())
            }
            "unicast" | "inet" | "inet6" => Some(()),
            to if !table.has("to") && is_network(to) => {
                table.text("to", &destination(to));
                Some(())
            }
            _ => None,
        };
        if known.is_none() {
            draft.warn(
                line.line,
                format!("route {}: {word} is not known to Director: left out", line.words.join(" ")),
            );
            return None;
        }
    }
    if !table.has("to") {
        draft.warn(line.line, format!("route {}: no destination: left out", line.words.join(" ")));
        return None;
    }
    Some(table.inline())
}

/// The rules of a virtual router, as a list.
pub(super) fn rules(draft: &mut Draft, node: &Node<'_>) -> Option<String> {
    let lines = &node.find("virtual_rules")?.block;
    let rules: Vec<String> = (0..).zip(lines).filter_map(|(at, line)| rule(draft, line, LAST - at)).collect();
    (!rules.is_empty()).then(|| format!("[{}]", rules.join(", ")))
}

/// `[from NETWORK] [to NETWORK] [iif IF] [fwmark NUM] table ID [preference NUM]`.
fn rule(draft: &mut Draft, line: &Node<'_>, preference: u32) -> Option<String> {
    let mut table = Table::default();
    table.set("preference", preference);
    let mut words = line.words.iter().copied();
    while let Some(word) = words.next() {
        let known = match word {
            "no_track" => {
                untracked(draft, line, "rule");
                Some(())
            }
            "inet" | "inet6" => Some(()),
            "from" | "to" => words.next().map(|network| {
                // Any source is what no source says.
                if network != "all" && network != "any" && network != "default" {
                    table.text(if word == "from" { "from" } else { "to" }, &with_prefix(network));
                }
            }),
            "iif" | "dev" => words.next().map(|name| {
                draft.interface(name, None);
                table.text("interface", name);
            }),
            "fwmark" => {
                words.next().and_then(|mark| mark.parse::<u32>().ok()).map(|mark| table.set("mark", mark))
            }
            "table" | "lookup" => words.next().and_then(table_id).map(|id| table.set("table", id)),
            "preference" | "pref" | "priority" | "order" => words
                .next()
                .and_then(|number| number.parse::<u32>().ok())
                .map(|number| table.set("preference", number)),
            _ => None,
        };
        if known.is_none() {
            draft.warn(
                line.line,
                format!("rule {}: {word} is not known to Director: left out", line.words.join(" ")),
            );
            return None;
        }
    }
    if !table.has("table") {
        draft.warn(line.line, format!("rule {}: without a table: left out", line.words.join(" ")));
        return None;
    }
    if !["from", "to", "interface", "mark"].iter().any(|key| table.has(key)) {
        draft.warn(line.line, format!("rule {}: for every packet: left out", line.words.join(" ")));
        return None;
    }
    Some(table.inline())
}

/// What goes is put back; what the kernel refuses has no such exception.
fn untracked(draft: &mut Draft, line: &Node<'_>, what: &str) {
    let words = line.words.join(" ");
    let why = format!(
        "{what} {words}: no_track means nothing here: one that the kernel refuses is a fault of the virtual router"
    );
    draft.warn(line.line, why);
}

/// Numbers, and the names that every host has (rt_tables).
fn table_id(word: &str) -> Option<u32> {
    match word {
        "main" => Some(254),
        "default" => Some(253),
        "local" => Some(255),
        _ => word.parse().ok().filter(|id| *id > 0),
    }
}

fn is_network(word: &str) -> bool {
    word == "default" || word.split('/').next().is_some_and(|ip| ip.parse::<std::net::IpAddr>().is_ok())
}

fn destination(word: &str) -> String {
    if word == "default" { word.to_owned() } else { with_prefix(word) }
}
