//! Private copies of disk images, with an operator's file put onto them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::command;

/// Copies a disk image to `to`, leaving holes where it has none but zeros. The original is never written.
///
/// # Errors
/// When `cp` fails, for instance on a full disk.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let [from, to] = [from, to].map(Path::as_os_str);
    command::output("cp", &["--sparse=always".as_ref(), "--reflink=auto".as_ref(), from, to]).map(drop)
}

/// Puts `file` as `name` into the root folder of the FAT partition labelled `config` of the disk image `disk`.
///
/// # Errors
/// When the image has no such partition or mtools fail.
pub fn put_config(disk: &Path, file: &Path, name: &str) -> Result<()> {
    let offset = partition(disk, "config")?;
    put(&format!("{}@@{offset}", disk.display()), file, name)
}

/// Puts `files`, each under a name, into a new folder of the operator's partition.
///
/// # Errors
/// When mtools fail: there is such a folder already.
pub fn put_config_folder(disk: &Path, folder: &str, files: &[(&Path, &str)]) -> Result<()> {
    let image = format!("{}@@{}", disk.display(), partition(disk, "config")?);
    command::output("mmd", &["-i", &image, &format!("::/{folder}")])?;
    files.iter().try_for_each(|(file, name)| put(&image, file, &format!("{folder}/{name}")))
}

/// The text of the file `name` on the partition labelled `config` of the disk image `disk`, as far as the box that has it has
/// written it.
///
/// # Errors
/// When there is none, or mtools fail.
pub fn read_config(disk: &Path, name: &str) -> Result<String> {
    let image = format!("{}@@{}", disk.display(), partition(disk, "config")?);
    command::output("mtype", &["-i", &image, &format!("::/{name}")])
}

/// Removes the file `name` from the partition labelled `config` of the disk image `disk`.
///
/// # Errors
/// When there is none, or mtools fail.
pub fn remove_config(disk: &Path, name: &str) -> Result<()> {
    let image = format!("{}@@{}", disk.display(), partition(disk, "config")?);
    command::output("mdel", &["-i", &image, &format!("::/{name}")]).map(drop)
}

/// Makes a USB stick: one FAT file system labelled DIRECTOR, with `file` as `director.toml` where given.
///
/// # Errors
/// When dosfstools or mtools fail.
pub fn usb_stick(stick: &Path, file: Option<&Path>) -> Result<()> {
    empty_stick(stick, 40 << 20)?;
    file.map_or(Ok(()), |file| put_stick(stick, file, "director.toml"))
}

/// Makes a USB stick of `size` bytes with nothing on it but a FAT file system labelled DIRECTOR.
///
/// # Errors
/// When dosfstools fail.
pub fn empty_stick(stick: &Path, size: u64) -> Result<()> {
    File::create(stick)
        .and_then(|f| f.set_len(size))
        .with_context(|| format!("writing {}", stick.display()))?;
    // Below that, FAT32 is none to those who count clusters.
    let bits = if size > 33 << 20 { "32" } else { "16" };
    let words = ["-F", bits, "-n", "DIRECTOR"].map(std::ffi::OsStr::new);
    command::output("mkfs.vfat", &[words.as_slice(), &[stick.as_os_str()]].concat()).map(drop)
}

/// Puts `file` as `name` onto a stick.
///
/// # Errors
/// When mtools fail.
pub fn put_stick(stick: &Path, file: &Path, name: &str) -> Result<()> {
    put(&stick.display().to_string(), file, name)
}

/// Makes the folder `name` on a stick.
///
/// # Errors
/// When mtools fail.
pub fn make_folder(stick: &Path, name: &str) -> Result<()> {
    let target = format!("::/{name}");
    command::output("mmd", &["-i".as_ref(), stick.as_os_str(), target.as_ref()]).map(drop)
}

/// Takes the file `name` off a stick, to `to`.
///
/// # Errors
/// When there is none, or mtools fail.
pub fn take_off(stick: &Path, name: &str, to: &Path) -> Result<()> {
    let source = format!("::/{name}");
    let words = ["-n".as_ref(), "-i".as_ref(), stick.as_os_str(), source.as_ref(), to.as_os_str()];
    command::output("mcopy", &words).map(drop)
}

/// The text of the file `name` on a stick, as far as the box that has it has written it.
///
/// # Errors
/// When there is none, or mtools fail.
pub fn read_stick(stick: &Path, name: &str) -> Result<String> {
    let target = format!("::/{name}");
    let words = ["-i".as_ref(), stick.as_os_str(), target.as_ref()];
    command::output("mtype", &words)
}

/// Copies the partition with this GPT name into a file of its own, for tools that know nothing of partitions.
///
/// # Errors
/// When the image has no such partition, or on a full disk.
pub fn extract(disk: &Path, name: &str, to: &Path) -> Result<()> {
    let (first, length) = place(disk, name)?;
    let words = ["iflag=skip_bytes,count_bytes", "conv=sparse", "bs=1M", "status=none"].map(str::to_owned);
    let more = [format!("if={}", disk.display()), format!("of={}", to.display())];
    let range = [format!("skip={first}"), format!("count={length}")];
    command::output("dd", &[words.as_slice(), &more, &range].concat()).map(drop)
}

