//! A disk of its own: new GUIDs for it and its partitions, and a partition table that knows its size.
//!
//! Two disks with the same GUIDs in one box are dangerous: the kernel would take the root of whichever it sees first.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};
use gpt::disk::LogicalBlockSize;
use uuid::Uuid;

/// Bytes of a sector.
const SECTOR: u64 = 512;

/// Sectors of a backup table: 32 of entries and its header (UEFI 2.10, section 5.3).
const BACKUP: u64 = 33;

/// The place in the protective MBR where the number of sectors that it protects is (UEFI 2.10, table 5-4).
const PROTECTED: u64 = 446 + 12;

/// Gives the disk at `path` new GUIDs, moves the backup of its partition table to its end and makes the protective MBR
/// cover all of it.
///
/// # Errors
/// There is no valid partition table, or writing fails.
pub fn renew(path: &Path) -> Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    let context = || format!("cannot renew the partition table of {}", path.display());
    let settings = gpt::GptConfig::new().writable(true).logical_block_size(LogicalBlockSize::Lb512);
    let mut table = settings.open_from_device(file).with_context(context)?;
    let old_backup = table.header().backup_lba;
    table.update_guid(Some(Uuid::new_v4()));
    let mut partitions = table.partitions().clone();
    for partition in partitions.values_mut() {
        partition.part_guid = Uuid::new_v4();
    }
    table.update_partitions(partitions).with_context(context)?;
    let new_backup = table.header().backup_lba;
    let file = table.write().with_context(context)?;
    finish(&file, old_backup, new_backup).with_context(context)?;
    file.sync_all().with_context(context)
}

fn finish(file: &File, old_backup: u64, new_backup: u64) -> std::io::Result<()> {
    let protected = u32::try_from(new_backup).unwrap_or(u32::MAX);
    file.write_all_at(&protected.to_le_bytes(), PROTECTED)?;
    if new_backup.saturating_sub(old_backup) < BACKUP {
        return Ok(());
    }
    // the old one would be inside of `data` when that grows
    let zeros = vec![0; usize::try_from(BACKUP * SECTOR).unwrap_or_default()];
    file.write_all_at(&zeros, (old_backup + 1).saturating_sub(BACKUP) * SECTOR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A disk of `size` bytes whose table was made for one of 16 MiB.
    fn disk(dir: &Path, size: u64) -> std::path::PathBuf {
        let path = dir.join("disk");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        file.set_len(16 << 20).unwrap();
        gpt::mbr::ProtectiveMBR::with_lb_size(32767).overwrite_lba0(&mut file.try_clone().unwrap()).unwrap();
        let settings = gpt::GptConfig::new().writable(true).logical_block_size(LogicalBlockSize::Lb512);
        let mut table = settings.create_from_device(file, Some(Uuid::nil())).unwrap();
        table.add_partition("boot-a", 1 << 20, gpt::partition_types::LINUX_FS, 0, None).unwrap();
        table.add_partition("data", 1 << 20, gpt::partition_types::LINUX_FS, 0, None).unwrap();
        let file = table.write().unwrap();
        file.set_len(size).unwrap();
        path
    }

    fn guids(path: &Path) -> BTreeSet<Uuid> {
        let table = gpt::GptConfig::new().open(path).unwrap();
        table.partitions().values().map(|partition| partition.part_guid).chain([*table.guid()]).collect()
    }

    #[test]
    fn every_guid_is_new_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = disk(dir.path(), 64 << 20);
        let before = guids(&path);
        renew(&path).unwrap();
        assert!(before.is_disjoint(&guids(&path)));
        let table = gpt::GptConfig::new().open(&path).unwrap();
        let names: Vec<_> = table.partitions().values().map(|partition| partition.name.clone()).collect();
        assert_eq!(names, ["boot-a", "data"]);
    }

    #[test]
    fn the_backup_is_at_the_end_and_the_old_one_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = disk(dir.path(), 64 << 20);
        renew(&path).unwrap();
        let table = gpt::GptConfig::new().only_valid_headers(true).open(&path).unwrap();
        let last = (64 << 20) / SECTOR - 1;
        assert_eq!(table.primary_header().unwrap().backup_lba, last);
        assert_eq!(table.primary_header().unwrap().last_usable, last - BACKUP);
        assert_eq!(table.backup_header().unwrap().current_lba, last);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(&bytes[(16 << 20) - 512..(16 << 20) - 504], [0; 8]);
        assert_eq!(&bytes[458..462], u32::try_from(last).unwrap().to_le_bytes());
    }

    #[test]
    fn a_disk_without_a_table_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        File::create(&path).unwrap().set_len(1 << 20).unwrap();
        assert!(renew(&path).is_err());
    }
}
