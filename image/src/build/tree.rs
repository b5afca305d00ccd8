//! Folders that become file systems: written by us, every time and mode fixed.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};

/// A folder under construction.
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// An empty folder at `root`; what was there is removed.
    ///
    /// # Errors
    /// It cannot be cleared or created.
    pub fn new(root: PathBuf) -> Result<Self> {
        if root.exists() {
            fs::remove_dir_all(&root).with_context(|| format!("cannot clear {}", root.display()))?;
        }
        let tree = Self { root };
        tree.folder("")?;
        Ok(tree)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Adds a folder and those above it.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn folder(&self, name: &str) -> Result<()> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        set_mode(&path, 0o755)
    }

    /// Adds a file with this content.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn file(&self, name: &str, content: &[u8], mode: u32) -> Result<()> {
        let path = self.root.join(name);
        if let Some(parent) = Path::new(name).parent().and_then(Path::to_str) {
            self.folder(parent)?;
        }
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        set_mode(&path, mode)
    }

    /// Adds a copy of the file at `from`.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn copy(&self, name: &str, from: &Path, mode: u32) -> Result<()> {
        let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.file(name, &content, mode)
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn link(&self, name: &str, target: &str) -> Result<()> {
        symlink(target, self.root.join(name)).with_context(|| format!("cannot link {name} to {target}"))
    }

    /// Gives everything in it the modification time `time`, in seconds since 1970.
    ///
    /// # Errors
    /// A file cannot be opened or its time cannot be set.
    pub fn set_times(&self, time: u64) -> Result<()> {
        set_times(&self.root, time)
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("cannot set the mode of {}", path.display()))
}

fn set_times(path: &Path, time: u64) -> Result<()> {
    if path.is_symlink() {
        return Ok(());
    }
    if path.is_dir() {
        for entry in fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
            set_times(&entry?.path(), time)?;
        }
    }
    let when = UNIX_EPOCH + Duration::from_secs(time);
    File::open(path)
        .and_then(|file| file.set_times(fs::FileTimes::new().set_modified(when).set_accessed(when)))
        .with_context(|| format!("cannot set the times of {}", path.display()))
}
