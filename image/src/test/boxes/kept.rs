//! What a box has kept, read from its disk while its power is off.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};

use director_lab::disk;

use crate::tool;

/// The operator's file and what lies on `data`.
#[derive(Debug)]
pub struct Kept {
    /// director.toml on the partition DIRECTOR.
    pub file: String,
    /// The last good configuration, if there is one.
    pub last_good: Option<String>,
    /// The texts of the history.
    pub generations: BTreeSet<String>,
    /// Whether a factory reset is under way.
    pub resetting: bool,
}

impl Kept {
    /// Reads `disk`. `folder` is for copies.
    ///
    /// # Errors
    /// A file system has more wrong with it than a power cut explains, a file cannot be read, or one of the history is not whole.
    pub fn read(disk: &Path, folder: &Path) -> Result<Kept> {
        check_fat(disk, &folder.join("config.part"))?;
        let file = disk::read_config(disk, "director.toml")?;
        let data = data(disk, folder)?;
        let generations = match data.join("configuration/generations").read_dir() {
            Ok(entries) => {
                let files = entries.flatten().map(|entry| entry.path());
                let whole = files.filter(|path| path.extension().is_some_and(|ending| ending == "toml"));
                whole.map(|path| generation(&path)).collect::<Result<_>>()?
            }
            Err(_) => BTreeSet::new(),
        };
        let last_good = fs::read_to_string(data.join("last-good.toml")).ok();
        Ok(Kept { file, last_good, generations, resetting: data.join("resetting").exists() })
    }
}

/// A copy in `folder` of all that lies on `data`.
///
/// # Errors
/// The file system has more wrong with it than a power cut explains.
pub fn data(disk: &Path, folder: &Path) -> Result<PathBuf> {
    let data = folder.join("data");
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    fs::create_dir(&data)?;
    dump_ext4(disk, &folder.join("data.part"), &data)?;
    Ok(data)
}

/// Lost clusters are what a power cut leaves on FAT; clusters that two files share are what destroys one of them later.
fn check_fat(disk: &Path, part: &Path) -> Result<()> {
    disk::extract(disk, "config", part)?;
    let judged = tool::command("fsck.fat").arg("-n").arg(part).output().context("cannot run fsck.fat")?;
    let said = String::from_utf8_lossy(&judged.stdout);
    ensure!(!said.contains("share clusters"), "partition DIRECTOR: {said}");
    Ok(())
}

/// The journal mends all; then nothing is wrong.
fn dump_ext4(disk: &Path, part: &Path, to: &Path) -> Result<()> {
    disk::extract(disk, "data", part)?;
    let mended = tool::command("e2fsck").arg("-p").arg(part).output().context("cannot run e2fsck")?;
    if !matches!(mended.status.code(), Some(0 | 1)) {
        bail!("partition data: e2fsck: {}: {}", mended.status, String::from_utf8_lossy(&mended.stdout));
    }
    tool::run(tool::command("e2fsck").arg("-fn").arg(part)).context("partition data")?;
    tool::run(tool::command("debugfs").arg("-R").arg(format!("rdump / {}", to.display())).arg(part))
}

/// The text of a file of the history; its first line has the checksum.
fn generation(path: &Path) -> Result<String> {
    let read = || -> Result<String> {
        let all = fs::read_to_string(path)?;
        let (label, text) = all.split_once('\n').context("it has no label")?;
        let label: Value = serde_json::from_str(label.strip_prefix("# ").context("it has no label")?)?;
        let sum: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        ensure!(label.get("sha256").and_then(Value::as_str) == Some(&sum), "it has another checksum");
        Ok(text.to_owned())
    };
    read().with_context(|| format!("configuration {}", path.display()))
}
