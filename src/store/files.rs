//! Replacing a file so that a power cut leaves the old one or the new one, whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes `bytes` beside `path`, brings them to the disk, and renames them to `path`. Mode 0600.
///
/// # Errors
/// Any step failed; `path` is as it was. A half-written `path.new` may be left and is overwritten the next time.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = directory.join(name);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()
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
    fn a_failure_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("director.toml");
        replace(&path, b"one").unwrap();
        fs::create_dir(dir.path().join("director.toml.new")).unwrap();
        assert!(replace(&path, b"two").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"one");
    }
}
