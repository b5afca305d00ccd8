//! What changes on this box from one configuration to another, in the words of the file. Pure.
//!
//! The models decide whether a virtual router, a service or a server changes; the file's own keys and values tell what.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::lines::diff;
use crate::config::model::{Config, RouteKind, Server, Service, VrrpInstance};
use crate::config::view::{Entry, Section, view};
use crate::config::{Before, NodeFacts};
use crate::ipc::message::{ChangeAction, Changed, Difference};
use crate::units::Cidr;

/// From `old`, which runs, to `new`; `from` says where the new one is taken from.
#[must_use]
pub fn difference(old: &Before, new: &Before, from: &str) -> Difference {
    let text = |before: &Before| String::from_utf8_lossy(&before.text).into_owned();
    let lines = diff(&text(old), &text(new));
    let node = new.checked.node.clone();
    let (was, is) = (&old.checked.config, &new.checked.config);
    if was == is && old.checked.node == node {
        return Difference { from: from.to_owned(), node, lines, ..Difference::default() };
    }
    let mut changes = Vec::new();
    let pairs = pairs(seen(old), seen(new));
    for (old, new) in &pairs {
        changes.extend(section(old.as_ref(), new.as_ref(), was, is));
        if let Some(Section { kind: "service", name, .. }) = new.as_ref().or(old.as_ref()) {
            changes.extend(servers(name, service(was, name), service(is, name)));
        }
    }
    if old.checked.node != node {
        let name = |node: &Option<String>| node.clone().unwrap_or_else(|| "none".to_owned());
        let details = vec![format!("{} -> {}", name(&old.checked.node), name(&node))];
        changes.push(Changed {
            action: ChangeAction::Change,
            kind: "node".into(),
            name: String::new(),
            details,
        });
    }
    Difference { from: from.to_owned(), node, changes, warnings: warnings(was, is), lines }
}

/// The changes, a line each: `~ vrrp VI_1: priority: 100 -> 50`.
#[must_use]
pub fn summary(changes: &[Changed]) -> Vec<String> {
    let line = |change: &Changed| {
        let sign = match change.action {
            ChangeAction::Add => '+',
            ChangeAction::Change => '~',
            ChangeAction::Remove => '-',
        };
        let name = if change.name.is_empty() { String::new() } else { format!(" {}", change.name) };
        let details = change.details.join(", ");
        let details = if details.is_empty() { details } else { format!(": {details}") };
        format!("{sign} {}{name}{details}", change.kind)
    };
    changes.iter().map(line).collect()
}

fn seen(before: &Before) -> Vec<Section> {
    let facts = NodeFacts { node: before.checked.node.clone(), ..NodeFacts::default() };
    view(&before.text, &facts).0
}

type Pair = (Option<Section>, Option<Section>);

/// Each section with its counterpart, in the order of the new file, then what is only in the old one.
fn pairs(old: Vec<Section>, new: Vec<Section>) -> Vec<Pair> {
    let mut left: BTreeMap<(&'static str, String), Vec<Section>> = BTreeMap::new();
    let order: Vec<_> = old.iter().map(|section| (section.kind, section.name.clone())).collect();
    for section in old.into_iter().rev() {
        left.entry((section.kind, section.name.clone())).or_default().push(section);
    }
    let mut pairs: Vec<Pair> = Vec::new();
    for section in new {
        let counterpart = left.get_mut(&(section.kind, section.name.clone())).and_then(Vec::pop);
        pairs.push((counterpart, Some(section)));
    }
    pairs
        .extend(order.iter().filter_map(|key| left.get_mut(key)?.pop()).map(|section| (Some(section), None)));
    pairs
}

fn section(old: Option<&Section>, new: Option<&Section>, was: &Config, is: &Config) -> Option<Changed> {
    let (kind, name) = new.or(old).map(|section| (section.kind, section.name.clone()))?;
    let (action, details) = match (old, new) {
        (None, Some(new)) => (ChangeAction::Add, new.keys.iter().filter(|e| !names(e)).map(told).collect()),
        (Some(_), None) => (ChangeAction::Remove, Vec::new()),
        (Some(old), Some(new)) => {
            let details = edits(&old.keys, &new.keys);
            if details.is_empty() || means_the_same(kind, &name, was, is) {
                return None;
            }
            (ChangeAction::Change, details)
        }
        (None, None) => return None,
    };
    Some(Changed { action, kind: kind.to_owned(), name, details })
}

/// Whether what is written differently is the same to the kernel: `"1s"` and `"1000ms"`.
fn means_the_same(kind: &str, name: &str, was: &Config, is: &Config) -> bool {
    match kind {
        "vrrp" => router(was, name) == router(is, name),
        "service" => match (service(was, name), service(is, name)) {
            (Some(was), Some(is)) => {
                let bare = |service: &Service| Service { servers: Vec::new(), ..service.clone() };
                // A default for its servers may be all that changes: then they are told of.
                bare(was) == bare(is)
            }
            _ => false,
        },
        "system" => was.system == is.system,
        "ipvs" => was.ipvs == is.ipvs,
        "sync" => was.sync == is.sync,
        _ => false,
    }
}

fn router<'c>(config: &'c Config, name: &str) -> Option<&'c VrrpInstance> {
    config.vrrp.iter().find(|instance| instance.name == name)
}

