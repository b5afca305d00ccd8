//! What an image may be written to: a whole disk that nothing uses, or a file.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{WrongUse, tool};

/// The kernel's view of devices.
const SYS: &str = "/sys";

/// Sectors of the image's partition table, in bytes.
const SECTOR: u64 = 512;

/// A disk or file that may be overwritten.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    name: String,
    size: u64,
    model: Option<String>,
    is_disk: bool,
}

impl Target {
    /// Looks at `path` and everything that could be using it.
    ///
    /// # Errors
    /// [`WrongUse`] when it must not be overwritten.
    pub fn open(path: &Path) -> Result<Self> {
        let accepted = "accepted is a whole disk such as /dev/sdb, or an existing file";
        let refuse = |why: &str| WrongUse(format!("cannot flash {}: {why}", path.display()));
        let meta = fs::metadata(path).map_err(|error| refuse(&format!("{error}: {accepted}")))?;
        let kind = meta.file_type();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if kind.is_file() {
            if let Some(user) = loop_device_of(path) {
                return Err(refuse(&format!("{user} shows it as a disk")).into());
            }
            writable(path, 0).map_err(|error| refuse(&error.to_string()))?;
            return Ok(Self { path: path.to_owned(), name, size: meta.len(), model: None, is_disk: false });
        }
        if !kind.is_block_device() {
            return Err(refuse(&format!("it is neither a disk nor a file: {accepted}")).into());
        }
        let number = DeviceNumber(meta.rdev());
        let mounts = fs::read_to_string("/proc/self/mountinfo").context("cannot read the list of mounts")?;
        let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
        let disk = Disk::find(Path::new(SYS), &number.text()).map_err(|why| refuse(&why))?;
        if let Some(why) = disk.refusal(&mounts, &swaps) {
            return Err(refuse(&why).into());
        }
        // the kernel's own opinion, which also covers what is not in the lists above
        let mut file = writable(path, nix::libc::O_EXCL).map_err(|error| refuse(&error.to_string()))?;
        let size = file.seek(SeekFrom::End(0)).with_context(|| format!("cannot size {}", path.display()))?;
        Ok(Self { path: path.to_owned(), name, size, model: disk.model(), is_disk: true })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last part of its path: what the person types to confirm.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One line for the question.
    pub fn describe(&self) -> String {
        let model = self.model.as_deref().map(|model| format!(", {model}")).unwrap_or_default();
        format!("{} ({} MB{model})", self.path.display(), self.size / 1_000_000)
    }

    /// # Errors
    /// [`WrongUse`] when it has fewer than `needed` bytes.
    pub fn must_hold(&self, needed: u64) -> Result<()> {
        if self.size >= needed {
            return Ok(());
        }
        let (path, size) = (self.path.display(), self.size);
        Err(WrongUse(format!("cannot flash {path}: it has {size} bytes and the image needs {needed}")).into())
    }

    /// Makes the kernel look at the new partitions; it may not be able to, and then does so when the disk is plugged in again.
    pub fn announce(&self) {
        if self.is_disk {
            let _ = tool::run(tool::command("blockdev").arg("--rereadpt").arg(&self.path));
        }
    }
}

fn writable(path: &Path, flags: i32) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}

/// A device's number as st_rdev has it.
struct DeviceNumber(u64);

impl DeviceNumber {
    /// `major:minor`, as /sys and /proc write it.
    fn text(&self) -> String {
        format!("{}:{}", nix::sys::stat::major(self.0), nix::sys::stat::minor(self.0))
    }
}

fn loop_device_of(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let devices = fs::read_dir(Path::new(SYS).join("block")).ok()?;
    devices.flatten().find_map(|device| {
        let backing = fs::read_to_string(device.path().join("loop/backing_file")).ok()?;
        (Path::new(backing.trim()) == path).then(|| device.file_name().to_string_lossy().into_owned())
    })
}

/// A whole disk in /sys.
struct Disk {
    dir: PathBuf,
}

impl Disk {
    /// The disk with the number `major:minor`.
    fn find(sys: &Path, number: &str) -> Result<Self, String> {
        let link = sys.join("dev/block").join(number);
        let dir = link.canonicalize().map_err(|error| format!("the kernel does not know it: {error}"))?;
        if dir.join("partition").exists() {
            let disk =
                dir.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
            return Err(format!("it is a partition: the image is for a whole disk, /dev/{disk}"));
        }
        Ok(Self { dir })
    }

    /// Why it must not be overwritten.
    fn refusal(&self, mounts: &str, swaps: &str) -> Option<String> {
        if self.attribute("ro").as_deref() == Some("1") {
            return Some("it is read-only".to_owned());
        }
        if let Some(size) =
            self.attribute("queue/logical_block_size").filter(|size| *size != SECTOR.to_string())
        {
            return Some(format!("its sectors have {size} bytes: the image is laid out for {SECTOR}"));
        }
        std::iter::once(self.dir.clone()).chain(self.partitions()).find_map(|dir| in_use(&dir, mounts, swaps))
    }

    fn partitions(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut dirs: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        dirs.retain(|dir| dir.join("partition").exists());
        dirs.sort();
        dirs
    }

    fn model(&self) -> Option<String> {
        self.attribute("device/model")
    }

    fn attribute(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(self.dir.join(name)).ok()?;
        Some(text.trim().to_owned())
    }
}

