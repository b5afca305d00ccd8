//! `cargo image` itself, as a person uses it and misuses it.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::outcome::Outcome;
use director_lab::scratch;

/// Wrong use is answered with a clear error and exit status 2.
///
/// # Errors
/// When we cannot be started.
pub fn wrong_use() -> Result<Outcome> {
    let folder = scratch::folder("wrong")?;
    let small = folder.path().join("small.img");
    File::create(&small).and_then(|file| file.set_len(1 << 20)).context("making a small file")?;
    let image = super::image()?.display().to_string();
    let (small, folder) = (small.display().to_string(), folder.path().display().to_string());
    let cases: [(&[&str], &str); 10] = [
        (&["explode"], "explode"),
        (&["flash"], "DEVICE"),
        (&["flash", "/nonexistent", "--yes"], "/nonexistent"),
        (&["flash", &folder, "--yes"], &folder),
        (&["flash", &small, "--yes", "--image", &image], "small.img"),
        (&["run", "--config", "/nonexistent.toml"], "/nonexistent.toml"),
        (&["run", "--memory", "lots"], "lots"),
        (&["demo", "--image", "/nonexistent.img"], "/nonexistent.img"),
        (&["test", "--only", "nosuch/thing"], "nosuch/thing"),
        (&["build", "--board", "nosuch"], "nosuch"),
    ];
    let mut outcome = Outcome::default();
    for (words, named) in cases {
        let out = Command::new(std::env::current_exe()?).args(words).output()?;
        let said = String::from_utf8_lossy(&out.stderr);
        if out.status.code() == Some(2) && said.contains(named) {
            outcome.passed += 1;
        } else {
            outcome.failed.push(format!("cargo image {}: {}: {said}", words.join(" "), out.status));
        }
    }
    Ok(outcome)
}

/// Builds the image twice: the same bytes both times, and nothing larger than it may be.
///
/// # Errors
/// When it does not build, with what it said.
pub fn build() -> Result<Outcome> {
    if std::env::var_os("DIRECTOR_IMAGE").is_some() {
        return Ok(Outcome::default().and_skipped("DIRECTOR_IMAGE names an image"));
    }
    let out = Command::new(std::env::current_exe()?).args(["build", "--verify-reproducible"]).output()?;
    ensure!(
        out.status.success(),
        "cargo image build: {}: {}",
        out.status,
        String::from_utf8_lossy(&out.stderr)
    );
    let notes = String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect();
    Ok(Outcome { notes, ..Outcome::passed() })
}

/// Flashes the image onto a file of the size of a disk: written, and verified by reading back.
///
/// # Errors
/// When it fails, with what it said.
pub fn flash(disk: &Path) -> Result<()> {
    File::create(disk)
        .and_then(|file| file.set_len(1 << 30))
        .with_context(|| format!("making {}", disk.display()))?;
    let out = Command::new(std::env::current_exe()?)
        .arg("flash")
        .arg(disk)
        .args(["--yes", "--image"])
        .arg(super::image()?)
        .output()?;
    ensure!(
        out.status.success(),
        "cargo image flash: {}: {}",
        out.status,
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(())
}
