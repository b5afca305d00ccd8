//! The image that is written: plain, or compressed as it is published.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};

use crate::WrongUse;

/// The first bytes of a zstd frame (RFC 8878, section 3.1.1).
const ZSTD: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

/// An image, read once from its beginning to its end.
pub struct Source {
    reader: Box<dyn Read>,
    size: u64,
}

impl Source {
    /// Opens the image at `path`; whether it is compressed is told by its content.
    ///
    /// # Errors
    /// [`WrongUse`] when it cannot be opened or is no image.
    pub fn open(path: &Path) -> Result<Self> {
        let refuse = |why: &str| WrongUse(format!("cannot use the image {}: {why}", path.display()));
        let file = File::open(path).map_err(|error| refuse(&error.to_string()))?;
        let length = file.metadata().with_context(|| format!("cannot read {}", path.display()))?.len();
        let mut head = [0; 64];
        let count =
            read_start(&file, &mut head).with_context(|| format!("cannot read {}", path.display()))?;
        let head = head.get(..count).unwrap_or_default();
        if head.starts_with(&ZSTD) {
            let size = zstd::zstd_safe::get_frame_content_size(head).ok().flatten();
            let size = size.ok_or_else(|| refuse("its size is not written in it"))?;
            let reader =
                zstd::Decoder::new(file).with_context(|| format!("cannot read {}", path.display()))?;
            return Ok(Self { reader: Box::new(reader), size });
        }
        if length < 1 << 20 {
            return Err(refuse(&format!("it has only {length} bytes")).into());
        }
        Ok(Self { reader: Box::new(BufReader::new(file)), size: length })
    }

    /// Bytes that will be written.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

fn read_start(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;
    file.read_at(buffer, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_give_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..2_000_000u32).flat_map(|n| (n / 1000).to_le_bytes()).collect();
        let (plain, packed) = (dir.path().join("x.img"), dir.path().join("x.img.zst"));
        std::fs::write(&plain, &content).unwrap();
        let mut command = crate::tool::command("zstd");
        crate::tool::run(command.args(["-q", "--long=27"]).arg(&plain).arg("-o").arg(&packed)).unwrap();
        for path in [plain, packed] {
            let mut source = Source::open(&path).unwrap();
            assert_eq!(source.size(), content.len() as u64);
            let mut read = Vec::new();
            source.read_to_end(&mut read).unwrap();
            assert!(read == content, "{}", path.display());
        }
    }

    #[test]
    fn a_stray_file_is_wrong_use() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Source::open(file.path()).err().unwrap().is::<WrongUse>());
        assert!(Source::open(Path::new("/no/such.img")).err().unwrap().is::<WrongUse>());
    }
}
