//! `authentication` and `auth_hmac` of a `vrrp_instance`. Pure.

use super::rest;
use super::tree::Node;
use crate::config::model::HmacKey;
use crate::import::draft::{Draft, Table, quoted, seconds};

pub(super) fn authentication(draft: &mut Draft, node: &Node<'_>, version: u8, table: &mut Table) {
    let kind = node.find("auth_type").map(Node::value).unwrap_or_default().to_ascii_lowercase();
    let key = node.find("auth_pass").map(Node::value).unwrap_or_default();
    if version != 2 || !matches!(kind.as_str(), "pass" | "ah") {
        return draft.warn(node.line, format!("authentication by {kind} in version {version}: left out"));
    }
    let mut auth = Table::default();
    auth.text("type", &kind);
    // keepalived cuts it at eight bytes, too.
    let cut =
        key.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= 8).last().unwrap_or(0);
    auth.text("key", key.get(..cut).unwrap_or_default());
    table.set("auth", auth.inline());
}

/// keepalived 2.4's trailer, which is ours on the wire as well: `key ID hex:…|TEXT|file:PATH`, `active_key`, `anti_replay`,
/// `time_window`, `mode` (keepalived.conf(5)).
pub(super) fn hmac(draft: &mut Draft, node: &Node<'_>, table: &mut Table) {
    rest(draft, node, &["key", "active_key", "anti_replay", "time_window", "mode"]);
    let lines = node.block.iter().filter(|line| line.key() == "key");
    let keys: Vec<(u8, String)> = lines.filter_map(|line| key(draft, line)).collect();
    if keys.is_empty() {
        return draft.warn(node.line, "auth_hmac without a key that can be used: left out");
    }
    let mut auth = Table::default();
    auth.text("type", "hmac");
    if let Some(active) = node.find("active_key") {
        match active.number::<u8>().filter(|id| keys.iter().any(|(known, _)| known == id)) {
            Some(id) => auth.set("active", id),
            None => draft.warn(active.line, "active_key names no key that can be used: the first one signs"),
        }
    }
    let mut word = |theirs: &str, ours: &'static str, known: &[&str]| {
        let line = node.find(theirs)?;
        if known.contains(&line.value()) {
            auth.text(ours, line.value());
        } else {
            draft.warn(line.line, format!("{theirs} {}: left out", line.value()));
        }
        Some(line.value())
    };
    word("mode", "mode", &["enforce", "permissive", "receive-only"]);
    let replay = word("anti_replay", "replay", &["time", "monotonic"]);
    if let Some(window) = node.find("time_window").and_then(Node::number::<u16>)
        && replay != Some("monotonic")
    {
        auth.set("window", seconds(f64::from(window)));
    }
    let keys = keys.iter().map(|(id, key)| format!("{{ id = {id}, key = {} }}", quoted(key)));
    auth.set("keys", format!("[{}]", keys.collect::<Vec<_>>().join(", ")));
    table.set("auth", auth.inline());
}

fn key(draft: &mut Draft, line: &Node<'_>) -> Option<(u8, String)> {
    let [_, id, value] = line.words[..] else {
        draft.warn(line.line, "a key is an id and a value: left out");
        return None;
    };
    let Some(id) = id.parse::<u8>().ok().filter(|id| *id > 0) else {
        draft.warn(line.line, format!("{id:?} is no id of a key, 1 to 255: left out"));
        return None;
    };
    if let Some(path) = value.strip_prefix("file:") {
        let name = path.rsplit('/').next().unwrap_or(path);
        draft.warn(line.line, format!("key {id}: copy {path} to secrets/{name} beside director.toml"));
        return Some((id, format!("file:{name}")));
    }
    if HmacKey::read(value).is_none() {
        let (least, most) = (HmacKey::LENGTHS.start(), HmacKey::LENGTHS.end());
        draft.warn(line.line, format!("key {id} has not {least} to {most} bytes: left out"));
        return None;
    }
    Some((id, value.to_owned()))
}
