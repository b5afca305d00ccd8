//! That buildroot/ speaks of what board/ has: it cannot be run in a test, but what it refers to can be looked up.

use std::fs;
use std::path::{Path, PathBuf};

use crate::project;

use super::board::Board;

/// The variable that stands for the folder of the external tree.
const HERE: &str = "$(BR2_EXTERNAL_DIRECTOR_PATH)";

fn tree() -> PathBuf {
    project::root().join("buildroot")
}

fn defconfig() -> String {
    fs::read_to_string(tree().join("configs/director_pc_defconfig")).unwrap()
}

fn setting(name: &str) -> String {
    let start = format!("{name}=\"");
    let text = defconfig();
    let line = text.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
    line.strip_suffix('"').unwrap().to_owned()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn every_path_exists() {
    let mut seen = 0;
    for file in files(&tree()) {
        let text = fs::read_to_string(&file).unwrap().replace("$BR2_EXTERNAL_DIRECTOR_PATH", HERE);
        for after in text.split(HERE).skip(1) {
            let end = after.find(|c: char| c.is_whitespace() || "\"')`*".contains(c)).unwrap_or(after.len());
            let path = tree().join(after[..end].trim_start_matches('/'));
            assert!(path.exists(), "{} refers to {}", file.display(), path.display());
            seen += 1;
        }
    }
    assert!(seen >= 12, "only {seen} paths found");
}

#[test]
fn the_fragments_are_those_of_the_board() {
    let listed: Vec<PathBuf> = setting("BR2_LINUX_KERNEL_CONFIG_FRAGMENT_FILES")
        .split_whitespace()
        .map(|path| {
            tree().join(path.trim_start_matches(HERE).trim_start_matches('/')).canonicalize().unwrap()
        })
        .collect();
    let fragments = Board::named("pc").unwrap().fragments().unwrap();
    let expected: Vec<PathBuf> =
        fragments.iter().map(|(path, _)| Path::new(path).canonicalize().unwrap()).collect();
    assert_eq!(listed, expected);
}

#[test]
fn grub_has_the_same_modules() {
    let board = Board::named("pc").unwrap();
    let text = Board::read(&board.common("grub/modules.txt")).unwrap();
    let common = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join(" ");
    assert_eq!(setting("BR2_TARGET_GRUB2_BUILTIN_MODULES_PC"), format!("biosdisk {common}"));
    assert_eq!(setting("BR2_TARGET_GRUB2_BUILTIN_MODULES_EFI"), format!("efi_gop {common}"));
}

#[test]
fn the_kernel_is_compressed_as_its_fragments_say() {
    let wanted = Board::wanted(&Board::named("pc").unwrap().fragments().unwrap()).unwrap();
    let chosen = ["XZ", "ZSTD", "LZ4", "GZIP"]
        .into_iter()
        .find(|kind| wanted.contains_key(&format!("CONFIG_KERNEL_{kind}")));
    let chosen = chosen.unwrap();
    assert!(
        defconfig().contains(&format!("\nBR2_LINUX_KERNEL_{chosen}=y\n")),
        "Buildroot does not use {chosen}"
    );
}
