//! The kernel's counters of each interface (Documentation/ABI/testing/sysfs-class-net-statistics).

use std::fs;
use std::path::Path;

/// Where the kernel shows them.
const CLASS: &str = "/sys/class/net";
/// Interfaces that are read at most: a box with more has them for something else.
const MOST: usize = 256;

/// What is counted, in the order of [`Device::counters`].
pub const COUNTERS: [&str; 8] = [
    "rx_bytes",
    "tx_bytes",
    "rx_packets",
    "tx_packets",
    "rx_errors",
    "tx_errors",
    "rx_dropped",
    "tx_dropped",
];

/// The counters of one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Since it exists, as [`COUNTERS`] names them.
    pub counters: [u64; COUNTERS.len()],
}

/// Those of this network namespace but `lo`, by name; what cannot be read is left out.
#[must_use]
pub fn read() -> Vec<Device> {
    read_from(Path::new(CLASS))
}

fn read_from(class: &Path) -> Vec<Device> {
    let Ok(entries) = fs::read_dir(class) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut devices: Vec<Device> = names
        .filter(|name| name != "lo")
        .take(MOST)
        .filter_map(|name| {
            let folder = class.join(&name).join("statistics");
            let mut counters = [0; COUNTERS.len()];
            for (counter, file) in counters.iter_mut().zip(COUNTERS) {
                *counter = fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()?;
            }
            Some(Device { name, counters })
        })
        .collect();
    devices.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    devices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_all_counters_is_read() {
        let class = tempfile::tempdir().unwrap();
        for (name, files) in [("eth1", COUNTERS.len()), ("eth0", COUNTERS.len()), ("lo", 8), ("odd", 3)] {
            let folder = class.path().join(name).join("statistics");
            fs::create_dir_all(&folder).unwrap();
            for (n, file) in COUNTERS.into_iter().take(files).enumerate() {
                fs::write(folder.join(file), format!("{n}\n")).unwrap();
            }
        }
        let found = read_from(class.path());
        assert_eq!(found.iter().map(|device| device.name.as_str()).collect::<Vec<_>>(), ["eth0", "eth1"]);
        assert_eq!(found[0].counters, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert!(read_from(&class.path().join("none")).is_empty());
    }
}
