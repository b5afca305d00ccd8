//! A file for people to take away: onto a USB stick, or onto the partition `data`. Blocking.
//!
//! It works without the worker `store`, so a bundle for support can be had when that does not answer.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::appliance::{device, fat_volumes};
use super::cmdline::KernelArgs;
use super::disk::Sys;
use super::files::replace;
use super::mounts::{Access, Mounted};
use crate::paths::RunDir;

/// How long a stick that `store` is reading is waited for.
const BUSY: Duration = Duration::from_secs(3);

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The first USB stick with a FAT file system; one labelled DIRECTOR goes first.
    Usb,
    /// The partition `data` of the boot disk.
    Data,
}

/// Writes `name` there as a whole; says where it is now.
///
/// # Errors
/// "what failed: on what: why".
pub fn deliver(run: &RunDir, place: Place, name: &str, bytes: &[u8]) -> Result<String, String> {
    match place {
        Place::Usb => to_stick(run, name, bytes),
        Place::Data => to_data(Path::new("/data"), name, bytes),
    }
}

fn to_data(data: &Path, name: &str, bytes: &[u8]) -> Result<String, String> {
    if !is_mounted(data) {
        return Err("write to the data partition: it is not there: plug in a USB stick".to_owned());
    }
    let folder = data.join("out");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(|error| format!("make folder: {}: {error}", folder.display()))?;
    write(&folder, name, bytes)?;
    Ok(format!("data partition: {}", folder.join(name).display()))
}

fn to_stick(run: &RunDir, name: &str, bytes: &[u8]) -> Result<String, String> {
    let args = KernelArgs::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
    let sys = Sys(PathBuf::from("/sys"));
    let disk = sys.boot_disk(args.disk.as_deref());
    let volumes = fat_volumes(&sys, disk.as_deref());
    let volume =
        volumes.first().ok_or("write to a USB stick: none is plugged in that has a FAT file system")?;
    let target = mount_point(run, "usb-out")?;
    let started = Instant::now();
    let mounted = loop {
        match Mounted::fat(&device(volume), &target, Access::Write) {
            Ok(mounted) => break mounted,
            Err(_) if started.elapsed() < BUSY => std::thread::sleep(Duration::from_millis(100)),
            Err(why) => return Err(why),
        }
    };
    write(mounted.path(), name, bytes)?;
    drop(mounted);
    Ok(format!("USB stick: {name}"))
}

/// What the boot loader remembers: slots and their counters.
///
/// # Errors
/// "what failed: on what: why".
pub fn boot_environment(run: &RunDir) -> Result<String, String> {
    let args = KernelArgs::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
    let sys = Sys(PathBuf::from("/sys"));
    let disk =
        sys.boot_disk(args.disk.as_deref()).ok_or("find the boot disk: none below the root file system")?;
    let part = sys.partition(&disk, "state").ok_or_else(|| format!("find partition: {disk}: no state"))?;
    let target = mount_point(run, "state-look")?;
    let mounted = Mounted::ext4(&device(&part), &target, Access::Read)?;
    let path = mounted.path().join("grub/grubenv");
    let text = fs::read_to_string(&path).map_err(|error| format!("read {}: {error}", path.display()))?;
    Ok(text.trim_end_matches('#').to_owned())
}

pub(super) fn mount_point(run: &RunDir, name: &str) -> Result<PathBuf, String> {
    let target = run.path().join(name);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&target)
        .map_err(|error| format!("make mount point: {}: {error}", target.display()))?;
    Ok(target)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), String> {
    replace(&folder.join(name), bytes).map_err(|error| format!("write {name}: {}: {error}", folder.display()))
}

fn is_mounted(path: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(1).map(Path::new) == Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_where_no_partition_is() {
        let dir = tempfile::tempdir().unwrap();
        let error = to_data(dir.path(), "x", b"x").unwrap_err();
        assert!(error.contains("it is not there"), "{error}");
        assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
        assert!(is_mounted(Path::new("/")));
    }

    #[test]
    fn without_a_stick_it_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let error = to_stick(&RunDir::new(dir.path()), "x", b"x").unwrap_err();
        assert!(error.starts_with("write to a USB stick: none is plugged in"), "{error}");
    }
}
