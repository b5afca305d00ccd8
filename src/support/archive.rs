//! Files as `.tar.gz`. Pure.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

const BLOCK: usize = 512;

/// An archive that is being written, in memory.
#[derive(Debug)]
pub struct Archive {
    folder: String,
    time: u64,
    out: GzEncoder<Vec<u8>>,
}

impl Archive {
    /// All of its files lie in `folder`; `time`: seconds since the epoch.
    pub fn new(folder: String, time: u64) -> Self {
        Self { folder, time, out: GzEncoder::new(Vec::new(), Compression::default()) }
    }

    /// Adds a file.
    ///
    /// # Errors
    /// The name is longer than 100 octets together with the folder.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(&header(&format!("{}/{name}", self.folder), bytes.len(), self.time)?)?;
        self.out.write_all(bytes)?;
        let rest = (BLOCK - bytes.len() % BLOCK) % BLOCK;
        self.out.write_all([0; BLOCK].get(..rest).unwrap_or_default())
    }

    /// The whole archive.
    ///
    /// # Errors
    /// None in memory.
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.finish()
    }
}

/// The header of a file (POSIX.1-1988, "ustar Interchange Format"): an ordinary one, its owner's alone.
fn header(path: &str, size: usize, time: u64) -> io::Result<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    let fields: [(usize, &[u8]); 8] = [
        (0, path.as_bytes()),
        (100, b"0000600\0"),
        (108, b"0000000\0"),
        (116, b"0000000\0"),
        (124, &octal(size as u64)),
        (136, &octal(time)),
        // The checksum counts as spaces while it is computed; then the kind of an ordinary file.
        (148, b"        0"),
        (257, b"ustar\x0000root"),
    ];
    if path.len() > 100 {
        return Err(io::Error::other(format!("{path}: longer than 100 octets")));
    }
    for (at, field) in fields {
        if let Some(place) = block.get_mut(at..at + field.len()) {
            place.copy_from_slice(field);
        }
    }
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    if let Some(place) = block.get_mut(148..156) {
        place.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    Ok(block)
}

/// Eleven digits and a space.
fn octal(number: u64) -> [u8; 12] {
    let text = format!("{number:011o} ");
    text.as_bytes().first_chunk::<12>().copied().unwrap_or(*b"00000000000 ")
}

/// The files of an archive, for tests.
#[cfg(test)]
pub fn read(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    use std::io::Read;
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut tar).unwrap();
    let mut files = Vec::new();
    let mut at = 0;
    while tar[at] != 0 {
        let name = String::from_utf8(tar[at..at + 100].to_vec()).unwrap();
        let size = std::str::from_utf8(&tar[at + 124..at + 135]).unwrap();
        let size = usize::from_str_radix(size, 8).unwrap();
        files.push((name.trim_end_matches('\0').to_owned(), tar[at + BLOCK..at + BLOCK + size].to_vec()));
        at += BLOCK + size.div_ceil(BLOCK) * BLOCK;
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn tar_of_the_host_reads_it() {
        let mut archive = Archive::new("folder".to_owned(), 1_700_000_000);
        let long = vec![b'x'; 1000];
        archive.add("a/b.txt", b"hello\n").unwrap();
        archive.add("empty", b"").unwrap();
        archive.add("long", &long).unwrap();
        assert!(archive.add(&"n".repeat(100), b"").is_err());
        let bytes = archive.finish().unwrap();
        let read = read(&bytes);
        assert_eq!(
            read.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["folder/a/b.txt", "folder/empty", "folder/long"]
        );
        assert_eq!((read[0].1.as_slice(), &read[2].1), (&b"hello\n"[..], &long));
        let tar =
            Command::new("tar").args(["-tvzf", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut tar) = tar else { return eprintln!("skipped: tar is missing") };
        tar.stdin.take().unwrap().write_all(&bytes).unwrap();
        let list = String::from_utf8(tar.wait_with_output().unwrap().stdout).unwrap();
        let first = list.lines().next().unwrap();
        assert!(first.starts_with("-rw------- ") && first.ends_with("folder/a/b.txt"), "{list}");
        assert!(first.contains(" 6 2023-11-1"), "{list}");
        assert_eq!(list.lines().count(), 3);
    }
}
