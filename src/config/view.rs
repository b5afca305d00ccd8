//! A file as one box sees it: sections and keys in the file's words, its `[node.NAME]` merged in, with the place of each.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::faults::Faults;
use super::node::Node;
use super::report::Lines;
use super::value::FromTable;
use super::{NodeFacts, document, node, raw};
use crate::secret;

/// One section, or one element of a list of sections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// `system`, `interface`, `service`, `service.server`…
    pub kind: &'static str,
    /// What tells it from others of its kind; empty for a section that is there once.
    pub name: String,
    /// Its keys, in the order of the manual.
    pub keys: Vec<Entry>,
    /// Its real servers.
    pub servers: Vec<Section>,
    /// Whether there may be several of its kind.
    pub listed: bool,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The word.
    pub key: String,
    /// The value as TOML in one line.
    pub value: String,
    /// The same for those who must not know a secret in it; `None` where there is none.
    pub told: Option<String>,
    /// Its line in the file, from 1.
    pub line: usize,
    /// Whether it stands in the section of the node.
    pub of_node: bool,
}

impl Entry {
    /// The value without its secrets.
    #[must_use]
    pub fn told(&self) -> &str {
        self.told.as_deref().unwrap_or(&self.value)
    }
}

/// The sections of a text without fault, as the box of `facts` has them, and the node that is merged in. A text with faults has
/// what can be read of it.
#[must_use]
pub fn view(text: &[u8], facts: &NodeFacts) -> (Vec<Section>, Option<String>) {
    let Ok(text) = document::decode(text) else { return (Vec::new(), None) };
    let (tree, _) = document::parse(text);
    let mut faults = Faults::new(text);
    let nodes = node::nodes(tree.get_ref(), &mut faults);
    let chosen = node::choose(&nodes, facts, &mut faults).and_then(|index| nodes.get(index));
    let merged = chosen.map(|chosen| node::merge(tree.get_ref(), chosen));
    let reader = Reader { lines: Lines::new(text), node: chosen.map(Node::keys).unwrap_or_default() };
    let root = merged.as_ref().unwrap_or_else(|| tree.get_ref());
    (reader.root(root), chosen.map(|chosen| chosen.name.to_owned()))
}

/// The names of the `[node.NAME]` sections of a text.
#[must_use]
pub fn node_names(text: &[u8]) -> Vec<String> {
    let Ok(text) = document::decode(text) else { return Vec::new() };
    let (tree, _) = document::parse(text);
    node::nodes(tree.get_ref(), &mut Faults::new(text)).iter().map(|node| node.name.to_owned()).collect()
}

/// The sections as a file. `origin`: each key says its line, and its node if it is one of a node's.
#[must_use]
pub fn as_toml(sections: &[Section], node: Option<&str>, origin: bool) -> String {
    let mut text = String::from("version = 1\n");
    for section in sections {
        write_section(&mut text, section, node, origin);
        for server in &section.servers {
            write_section(&mut text, server, node, origin);
        }
    }
    text
}

fn write_section(text: &mut String, section: &Section, node: Option<&str>, origin: bool) {
    let Section { kind, listed, .. } = section;
    let header = if *listed { format!("[[{kind}]]") } else { format!("[{kind}]") };
    let _ = writeln!(text, "\n{header}");
    let widest = section.keys.iter().map(|entry| entry.key.len()).max().unwrap_or(0);
    for Entry { key, value, line, of_node, .. } in &section.keys {
        let _ = write!(text, "{key:<widest$} = {value}");
        if origin {
            let of = node.filter(|_| *of_node).map(|node| format!(" [node.{node}]")).unwrap_or_default();
            let _ = write!(text, "  # line {line}{of}");
        }
        text.push('\n');
    }
}

/// The keys of a section in the order of the manual; those of any other follow the file.
fn order(kind: &str) -> &'static [&'static str] {
    match kind {
        "system" => raw::System::KEYS,
        "interface" => raw::Interface::KEYS,
        "route" => raw::Route::KEYS,
        "vrrp" => raw::Vrrp::KEYS,
        "service" => raw::Service::KEYS,
        "service.server" => raw::Server::KEYS,
        "ipvs" => raw::Ipvs::KEYS,
        "sync" => raw::Sync::KEYS,
        _ => &[],
    }
}

