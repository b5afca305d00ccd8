//! One system as a slot holds it: the root with the binary, and the boot part with the kernel and how to start it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache::hex;
use crate::project;

use super::board::Board;
use super::notices;
use super::squashfs::{self, Compression};
use super::stamp::Stamp;
use super::tree::Tree;
use super::verity::Verity;

/// Where PID 1 mounts something; the root is read-only, so these exist in it.
const MOUNT_POINTS: [&str; 9] = ["dev", "proc", "sys", "run", "tmp", "config", "data", "state", "var"];

/// The two images of a slot.
pub struct System {
    /// Squashfs and hash tree, for `root-a` or `root-b`.
    pub root: PathBuf,
    /// Squashfs that GRUB reads, for `boot-a` or `boot-b`.
    pub boot: PathBuf,
}

/// Makes both images in `parts` from a kernel and a binary.
///
/// # Errors
/// A tool fails, or a file of the board is missing.
pub fn make(board: &Board, stamp: &Stamp, kernel: &Path, binary: &Path, parts: &Path) -> Result<System> {
    let (root, verity) = make_root(stamp, binary, parts)?;
    let boot = make_boot(board, stamp, kernel, &root, &verity, parts)?;
    Ok(System { root, boot })
}

fn make_root(stamp: &Stamp, binary: &Path, parts: &Path) -> Result<(PathBuf, Verity)> {
    let tree = Tree::new(parts.join("root"))?;
    MOUNT_POINTS.iter().try_for_each(|name| tree.folder(name))?;
    tree.copy("sbin/director", binary, 0o755)?;
    tree.link("sbin/init", "director")?;
    tree.file("etc/os-release", os_release(stamp).as_bytes(), 0o644)?;
    let release = serde_json::to_string_pretty(stamp).context("cannot write release.json")?;
    tree.file("etc/director/release.json", release.as_bytes(), 0o644)?;
    for notice in ["LICENSE-MIT", "LICENSE-APACHE"] {
        let path = project::root().join(notice);
        if path.exists() {
            tree.copy(&format!("usr/share/doc/director/{notice}"), &path, 0o644)?;
        }
    }
    tree.file("usr/share/doc/director/NOTICES", notices::text()?.as_bytes(), 0o644)?;
    // programs look here for the clock's zone and for names; the box works in UTC and knows itself
    tree.file("etc/hosts", b"127.0.0.1 localhost\n::1 localhost\n", 0o644)?;
    tree.link("etc/resolv.conf", "/run/resolv.conf")?;
    let image = parts.join("root.img");
    squashfs::pack(&tree, &image, Compression::Zstd, stamp.time)?;
    let verity = Verity::append(&image)?;
    Ok((image, verity))
}

fn make_boot(
    board: &Board,
    stamp: &Stamp,
    kernel: &Path,
    root: &Path,
    verity: &Verity,
    parts: &Path,
) -> Result<PathBuf> {
    let tree = Tree::new(parts.join("boot"))?;
    tree.copy("vmlinuz", kernel, 0o644)?;
    let template = Board::read(&board.common("grub/slot.cfg.in"))?;
    let slot =
        template.replace("@CMDLINE@", &board.cmdline()?).replace("@VERITY@", &verity.table("$partuuid"));
    tree.file("slot.cfg", slot.as_bytes(), 0o644)?;
    tree.file("manifest.json", manifest(stamp, kernel, root, verity)?.as_bytes(), 0o644)?;
    let image = parts.join("boot.img");
    squashfs::pack(&tree, &image, Compression::Stored, stamp.time)?;
    Ok(image)
}

fn os_release(stamp: &Stamp) -> String {
    let Stamp { version, commit, board, .. } = stamp;
    format!(
        "NAME=Director\nID=director\nVERSION_ID={version}\nPRETTY_NAME=\"Director {version}\"\nBUILD_ID={commit}\n\
         VARIANT_ID={board}\n"
    )
}

fn manifest(stamp: &Stamp, kernel: &Path, root: &Path, verity: &Verity) -> Result<String> {
    let manifest = serde_json::json!({
        "release": stamp,
        "kernel_sha256": sha256(kernel)?,
        "root_sha256": sha256(root)?,
        "root_blocks": verity.blocks,
        "root_hash": verity.root_hash,
    });
    serde_json::to_string_pretty(&manifest).context("cannot write the manifest")
}

/// SHA-256 of a file, as hexadecimal digits.
///
/// # Errors
/// It cannot be read.
pub fn sha256(path: &Path) -> Result<String> {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    let mut file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        use std::io::Read;
        let count = file.read(&mut buffer).with_context(|| format!("cannot read {}", path.display()))?;
        match buffer.get(..count) {
            Some(read) if !read.is_empty() => hash.update(read),
            _ => return Ok(hex(&hash.finalize())),
        }
    }
}
