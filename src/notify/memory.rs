//! What the next life of this worker must know: how far each receiver has come.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::queue::Queue;
use super::syslog::forward::Progress;
use super::watch::Known;
use crate::store::files::swap;

/// What is written down, on tmpfs: the box forgets it when it starts again, as it does its log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// By receiver of logs.
    pub syslog: BTreeMap<String, Progress>,
    /// What is known of the box.
    pub known: Known,
    /// What waits, by receiver of alarms.
    pub queues: BTreeMap<String, Queue>,
    /// Number of the last alarm.
    pub last: u64,
}

/// Where it is written.
#[derive(Debug)]
pub struct Memory(pub PathBuf);

impl Memory {
    /// What the last life has left; nothing where that cannot be read.
    #[must_use]
    pub fn recall(&self) -> Record {
        let text = fs::read(&self.0).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Writes it down, whole or not at all.
    ///
    /// # Errors
    /// There is no room.
    pub fn keep(&self, record: &Record) -> io::Result<()> {
        swap(&self.0, &serde_json::to_vec(record)?)
    }
}
