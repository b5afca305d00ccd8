//! Programs of the operator's on their way to where they may run: the partitions allow none. On the appliance they are copied into
//! memory, root's and read only; under `director run` they stay where they are.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::notify::hook::{HOME, is_name, judge};
use crate::paths::RunDir;

/// Where they are, beside the configuration.
pub const FOLDER: &str = "hooks";
/// Most programs, and most bytes of all together: they are kept in memory.
const MOST: usize = 32;
const MOST_BYTES: u64 = 16 << 20;

/// Programs may run from here, and that is all.
const FLAGS: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);

/// Lets the workers find the hooks in `folder`, by a link in the run directory.
///
/// # Errors
/// "what failed: on what: why".
pub fn link(run: &RunDir, folder: &Path) -> Result<(), String> {
    let place = run.hooks();
    let done = match fs::remove_file(&place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => symlink(folder, &place),
    };
    done.map_err(|error| format!("link hooks: {}: {error}", place.display()))
}

/// Empties the place of the hooks; nobody may run any from now on.
pub fn clear() {
    // The bound is for a kernel that says yes for ever. Whatever runs from there may end.
    for _ in 0..8 {
        if umount2(HOME, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).is_err() {
            return;
        }
    }
}

/// Puts copies of the programs in `from` into their place, in a memory of their own. Returns how many there are.
///
/// # Errors
/// "what failed: on what: why". A program that cannot run is told and left out.
pub fn stage(from: &Path) -> Result<usize, String> {
    clear();
    match fs::create_dir(HOME) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(format!("make {HOME}: {error}"));
        }
        _ => {}
    }
    let failed = |errno: Errno| format!("mount hooks: {HOME}: {}", errno.desc());
    mount(Some("hooks"), HOME, Some("tmpfs"), FLAGS, Some("mode=0755,size=20m")).map_err(failed)?;
    let count = copy(from, Path::new(HOME));
    let sealed = FLAGS | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(None::<&str>, HOME, None::<&str>, sealed, None::<&str>).map_err(failed)?;
    Ok(count)
}

fn copy(from: &Path, to: &Path) -> usize {
    let Ok(entries) = fs::read_dir(from) else { return 0 };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| is_name(name))
        .collect();
    names.sort();
    let (mut count, mut room) = (0, MOST_BYTES);
    for name in names {
        if count == MOST {
            log::warn!("hooks left out: more than {MOST}");
            break;
        }
        match copy_one(&from.join(&name), &to.join(&name), room) {
            Ok(bytes) => {
                count += 1;
                room -= bytes;
            }
            Err(why) => log::warn!("hook left out: hooks/{name}: {why}"),
        }
    }
    count
}

fn copy_one(from: &Path, to: &Path, room: u64) -> Result<u64, String> {
    let words = |error: io::Error| error.to_string();
    if !fs::symlink_metadata(from).map_err(words)?.is_file() {
        return Err("not a file".to_owned());
    }
    let mut program = Vec::new();
    fs::File::open(from).map_err(words)?.take(room + 1).read_to_end(&mut program).map_err(words)?;
    let length = u64::try_from(program.len()).unwrap_or(u64::MAX);
    if length > room {
        return Err(format!("all hooks together are larger than {} MiB", MOST_BYTES >> 20));
    }
    judge(&program)?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o555).open(to).map_err(words)?;
    file.write_all(&program).map_err(words)?;
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_can_run_is_copied_and_the_rest_is_not() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = |name: &str, text: &[u8]| fs::write(from.path().join(name), text).unwrap();
        file("tell", b"#!/run/director-hooks/busybox sh\n");
        file("shell", b"#!/bin/sh\n");
        file("a b", b"#!/run/director-hooks/busybox sh\n");
        file("huge", &vec![b'#'; usize::try_from(MOST_BYTES).unwrap() + 1]);
        fs::create_dir(from.path().join("folder")).unwrap();
        symlink("/etc/passwd", from.path().join("link")).unwrap();
        assert_eq!(copy(from.path(), to.path()), 1);
        let names: Vec<_> =
            fs::read_dir(to.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["tell"]);
        let mode = fs::metadata(to.path().join("tell")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o555);
        assert_eq!(copy(&from.path().join("none"), to.path()), 0);
    }

    #[test]
    fn the_link_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path());
        link(&run, Path::new("/one")).unwrap();
        link(&run, Path::new("/two")).unwrap();
        assert_eq!(fs::read_link(run.hooks()).unwrap(), Path::new("/two"));
    }
}
