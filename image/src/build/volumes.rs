//! The writable partitions of a new disk: ESP, state, config, data. Made without mounting, the same each time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{project, tool};

use super::board::Board;
use super::grub::{self, BootLoader};
use super::tree::Tree;

/// Bytes of a mebibyte.
const MIB: u64 = 1 << 20;

/// The time of everything in these file systems, 1980-01-01: the earliest that FAT can tell.
const TIME: u64 = 315_532_800;

/// Features of ext4 that GRUB must not meet on `state`; without a journal what GRUB reads is what was written.
const STATE_FEATURES: &str = "^has_journal,^metadata_csum,^64bit";

/// Makes `esp.img`, `state.img`, `config.img` and `data.img` in `parts`.
///
/// # Errors
/// A tool fails, or a file of the board is missing.
pub fn make(board: &Board, loader: &BootLoader, parts: &Path) -> Result<()> {
    let esp = Tree::new(parts.join("esp"))?;
    esp.copy("EFI/BOOT/BOOTX64.EFI", &loader.efi, 0o644)?;
    fat(&esp, &parts.join("esp.img"), &Fat { label: "DIRESP", serial: "d14ec702", size: 64 * MIB })?;

    let config = Tree::new(parts.join("config"))?;
    for name in ["director.toml", "README.TXT"] {
        config.copy(name, &board.common("config").join(name), 0o644)?;
    }
    fat(&config, &parts.join("config.img"), &Fat { label: "DIRECTOR", serial: "d14ec708", size: 64 * MIB })?;

    let state = Tree::new(parts.join("state"))?;
    state.copy("grub/grub.cfg", &board.common("grub/grub.cfg"), 0o644)?;
    state.file("grub/grubenv", &grub::factory_environment(), 0o644)?;
    let settings = Ext4 { label: "state", features: STATE_FEATURES, number: 3, size: 8 * MIB };
    ext4(&state, &parts.join("state.img"), &settings)?;

    let data = Tree::new(parts.join("data"))?;
    let settings = Ext4 { label: "data", features: "has_journal", number: 9, size: 64 * MIB };
    ext4(&data, &parts.join("data.img"), &settings)
}

struct Fat {
    label: &'static str,
    serial: &'static str,
    size: u64,
}

struct Ext4 {
    label: &'static str,
    features: &'static str,
    /// Number of the partition; the last digit of its UUID.
    number: u8,
    size: u64,
}

fn fat(tree: &Tree, image: &Path, settings: &Fat) -> Result<()> {
    tree.set_times(TIME)?;
    blank(image, settings.size)?;
    let mut command = tool::command("mkfs.vfat");
    command.args(["--invariant", "-F", "32", "-i", settings.serial, "-n", settings.label]);
    tool::run(command.arg(image))?;
    let mut names: Vec<PathBuf> = fs::read_dir(tree.path())?.flatten().map(|entry| entry.path()).collect();
    names.sort();
    let mut copy = mtools("mcopy");
    // -s with folders, -m with the times of the files, -Q stops at the first fault
    copy.args(["-s", "-m", "-Q", "-i"]).arg(image).args(names).arg("::/");
    tool::run(&mut copy)
}

fn mtools(program: &str) -> Command {
    let mut command = tool::command(program);
    // its own time for folders, and no settings of the user's
    command.env("SOURCE_DATE_EPOCH", TIME.to_string()).env("MTOOLSRC", "/dev/null");
    command
}

fn ext4(tree: &Tree, image: &Path, settings: &Ext4) -> Result<()> {
    tree.set_times(TIME)?;
    blank(image, settings.size)?;
    let uuid = format!("d14ec708-0000-4000-8000-0000000000f{}", settings.number);
    let mut command = e2fs("mke2fs");
    command.args(["-q", "-t", "ext4", "-L", settings.label, "-O", settings.features, "-U", &uuid, "-m", "0"]);
    command.arg("-E").arg(format!("hash_seed={uuid},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0"));
    command.arg("-d").arg(tree.path()).arg(image);
    tool::run(&mut command)?;
    settle_times(tree, image)
}

/// mke2fs copies the change time of each file, which nobody can set; here it becomes the fixed time.
fn settle_times(tree: &Tree, image: &Path) -> Result<()> {
    let mut names = vec!["/".to_owned()];
    list(tree.path(), "", &mut names)?;
    let mut script = String::new();
    for name in &names {
        for field in ["ctime", "atime", "mtime", "crtime"] {
            script.push_str(&format!("set_inode_field {name} {field} @{TIME}\n"));
            script.push_str(&format!("set_inode_field {name} {field}_extra 0\n"));
        }
        script.push_str(&format!("set_inode_field {name} uid 0\nset_inode_field {name} gid 0\n"));
    }
    let path = image.with_extension("debugfs");
    fs::write(&path, script).with_context(|| format!("cannot write {}", path.display()))?;
    tool::run(e2fs("debugfs").args(["-w", "-f"]).args([&path, image]))
}

fn list(dir: &Path, prefix: &str, names: &mut Vec<String>) -> Result<()> {
    let mut entries: Vec<_> = fs::read_dir(dir)?.flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{prefix}/{}", entry.file_name().to_string_lossy());
        names.push(name.clone());
        if entry.path().is_dir() {
            list(&entry.path(), &name, names)?;
        }
    }
    Ok(())
}

fn e2fs(program: &str) -> Command {
    let mut command = tool::command(program);
    command.env("E2FSPROGS_FAKE_TIME", TIME.to_string());
    command.env("MKE2FS_CONFIG", project::root().join("board/common/mke2fs.conf"));
    command
}

fn blank(image: &Path, size: u64) -> Result<()> {
    let file = File::create(image).with_context(|| format!("cannot create {}", image.display()))?;
    file.set_len(size).with_context(|| format!("cannot size {}", image.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twice(make: impl Fn(&Tree, &Path)) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let image = |name: &str| {
            let tree = Tree::new(dir.path().join(name)).unwrap();
            tree.file("folder/file", b"content", 0o644).unwrap();
            let image = dir.path().join(format!("{name}.img"));
            make(&tree, &image);
            fs::read(image).unwrap()
        };
        let first = image("one");
        // times in FAT count in steps of two seconds, so a difference needs that much time
        std::thread::sleep(std::time::Duration::from_millis(2100));
        first == image("two")
    }

    #[test]
    fn file_systems_do_not_depend_on_the_time() {
        assert!(twice(|tree, image| {
            fat(tree, image, &Fat { label: "X", serial: "00000001", size: 64 * MIB }).unwrap();
        }));
        assert!(twice(|tree, image| {
            let settings = Ext4 { label: "x", features: STATE_FEATURES, number: 1, size: 8 * MIB };
            ext4(tree, image, &settings).unwrap();
        }));
    }
}
