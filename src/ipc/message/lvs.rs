//! Of `lvs`: services and real servers.

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::config::model::{Method, Protocol};

/// What the operator orders for real servers. It holds until [`AdminOrder::Enable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum AdminOrder {
    /// No new connections; those there are may finish.
    Drain {
        /// For at most so many milliseconds, then the server is removed; absent = as the file has it, null = as long as they last.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
        timeout_ms: Option<Option<u64>>,
    },
    /// Out of the table at once.
    Disable,
    /// As file and checks say.
    Enable,
}

/// Services and real servers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LvsStatus {
    /// In the order of the file.
    pub services: Vec<ServiceStatus>,
    /// Whether the kernel agrees; else why not.
    pub problem: Option<String>,
    /// Foreign changes repaired since the worker started.
    pub foreign_changes: u64,
    /// Generation of the configuration in force.
    pub generation: u64,
    /// Where the file wants another table of connections than the kernel has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_size: Option<TableSize>,
}

/// Buckets of the kernel's table of connections, as powers of two. They are set when the kernel starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSize {
    /// Those of the kernel that runs.
    pub bits: u8,
    /// Those of the file, from the next boot on.
    pub next_boot: u8,
}

/// How much `lvs` has, and how much of it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LvsSummary {
    /// Virtual services of the file.
    pub services: u32,
    /// Those of them with quorum.
    pub services_up: u32,
    /// Real servers of all services, sorry servers not counted.
    pub servers: u32,
    /// Those of them that answer, or are not checked.
    pub servers_up: u32,
    /// Connections in the kernel's table when it was last read, active and inactive.
    pub connections: u64,
    /// Checks without an answer for longer than their interval and timeout allow: this box is too slow.
    #[serde(default)]
    pub overdue: u32,
    /// Checks whose last answer warned of something.
    #[serde(default)]
    pub warnings: u32,
}

/// One virtual service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Name.
    pub name: String,
    /// `192.168.61.45:80` or `fwmark 5`.
    pub listen: String,
    /// The other addresses or marks of the same service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// `None` for a firewall mark.
    pub protocol: Option<Protocol>,
    /// Scheduler.
    pub scheduler: String,
    /// Seconds; `None` = off.
    pub persistence_s: Option<u64>,
    /// Whether it has quorum.
    pub up: bool,
    /// Whether the sorry servers answer.
    pub sorry: bool,
    /// What lives, in the unit of the quorum; as a rule the sum of live weights.
    pub live_weight: u64,
    /// What `live_weight` must reach to gain the quorum, or to keep it where it is there.
    pub quorum: u64,
    /// The unit of both.
    #[serde(default, skip_serializing_if = "QuorumUnit::is_weight")]
    pub quorum_unit: QuorumUnit,
    /// By what the weights of its servers are multiplied in the kernel: 10 where a slow start needs steps, else 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub scale: u32,
    /// Connections scheduled since the service exists.
    pub connections: u64,
    /// What else the kernel has counted since then.
    #[serde(default, skip_serializing_if = "Traffic::is_none")]
    pub traffic: Traffic,
    /// Real servers, and the sorry servers that answer or are checked.
    pub servers: Vec<ServerStatus>,
}

/// Packets and bytes as the kernel counts them; to clients only with NAT, because other answers take another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
}

impl Traffic {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_nought(count: &u64) -> bool {
    *count == 0
}

/// In what a quorum is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuorumUnit {
    /// Sum of configured weights.
    #[default]
    Weight,
    /// Servers.
    Servers,
    /// Per cent of all configured weights.
    Percent,
}

impl QuorumUnit {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
    fn is_weight(&self) -> bool {
        *self == Self::Weight
    }
}

/// Verdict on a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No verdict yet: what the kernel has stays.
    Unknown,
    /// Answers.
    Up,
    /// Does not.
    Down,
}

