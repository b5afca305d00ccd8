//! Replacing a file so that a power cut leaves the old one or the new one, whole, on FAT as on ext4.
//!
//! FAT has no journal, and Linux writes the moved entry of a renamed file and the list of free clusters whenever it likes. So the
//! order is ours: an entry that names the new clusters is on the disk before the old ones are free (fs/fat/namei_vfat.c,
//! `vfat_rename`; fs/fat/inode.c, `fat_evict_inode`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Writes `bytes` beside `path`, brings them to the disk, and renames them to `path`. Mode 0600.
///
/// # Errors
/// Any step failed; `path` is as it was. Only a power cut leaves a half-written `path.new`, which is overwritten the next time.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (temporary, directory) = (temporary(path), parent(path)?);
    discard(&temporary, &directory)?;
    let mut file = create(&temporary)?;
    if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_all()) {
        // On a full disk it would take the last room.
        let _ = discard(&temporary, &directory);
        return Err(error);
    }
    // The clusters of a file that somebody has open are not given back.
    let old = File::open(path).ok();
    if let Err(error) = fs::rename(&temporary, path) {
        let _ = discard(&temporary, &directory);
        return Err(error);
    }
    if old.is_some() {
        // First the temporary name goes: were it left, two names would share the clusters.
        directory.sync_all()?;
        file.sync_all()
    } else {
        // Without an old file, the name must not be there before it has clusters.
        file.sync_all()?;
        directory.sync_all()
    }
}

/// Writes `bytes` beside `path` and renames them to it: for what other processes read or a later life of this one, as the run
/// directory is, and no later boot. Nobody waits for a disk. Mode 0600.
///
/// # Errors
/// Any step failed; `path` is as it was.
pub fn swap(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    create(&temporary)?.write_all(bytes)?;
    fs::rename(&temporary, path)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Removes what a power cut has left of an earlier attempt, for good, before anything else is written: on FAT its entry may name
/// clusters that count as free.
fn discard(temporary: &Path, directory: &File) -> io::Result<()> {
    match fs::remove_file(temporary) {
        Ok(()) => directory.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn parent(path: &Path) -> io::Result<File> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))
}

/// The name under which a file is written before it takes the place of `path`.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// As [`replace`], and keeps what was there as `path.prev`.
///
/// # Errors
/// Any step failed; `path` is as it was.
pub fn replace_keeping(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::read(path) {
        Ok(old) if old == bytes => return Ok(()),
        Ok(old) => {
            let mut previous = path.as_os_str().to_owned();
            previous.push(".prev");
            discard(&temporary(path), &parent(path)?)?;
            replace(Path::new(&previous), &old)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    replace(path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_previous_text_is_kept_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("director.toml");
        replace_keeping(&path, b"one").unwrap();
        assert!(!dir.path().join("director.toml.prev").exists());
        replace_keeping(&path, b"two").unwrap();
        replace_keeping(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read(dir.path().join("director.toml.prev")).unwrap(), b"one");
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn what_an_earlier_attempt_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("director.toml");
        replace(&path, b"one").unwrap();
        for name in ["director.toml.new", "director.toml.prev.new"] {
            fs::write(dir.path().join(name), "half").unwrap();
        }
        replace_keeping(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read(dir.path().join("director.toml.prev")).unwrap(), b"one");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_failure_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("director.toml");
        replace(&path, b"one").unwrap();
        fs::create_dir(dir.path().join("director.toml.new")).unwrap();
        assert!(replace(&path, b"two").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"one");
    }

    #[test]
    fn a_failure_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("director.toml");
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"two").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
