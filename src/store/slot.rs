//! Telling the boot loader that a slot came up.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::grubenv::{GrubEnv, Slot};

/// Rewrites GRUB's block in place: GRUB knows it by its place on the disk. A missing or damaged one is made anew.
///
/// # Errors
/// The file cannot be written; then boots stay counted.
pub fn confirm(path: &Path, slot: char) -> io::Result<Slot> {
    let found = fs::read(path).ok().and_then(|block| GrubEnv::decode(&block));
    if found.is_none() {
        log::warn!("read grubenv: {}: missing or damaged: made anew", path.display());
    }
    let mut env = found.clone().unwrap_or_default();
    let standing = env.came_up(slot);
    if found.as_ref() != Some(&env) {
        let block = env.encode().ok_or_else(|| io::Error::other("the variables do not fit"))?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        file.write_all(&block)?;
        file.set_len(1024)?;
        file.sync_all()?;
    }
    Ok(standing)
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
}
