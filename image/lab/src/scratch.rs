//! Folders for one run: sockets and disk copies, removed at the end; and those of runs that were killed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where serial logs are kept after a run: `target/lab`.
///
/// # Errors
/// When the folder cannot be made.
pub fn logs() -> Result<PathBuf> {
    let folder = target().join("lab");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

fn target() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or_else(|| Path::new("."));
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}

/// A folder of this process that goes away when dropped. First sweeps those of processes that are dead.
///
/// It lies in the system's folder for temporary files, because the path of a Unix socket may not exceed 107 bytes.
///
/// # Errors
/// When the folder cannot be made.
pub fn folder(name: &str) -> Result<tempfile::TempDir> {
    let base = std::env::temp_dir();
    sweep(&base);
    tempfile::Builder::new()
        .prefix(&format!("{PREFIX}{}-{name}-", std::process::id()))
        .tempdir_in(&base)
        .with_context(|| format!("making a folder in {}", base.display()))
}

const PREFIX: &str = "director-lab-";

fn sweep(base: &Path) {
    let Ok(entries) = base.read_dir() else { return };
    for entry in entries.flatten() {
        if owner(&entry.file_name().to_string_lossy())
            .is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
        {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The process that made the folder of this name, when it is one of ours.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_what_dead_processes_left() {
        let base = tempfile::tempdir().unwrap();
        let dead = base.path().join(format!("{PREFIX}4194305-web-x")); // above the largest pid that Linux gives
        let alive = base.path().join(format!("{PREFIX}{}-web-x", std::process::id()));
        let foreign = base.path().join("something-else");
        for folder in [&dead, &alive, &foreign] {
            std::fs::create_dir(folder).unwrap();
        }
        sweep(base.path());
        assert!(!dead.exists() && alive.exists() && foreign.exists());
    }
}
