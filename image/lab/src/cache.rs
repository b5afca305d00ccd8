//! Slow products, kept in the user's cache folder under a name made from the hash of everything they depend on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Where they are kept: `director/` in XDG_CACHE_HOME, by default `~/.cache`.
pub fn home() -> PathBuf {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("director")
}

/// Gathers what a product depends on.
#[derive(Default)]
pub struct Key(Sha256);

impl Key {
    /// Adds one input; its length is part of the hash, so that inputs cannot run into each other.
    pub fn add(&mut self, input: &[u8]) {
        self.0.update((input.len() as u64).to_le_bytes());
        self.0.update(input);
    }

    /// The key as 16 hexadecimal digits.
    pub fn digits(self) -> String {
        hex(&self.0.finalize()).chars().take(16).collect()
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder `kind-key` of the cache and whether it was there already; if not, `make` fills it.
///
/// Two builds that want the same product at the same time make it once: the second waits. An interrupted build leaves
/// nothing that looks finished.
///
/// # Errors
/// The cache cannot be written, or `make` fails; what it left behind is then kept in `kind-key.tmp` to be looked at.
pub fn folder(kind: &str, key: Key, make: impl FnOnce(&Path) -> Result<()>) -> Result<(PathBuf, bool)> {
    folder_in(&home(), kind, key, make)
}

fn folder_in(
    cache: &Path,
    kind: &str,
    key: Key,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<(PathBuf, bool)> {
    let name = format!("{kind}-{}", key.digits());
    let ready = cache.join(&name);
    if ready.exists() {
        return Ok((ready, true));
    }
    fs::create_dir_all(cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let lock = cache.join(format!("{name}.lock"));
    let lock = File::create(&lock).with_context(|| format!("cannot create {}", lock.display()))?;
    lock.lock().context("cannot lock the cache")?;
    if ready.exists() {
        return Ok((ready, true));
    }
    let unfinished = cache.join(format!("{name}.tmp"));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).with_context(|| format!("cannot clear {}", unfinished.display()))?;
    }
    fs::create_dir(&unfinished).with_context(|| format!("cannot create {}", unfinished.display()))?;
    make(&unfinished)?;
    fs::rename(&unfinished, &ready).with_context(|| format!("cannot keep {}", ready.display()))?;
    Ok((ready, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(inputs: &[&str]) -> Key {
        let mut key = Key::default();
        inputs.iter().for_each(|input| key.add(input.as_bytes()));
        key
    }

    #[test]
    fn inputs_do_not_run_into_each_other() {
        assert_ne!(key(&["ab", "c"]).digits(), key(&["a", "bc"]).digits());
        assert_eq!(key(&["ab", "c"]).digits().len(), 16);
    }

    #[test]
    fn a_product_is_made_once() {
        let cache = tempfile::tempdir().unwrap();
        let make = |dir: &Path| Ok(fs::write(dir.join("product"), "x")?);
        let (first, cached) = folder_in(cache.path(), "kernel", key(&["1"]), make).unwrap();
        assert!(!cached && first.join("product").exists());
        let never = |_: &Path| anyhow::bail!("made twice");
        assert!(folder_in(cache.path(), "kernel", key(&["1"]), never).unwrap().1);
    }

    #[test]
    fn a_failed_product_is_not_found_later() {
        let cache = tempfile::tempdir().unwrap();
        let fail = |_: &Path| anyhow::bail!("no");
        assert!(folder_in(cache.path(), "kernel", key(&["1"]), fail).is_err());
        let make = |dir: &Path| Ok(fs::write(dir.join("product"), "x")?);
        assert!(!folder_in(cache.path(), "kernel", key(&["1"]), make).unwrap().1);
    }
}