/// One real server of one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// RIP and port.
    pub address: SocketAddr,
    /// Method.
    pub method: Method,
    /// Weight of the file.
    pub weight: u32,
    /// Weight in the kernel; `None` = not in the table.
    pub kernel_weight: Option<u32>,
    /// Whether this is a sorry server.
    pub sorry: bool,
    /// Verdict of all checks together.
    pub health: Health,
    /// The last answer in words: `200 OK`, `connection refused`, `no answer within 1s`; of the check that fails, or of the first.
    pub reason: Cow<'static, str>,
    /// Age of that answer, milliseconds.
    pub checked_ms: Option<u64>,
    /// Time that its probe took, microseconds.
    pub latency_us: Option<u64>,
    /// Active connections in the kernel.
    pub active: u32,
    /// Inactive connections in the kernel.
    pub inactive: u32,
    /// Connections scheduled since the server is in the table.
    #[serde(default, skip_serializing_if = "is_nought")]
    pub connections: u64,
    /// What else the kernel has counted since then.
    #[serde(default, skip_serializing_if = "Traffic::is_none")]
    pub traffic: Traffic,
    /// `enabled = false` in the file.
    #[serde(default, skip_serializing_if = "is_false")]
    pub off: bool,
    /// What the operator ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<AdminStatus>,
    /// The slow start under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<SlowStartStatus>,
    /// How much it says that it can take: `75%`, `drain`, `weight 7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<String>,
    /// Its checks, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckStatus>,
}

/// What the operator ordered for a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminStatus {
    /// What holds now.
    pub state: Admin,
    /// Since when, milliseconds ago.
    pub since_ms: u64,
    /// Until a drain ends, milliseconds; `None` = when the operator says so.
    pub left_ms: Option<u64>,
}

/// What an order of the operator makes of a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Admin {
    /// No order: file and checks decide.
    Enabled,
    /// No new connections; those there are go on.
    Draining,
    /// The same, and the time is over: out of the table.
    Drained,
    /// Out of the table.
    Disabled,
}

/// A server that gets its weight back in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowStartStatus {
    /// The share that it has by now.
    pub percent: u32,
    /// Until it has all, milliseconds.
    pub left_ms: u64,
}

/// One check of one real server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// The word of the file: `http`, `tcp`.
    pub kind: Cow<'static, str>,
    /// Who is asked.
    pub address: SocketAddr,
    /// Verdict.
    pub health: Health,
    /// The last answer in words.
    pub reason: Cow<'static, str>,
    /// Age of the last answer, milliseconds.
    pub checked_ms: Option<u64>,
    /// Time that the last probe took, microseconds.
    pub latency_us: Option<u64>,
    /// Consecutive answers against the verdict.
    pub against: u8,
    /// How many of them would turn it.
    pub turns_at: u8,
    /// What the last answer warned of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// Where it warned of a certificate: whole days until that expires; below zero once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i32>,
    /// The last answer is older than it may be: this box is too slow.
    #[serde(default, skip_serializing_if = "is_false")]
    pub overdue: bool,
}

/// A real server of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerName {
    /// Name of the service.
    pub service: String,
    /// Its address in the file.
    pub server: SocketAddr,
}

/// Why a real server is in the table, or is not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// Its service, without servers.
    pub service: ServiceStatus,
    /// As the status shows it.
    pub server: ServerStatus,
    /// What decides about it while real servers answer.
    pub cause: Cause,
    /// Its last changes, oldest first.
    pub history: Vec<ChangeStatus>,
}

/// What decides about a real server, or a sorry server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It answers.
    Lives,
    /// It answers, and gets its weight in steps.
    SlowStart,
    /// It answers, and says itself how much it can take.
    Feedback,
    /// A check fails.
    Fails,
    /// No verdict yet: as the kernel has it.
    Kept,
    /// No verdict yet, and the file wants it in until there is one.
    StartsUp,
    /// No verdict yet, and the file wants it out until there is one.
    StartsDown,
    /// The file has it switched off.
    Off,
    /// The operator drains it.
    Drains,
    /// The operator drained it, and the time is over.
    Drained,
    /// The operator disabled it.
    Disabled,
    /// A sorry server that answers: the quorum is lost.
    StandsIn,
    /// A sorry server that waits: the real ones have their quorum.
    StandsBy,
}

/// One change of a real server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeStatus {
    /// When, milliseconds ago.
    pub ago_ms: u64,
    /// To what: `up`, `down`, `draining`, `drained`, `disabled`, `enabled`.
    pub what: String,
    /// Why.
    pub why: String,
}

/// Keeps null apart from absent.
fn given<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(value).map(Some)
}

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_one(scale: &u32) -> bool {
    *scale == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}
