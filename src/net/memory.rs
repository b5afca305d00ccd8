//! What the worker remembers for its next life: `net.json` in the run directory.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::dhcp::lease::Lease;
use super::sysctl::Forwarding;
use crate::units::{IfName, Mac};

/// Everything that the kernel does not keep for us.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
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
    /// Reads `path`; what is missing or unreadable is forgotten.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        match std::fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                log::warn!("forget what was remembered: {}: {error}", path.display());
                Self::default()
            }),
            Err(_) => Self::default(),
        }
    }

    /// Replaces `path` as a whole.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("json.new");
        std::fs::write(&new, serde_json::to_vec(self)?)?;
        std::fs::rename(&new, path)
    }
}