/// What is on the partition `name` of `disk` from the first place where `text` is, `length` bytes.
///
/// # Errors
/// When there is no such partition or text.
pub fn peek(disk: &Path, name: &str, text: &[u8], length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    File::open(disk)?.read_exact_at(&mut bytes, find(disk, name, text)?)?;
    Ok(bytes)
}

/// Writes `bytes` over the first place on the partition `name` of `disk` where `text` is.
///
/// # Errors
/// When there is no such partition or text.
pub fn poke(disk: &Path, name: &str, text: &[u8], bytes: &[u8]) -> Result<()> {
    let at = find(disk, name, text)?;
    File::options().write(true).open(disk)?.write_all_at(bytes, at)?;
    Ok(())
}

fn find(disk: &Path, name: &str, text: &[u8]) -> Result<u64> {
    let (first, length) = place(disk, name)?;
    let mut bytes = vec![0; usize::try_from(length)?];
    File::open(disk)?.read_exact_at(&mut bytes, first)?;
    let at = bytes.windows(text.len()).position(|window| window == text);
    let at = at.with_context(|| format!("{}: partition {name}: not found: {text:?}", disk.display()))?;
    Ok(first + u64::try_from(at)?)
}

fn put(image: &str, file: &Path, name: &str) -> Result<()> {
    let target = format!("::/{name}");
    let words = ["-o", "-i", image].map(Path::new);
    command::output("mcopy", &[words.as_slice(), &[file, Path::new(&target)]].concat())
        .map(drop)
        .with_context(|| format!("putting {} onto {image}", file.display()))
}

/// Where the partition with this GPT name begins, in bytes (UEFI specification 2.10, section 5.3).
///
/// # Errors
/// When the image has no GPT or no such partition.
pub fn partition(disk: &Path, name: &str) -> Result<u64> {
    place(disk, name).map(|(first, _)| first)
}

/// Where the partition with this GPT name begins, and how long it is, in bytes.
fn place(disk: &Path, name: &str) -> Result<(u64, u64)> {
    let find = || -> Result<(u64, u64)> {
        let mut file = File::open(disk)?;
        let mut table = vec![0; 34 * SECTOR];
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut table)?;
        ensure!(table.get(SECTOR..SECTOR + 8) == Some(b"EFI PART"), "no GPT");
        let entries = table.get(2 * SECTOR..).unwrap_or(&[]).chunks_exact(128);
        let named = entries.filter_map(|entry| {
            Some((number(entry.get(32..40)?)?, number(entry.get(40..48)?)?, entry.get(56..128)?))
        });
        let mut found = named.filter(|(_, _, label)| utf16(label) == name);
        let (first, last, _) = found.next().with_context(|| format!("no partition named {name}"))?;
        let sectors = last.saturating_add(1).saturating_sub(first);
        Ok((first * SECTOR as u64, sectors * SECTOR as u64))
    };
    find().with_context(|| format!("disk image {}", disk.display()))
}

const SECTOR: usize = 512;

fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)));
    char::decode_utf16(units.take_while(|&unit| unit != 0)).map(|c| c.unwrap_or('?')).collect()
}

/// A file of this name in `folder` with this content: what the functions above take.
///
/// # Errors
/// When it cannot be written.
pub fn file(folder: &Path, name: &str, content: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with one partition `config`, made by hand: sector 1 the header's signature, sector 2 the first entry.
    fn disk(folder: &Path) -> PathBuf {
        let path = folder.join("disk.img");
        let mut image = vec![0u8; 64 * SECTOR];
        image[SECTOR..SECTOR + 8].copy_from_slice(b"EFI PART");
        let entry = 2 * SECTOR + 128; // the second entry
        image[entry + 32..entry + 40].copy_from_slice(&40u64.to_le_bytes());
        image[entry + 40..entry + 48].copy_from_slice(&49u64.to_le_bytes());
        for (at, unit) in "config".encode_utf16().enumerate() {
            image[entry + 56 + 2 * at..entry + 58 + 2 * at].copy_from_slice(&unit.to_le_bytes());
        }
        std::fs::write(&path, image).unwrap();
        path
    }

    #[test]
    fn finds_a_partition_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(folder.path());
        assert_eq!(partition(&disk, "config").unwrap(), 40 * 512);
        assert!(format!("{:#}", partition(&disk, "data").unwrap_err()).contains("no partition named data"));
        std::fs::write(&disk, vec![0; 64 * SECTOR]).unwrap();
        assert!(format!("{:#}", partition(&disk, "config").unwrap_err()).contains("no GPT"));
    }

    #[test]
    fn looks_and_writes_within_a_partition() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, part) = (disk(folder.path()), folder.path().join("part"));
        File::options().write(true).open(&disk).unwrap().write_all_at(b"here", 41 * 512).unwrap();
        poke(&disk, "config", b"here", b"there").unwrap();
        assert_eq!(peek(&disk, "config", b"the", 5).unwrap(), b"there");
        assert!(peek(&disk, "config", b"where", 5).is_err());
        extract(&disk, "config", &part).unwrap();
        let part = std::fs::read(part).unwrap();
        assert_eq!((part.len(), &part[512..517]), (10 * 512, b"there".as_slice()));
    }

    #[test]
    fn a_copy_keeps_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (disk(folder.path()), folder.path().join("copy.img"));
        copy(&from, &to).unwrap();
        assert_eq!(std::fs::read(from).unwrap(), std::fs::read(to).unwrap());
    }
}
