//! The dm-verity tree behind the root file system, and the table line by which the kernel finds both.

use std::fs::{self, OpenOptions};
use std::path::Path;

use anyhow::{Context, Result};

use crate::tool;

/// Bytes of a data block and of a hash block.
const BLOCK: u64 = 4096;

/// The trees are not secret and images are reproducible: no salt, that is 32 zero bytes.
const SALT: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A file system with its hash tree appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verity {
    /// Blocks of the file system; the tree begins after them.
    pub blocks: u64,
    /// SHA-256 of the tree's top, 64 hexadecimal digits.
    pub root_hash: String,
}

impl Verity {
    /// Appends the tree of `image` to it.
    ///
    /// # Errors
    /// The file cannot be padded, or veritysetup fails.
    pub fn append(image: &Path) -> Result<Self> {
        let size = fs::metadata(image).with_context(|| format!("cannot read {}", image.display()))?.len();
        let blocks = size.div_ceil(BLOCK);
        let file = OpenOptions::new().write(true).open(image);
        file.and_then(|file| file.set_len(blocks * BLOCK))
            .with_context(|| format!("cannot pad {}", image.display()))?;
        let mut command = tool::command("veritysetup");
        command.args(["format", "--no-superblock", "--hash=sha256"]);
        command.arg(format!("--salt={SALT}")).arg(format!("--data-blocks={blocks}"));
        command.arg(format!("--hash-offset={}", blocks * BLOCK)).args([image, image]);
        let answer = tool::output(&mut command)?;
        let root_hash = parse_root_hash(&answer).context("veritysetup named no root hash")?;
        Ok(Self { blocks, root_hash })
    }

    /// The device-mapper table line (kernel, admin-guide/device-mapper/verity.rst) for a partition with the GPT UUID
    /// `partuuid`, which may be a GRUB variable.
    pub fn table(&self, partuuid: &str) -> String {
        let Self { blocks, root_hash } = self;
        let sectors = blocks * BLOCK / 512;
        format!(
            "0 {sectors} verity 1 PARTUUID={partuuid} PARTUUID={partuuid} {BLOCK} {BLOCK} {blocks} {blocks} sha256 \
             {root_hash} {SALT} 1 restart_on_corruption"
        )
    }
}

fn parse_root_hash(answer: &str) -> Option<String> {
    let hash = answer.lines().find_map(|line| line.strip_prefix("Root hash:"))?.trim();
    (hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| hash.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_root_hash() {
        let hash = "ab".repeat(32);
        let answer = format!("VERITY header information\nSalt:            \t00\nRoot hash:      \t{hash}\n");
        assert_eq!(parse_root_hash(&answer), Some(hash));
        assert_eq!(parse_root_hash("Root hash: zz"), None);
    }

    #[test]
    fn the_table_counts_sectors_and_blocks() {
        let verity = Verity { blocks: 889, root_hash: "ca".repeat(32) };
        let table = verity.table("$partuuid");
        let start = "0 7112 verity 1 PARTUUID=$partuuid PARTUUID=$partuuid 4096 4096 889 889 sha256 caca";
        assert!(table.starts_with(start) && table.ends_with(" 1 restart_on_corruption"), "{table}");
    }
}
