//! What the boot loader is told: that a slot came up, which one is started next, and how large the kernel's table of connections is to be.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::grubenv::{GrubEnv, Slot};

/// Counts the boots of `slot` from zero again. A missing or damaged block is made anew.
///
/// # Errors
/// The file cannot be written; then boots stay counted.
pub fn confirm(path: &Path, slot: char) -> io::Result<Slot> {
    let mut standing = Slot::Trying;
    rewrite(path, |env| standing = env.came_up(slot))?;
    Ok(standing)
}

/// Makes a slot on trial a good one.
///
/// # Errors
/// The file cannot be written; then it stays on trial.
pub fn prove(path: &Path, slot: char) -> io::Result<Slot> {
    let mut standing = Slot::Trying;
    rewrite(path, |env| standing = env.prove(slot))?;
    Ok(standing)
}

/// Whether there is a good slot besides `slot`.
///
/// # Errors
/// The file cannot be read.
pub fn has_another(path: &Path, slot: char) -> io::Result<bool> {
    let env = GrubEnv::decode(&fs::read(path)?);
    Ok(env.is_some_and(|env| env.has_another(slot)))
}

/// Sets with how many buckets, as a power of two, the kernel's table of connections begins at the next boot; `true` if that is
/// news.
///
/// # Errors
/// The file cannot be written.
pub fn set_table_bits(path: &Path, bits: u8) -> io::Result<bool> {
    rewrite(path, |env| env.set_table_bits(bits))
}

/// What the boot loader goes by: without a block, or with a damaged one, what its script assumes.
#[must_use]
pub fn read(path: &Path) -> GrubEnv {
    fs::read(path).ok().and_then(|block| GrubEnv::decode(&block)).unwrap_or_default()
}

/// Rewrites GRUB's block in place: GRUB knows it by its place on the disk. `true` if it was another before.
pub fn rewrite(path: &Path, change: impl FnOnce(&mut GrubEnv)) -> io::Result<bool> {
    let found = fs::read(path).ok().and_then(|block| GrubEnv::decode(&block));
    if found.is_none() {
        log::warn!("read grubenv: {}: missing or damaged: made anew", path.display());
    }
    let mut env = found.clone().unwrap_or_default();
    change(&mut env);
    if found.as_ref() == Some(&env) {
        return Ok(false);
    }
    let block = env.encode().ok_or_else(|| io::Error::other("the variables do not fit"))?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.write_all(&block)?;
    file.set_len(1024)?;
    file.sync_all()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_came_up_is_counted_from_zero() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("grubenv");
        assert_eq!(confirm(&path, 'A').unwrap(), Slot::Confirmed);
        let made = fs::read(&path).unwrap();
        assert_eq!(made.len(), 1024);
        let counted = String::from_utf8(made.clone()).unwrap().replace("A_N=\n", "A_N=xx\n");
        fs::write(&path, counted.get(..1024).unwrap()).unwrap();
        assert_eq!(confirm(&path, 'A').unwrap(), Slot::Confirmed);
        assert_eq!(fs::read(&path).unwrap(), made);
    }

    #[test]
    fn the_size_of_the_table_is_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("grubenv");
        confirm(&path, 'A').unwrap();
        let before = fs::read(&path).unwrap();
        assert!(!set_table_bits(&path, 18).unwrap(), "as the kernel has it anyway");
        assert_eq!(fs::read(&path).unwrap(), before);
        assert!(set_table_bits(&path, 20).unwrap());
        assert!(!set_table_bits(&path, 20).unwrap());
        assert!(String::from_utf8(fs::read(&path).unwrap()).unwrap().contains("TABLE_BITS=20\n"));
        assert!(set_table_bits(&path, 18).unwrap());
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}