struct Reader<'t> {
    lines: Lines<'t>,
    /// Where the keys of the node begin.
    node: BTreeSet<usize>,
}

impl Reader<'_> {
    fn root(&self, root: &DeTable<'_>) -> Vec<Section> {
        let known = raw::Root::KEYS.iter().filter(|kind| !matches!(**kind, "version" | "node"));
        known
            .filter_map(|kind| root.get(*kind).map(|value| (*kind, value.get_ref())))
            .flat_map(|(kind, value)| match value {
                DeValue::Table(table) => vec![self.section(kind, table, false)],
                DeValue::Array(list) => self.list(kind, list),
                _ => Vec::new(),
            })
            .collect()
    }

    fn list(&self, kind: &'static str, list: &DeArray<'_>) -> Vec<Section> {
        let tables = list.iter().filter_map(|element| element.get_ref().as_table());
        tables.map(|table| self.section(kind, table, true)).collect()
    }

    fn section(&self, kind: &'static str, table: &DeTable<'_>, listed: bool) -> Section {
        let (mut keys, mut servers) = (Vec::new(), Vec::new());
        for (key, value) in table.iter() {
            let word = key.get_ref().as_ref();
            match value.get_ref() {
                DeValue::Array(list) if kind == "service" && word == "server" => {
                    servers = self.list("service.server", list);
                }
                value => {
                    let start = key.span().start;
                    let entry = Entry {
                        key: key_text(word),
                        value: value_text(value, false),
                        told: has_secret(word, value).then(|| told(word, value)),
                        line: self.lines.place(start).0,
                        of_node: self.node.contains(&start),
                    };
                    let place = order(kind).iter().position(|known| *known == word).unwrap_or(usize::MAX);
                    keys.push(((place, start), entry));
                }
            }
        }
        keys.sort_by_key(|(place, _)| *place);
        let keys = keys.into_iter().map(|(_, entry)| entry).collect();
        Section { kind, name: name(kind, table), keys, servers, listed }
    }
}

/// What tells an element from others of its kind.
fn name(kind: &str, table: &DeTable<'_>) -> String {
    let text = |key: &str| table.get(key).and_then(|value| value.get_ref().as_str());
    let plain = |key: &str| text(key).unwrap_or_default().to_owned();
    match kind {
        "interface" => text("name").or_else(|| text("mac")).unwrap_or_default().to_owned(),
        "route" => {
            let way = text("via").map(|via| format!(" via {via}"));
            let way = way.or_else(|| text("interface").map(|name| format!(" dev {name}")));
            plain("to") + &way.unwrap_or_default()
        }
        "vrrp" | "service" | "notify" => plain("name"),
        "service.server" => plain("address"),
        _ => String::new(),
    }
}

impl Node<'_> {
    /// Where each key of the section begins, however deep.
    fn keys(&self) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        collect(self.table(), &mut found);
        found
    }
}

fn collect(table: &DeTable<'_>, found: &mut BTreeSet<usize>) {
    for (key, value) in table.iter() {
        found.insert(key.span().start);
        match value.get_ref() {
            DeValue::Table(inner) => collect(inner, found),
            DeValue::Array(list) => {
                list.iter()
                    .filter_map(|element| element.get_ref().as_table())
                    .for_each(|t| collect(t, found));
            }
            _ => {}
        }
    }
}

/// Whether there is a secret in the value of `key`.
fn has_secret(key: &str, value: &DeValue<'_>) -> bool {
    secret::is_key(key)
        || match value {
            DeValue::String(text) => secret::in_address(text),
            DeValue::Array(list) => list.iter().any(|element| has_secret("", element.get_ref())),
            DeValue::Table(table) => {
                table.iter().any(|(key, value)| has_secret(key.get_ref(), value.get_ref()))
            }
            _ => false,
        }
}

fn told(key: &str, value: &DeValue<'_>) -> String {
    if secret::is_key(key) { secret::HIDDEN.to_owned() } else { value_text(value, true) }
}

