//! Writing, and reading back what was written.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use sha2::{Digest, Sha256};

use crate::cache::hex;
use crate::progress::Step;

use super::source::Source;
use super::target::Target;

/// Bytes of one write. After each the disk must have taken it: otherwise the bar would show the speed of memory.
const CHUNK: usize = 4 << 20;

/// What was written.
pub struct Written {
    size: u64,
    sha256: String,
}

/// Writes the whole of `source` to the start of `target`.
///
/// # Errors
/// Reading or writing fails; the target is then unusable.
pub fn write(mut source: Source, target: &Target) -> Result<Written> {
    let path = target.path();
    let mut step = Step::bytes("write", source.size());
    let mut file = OpenOptions::new().write(true).open(path).with_context(|| cannot("open", path))?;
    let mut buffer = vec![0; CHUNK];
    let mut hash = Sha256::new();
    let mut size = 0;
    loop {
        let count = fill(&mut source, &mut buffer).context("cannot read the image")?;
        let chunk = buffer.get(..count).unwrap_or_default();
        if chunk.is_empty() {
            break;
        }
        file.write_all(chunk).and_then(|()| file.sync_data()).with_context(|| cannot("write to", path))?;
        hash.update(chunk);
        size += chunk.len() as u64;
        step.at(size);
    }
    if size != source.size() {
        bail!("the image ended after {size} of {} bytes", source.size());
    }
    step.done(&format!("{size} bytes"));
    Ok(Written { size, sha256: hex(&hash.finalize()) })
}

/// Reads back from the disk, not from memory, and compares.
///
/// # Errors
/// Reading fails, or the disk gives back something else.
pub fn verify(target: &Target, written: &Written) -> Result<()> {
    let path = target.path();
    let mut step = Step::bytes("verify", written.size);
    let file = File::open(path).with_context(|| cannot("open", path))?;
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
        .with_context(|| cannot("drop the cache of", path))?;
    let mut reader = file.take(written.size);
    let mut buffer = vec![0; CHUNK];
    let mut hash = Sha256::new();
    let mut position = 0;
    loop {
        let count = fill(&mut reader, &mut buffer).with_context(|| cannot("read back from", path))?;
        let chunk = buffer.get(..count).unwrap_or_default();
        if chunk.is_empty() {
            break;
        }
        hash.update(chunk);
        position += chunk.len() as u64;
        step.at(position);
    }
    let found = hex(&hash.finalize());
    if found != written.sha256 {
        bail!(
            "{} does not hold what was written: SHA-256 {found} instead of {}: the disk is broken or not as large as \
             it says",
            path.display(),
            written.sha256
        );
    }
    step.done(&format!("SHA-256 {found}"));
    Ok(())
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

fn cannot(verb: &str, path: &Path) -> String {
    format!("cannot {verb} {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_disk_that_forgets_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (image, disk) = (dir.path().join("image"), dir.path().join("disk"));
        let content: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
        std::fs::write(&image, &content).unwrap();
        File::create(&disk).unwrap().set_len(6_000_000).unwrap();
        let target = Target::open(&disk).unwrap();
        let written = write(Source::open(&image).unwrap(), &target).unwrap();
        verify(&target, &written).unwrap();
        assert_eq!(std::fs::metadata(&disk).unwrap().len(), 6_000_000);
        OpenOptions::new().write(true).open(&disk).unwrap().write_all_at(b"?", 4_999_999).unwrap();
        let error = verify(&target, &written).err().unwrap().to_string();
        assert!(error.contains("does not hold what was written"), "{error}");
    }
}
