//! The steps that cargo does.

use anyhow::{Context, Result};

use super::outcome::Outcome;
use crate::{licences, project, tool};

/// Every file is formatted as rustfmt.toml says.
///
/// # Errors
/// When cargo cannot be started.
pub fn format() -> Result<Outcome> {
    verdict(&["fmt", "--all", "--check"])
}

/// No warning of clippy in any target of the workspace.
///
/// # Errors
/// When cargo cannot be started.
pub fn clippy() -> Result<Outcome> {
    verdict(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"])
}

/// Licences, advisories and sources of the dependencies; without cargo-deny the licences alone.
///
/// # Errors
/// When cargo cannot be started.
pub fn deny() -> Result<Outcome> {
    if tool::cargo(&["deny", "--version"]).output().is_ok_and(|out| out.status.success()) {
        return verdict(&["deny", "--workspace", "check"]);
    }
    let count = licences::check()?;
    let why = "advisories: cargo-deny is not installed (cargo install --locked cargo-deny)";
    let notes = vec![format!("the licences of {count} packages are among those that deny.toml allows")];
    Ok(Outcome { notes, ..Outcome::passed().and_skipped(why) })
}

/// Unit and golden tests: those inside the sources of every crate.
///
/// # Errors
/// When cargo cannot be started.
pub fn unit() -> Result<Outcome> {
    tests(&["--lib".to_owned(), "--bins".to_owned()])
}

/// Integration tests: scenarios, and what needs namespaces, other programs or a terminal; all but those that want the
/// shipped kernel.
///
/// # Errors
/// When cargo cannot be started.
pub fn integration() -> Result<Outcome> {
    let names = names()?.into_iter().filter(|name| !name.starts_with("kernel_"));
    tests(&names.flat_map(|name| ["--test".to_owned(), name]).collect::<Vec<_>>())
}

/// The integration tests of the package `director`: the files, and the folders with a `main.rs`, in `tests/`.
pub(super) fn names() -> Result<Vec<String>> {
    let folder = project::root().join("tests");
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = folder.read_dir().with_context(|| format!("reading {}", folder.display()))?;
    let name = |path: std::path::PathBuf| {
        let is_test = path.extension().is_some_and(|end| end == "rs") || path.join("main.rs").exists();
        is_test.then(|| path.file_stem().map(|stem| stem.to_string_lossy().into_owned())).flatten()
    };
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| name(entry.path())).collect();
    names.sort();
    Ok(names)
}

fn tests(targets: &[String]) -> Result<Outcome> {
    let mut command = tool::cargo(&["test", "--quiet", "--workspace", "--no-fail-fast"]);
    command.args(targets).args(["--", "--format=pretty", "--show-output"]);
    let out = command.output().context("running cargo test")?;
    let text = String::from_utf8_lossy(&out.stdout);
    let mut outcome = Outcome::default();
    outcome.read_libtest(&text);
    if !out.status.success() {
        eprintln!("{text}{}", String::from_utf8_lossy(&out.stderr));
        if outcome.failed.is_empty() {
            outcome.failed.push(format!("cargo test: {}", out.status));
        }
    }
    Ok(outcome)
}

/// Runs cargo with its output on the terminal; its status is the verdict.
fn verdict(words: &[&str]) -> Result<Outcome> {
    let status = tool::cargo(words).status().context("running cargo")?;
    Ok(if status.success() {
        Outcome::passed()
    } else {
        Outcome::failed(format!("cargo {}: {status}", words.join(" ")))
    })
}
