//! What a virtual router tracks: interfaces, scripts, files. Pure.

use super::tree::Node;
use super::{after, rest};
use crate::import::draft::{Draft, Table, list, seconds};

/// The trackers of a virtual router, as a list.
pub(super) fn track(draft: &mut Draft, node: &Node<'_>, nodes: &[Node<'_>]) -> Option<String> {
    let mut items = Vec::new();
    for tracked in lines(node, "track_interface") {
        draft.interface(tracked.key(), None);
        let mut item = Table::default();
        item.text("interface", tracked.key());
        items.push(weighed(reversed(item, tracked), weight_of(tracked).unwrap_or(0)));
    }
    for tracked in lines(node, "track_script") {
        items.extend(script(draft, tracked, nodes));
    }
    for tracked in lines(node, "track_file") {
        items.extend(file(draft, tracked, nodes));
    }
    (!items.is_empty()).then(|| format!("[{}]", items.join(", ")))
}

/// A `vrrp_script` as nobody tracks it, or a tracked file: told where it stands.
pub(super) fn definition(draft: &mut Draft, node: &Node<'_>) {
    match node.key() {
        "vrrp_script" => {
            rest(
                draft,
                node,
                &["script", "interval", "timeout", "weight", "rise", "fall", "user", "init_fail"],
            );
            if let Some(fail) = node.find("init_fail") {
                draft.warn(fail.line, "init_fail: until it has spoken a program changes nothing");
            }
            if let Some(user) = node.find("user") {
                draft.warn(user.line, "user: programs run as nobody");
            }
        }
        _ => {
            rest(draft, node, &["file", "weight", "init_file"]);
            if let Some(begin) = node.find("init_file") {
                draft.warn(begin.line, "init_file: who writes the file makes it; a missing one counts as 0");
            }
        }
    }
}

fn lines<'a, 'b>(node: &'b Node<'a>, key: &str) -> impl Iterator<Item = &'b Node<'a>> + use<'a, 'b> {
    node.find(key).into_iter().flat_map(|track| &track.block)
}

fn defined<'a, 'b>(nodes: &'b [Node<'a>], keys: &[&str], name: &str) -> Option<&'b Node<'a>> {
    nodes.iter().rev().find(|node| keys.contains(&node.key()) && node.value() == name)
}

/// The weight on the line of a tracker.
fn weight_of(tracked: &Node<'_>) -> Option<i16> {
    after(&tracked.words, "weight").and_then(|weight| weight.parse().ok())
}

fn is_reversed(tracked: &Node<'_>) -> bool {
    tracked.words.contains(&"reverse")
}

fn reversed(mut item: Table, tracked: &Node<'_>) -> Table {
    if is_reversed(tracked) {
        item.set("reverse", true);
    }
    item
}

/// Weight 0 makes a failure a FAULT, as none does in the result.
fn weighed(mut item: Table, weight: i16) -> String {
    if weight != 0 {
        item.set("weight", weight.clamp(-253, 253));
    }
    item.inline()
}

fn script(draft: &mut Draft, tracked: &Node<'_>, nodes: &[Node<'_>]) -> Option<String> {
    let name = tracked.key();
    let Some(script) = defined(nodes, &["vrrp_script"], name) else {
        draft.warn(tracked.line, format!("there is no vrrp_script {name}: left out"));
        return None;
    };
    let command = script.find("script");
    let mut words = command
        .into_iter()
        .flat_map(|node| node.words.iter().skip(1))
        .flat_map(|word| word.split_whitespace());
    let Some(program) = words.next().filter(|program| program.starts_with('/')) else {
        draft.warn(script.line, format!("vrrp_script {name} without an absolute path: left out"));
        return None;
    };
    let arguments: Vec<String> = words.map(str::to_owned).collect();
    let mut item = Table::default();
    item.text("exec", program);
    if !arguments.is_empty() {
        item.set("args", list(&arguments));
    }
    let number = |key: &str| script.find(key).and_then(|node| node.number::<f64>());
    let interval = number("interval").unwrap_or(1.0).clamp(0.1, 3600.0);
    item.set("interval", seconds(interval));
    item.set("timeout", seconds(number("timeout").unwrap_or(interval).clamp(0.01, interval)));
    for key in ["fall", "rise"] {
        item.set(key, script.find(key).and_then(|node| node.number::<u8>()).unwrap_or(1).clamp(1, 100));
    }
    let own = script.find("weight").and_then(|node| node.number::<i16>());
    let weight = weight_of(tracked).or(own).unwrap_or(0);
    Some(weighed(reversed(item, tracked), weight))
}

fn file(draft: &mut Draft, tracked: &Node<'_>, nodes: &[Node<'_>]) -> Option<String> {
    let name = tracked.key();
    let found = defined(nodes, &["vrrp_track_file", "track_file"], name);
    let Some((definition, path)) = found.and_then(|node| Some((node, node.find("file")?.value()))) else {
        draft.warn(tracked.line, format!("there is no vrrp_track_file {name} with a file: left out"));
        return None;
    };
    let mut item = Table::default();
    item.text("file", path);
    let own = definition.find("weight").and_then(|node| node.number::<i16>());
    // keepalived's default is 1 here.
    let weight = weight_of(tracked).or(own).unwrap_or(1);
    // A number of a file has a sign: there is nothing to turn round but that.
    Some(weighed(item, if is_reversed(tracked) { weight.saturating_neg() } else { weight }))
}
