//! Block devices and NICs as /sys shows them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::NodeFacts;
use crate::units::{IfName, Mac};

/// /sys; another directory in tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sys(pub PathBuf);

impl Sys {
    /// The disk that this system was booted from: `named` if that is a disk, else the one below the root file system, through
    /// dm-verity. Configurations of any other disk of this kind are none of this box's.
    #[must_use]
    pub fn boot_disk(&self, named: Option<&str>) -> Option<String> {
        if let Some(named) = named.filter(|named| !named.contains('/') && self.block(named).exists()) {
            return Some(named.to_owned());
        }
        let device = fs::metadata("/").ok()?.dev();
        let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
        self.disk_below(&self.0.join(format!("dev/block/{major}:{minor}")))
    }

    /// The disk below a block device, which may be mapped from another one and may be a partition.
    fn disk_below(&self, device: &Path) -> Option<String> {
        let mut device = fs::canonicalize(device).ok()?;
        if let Some(slave) = names(&device.join("slaves")).into_iter().next() {
            device = fs::canonicalize(self.block(&slave)).ok()?;
        }
        if device.join("partition").exists() {
            device = device.parent()?.to_owned();
        }
        Some(device.file_name()?.to_str()?.to_owned())
    }

    /// The partition of `disk` with this name in the GPT.
    #[must_use]
    pub fn partition(&self, disk: &str, label: &str) -> Option<String> {
        self.partitions(disk).into_iter().find(|part| {
            let uevent = fs::read_to_string(self.block(part).join("uevent")).unwrap_or_default();
            uevent.lines().any(|line| line.strip_prefix("PARTNAME=") == Some(label))
        })
    }

    /// Volumes of removable disks that are not `boot_disk`: each partition, or a disk without any. Another disk of a Director
    /// is no stick: its file is for the box that boots from it.
    #[must_use]
    pub fn sticks(&self, boot_disk: Option<&str>) -> BTreeSet<String> {
        let is_ours = |disk: &str| Some(disk) != boot_disk && self.partition(disk, "root-a").is_none();
        let disks = names(&self.0.join("block")).into_iter();
        disks
            .filter(|disk| is_ours(disk) && self.is_stick(disk))
            .flat_map(|disk| {
                Some(self.partitions(&disk)).filter(|parts| !parts.is_empty()).unwrap_or_else(|| vec![disk])
            })
            .collect()
    }

    fn is_stick(&self, disk: &str) -> bool {
        let path = fs::canonicalize(self.block(disk)).unwrap_or_default();
        let is_one = |file: &str| fs::read_to_string(path.join(file)).is_ok_and(|text| text.trim() == "1");
        let has_medium = fs::read_to_string(path.join("size")).is_ok_and(|text| text.trim() != "0");
        let virtual_disk = path.components().any(|part| part.as_os_str() == "virtual");
        let on_usb = path.to_str().is_some_and(|path| path.contains("/usb"));
        let optical = disk.starts_with("sr");
        !virtual_disk
            && !optical
            && has_medium
            && (on_usb || is_one("removable") || disk.starts_with("mmcblk"))
    }

    /// Whether a USB mass storage device is plugged in of which no disk is to be seen yet: the kernel waits a second for it to
    /// spin up.
    #[must_use]
    pub fn storage_is_coming(&self) -> bool {
        let devices = self.0.join("bus/usb/devices");
        names(&devices).iter().map(|name| devices.join(name)).any(|interface| {
            let class = fs::read_to_string(interface.join("bInterfaceClass"));
            class.is_ok_and(|class| class.trim() == "08") && !has_disk(&interface, 4)
        })
    }

    /// The Ethernet cards of this box by name.
    #[must_use]
    pub fn nics(&self) -> Vec<IfName> {
        let all = self.0.join("class/net");
        let is_card = |name: &String| {
            let kind = fs::read_to_string(all.join(name).join("type")).unwrap_or_default();
            all.join(name).join("device").exists() && kind.trim() == "1" // ARPHRD_ETHER
        };
        names(&all).into_iter().filter(is_card).filter_map(|name| name.parse().ok()).collect()
    }

    /// Their hardware addresses, which stay when a card is renamed.
    #[must_use]
    pub fn nic_addresses(&self) -> BTreeSet<Mac> {
        let address = |name: &IfName| {
            let path = self.0.join("class/net").join(name.as_str()).join("address");
            fs::read_to_string(path).ok()?.trim().parse().ok()
        };
        self.nics().iter().filter_map(address).collect()
    }

    fn partitions(&self, disk: &str) -> Vec<String> {
        let below = self.block(disk);
        names(&below).into_iter().filter(|name| below.join(name).join("partition").exists()).collect()
    }

    fn block(&self, name: &str) -> PathBuf {
        self.0.join("class/block").join(name)
    }
}

/// The entries of a directory, in order; none if it is not there.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Whether a SCSI disk hangs below a USB interface: `host0/target0:0:0/0:0:0:0/block/sda`.
fn has_disk(directory: &Path, depth: usize) -> bool {
    let below = names(directory);
    let goes_on =
        |name: &&String| name.starts_with("host") || name.starts_with("target") || name.contains(':');
    below.iter().any(|name| name == "block")
        || depth > 0 && below.iter().filter(goes_on).any(|name| has_disk(&directory.join(name), depth - 1))
}

