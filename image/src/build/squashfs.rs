//! Read-only file systems that are the same for the same content.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::tool;

use super::tree::Tree;

/// How the blocks of a squashfs are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Small and fast to read; the kernel's choice here. GRUB cannot read it.
    Zstd,
    /// Not at all, in a form that GRUB 2.06 reads: what is in it is compressed already, and GRUB would be slow.
    Stored,
}

/// Packs `tree` into `image`; every file belongs to root and has the time `time`.
///
/// # Errors
/// mksquashfs fails.
pub fn pack(tree: &Tree, image: &Path, compression: Compression, time: u64) -> Result<()> {
    if image.exists() {
        fs::remove_file(image).with_context(|| format!("cannot replace {}", image.display()))?;
    }
    let time = time.to_string();
    let mut command = tool::command("mksquashfs");
    // it refuses to be told the time both ways
    command.env_remove("SOURCE_DATE_EPOCH");
    command.arg(tree.path()).arg(image);
    command.args(["-noappend", "-all-root", "-no-xattrs", "-no-exports", "-quiet", "-no-progress"]);
    command.args(["-all-time", &time, "-mkfs-time", &time, "-comp"]);
    match compression {
        Compression::Zstd => command.args(["zstd", "-Xcompression-level", "22"]),
        Compression::Stored => command.args(["gzip", "-noI", "-noD", "-noF", "-b", "1M"]),
    };
    tool::run(&mut command)
}