/// What uses the disk or partition with this folder in /sys.
fn in_use(dir: &Path, mounts: &str, swaps: &str) -> Option<String> {
    let name = dir.file_name()?.to_string_lossy().into_owned();
    let number = fs::read_to_string(dir.join("dev")).ok()?;
    if let Some(place) = mount_point(mounts, number.trim(), &name) {
        return Some(format!("{name} is mounted on {place}"));
    }
    if swaps.lines().any(|line| line.split_whitespace().next() == Some(&format!("/dev/{name}"))) {
        return Some(format!("{name} is swap space in use"));
    }
    let holder = fs::read_dir(dir.join("holders")).ok()?.flatten().next()?;
    Some(format!("{name} is part of {}", holder.file_name().to_string_lossy()))
}

/// The mount point of the device with this number, or with this name: some file systems show a number of their own
/// (proc_pid_mountinfo(5): ID, parent, major:minor, root, mount point, options, …, -, type, source, options).
fn mount_point<'a>(mounts: &'a str, number: &str, name: &str) -> Option<&'a str> {
    let source = format!("/dev/{name}");
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(2);
        let (device, place) = (fields.next()?, fields.nth(1)?);
        let mounted = line.split_once(" - ")?.1.split(' ').nth(1)?;
        (device == number || mounted == source).then_some(place)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw\n\
                          35 22 0:41 / /mnt/pool rw - btrfs /dev/sdd1 rw\n";

    /// A /sys with the disks sda (two partitions), sdb (empty), sdc (read-only), sdd (one partition, under md0).
    fn sys() -> tempfile::TempDir {
        let sys = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = sys.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for (disk, minor) in [("sda", 0), ("sdb", 16), ("sdc", 32), ("sdd", 48)] {
            file(&format!("block/{disk}/dev"), &format!("8:{minor}\n"));
            file(&format!("block/{disk}/ro"), if disk == "sdc" { "1\n" } else { "0\n" });
            file(&format!("block/{disk}/queue/logical_block_size"), "512\n");
            link(sys.path(), &format!("8:{minor}"), &format!("block/{disk}"));
        }
        for (disk, part, number) in [("sda", "sda1", "8:1"), ("sda", "sda2", "8:2"), ("sdd", "sdd1", "8:49")]
        {
            file(&format!("block/{disk}/{part}/dev"), number);
            file(&format!("block/{disk}/{part}/partition"), "1");
            link(sys.path(), number, &format!("block/{disk}/{part}"));
        }
        sys
    }

    fn link(sys: &Path, number: &str, to: &str) {
        fs::create_dir_all(sys.join("dev/block")).unwrap();
        std::os::unix::fs::symlink(sys.join(to), sys.join("dev/block").join(number)).unwrap();
    }

    fn refusal(number: &str) -> Option<String> {
        let sys = sys();
        match Disk::find(sys.path(), number) {
            Ok(disk) => disk.refusal(MOUNTS, "Filename\tType\n"),
            Err(why) => Some(why),
        }
    }

    #[test]
    fn an_unused_disk_is_accepted() {
        assert_eq!(refusal("8:16"), None);
    }

    #[test]
    fn disks_in_use_are_refused() {
        assert_eq!(refusal("8:0").as_deref(), Some("sda2 is mounted on /"));
        assert_eq!(refusal("8:48").as_deref(), Some("sdd1 is mounted on /mnt/pool"));
        assert_eq!(refusal("8:32").as_deref(), Some("it is read-only"));
        let why = "it is a partition: the image is for a whole disk, /dev/sda";
        assert_eq!(refusal("8:1").as_deref(), Some(why));
        assert!(refusal("9:9").unwrap().starts_with("the kernel does not know it"));
    }

    #[test]
    fn swap_and_raid_members_are_refused() {
        let sys = sys();
        let disk = Disk::find(sys.path(), "8:0").unwrap();
        let swaps = "Filename\t\t\tType\n/dev/sda1 partition 8 0 -2\n";
        assert_eq!(disk.refusal("", swaps).as_deref(), Some("sda1 is swap space in use"));
        fs::create_dir_all(disk.dir.join("sda1/holders/md0")).unwrap();
        assert_eq!(disk.refusal("", "").as_deref(), Some("sda1 is part of md0"));
    }

    #[test]
    fn sectors_of_another_size_are_refused() {
        let sys = sys();
        fs::write(sys.path().join("block/sdb/queue/logical_block_size"), "4096\n").unwrap();
        let disk = Disk::find(sys.path(), "8:16").unwrap();
        let why = "its sectors have 4096 bytes: the image is laid out for 512";
        assert_eq!(disk.refusal("", "").as_deref(), Some(why));
    }

    #[test]
    fn what_is_no_disk_is_wrong_use() {
        let refused = |path: &str| {
            let error = Target::open(Path::new(path)).unwrap_err();
            assert!(error.is::<WrongUse>());
            error.to_string()
        };
        assert!(refused("/dev/no-such-disk").starts_with("cannot flash /dev/no-such-disk: No such file"));
        assert!(
            refused("/dev/null")
                .starts_with("cannot flash /dev/null: it is neither a disk nor a file: accepted")
        );
        assert!(refused("/tmp").contains("neither a disk nor a file"));
    }

    #[test]
    fn a_small_target_is_wrong_use() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let target = Target::open(file.path()).unwrap();
        let error = target.must_hold(10).unwrap_err();
        assert!(
            error.is::<WrongUse>() && error.to_string().ends_with("it has 0 bytes and the image needs 10")
        );
    }
}
