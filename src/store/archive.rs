//! The configurations that ran, newest last, each in a file of its own: what a rollback goes back to.
//!
//! `NUMBER.toml`: a first line `# {"time_ms":…,"origin":…,"sha256":…}`, then the text as the operator wrote it. A file whose
//! text does not have that checksum is none: the power went while it was written, or the disk is bad.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files::replace;
use crate::ipc::message::Generation;

/// So many are kept.
pub const KEPT: usize = 20;

/// The folder in which they lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive(pub PathBuf);

#[derive(Debug, Serialize, Deserialize)]
struct Label {
    time_ms: u64,
    origin: String,
    sha256: String,
}

impl Archive {
    /// Keeps `text`, unless it is the newest one already; gives its number. The oldest go.
    ///
    /// # Errors
    /// The folder cannot be written; what was kept is still there.
    pub fn record(&self, text: &[u8], origin: &str, time_ms: u64) -> io::Result<u64> {
        let numbers = self.numbers();
        let newest = numbers.last().copied();
        if let Some(number) = newest
            && self.text(number).is_ok_and(|kept| kept == text)
        {
            return Ok(number);
        }
        let number = newest.map_or(1, |newest| newest.saturating_add(1));
        let label = Label { time_ms, origin: origin.to_owned(), sha256: checksum(text) };
        let mut bytes = format!("# {}\n", serde_json::to_string(&label)?).into_bytes();
        bytes.extend_from_slice(text);
        folder(&self.0)?;
        replace(&self.path(number), &bytes)?;
        let too_many = (numbers.len() + 1).saturating_sub(KEPT);
        for old in numbers.into_iter().take(too_many) {
            if let Err(error) = fs::remove_file(self.path(old)) {
                log::warn!("remove old configuration: {}: {error}", self.path(old).display());
            }
        }
        Ok(number)
    }

    /// Newest first; what is damaged is left out.
    #[must_use]
    pub fn list(&self) -> Vec<Generation> {
        let read = |number: u64| {
            let (Label { time_ms, origin, sha256 }, text) = self.read(number).ok()?;
            Some(Generation { number, time_ms, origin, sha256, bytes: text.len(), running: false })
        };
        self.numbers().into_iter().rev().filter_map(read).collect()
    }

    /// The text with this number.
    ///
    /// # Errors
    /// It is not kept, cannot be read, or is damaged.
    pub fn text(&self, number: u64) -> io::Result<Vec<u8>> {
        self.read(number).map(|(_, text)| text)
    }

    fn read(&self, number: u64) -> io::Result<(Label, Vec<u8>)> {
        let bytes = fs::read(self.path(number))?;
        let damaged = || io::Error::new(ErrorKind::InvalidData, "it is damaged");
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(damaged)?;
        let label = bytes.get(..end).and_then(|line| line.strip_prefix(b"# ")).ok_or_else(damaged)?;
        let label: Label = serde_json::from_slice(label).map_err(|_| damaged())?;
        let text = bytes.get(end + 1..).unwrap_or_default().to_vec();
        if checksum(&text) == label.sha256 { Ok((label, text)) } else { Err(damaged()) }
    }

    /// Ascending.
    fn numbers(&self) -> Vec<u64> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let number = |name: &Path| {
            (name.extension()? == "toml").then(|| name.file_stem()?.to_str()?.parse().ok()).flatten()
        };
        let mut numbers: Vec<u64> =
            entries.filter_map(|entry| number(Path::new(&entry.file_name()))).collect();
        numbers.sort_unstable();
        numbers
    }

    fn path(&self, number: u64) -> PathBuf {
        self.0.join(format!("{number:06}.toml"))
    }
}

/// Makes a folder that only its owner may enter: configurations may hold passwords.
///
/// # Errors
/// As the kernel says.
pub fn folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn checksum(text: &[u8]) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_twenty_are_kept_and_count_on() {
        let dir = tempfile::tempdir().unwrap();
        let archive = Archive(dir.path().join("generations"));
        assert!(archive.list().is_empty());
        for round in 1..=25_u64 {
            let text = format!("version = 1\n# {round}\n");
            assert_eq!(archive.record(text.as_bytes(), "boot", round).unwrap(), round);
            assert_eq!(archive.record(text.as_bytes(), "reload", round).unwrap(), round, "it is there");
        }
        let list = archive.list();
        assert_eq!((list.len(), list[0].number, list[19].number), (KEPT, 25, 6));
        assert_eq!(archive.text(6).unwrap(), b"version = 1\n# 6\n");
        assert_eq!(archive.text(5).unwrap_err().kind(), ErrorKind::NotFound);
        // One that ran before is a new generation when it runs again.
        assert_eq!(archive.record(b"version = 1\n# 6\n", "rollback to 6", 26).unwrap(), 26);
    }

    #[test]
    fn a_damaged_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let archive = Archive(dir.path().to_owned());
        archive.record(b"version = 1\n", "boot", 1).unwrap();
        let mut bytes = fs::read(archive.path(1)).unwrap();
        bytes.pop();
        fs::write(archive.path(1), bytes).unwrap();
        assert!(archive.list().is_empty());
        assert_eq!(archive.text(1).unwrap_err().to_string(), "it is damaged");
        assert_eq!(archive.record(b"version = 1\n", "boot", 2).unwrap(), 2, "its number is not used again");
    }
}