fn service<'c>(config: &'c Config, name: &str) -> Option<&'c Service> {
    config.services.iter().find(|service| service.name == name)
}

/// Whether a key only repeats the name of its section.
fn names(entry: &Entry) -> bool {
    entry.key == "name"
}

/// Secrets are left out: what changes goes to the log and to whoever asks for the status.
fn told(entry: &Entry) -> String {
    format!("{} = {}", entry.key, entry.told())
}

fn edits(old: &[Entry], new: &[Entry]) -> Vec<String> {
    fn find<'e>(entries: &'e [Entry], key: &str) -> Option<&'e Entry> {
        entries.iter().find(|entry| entry.key == key)
    }
    let changed = new.iter().filter_map(|is| {
        let was = find(old, &is.key);
        let before = was.map_or("default", Entry::told);
        (was.map(|was| &was.value) != Some(&is.value))
            .then(|| format!("{}: {before} -> {}", is.key, is.told()))
    });
    let gone = old.iter().filter(|was| find(new, &was.key).is_none());
    changed.chain(gone.map(|was| format!("{}: {} -> default", was.key, was.told()))).collect()
}

fn servers(name: &str, was: Option<&Service>, is: Option<&Service>) -> Vec<Changed> {
    let by_address = |service: Option<&Service>| {
        let servers = service.map(|service| service.servers.clone()).unwrap_or_default();
        servers.into_iter().map(|server| (server.address, server)).collect::<BTreeMap<SocketAddr, Server>>()
    };
    let (was, is) = (by_address(was), by_address(is));
    let changed = |action, address: &SocketAddr, details| Changed {
        action,
        kind: "server".to_owned(),
        name: format!("{name} {address}"),
        details,
    };
    let all: BTreeSet<&SocketAddr> = was.keys().chain(is.keys()).collect();
    all.into_iter()
        .filter_map(|address| match (was.get(address), is.get(address)) {
            (None, Some(_)) => Some(changed(ChangeAction::Add, address, Vec::new())),
            (Some(_), None) => Some(changed(ChangeAction::Remove, address, Vec::new())),
            (Some(was), Some(is)) if was != is => {
                Some(changed(ChangeAction::Change, address, server_edits(was, is)))
            }
            _ => None,
        })
        .collect()
}

fn server_edits(was: &Server, is: &Server) -> Vec<String> {
    let mut edits = Vec::new();
    if was.weight != is.weight {
        edits.push(format!("weight: {} -> {}", was.weight.get(), is.weight.get()));
    }
    for (key, old, new) in
        [("max_connections", was.upper, is.upper), ("min_connections", was.lower, is.lower)]
    {
        if old != new {
            edits.push(format!("{key}: {old} -> {new}"));
        }
    }
    if was.enabled != is.enabled {
        edits.push(format!("enabled: {} -> {}", was.enabled, is.enabled));
    }
    let others = [
        ("method", was.method != is.method),
        ("tunnel", was.tunnel != is.tunnel),
        ("check", was.checks != is.checks),
    ];
    edits.extend(others.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key.to_owned()));
    edits
}

