//! One file serves several boxes: `[node.NAME]` says what differs on the box that it matches.
//!
//! The merge works on the tree of the file, before anything is read from it, so every value keeps its place and the
//! merged tree is judged by the same rules as any other.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::faults::Faults;
use super::field::Field;
use super::report::Span;
use super::value::{FromTable, field, unknown_keys, wrong_type};
use crate::units::Mac;

/// What tells one box from another.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct NodeFacts {
    /// The hardware addresses of this box.
    pub macs: BTreeSet<Mac>,
    /// The present host name.
    pub hostname: Option<String>,
    /// The section to use in any case (`director check --node NAME`).
    pub node: Option<String>,
}

/// A section `[node.NAME]`.
#[derive(Debug)]
pub struct Node<'t> {
    /// NAME.
    pub name: &'t str,
    /// Where the name stands.
    pub span: Span,
    table: &'t DeTable<'t>,
    mac: Option<Mac>,
    hostname: Option<String>,
}

impl<'t> Node<'t> {
    /// What the section says.
    pub(super) const fn table(&self) -> &'t DeTable<'t> {
        self.table
    }

    fn matches(&self, facts: &NodeFacts) -> bool {
        self.mac.is_some_and(|mac| facts.macs.contains(&mac))
            || self.hostname.is_some() && self.hostname == facts.hostname
    }
}

/// The sections of the file by name, with the faults of their `match`.
pub fn nodes<'t>(root: &'t DeTable<'t>, faults: &mut Faults<'_>) -> Vec<Node<'t>> {
    let Some(section) = root.get("node") else { return Vec::new() };
    let Some(section_table) = section.get_ref().as_table() else {
        wrong_type("node", section, "sections such as [node.lb2]", faults);
        return Vec::new();
    };
    let mut found = Vec::new();
    for (name, value) in section_table.iter() {
        match value.get_ref().as_table() {
            Some(table) => found.push(node(name, value, table, faults)),
            None => wrong_type(name.get_ref(), value, "a section such as [node.lb2]", faults),
        }
    }
    refuse_same_match(&found, faults);
    found
}

fn node<'t>(
    name: &'t Spanned<std::borrow::Cow<'t, str>>,
    value: &Spanned<DeValue<'_>>,
    table: &'t DeTable<'t>,
    faults: &mut Faults<'_>,
) -> Node<'t> {
    let span = name.span().into();
    for (key, _) in table.iter().filter(|(key, _)| matches!(key.get_ref().as_ref(), "node" | "version")) {
        faults.add(key.span().into(), format!("`{}` cannot stand in a node's section", key.get_ref()));
    }
    let found: Field<Match> = field(table, "match", faults);
    let example = "match = { mac = \"52:54:00:00:00:02\" }";
    let matching = found.required(value.span().into(), "match", example, faults);
    let (mac, hostname) = matching.map_or((None, None), |at| {
        let Match { at, mac, hostname } = &at.value;
        if mac.is_given() == hostname.is_given() {
            faults.add(*at, "`match` needs either `mac` or `hostname`");
        }
        (mac.get().copied(), hostname.get().cloned())
    });
    Node { name: name.get_ref(), span, table, mac, hostname }
}

struct Match {
    at: Span,
    mac: Field<Mac>,
    hostname: Field<String>,
}

impl FromTable for Match {
    const KEYS: &'static [&'static str] = &["mac", "hostname"];

    fn from_table(table: &DeTable<'_>, at: Span, faults: &mut Faults<'_>) -> Self {
        unknown_keys(table, Self::KEYS, faults);
        Self { at, mac: field(table, "mac", faults), hostname: field(table, "hostname", faults) }
    }
}

