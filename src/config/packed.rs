//! The checked configuration as bytes, so that one process of this box parses and judges the file and the others only read.
//!
//! It belongs to one text, one set of facts about the box, and one binary; for any other there is nothing in it, and the text is
//! read instead. postcard's format: a server is some 20 bytes.

use std::hash::{BuildHasher, Hasher};
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::again::Before;
use super::marks::Marks;
use super::model::shared;
use super::model::{Check, Config, Gist, Service};
use super::{Checked, NodeFacts};

/// For which text it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Label {
    binary: [u64; 4],
    length: usize,
    digest: u64,
}

/// What comes first: all that is quick to read.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    label: Label,
    facts: NodeFacts,
    node: Option<String>,
    /// Without services.
    config: Config,
    gist: Gist,
    marks: Marks,
}

/// Packs what was read with `facts`. `None` when this binary cannot be told from others.
#[must_use]
pub fn pack(before: &Before, facts: &NodeFacts) -> Option<Vec<u8>> {
    let Checked { config, node } = &before.checked;
    let Config { system, interfaces, routes, vrrp, services, ipvs, sync, api, console, notify } = config;
    let label = Label::of(&before.text)?;
    let (packed, checks) = shared::numbering(|| postcard::to_allocvec(services));
    let packed = packed.ok()?;
    let head = Head {
        marks: Marks::packed(label.digest, &before.checked.config, &packed, &checks),
        label,
        facts: facts.clone(),
        node: node.clone(),
        config: Config {
            system: system.clone(),
            interfaces: interfaces.clone(),
            routes: routes.clone(),
            vrrp: vrrp.clone(),
            services: Vec::new(),
            ipvs: ipvs.clone(),
            sync: sync.clone(),
            api: api.clone(),
            console: console.clone(),
            notify: notify.clone(),
        },
        gist: Gist::of(services),
    };
    let bytes = postcard::to_allocvec(&head).ok()?;
    let checks: Vec<&Check> = checks.iter().map(|check| &**check).collect();
    let mut bytes = postcard::to_extend(&checks, bytes).ok()?;
    bytes.extend(packed);
    Some(bytes)
}

/// What was packed, if it was for this `text` and these `facts`.
#[must_use]
pub fn unpack(bytes: &[u8], text: &[u8], facts: &NodeFacts) -> Option<Checked> {
    let (head, rest) = head(bytes, text, facts)?;
    let mut config = head.config;
    let (checks, rest) = postcard::take_from_bytes(rest).ok()?;
    config.services = shared::numbered(checks, || postcard::from_bytes::<Vec<Service>>(rest)).ok()?;
    Some(Checked { config, node: head.node })
}

/// The same without services, and what those who do not hold them have to know of them.
#[must_use]
pub fn unpack_rest(bytes: &[u8], text: &[u8], facts: &NodeFacts) -> Option<(Checked, Gist, Marks)> {
    let (head, _) = head(bytes, text, facts)?;
    Some((Checked { config: head.config, node: head.node }, head.gist, head.marks))
}

fn head<'b>(bytes: &'b [u8], text: &[u8], facts: &NodeFacts) -> Option<(Head, &'b [u8])> {
    let (head, rest) = postcard::take_from_bytes::<Head>(bytes).ok()?;
    (head.facts == *facts && head.label == Label::of(text)?).then_some((head, rest))
}

impl Label {
    fn of(text: &[u8]) -> Option<Self> {
        Some(Self { binary: binary()?, length: text.len(), digest: digest(text) })
    }
}

/// The same in every process of one binary.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    // Every worker looks through the whole text with each reload, so it is one for speed; nobody gains by two texts of one digest.
    let mut hasher = foldhash::quality::FixedState::default().build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

/// What tells the running binary from others: another one may have another model.
fn binary() -> Option<[u64; 4]> {
    static BINARY: OnceLock<Option<[u64; 4]>> = OnceLock::new();
    *BINARY.get_or_init(|| {
        let meta = std::fs::metadata("/proc/self/exe").ok()?;
        let modified = meta.mtime().wrapping_mul(1_000_000_000).wrapping_add(meta.mtime_nsec());
        Some([meta.dev(), meta.ino(), meta.size(), modified.cast_unsigned()])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check;
    use std::sync::Arc;

    fn before(text: &str, facts: &NodeFacts) -> Before {
        let checked = check(text, "f", facts).unwrap();
        Before { text: text.as_bytes().to_vec(), checked }
    }

    #[test]
    fn every_faultless_file_comes_back_as_it_was() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/ok");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let facts = NodeFacts::default();
            let before = before(&text, &facts);
            let bytes = pack(&before, &facts).unwrap();
            let whole = unpack(&bytes, &before.text, &facts).unwrap();
            assert_eq!(whole, before.checked, "{text}");
            let (rest, gist, marks) = unpack_rest(&bytes, &before.text, &facts).unwrap();
            assert_eq!(gist, Gist::of(&whole.config.services));
            assert_eq!(marks, Marks::of(&before.text, &whole.config));
            assert_eq!((rest.config.vrrp, rest.config.services), (whole.config.vrrp, Vec::new()));
            count += 1;
        }
        assert!(count > 0);
    }

    #[test]
    fn it_is_for_one_text_and_one_box_and_never_panics() {
        let text = "version = 1\n[[interface]]\nname = \"eth0\"\naddresses = [\"192.0.2.1/24\"]\n[[service]]\nname = \"web\"\n\
                    listen = \"192.0.2.1:80\"\ncheck = { type = \"tcp\" }\n[[service.server]]\naddress = \"10.0.0.1\"\n\
                    [[service.server]]\naddress = \"10.0.0.2\"\n[node.lb2]\nmatch = { hostname = \"lb2\" }\n";
        let here = NodeFacts { hostname: Some("lb2".to_owned()), ..NodeFacts::default() };
        let before = before(text, &here);
        let bytes = pack(&before, &here).unwrap();
        let found = unpack(&bytes, text.as_bytes(), &here).unwrap();
        assert_eq!(found, before.checked);
        let servers = &found.config.services[0].servers;
        assert!(Arc::ptr_eq(&servers[0].checks[0], &servers[1].checks[0]), "what was shared still is");
        let other = NodeFacts { hostname: Some("lb1".to_owned()), ..NodeFacts::default() };
        for facts in [NodeFacts::default(), other] {
            assert_eq!(unpack(&bytes, text.as_bytes(), &facts), None);
        }
        assert_eq!(unpack(&bytes, text.replace("0.2\"", "0.3\"").as_bytes(), &here), None);
        for length in 0..bytes.len() {
            assert_eq!(unpack(&bytes[..length], text.as_bytes(), &here), None, "{length}");
        }
    }
}