/// A value as TOML; `hide`: with a mark in the place of each secret.
fn value_text(value: &DeValue<'_>, hide: bool) -> String {
    match value {
        DeValue::String(text) if hide && secret::in_address(text) => secret::HIDDEN.to_owned(),
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => match number.radix() {
            16 => format!("0x{}", number.as_str()),
            8 => format!("0o{}", number.as_str()),
            2 => format!("0b{}", number.as_str()),
            _ => number.as_str().to_owned(),
        },
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(list) => {
            let elements: Vec<_> = list.iter().map(|element| value_text(element.get_ref(), hide)).collect();
            format!("[{}]", elements.join(", "))
        }
        DeValue::Table(table) if table.is_empty() => "{}".to_owned(),
        DeValue::Table(table) => {
            let mut pairs: Vec<(&Spanned<_>, &Spanned<DeValue<'_>>)> = table.iter().collect();
            pairs.sort_by_key(|(key, _)| key.span().start);
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(key, value)| {
                    let value = value.get_ref();
                    let value = if hide { told(key.get_ref(), value) } else { value_text(value, false) };
                    format!("{} = {value}", key_text(key.get_ref()))
                })
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
    }
}

fn key_text(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { quoted(key) }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    const FILE: &str = "\
version = 1
[system]
hostname = \"lb1\"
[[interface]]
name = \"eth0\"
addresses = [\"10.0.0.1/8\"]
[[vrrp]]
name = \"VI_1\"
interface = \"eth0\"
vrid = 0x33
priority = 100
addresses = [\"10.0.0.9/32\"]
[[service]]
name = \"web\"
listen = \"10.0.0.9:80\"
[service.check]
type = \"http\"
path = \"/a\\\"b\\\\\"
[[service.server]]
address = \"10.0.0.21:80\"
[node.lb2]
match = { hostname = \"lb2\" }
interface = [{ name = \"eth0\", addresses = [\"10.0.0.2/8\"] }]
vrrp = [{ name = \"VI_1\", priority = 50 }]
service = [{ name = \"web\", server = [{ address = \"10.0.0.21:80\", weight = 3 }, { address = \"10.0.0.22:80\" }] }]
";

    fn of(node: Option<&str>) -> NodeFacts {
        NodeFacts { node: node.map(str::to_owned), ..NodeFacts::default() }
    }

    #[test]
    fn a_node_sees_what_is_merged() {
        let (sections, node) = view(FILE.as_bytes(), &of(Some("lb2")));
        let text = as_toml(&sections, node.as_deref(), false);
        assert_eq!(
            text,
            "version = 1\n\n[system]\nhostname = \"lb1\"\n\n[[interface]]\nname      = \"eth0\"\naddresses = [\"10.0.0.2/8\"]\n\n\
             [[vrrp]]\nname      = \"VI_1\"\ninterface = \"eth0\"\nvrid      = 0x33\npriority  = 50\naddresses = [\"10.0.0.9/32\"]\n\n\
             [[service]]\nname   = \"web\"\nlisten = \"10.0.0.9:80\"\ncheck  = { type = \"http\", path = \"/a\\\"b\\\\\" }\n\n\
             [[service.server]]\naddress = \"10.0.0.21:80\"\nweight  = 3\n\n[[service.server]]\naddress = \"10.0.0.22:80\"\n"
        );
        let (merged, shown) = (check(FILE, "f", &of(Some("lb2"))), check(text, "f", &of(None)));
        assert_eq!(shown.unwrap().config, merged.unwrap().config, "what is shown means the same");
    }

    #[test]
    fn every_key_tells_where_it_comes_from() {
        let (sections, node) = view(FILE.as_bytes(), &of(Some("lb2")));
        let text = as_toml(&sections, node.as_deref(), true);
        assert!(
            text.contains("vrid      = 0x33  # line 10\npriority  = 50  # line 24 [node.lb2]\n"),
            "{text}"
        );
    }

    #[test]
    fn without_a_node_the_file_means_what_it_says() {
        let (sections, node) = view(FILE.as_bytes(), &of(None));
        assert_eq!((node, node_names(FILE.as_bytes())), (None, vec!["lb2".to_owned()]));
        let shown = check(as_toml(&sections, None, true), "f", &of(None)).unwrap();
        assert_eq!(shown.config, check(FILE, "f", &of(None)).unwrap().config);
    }
}
