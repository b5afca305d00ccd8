//! What a disk keeps when its power is cut.
//!
//! A process that is killed loses nothing that it has handed to the kernel, and so a killed QEMU is milder than a power cut: a
//! real disk has a cache, and of what it was told since the last flush it may keep anything, in any order. So QEMU keeps a journal
//! of what the guest tells its disk, writes and flushes (its filter `blklogwrites`, in the format of the kernel's dm-log-writes,
//! drivers/md/dm-log-writes.c), and the disk of the next boot is made of it: everything up to the last flush before a chosen
//! moment, and of the writes between that and the moment some, none, or parts.

use std::fs::OpenOptions;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::random::Random;

const SECTOR: usize = 512;
/// "jsfgwhr", as dm-log-writes has it.
const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;

/// What a guest told its disk, in the order in which it was done.
#[derive(Debug)]
pub struct Journal {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Where on the disk, in bytes.
    at: u64,
    /// Where in the journal its data is; empty for a flush.
    data: Range<usize>,
    flush: bool,
    /// Where in the journal it ends.
    end: usize,
}

/// What became of the writes after the last flush.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fate {
    /// They are on the disk.
    pub kept: usize,
    /// They are not.
    pub lost: usize,
    /// Some of their sectors are.
    pub torn: usize,
}

impl Journal {
    /// Reads what QEMU has written, to the first entry that is not whole: QEMU was killed while it wrote that.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(path: &Path) -> Result<Journal> {
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        // The first sector is rewritten with each flush; without one there is none.
        let magic = number(&bytes, 0).unwrap_or_default();
        ensure!(magic == MAGIC || magic == 0, "{}: no journal of writes: {magic:#x}", path.display());
        let mut entries = Vec::new();
        let mut at = SECTOR;
        while let Some(entry) = Entry::read(&bytes, at) {
            at = entry.end;
            entries.push(entry);
        }
        Ok(Journal { bytes, entries })
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries lie in the first `bytes` of the journal: what was done when it had this size.
    pub fn within(&self, bytes: u64) -> usize {
        self.entries.iter().take_while(|entry| u64::try_from(entry.end).is_ok_and(|end| end <= bytes)).count()
    }

    /// Makes `disk`, which is as it was before the first entry, what it is when its power was cut after `moment` entries.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub fn replay(&self, moment: usize, random: &mut Random, disk: &Path) -> Result<Fate> {
        let file = OpenOptions::new()
            .write(true)
            .open(disk)
            .with_context(|| format!("writing {}", disk.display()))?;
        let told = self.entries.get(..moment).unwrap_or(&self.entries);
        let durable = told.iter().rposition(|entry| entry.flush).map_or(0, |last| last + 1);
        let (safe, cached) = told.split_at(durable);
        for entry in safe {
            self.write(entry, |_| true, &file)?;
        }
        let mut fate = Fate::default();
        // A disk that loses all or nothing of its cache is as good as one that picks.
        let habit = random.below(4);
        for entry in cached {
            match if habit < 2 { habit } else { random.below(3) } {
                0 => fate.lost += 1,
                1 => {
                    self.write(entry, |_| true, &file)?;
                    fate.kept += 1;
                }
                _ => {
                    self.write(entry, |_| random.once_in(2), &file)?;
                    fate.torn += 1;
                }
            }
        }
        Ok(fate)
    }

    fn write(
        &self,
        entry: &Entry,
        mut wanted: impl FnMut(usize) -> bool,
        disk: &std::fs::File,
    ) -> Result<()> {
        let data = self.bytes.get(entry.data.clone()).unwrap_or(&[]);
        for (index, sector) in data.chunks(SECTOR).enumerate() {
            if wanted(index) {
                let at = entry.at + u64::try_from(index * SECTOR)?;
                disk.write_all_at(sector, at).context("writing what the guest wrote")?;
            }
        }
        Ok(())
    }
}

impl Entry {
    /// The entry at `at`; `None` when there is no whole one.
    fn read(bytes: &[u8], at: usize) -> Option<Entry> {
        let [sector, sectors, flags] =
            [0, 8, 16].map(|offset| number(bytes, at + offset).unwrap_or_default());
        let flush = flags & FLUSH != 0;
        let begin = at.checked_add(SECTOR)?;
        let length = if flags & DISCARD != 0 { 0 } else { usize::try_from(sectors).ok()? };
        let end = begin.checked_add(length.checked_mul(SECTOR)?)?;
        let whole = end <= bytes.len() && (sectors > 0 || flags > 0);
        let at = sector.checked_mul(u64::try_from(SECTOR).ok()?)?;
        whole.then_some(Entry { at, data: begin..end, flush, end })
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A journal as QEMU writes it: sector, content; `None` is a flush.
    fn journal(folder: &Path, entries: &[Option<(u64, u8)>]) -> Journal {
        let mut bytes = vec![0; SECTOR];
        bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
        for entry in entries {
            let (sector, content) = entry.unwrap_or_default();
            let numbers = if entry.is_some() { [sector, 2, 0, 0] } else { [0, 0, FLUSH, 0] };
            let mut head: Vec<u8> = numbers.iter().flat_map(|n: &u64| n.to_le_bytes()).collect();
            head.resize(SECTOR, 0);
            bytes.extend(head);
            if entry.is_some() {
                bytes.extend([content; 2 * SECTOR]);
            }
        }
        bytes.extend([0; 100]); // QEMU was killed here
        let path = folder.join("journal");
        std::fs::write(&path, bytes).unwrap();
        Journal::read(&path).unwrap()
    }

    #[test]
    fn what_was_flushed_is_there_and_the_rest_as_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, blank) = (folder.path().join("disk"), vec![0; 8 * SECTOR]);
        let journal = journal(folder.path(), &[Some((0, 1)), Some((2, 2)), None, Some((0, 3)), Some((4, 4))]);
        assert_eq!(journal.len(), 5);
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..4000 {
            std::fs::write(&disk, &blank).unwrap();
            let fate = journal.replay(5, &mut Random::new(seed), &disk).unwrap();
            assert_eq!(fate.kept + fate.lost + fate.torn, 2);
            let bytes = std::fs::read(&disk).unwrap();
            let sectors: Vec<u8> = bytes.chunks(SECTOR).map(|sector| sector[0]).collect();
            assert!(sectors[..2].iter().all(|&byte| byte == 1 || byte == 3) && sectors[2..4] == [2, 2]);
            assert!(sectors[4..6].iter().all(|&byte| byte == 0 || byte == 4) && sectors[6..] == [0, 0]);
            seen.insert(sectors);
        }
        assert_eq!(seen.len(), 16, "each sector comes and stays away");
        std::fs::write(&disk, &blank).unwrap();
        journal.replay(3, &mut Random::new(1), &disk).unwrap();
        assert_eq!(std::fs::read(&disk).unwrap()[..SECTOR], [1; SECTOR]);
    }

    #[test]
    fn the_size_of_the_journal_tells_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let journal = journal(folder.path(), &[Some((0, 1)), None]);
        assert_eq!([0, 4 * 512 - 1, 4 * 512, 5 * 512].map(|bytes| journal.within(bytes)), [0, 0, 1, 2]);
        std::fs::write(folder.path().join("other"), [7; 2 * SECTOR]).unwrap();
        assert!(Journal::read(&folder.path().join("other")).is_err());
    }
}
