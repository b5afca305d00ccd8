//! The notices that go with the binary: the licence of each crate in it, and the text that it asks to be passed on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::setup::TARGET;
use crate::tool;

/// How a file with the terms of a licence begins, the preferred choice first.
const TERMS: [&str; 6] = ["license-mit", "license_mit", "license-bsd", "license", "licence", "copying"];

/// What is said before the crates.
const PREFACE: &str = "Director is under MIT or Apache-2.0, at your option. Its image also holds, as programs of their own, the Linux\n\
     kernel (GPL-2.0 with the syscall note; source: Debian's package linux-source-6.12 and the configuration in board/)\n\
     and GRUB (GPL-3.0-or-later; source: Debian's package grub2). The binary contains these crates:\n";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

/// The notices as one text.
///
/// # Errors
/// Cargo does not answer.
pub fn text() -> Result<String> {
    let words = ["metadata", "--format-version", "1", "--locked", "--filter-platform", TARGET];
    let answer = tool::output(&mut tool::cargo(&words))?;
    let metadata: Metadata = serde_json::from_str(&answer).context("cannot read cargo metadata")?;
    let linked = linked(&metadata)?;
    let mut list = String::new();
    // terms that are the same to the letter are given once
    let mut terms: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in metadata.packages.iter().filter(|package| linked.contains(package.id.as_str())) {
        let title = format!("{} {}", package.name, package.version);
        writeln!(list, "  {title}: {}", package.license.as_deref().unwrap_or("see its source"))?;
        if let Some(text) = package.manifest_path.parent().and_then(terms_in) {
            terms.entry(text).or_default().push(title);
        }
    }
    let mut notices = format!("{PREFACE}\n{list}");
    for (text, titles) in &terms {
        writeln!(notices, "\n{}\n{}:\n\n{}", "-".repeat(78), titles.join(", "), text.trim())?;
    }
    Ok(notices)
}

/// The packages that are linked into `director`, itself left out: what it reaches without dev and build dependencies.
fn linked(metadata: &Metadata) -> Result<BTreeSet<&str>> {
    let root = metadata.packages.iter().find(|package| package.name == "director");
    let root = root.context("there is no package director")?.id.as_str();
    let nodes: BTreeMap<&str, &Node> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut found = BTreeSet::from([root]);
    let mut waiting = vec![root];
    while let Some(id) = waiting.pop() {
        let dependencies = nodes.get(id).into_iter().flat_map(|node| &node.deps);
        for dependency in dependencies.filter(|d| d.dep_kinds.iter().any(|kind| kind.kind.is_none())) {
            if found.insert(&dependency.pkg) {
                waiting.push(&dependency.pkg);
            }
        }
    }
    found.remove(root);
    Ok(found)
}

fn terms_in(dir: &Path) -> Option<String> {
    let mut names: Vec<PathBuf> = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path()).collect();
    names.sort();
    let starts = |path: &PathBuf, start: &str| {
        path.is_file()
            && path.file_name().is_some_and(|name| name.to_string_lossy().to_lowercase().starts_with(start))
    };
    let path = TERMS.iter().find_map(|start| names.iter().find(|path| starts(path, start)))?;
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_listed_with_its_terms() {
        let text = text().unwrap();
        for name in ["  nix 0.", "  serde 1.", "  libc 0."] {
            assert!(text.contains(name), "{name} is missing");
        }
        assert!(!text.contains("  tempfile "), "a dev dependency is not in the binary");
        assert!(text.contains("Permission is hereby granted"));
    }
}