/// What tells this box from others: the hardware addresses of its interfaces, and its host name.
#[must_use]
pub fn node_facts() -> NodeFacts {
    let hostname = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    NodeFacts { macs: interfaces().map(|(_, mac)| mac).collect(), hostname, node: None }
}

/// The hardware address of the interface of this name.
#[must_use]
pub fn mac_of(name: &IfName) -> Option<Mac> {
    interfaces().find(|(found, _)| found == name.as_str()).map(|(_, mac)| mac)
}

fn interfaces() -> impl Iterator<Item = (String, Mac)> {
    let all = nix::ifaddrs::getifaddrs().into_iter().flatten();
    all.filter_map(|interface| {
        let octets = interface.address?.as_link_addr()?.addr()?;
        Some((interface.interface_name, Mac(octets))).filter(|_| octets != [0; 6])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A tree like /sys: a disk with partitions below PCI, a USB stick, a NIC.
    fn tree() -> (tempfile::TempDir, Sys) {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let file = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let link = |from: &str, to: &str| {
            let from = root.join(from);
            fs::create_dir_all(from.parent().unwrap()).unwrap();
            fs::create_dir_all(root.join(to)).unwrap();
            symlink(root.join(to), from).unwrap();
        };
        for (disk, base, parts) in [
            ("vda", "devices/pci0/block/vda", &["root-a", "config"][..]),
            ("sda", "devices/pci0/usb1/1-1/1-1:1.0/host0/target0:0:0/0:0:0:0/block/sda", &["stick"]),
            ("sdb", "devices/pci0/ata1/block/sdb", &["config"]),
        ] {
            file(&format!("{base}/size"), "8\n");
            link(&format!("class/block/{disk}"), base);
            link(&format!("block/{disk}"), base);
            for (index, label) in parts.iter().enumerate() {
                let part = format!("{base}/{disk}{}", index + 1);
                file(&format!("{part}/partition"), "1\n");
                file(&format!("{part}/uevent"), &format!("DEVTYPE=partition\nPARTNAME={label}\n"));
                link(&format!("class/block/{disk}{}", index + 1), &part);
            }
        }
        link("class/block/dm-0", "devices/virtual/block/dm-0");
        fs::create_dir_all(root.join("devices/virtual/block/dm-0/slaves/vda1")).unwrap();
        file("devices/pci0/usb1/1-1/1-1:1.0/bInterfaceClass", "08\n");
        link("bus/usb/devices/1-1:1.0", "devices/pci0/usb1/1-1/1-1:1.0");
        fs::create_dir_all(root.join("class/net/eth0/device")).unwrap();
        file("class/net/eth0/type", "1\n");
        file("class/net/eth0/address", "52:54:00:00:00:01\n");
        file("class/net/lo/type", "772\n");
        (dir, Sys(root))
    }

    #[test]
    fn the_boot_disk_lies_below_the_verified_root() {
        let (_dir, sys) = tree();
        assert_eq!(sys.disk_below(&sys.block("dm-0")).as_deref(), Some("vda"));
        assert_eq!(sys.disk_below(&sys.block("vda2")).as_deref(), Some("vda"));
        assert_eq!(sys.disk_below(&sys.block("vda")).as_deref(), Some("vda"));
        assert_eq!(sys.boot_disk(Some("sdb")).as_deref(), Some("sdb"));
    }

    #[test]
    fn partitions_are_those_of_one_disk() {
        let (_dir, sys) = tree();
        assert_eq!(sys.partition("vda", "config").as_deref(), Some("vda2"));
        assert_eq!(sys.partition("vda", "data"), None);
    }

    #[test]
    fn a_stick_is_removable_and_not_the_boot_disk() {
        let (_dir, sys) = tree();
        assert_eq!(sys.sticks(Some("vda")), BTreeSet::from(["sda1".to_owned()]));
        assert_eq!(sys.sticks(Some("sda")), BTreeSet::new(), "booted from a stick");
        let uevent = sys.block("sda1").join("uevent");
        fs::write(uevent, "DEVTYPE=partition\nPARTNAME=root-a\n").unwrap();
        assert_eq!(sys.sticks(Some("vda")), BTreeSet::new(), "another Director");
    }

    #[test]
    fn a_plugged_stick_without_a_disk_is_coming() {
        let (_dir, sys) = tree();
        assert!(!sys.storage_is_coming());
        let interface = sys.0.join("devices/pci0/usb1/1-1/1-1:1.0");
        fs::rename(interface.join("host0"), interface.join("power")).unwrap();
        assert!(sys.storage_is_coming());
    }

    #[test]
    fn nics_have_a_device() {
        let (_dir, sys) = tree();
        assert_eq!(sys.nics(), ["eth0".parse().unwrap()]);
        assert_eq!(sys.nic_addresses(), ["52:54:00:00:00:01".parse().unwrap()].into());
    }
}
