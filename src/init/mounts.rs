//! The kernel's own file systems, and the room in memory that everybody writes to. The partitions are `store`'s.

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// One mount.
#[derive(Debug)]
struct Mount {
    kind: &'static str,
    target: &'static str,
    flags: MsFlags,
    options: &'static str,
}

const NO_SUID_EXEC: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC);
const NOTHING_SPECIAL: MsFlags = NO_SUID_EXEC.union(MsFlags::MS_NODEV);

/// In this order: first the one with the console in it.
const MOUNTS: [Mount; 9] = [
    Mount { kind: "devtmpfs", target: "/dev", flags: NO_SUID_EXEC, options: "mode=0755" },
    Mount { kind: "proc", target: "/proc", flags: NOTHING_SPECIAL, options: "" },
    Mount { kind: "sysfs", target: "/sys", flags: NOTHING_SPECIAL, options: "" },
    Mount { kind: "tmpfs", target: "/run", flags: NOTHING_SPECIAL, options: "mode=0755,size=32m" },
    Mount { kind: "tmpfs", target: "/tmp", flags: NOTHING_SPECIAL, options: "mode=1777,size=16m" },
    Mount { kind: "devpts", target: "/dev/pts", flags: NO_SUID_EXEC, options: "gid=5,mode=620,ptmxmode=666" },
    Mount { kind: "tmpfs", target: "/dev/shm", flags: NOTHING_SPECIAL, options: "mode=1777,size=4m" },
    Mount { kind: "cgroup2", target: "/sys/fs/cgroup", flags: NOTHING_SPECIAL, options: "" },
    Mount { kind: "pstore", target: "/sys/fs/pstore", flags: NOTHING_SPECIAL, options: "" },
];

/// Mounts the first of the table: only then there is a console to complain to.
pub fn devices() {
    MOUNTS.iter().take(1).for_each(put);
}

/// Mounts the rest. What fails is said and left: a box without `/dev/shm` can still do its work.
pub fn rest() {
    MOUNTS.iter().skip(1).for_each(put);
}

fn put(entry: &Mount) {
    let Mount { kind, target, flags, options } = entry;
    // Most exist in the root; those inside another mount are made here, or by the kernel.
    let _ = std::fs::create_dir(target);
    let data = (!options.is_empty()).then_some(*options);
    let done = match mount(Some(*kind), *target, Some(*kind), *flags, data) {
        // The kernel was faster (devtmpfs): then only the flags are missing.
        Err(Errno::EBUSY) => mount(None::<&str>, *target, None::<&str>, *flags | MsFlags::MS_REMOUNT, data),
        other => other,
    };
    match done {
        Ok(()) => {}
        Err(Errno::ENODEV | Errno::ENOENT) => log::debug!("not in this kernel: {target}: {kind}"),
        Err(error) => log::error!("not mounted: {target}: {kind}: {error}"),
    }
}

/// What `/proc/mounts` says that holds data of a disk, the innermost first.
#[must_use]
pub fn on_disks(proc_mounts: &str) -> Vec<&str> {
    let mut targets: Vec<&str> = proc_mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (device, target) = (words.next()?, words.next()?);
            (device.starts_with("/dev/") && target != "/").then_some(target)
        })
        .collect();
    targets.reverse();
    targets
}

/// Takes the disks' file systems off; what is still in use is made read-only at least.
pub fn take_off() {
    let mounted = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    for target in on_disks(&mounted) {
        if umount2(target, MntFlags::empty()).is_ok() {
            continue;
        }
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        if let Err(error) = mount(None::<&str>, target, None::<&str>, flags, None::<&str>) {
            log::error!("still writable at the end: {target}: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_disks_are_taken_off_and_the_innermost_first() {
        let mounts = "/dev/root / squashfs ro 0 0\ndevtmpfs /dev devtmpfs rw 0 0\nproc /proc proc rw 0 0\n\
                      /dev/vda9 /data ext4 rw 0 0\n/dev/vda8 /data/config vfat ro 0 0\n";
        assert_eq!(on_disks(mounts), ["/data/config", "/data"]);
    }

    #[test]
    fn dev_comes_first_and_nothing_allows_set_user_id() {
        assert_eq!(MOUNTS.first().unwrap().target, "/dev");
        assert!(MOUNTS.iter().all(|entry| entry.flags.contains(NO_SUID_EXEC)));
    }
}
