//! File systems that are mounted for as long as a value lives.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Nothing on our partitions is a program or a device.
const FLAGS: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);
/// FAT has no owners: files are root's alone, they may hold passwords. A chain of clusters that a power cut left broken, of a file
/// that is being removed, is no reason to let nobody write until somebody mends it on a PC.
const FAT_OPTIONS: &str = "fmask=0177,dmask=0077,errors=continue";

/// Whether it may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    Read,
    /// Read and write.
    Write,
}

/// A mounted file system; unmounted, and so on the disk, when it is dropped.
#[derive(Debug)]
pub struct Mounted(PathBuf);

impl Mounted {
    /// Mounts a FAT file system.
    ///
    /// # Errors
    /// "what failed: on what: why".
    pub fn fat(device: &Path, target: &Path, access: Access) -> Result<Self, String> {
        Self::new(device, target, "vfat", FAT_OPTIONS, access)
    }

    /// Mounts an ext4 file system.
    ///
    /// # Errors
    /// "what failed: on what: why".
    pub fn ext4(device: &Path, target: &Path, access: Access) -> Result<Self, String> {
        Self::new(device, target, "ext4", "", access)
    }

    fn new(device: &Path, target: &Path, kind: &str, options: &str, access: Access) -> Result<Self, String> {
        release(target);
        let flags = if access == Access::Read { FLAGS | MsFlags::MS_RDONLY } else { FLAGS };
        mount(Some(device), target, Some(kind), flags, Some(options))
            .map_err(|errno| format!("mount {kind}: {}: {}", device.display(), errno.desc()))?;
        Ok(Self(target.to_owned()))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Leaves it mounted when the value is gone.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(errno) = umount2(&self.0, MntFlags::empty()) {
            log::warn!("unmount: {}: {}", self.0.display(), errno.desc());
            let _ = umount2(&self.0, MntFlags::MNT_DETACH);
        }
    }
}

/// Unmounts what an earlier life of this process may have left there.
fn release(target: &Path) {
    // A mount point that is none is EINVAL; the bound is for a kernel that says yes for ever.
    for _ in 0..8 {
        match umount2(target, MntFlags::UMOUNT_NOFOLLOW) {
            Err(Errno::EBUSY) => {
                let _ = umount2(target, MntFlags::MNT_DETACH);
            }
            Err(_) => return,
            Ok(()) => {}
        }
    }
}
