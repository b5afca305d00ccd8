//! What the worker remembers for its next life: `net.json` in the run directory.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dhcp::lease::Lease;
use super::sysctl::Forwarding;
use crate::store::files::swap;
use crate::units::{IfName, Mac};

/// Everything that the kernel does not keep for us.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Identity of the kernel's life that the rest belongs to.
    boot: String,
    /// Leases by the name of the link.
    pub leases: BTreeMap<IfName, Leased>,
    /// Forwarding that we switched on.
    pub raised: Forwarding,
}

/// A lease, and whose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leased {
    /// Hardware address that it was granted to.
    pub mac: Mac,
    /// The lease.
    pub lease: Lease,
}

impl Memory {
    /// Reads `path`. What is missing or unreadable is forgotten, and what another boot left, since leases count in boot
    /// time; of leases only those that last at `now` are kept.
    #[must_use]
    pub fn load(path: &Path, now: Duration) -> Self {
        let boot = boot();
        let parse = |text: Vec<u8>| {
            serde_json::from_slice(&text)
                .inspect_err(|error| log::warn!("forget what was remembered: {}: {error}", path.display()))
                .ok()
        };
        let read: Option<Self> = std::fs::read(path).ok().and_then(parse);
        let mut memory = read.filter(|memory| memory.boot == boot).unwrap_or_default();
        memory.boot = boot;
        memory.leases.retain(|_, leased| now < leased.lease.expires_at);
        memory
    }

    /// Replaces `path` as a whole.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        swap(path, &serde_json::to_vec(self)?)
    }
}

/// The kernel's name for this boot; empty where it tells none.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn leases_of_this_boot_that_still_last_are_taken_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("net.json");
        let lease = Lease {
            address: "10.0.0.9/24".parse().unwrap(),
            server: Ipv4Addr::new(10, 0, 0, 1),
            routes: Vec::new(),
            dns: Vec::new(),
            ntp: Vec::new(),
            renew_at: Duration::from_secs(50),
            rebind_at: Duration::from_secs(80),
            expires_at: Duration::from_secs(100),
        };
        let mut memory = Memory::load(&path, Duration::ZERO);
        memory.raised.ipv4 = true;
        memory.leases.insert("eth0".parse().unwrap(), Leased { mac: Mac([2; 6]), lease });
        memory.save(&path).unwrap();
        assert_eq!(Memory::load(&path, Duration::from_secs(99)), memory);
        assert!(Memory::load(&path, Duration::from_secs(100)).leases.is_empty(), "expired");
        memory.boot = "another".to_owned();
        memory.save(&path).unwrap();
        assert_eq!(Memory::load(&path, Duration::ZERO).raised, Forwarding::default());
        std::fs::write(&path, "{").unwrap();
        assert!(Memory::load(&path, Duration::ZERO).leases.is_empty());
    }
}
