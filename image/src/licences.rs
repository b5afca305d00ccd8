//! The licences of everything we link: each must satisfy the `allow` list of `deny.toml`.
//!
//! cargo-deny says the same and more, from the same file; this needs nothing that a machine with Rust lacks.

use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use spdx::{Expression, ParseMode};

use crate::{project, tool};

/// Checks each package of Cargo.lock and returns how many there are.
///
/// # Errors
/// Lists every package whose licence is missing, unknown or not allowed.
pub fn check() -> Result<usize> {
    let file = project::root().join("deny.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let policy: Policy = toml::from_str(&text).with_context(|| format!("read {}", file.display()))?;
    let mut cargo = tool::command("cargo");
    cargo.args(["metadata", "--format-version", "1", "--locked"]).current_dir(project::root());
    let metadata: Metadata =
        serde_json::from_str(&tool::output(&mut cargo)?).context("read cargo metadata")?;
    let faults: Vec<String> =
        metadata.packages.iter().filter_map(|p| fault(p, &policy.licenses.allow)).collect();
    if faults.is_empty() {
        return Ok(metadata.packages.len());
    }
    bail!("licences that deny.toml does not allow:\n{}", faults.join("\n"));
}

#[derive(Deserialize)]
struct Policy {
    licenses: Licences,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
}

fn fault(package: &Package, allow: &[String]) -> Option<String> {
    let said = package.license.as_deref().unwrap_or_default();
    let named = || format!("  {} {}: {said:?}", package.name, package.version);
    let Ok(expression) = Expression::parse_mode(said, ParseMode::LAX) else {
        return Some(format!("{} is no SPDX expression", named()));
    };
    let allowed = expression.evaluate(|requirement| {
        let plain = requirement.license.id().is_some_and(|id| allow.iter().any(|a| a == id.name));
        plain || allow.contains(&requirement.to_string())
    });
    (!allowed).then(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(license: Option<&str>) -> Package {
        Package { name: "x".to_owned(), version: "1.0.0".to_owned(), license: license.map(str::to_owned) }
    }

    #[test]
    fn one_allowed_alternative_is_enough_and_every_conjunct_is_needed() {
        let allow = ["MIT".to_owned(), "Apache-2.0".to_owned(), "Unicode-3.0".to_owned()];
        for good in ["MIT", "MIT/Apache-2.0", "GPL-3.0-only OR MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
            assert_eq!(fault(&package(Some(good)), &allow), None, "{good}");
        }
        for bad in [Some("GPL-3.0-only"), Some("MIT AND GPL-3.0-only"), Some("none of your business"), None] {
            assert!(fault(&package(bad), &allow).is_some(), "{bad:?}");
        }
    }
}
