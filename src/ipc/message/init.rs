//! Of `init`: the workers, their logs, the end.

use serde::{Deserialize, Serialize};

use crate::role::Role;

/// What an orderly end leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerAction {
    /// Start again.
    Reboot,
    /// Power off.
    PowerOff,
}

/// The supervisor and its children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitStatus {
    /// Firmware version.
    pub version: String,
    /// Host name.
    pub hostname: String,
    /// Time since the kernel started (or the supervisor, outside the appliance), milliseconds.
    pub uptime_ms: u64,
    /// Slot that booted, `A` or `B`; `None` outside the appliance.
    pub slot: Option<String>,
    /// How the boot loader wants this boot: `normal`, `safe`, `rescue` or `reset`.
    pub mode: String,
    /// Hardware watchdog: its identity if one is fed.
    pub watchdog: Option<String>,
    /// The children.
    pub workers: Vec<WorkerStatus>,
    /// The newest critical messages of the kernel, oldest first, counted from 1: consoles show them between their own lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urgent: Vec<(u64, String)>,
}

/// One child of the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Which; consoles appear once for each terminal.
    pub role: Role,
    /// The terminal of a console.
    pub tty: Option<String>,
    /// Process id while it runs.
    pub pid: Option<u32>,
    /// `running`, `waiting`, `held` or `stopping`.
    pub state: String,
    /// Life of the present process, milliseconds.
    pub age_ms: Option<u64>,
    /// Restarts since the supervisor started.
    pub restarts: u32,
    /// Consecutive short lives; from 5 on it is an alarm.
    pub failures: u32,
    /// How the last one ended.
    pub last_exit: Option<String>,
}

/// Lines that a follower does not have yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPart {
    /// Of which supervisor the numbers are.
    pub era: u64,
    /// Number and line, oldest first; a number that is missing had to make room before it was asked for.
    pub lines: Vec<(u64, LogLine)>,
}

/// One line of a log ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Milliseconds since the epoch by the box's clock when it was read.
    pub time_ms: u64,
    /// Who wrote it.
    pub role: Role,
    /// Syslog severity 0..=7.
    pub severity: u8,
    /// The text.
    pub text: String,
}