fn refuse_same_match(nodes: &[Node<'_>], faults: &mut Faults<'_>) {
    let mut seen = BTreeMap::new();
    for node in nodes {
        let key = (node.mac, node.hostname.as_deref());
        if key == (None, None) {
            continue;
        }
        if let Some(first) = seen.insert(key, node.name) {
            faults.add(node.span, format!("nodes `{first}` and `{}` match the same box", node.name));
        }
    }
}

/// The section that applies to the box of which `facts` tell, as an index; `None` uses the file as it is.
pub fn choose(nodes: &[Node<'_>], facts: &NodeFacts, faults: &mut Faults<'_>) -> Option<usize> {
    if let Some(wanted) = &facts.node {
        let found = nodes.iter().position(|node| node.name == wanted);
        if found.is_none() {
            let names: Vec<_> = nodes.iter().map(|node| node.name).collect();
            let help = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            faults.add_with_help(
                Span::default(),
                format!("there is no section [node.{wanted}]"),
                format!("nodes of this file: {help}"),
            );
        }
        return found;
    }
    let mut matching = nodes.iter().enumerate().filter(|(_, node)| node.matches(facts));
    let (index, first) = matching.next()?;
    if let Some((_, second)) = matching.next() {
        faults.add(second.span, format!("nodes `{}` and `{}` both match this box", first.name, second.name));
    }
    Some(index)
}

/// The file as the box of `node` has it.
///
/// `[system]`, `[api]`, `[console]`, `[ipvs]` and its `sysctl` are merged key by key. The elements of `interface`, `route`, `vrrp`, `service`, `notify` and `service.server` are matched
/// by what names them and merged key by key, unmatched ones are added at the end. Any other value replaces the file's.
pub fn merge<'t>(root: &DeTable<'t>, node: &Node<'t>) -> DeTable<'t> {
    let mut merged = root.clone();
    for (key, value) in node.table.iter().filter(|(key, _)| key.get_ref() != "match") {
        let names: &[&str] = match key.get_ref().as_ref() {
            "interface" => &["name", "mac"],
            "route" => &["to"],
            "vrrp" | "service" | "notify" => &["name"],
            _ => &[],
        };
        merge_value(&mut merged, key, value, names);
    }
    merged
}

type Key<'t> = Spanned<std::borrow::Cow<'t, str>>;

fn merge_value<'t>(into: &mut DeTable<'t>, key: &Key<'t>, value: &Spanned<DeValue<'t>>, names: &[&str]) {
    match (into.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut), value.get_ref()) {
        (Some(DeValue::Table(base)), DeValue::Table(other))
            if matches!(key.get_ref().as_ref(), "system" | "ipvs" | "sysctl" | "api" | "console") =>
        {
            merge_table(base, other);
        }
        (Some(DeValue::Array(base)), DeValue::Array(other)) if !names.is_empty() => {
            merge_array(base, other, names);
        }
        _ => {
            into.remove(key.get_ref().as_ref());
            into.insert(key.clone(), value.clone());
        }
    }
}

fn merge_table<'t>(base: &mut DeTable<'t>, other: &DeTable<'t>) {
    for (key, value) in other.iter() {
        let names: &[&str] = if key.get_ref() == "server" { &["address"] } else { &[] };
        merge_value(base, key, value, names);
    }
}

fn merge_array<'t>(base: &mut DeArray<'t>, other: &DeArray<'t>, names: &[&str]) {
    let named = |element: &Spanned<DeValue<'t>>| -> Option<String> {
        let table = element.get_ref().as_table()?;
        names.iter().find_map(|name| table.get(*name)?.get_ref().as_str().map(str::to_owned))
    };
    let places: BTreeMap<String, usize> =
        base.iter().enumerate().filter_map(|(index, element)| Some((named(element)?, index))).collect();
    for element in other.iter() {
        let place = named(element).and_then(|name| places.get(&name)).and_then(|index| base.get_mut(*index));
        match (place.map(Spanned::get_mut), element.get_ref()) {
            (Some(DeValue::Table(table)), DeValue::Table(other)) => merge_table(table, other),
            _ => base.push(element.clone()),
        }
    }
}