/// What may cut somebody off.
fn warnings(was: &Config, is: &Config) -> Vec<String> {
    let addresses = |config: &Config| -> BTreeSet<Cidr> {
        config.interfaces.iter().flat_map(|interface| interface.addresses.iter().copied()).collect()
    };
    let vips = |config: &Config| -> BTreeSet<Cidr> {
        config.vrrp.iter().flat_map(|router| router.addresses.iter().map(|vip| vip.cidr)).collect()
    };
    let mut all = Vec::new();
    for gone in addresses(was).difference(&addresses(is)) {
        all.push(format!("the address {gone} of this box goes: who came by it must come by another one"));
    }
    if was.interfaces.iter().any(|old| old.dhcp) && !is.interfaces.iter().any(|new| new.dhcp) {
        all.push("the address by DHCP goes".to_owned());
    }
    let gateways = |config: &Config| -> Vec<_> {
        let default = config.routes.iter().filter(|r| r.kind == RouteKind::Unicast && r.to.prefix == 0);
        default.map(|route| (route.via, route.interface.clone())).collect()
    };
    if gateways(was) != gateways(is) && !gateways(was).is_empty() {
        all.push("the default gateway changes".to_owned());
    }
    all.extend(vips(was).difference(&vips(is)).map(|vip| format!("the VIP {vip} goes")));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check;

    const OLD: &str = "version = 1\n\
        [[interface]]\nname = \"eth0\"\naddresses = [\"10.0.0.1/8\"]\n\
        [[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\ninterval = \"1s\"\naddresses = [\"10.0.0.9/32\"]\n\
        [[service]]\nname = \"web\"\nlisten = \"10.0.0.9:80\"\n\
        [[service.server]]\naddress = \"10.0.0.21:80\"\n[[service.server]]\naddress = \"10.0.0.22:80\"\nweight = 2\n";

    fn before(text: &str) -> Before {
        let facts =
            NodeFacts { node: text.contains("[node.b]").then(|| "b".to_owned()), ..NodeFacts::default() };
        let checked = check(text, "f", &facts).unwrap_or_else(|report| panic!("{report}"));
        Before { text: text.as_bytes().to_vec(), checked }
    }

    fn told_of(edits: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let new = edits.iter().fold(OLD.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        let found = difference(&before(OLD), &before(&new), "x");
        (summary(&found.changes), found.warnings)
    }

    #[test]
    fn each_change_is_told_in_the_words_of_the_file() {
        for (edits, expected) in [
            (vec![("vrid = 51", "vrid = 51\npriority = 50")], vec!["~ vrrp VI_1: priority: default -> 50"]),
            (vec![("\"1s\"", "\"1000ms\"")], vec![]),
            (vec![("\"1s\"", "\"100ms\"")], vec!["~ vrrp VI_1: interval: \"1s\" -> \"100ms\""]),
            (
                vec![("weight = 2", "weight = 3"), ("0.21:80", "0.23:80")],
                vec![
                    "- server web 10.0.0.21:80",
                    "~ server web 10.0.0.22:80: weight: 2 -> 3",
                    "+ server web 10.0.0.23:80",
                ],
            ),
            (
                vec![
                    ("0.21:80", "0.21-22:80"),
                    ("[[service.server]]\naddress = \"10.0.0.22:80\"\nweight = 2\n", ""),
                ],
                vec!["~ server web 10.0.0.22:80: weight: 2 -> 1"],
            ),
            (
                vec![(
                    "name = \"web\"\nlisten = \"10.0.0.9:80\"",
                    "name = \"www\"\nlisten = \"10.0.0.9:80\"\nscheduler = \"rr\"",
                )],
                vec![
                    "+ service www: listen = \"10.0.0.9:80\", scheduler = \"rr\"",
                    "+ server www 10.0.0.21:80",
                    "+ server www 10.0.0.22:80",
                    "- service web",
                    "- server web 10.0.0.21:80",
                    "- server web 10.0.0.22:80",
                ],
            ),
            (vec![("[[interface]]", "# a comment\n[[interface]]")], vec![]),
        ] {
            assert_eq!(told_of(&edits).0, expected, "{edits:?}");
        }
    }

    #[test]
    fn secrets_are_no_part_of_what_is_told() {
        let with = |password: &str, key: &str| {
            let auth = format!("vrid = 51\nversion = 2\nauth = {{ type = \"pass\", key = \"{key}\" }}");
            format!(
                "{}[[notify]]\nname = \"ops\"\ntype = \"mail\"\nserver = \"mail.example.org:587\"\nfrom = \"a@example.org\"\n\
                 to = [\"b@example.org\"]\nuser = \"u\"\npassword = \"{password}\"\nstarttls = true\n",
                OLD.replace("vrid = 51", &auth)
            )
        };
        let told =
            |old: &str, new: &str| summary(&difference(&before(old), &before(new), "x").changes).join("\n");
        let (old, new) = (with("hunter2", "s3cret"), with("hunter3", "s4cret"));
        assert_eq!(
            told(&old, &new),
            "~ vrrp VI_1: auth: { type = \"pass\", key = (hidden) } -> { type = \"pass\", key = (hidden) }\n\
             ~ notify ops: password: (hidden) -> (hidden)"
        );
        let added = told(OLD, &new);
        assert!(added.contains("password = (hidden)") && added.contains("user = \"u\""), "{added}");
        let gone = told(&new, OLD);
        for text in [added, gone] {
            assert!(!text.contains("hunter") && !text.contains("cret\""), "{text}");
        }
    }

    #[test]
    fn what_may_cut_somebody_off_is_warned_of() {
        let (changes, warnings) = told_of(&[("10.0.0.1/8", "10.0.0.2/8"), ("10.0.0.9", "10.0.0.8")]);
        assert_eq!(
            warnings,
            [
                "the address 10.0.0.1/8 of this box goes: who came by it must come by another one",
                "the VIP 10.0.0.9/32 goes"
            ]
        );
        assert_eq!(changes.len(), 3, "{changes:?}");
    }

    #[test]
    fn a_node_sees_its_own_changes() {
        let node = "[node.b]\nmatch = { hostname = \"b\" }\nvrrp = [{ name = \"VI_1\", priority = 50 }]\n";
        let old = before(&format!("{OLD}{node}"));
        let new = before(&format!("{OLD}{}", node.replace("50", "60")));
        assert_eq!(summary(&difference(&old, &new, "x").changes), ["~ vrrp VI_1: priority: 50 -> 60"]);
    }
}
