//! The whole disk: genimage lays the partitions out as the board's genimage.cfg says; the rest is one flag.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::tool;

use super::board::Board;
use super::tree::Tree;

/// Where the status of the first entry of an MBR is.
const STATUS: u64 = 446;

/// The status of a partition to boot from. Old firmware starts no disk without one, not even for its boot sector.
const ACTIVE: u8 = 0x80;

/// Assembles the files in `parts` into the board's disk image in `output`, and returns its path.
///
/// # Errors
/// genimage fails, for example because a part is larger than its partition.
pub fn assemble(board: &Board, parts: &Path, output: &Path) -> Result<PathBuf> {
    let nothing = Tree::new(parts.join("genimage.root"))?;
    let scratch = parts.join("genimage.tmp");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| format!("cannot clear {}", scratch.display()))?;
    }
    let mut command = tool::command("genimage");
    command.arg("--config").arg(board.file("genimage.cfg"));
    command.arg("--rootpath").arg(nothing.path()).arg("--tmppath").arg(&scratch);
    command.arg("--inputpath").arg(parts).arg("--outputpath").arg(output);
    tool::run(&mut command)?;
    let image = output.join(format!("director-{}.img", board.name()));
    let file = OpenOptions::new().write(true).open(&image);
    file.and_then(|file| file.write_all_at(&[ACTIVE], STATUS))
        .with_context(|| format!("cannot finish {}", image.display()))?;
    Ok(image)
}

/// Compresses `image` as it is published, beside it, and returns the path.
///
/// # Errors
/// zstd fails.
pub fn compress(image: &Path) -> Result<PathBuf> {
    let mut name = image.as_os_str().to_owned();
    name.push(".zst");
    let compressed = PathBuf::from(name);
    // the window reaches from one slot to the other, so that the second costs next to nothing
    tool::run(
        tool::command("zstd")
            .args(["-q", "-f", "-19", "--long=27", "-T0"])
            .arg(image)
            .arg("-o")
            .arg(&compressed),
    )?;
    Ok(compressed)
}
