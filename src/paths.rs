//! Where the processes of one Director meet.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::role::Role;

/// The directory in which the processes of one Director find each other; on the appliance `/run/director`.
///
/// Several Directors can run on one host, each in a directory (and a network namespace) of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// The run directory of the appliance, and the default of every verb.
    pub const DEFAULT: &str = "/run/director";

    /// Takes `path` as it is; nothing is created.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The stream socket on which `role` answers.
    #[must_use]
    pub fn socket(&self, role: Role) -> PathBuf {
        self.0.join(format!("{}.sock", role.name()))
    }

    /// The configuration that runs: a copy that `store` has checked, replaced by rename only.
    #[must_use]
    pub fn active_config(&self) -> PathBuf {
        self.0.join("active.toml")
    }

    /// What [`Self::active_config`] says, packed so that the workers need not read the text again; written before it.
    #[must_use]
    pub fn packed(&self) -> PathBuf {
        self.0.join("active.packed")
    }

    /// What `store` has read of the secret at `path` for the workers, whose disks may be slow or gone.
    #[must_use]
    pub fn secret(&self, path: &str) -> PathBuf {
        let digest = Sha256::digest(path.as_bytes());
        let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        self.secrets().join(name)
    }

    /// Where they are.
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.0.join("secrets")
    }

    /// Which configuration runs and why ([`crate::ipc::message::StoreStatus`] as JSON), written before
    /// [`Self::active_config`] is replaced.
    #[must_use]
    pub fn source(&self) -> PathBuf {
        self.0.join("source.json")
    }

    /// Leads to the folder with programs of the operator's, once there are some that may run.
    #[must_use]
    pub fn hooks(&self) -> PathBuf {
        self.0.join("hooks")
    }

    /// What a worker keeps for its own next life, for example `vrrp.json`.
    #[must_use]
    pub fn state(&self, role: Role) -> PathBuf {
        self.0.join(format!("{}.json", role.name()))
    }
}

impl Default for RunDir {
    fn default() -> Self {
        Self::new(Self::DEFAULT)
    }
}
