//! Of `time`: the clock.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// How the clock stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeStatus {
    /// Whether it agreed with the servers lately, and nothing speaks against it.
    pub synchronised: bool,
    /// Why not.
    pub problem: Option<String>,
    /// By how much it was behind at the last agreement, microseconds.
    pub offset_us: Option<i64>,
    /// When that was, milliseconds ago.
    pub agreed_ms: Option<u64>,
    /// Whether this box sets its clock; under `director run` the host does.
    pub sets: bool,
    /// Times that it was stepped since the worker started.
    pub steps: u32,
    /// By how much the last time, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stepped_us: Option<i64>,
    /// Those that are asked.
    pub servers: Vec<TimeServerStatus>,
    /// Generation of the configuration in force.
    pub generation: u64,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeServerStatus {
    /// Where it is.
    pub address: IpAddr,
    /// How the file calls it, if by a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `file` or `dhcp`.
    pub source: String,
    /// Whether the clock follows it.
    pub chosen: bool,
    /// How many servers it is away from a clock; `None` = no answer.
    pub stratum: Option<u8>,
    /// By how much this box is behind it, microseconds.
    pub offset_us: Option<i64>,
    /// Time to it and back, microseconds.
    pub delay_us: Option<u64>,
    /// Why its last answer does not count.
    pub problem: Option<String>,
}
