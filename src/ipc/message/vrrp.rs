//! Of `vrrp`: virtual routers.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::LvsSummary;
use crate::units::{Cidr, IfName};

/// What the operator may want of a virtual router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterOrder {
    /// A master gives its place to another box, and leaves it alone until that fails or this router is released.
    Failover,
    /// A master gives up its place, and takes part in the next election as ever.
    Resign,
    /// Takes no part in any election until released.
    Hold,
    /// As ever again.
    Release,
    /// Its counters begin at zero.
    Clear,
}

/// What may happen to a virtual router besides a change of its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterNews {
    /// Its priority is another one.
    Priority,
    /// Another master, which is to give way, was heard: this one is confirmed, and announces its VIPs again. What hangs on being master
    /// may be made sure of.
    Confirmed {
        /// The other one.
        rival: IpAddr,
    },
}

/// Virtual routers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VrrpStatus {
    /// In the order of the file.
    pub instances: Vec<RouterStatus>,
    /// Messages that belong to no instance, by kind of fault; `vrid_err` counts unknown virtual routers.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
    /// The IPVS synchronisation daemons that run here: what each does, where, and under which number.
    #[serde(default)]
    pub sync: Vec<String>,
    /// Why the daemons are not as the file wants them.
    #[serde(default)]
    pub sync_problem: Option<String>,
    /// Routes and rules of masters that are not as the file wants them, and why.
    #[serde(default)]
    pub route_problems: Vec<String>,
    /// The other boxes that tell of themselves.
    #[serde(default)]
    pub peers: Vec<PeerStatus>,
    /// Letters by which boxes tell of themselves: sent, heard, and each kind of what was not heeded.
    #[serde(default)]
    pub letters: BTreeMap<String, u64>,
    /// Why none are sent or heard.
    #[serde(default)]
    pub letters_problem: Option<String>,
    /// Generation of the configuration in force.
    pub generation: u64,
}

/// Another box of the group, as it tells of itself. Nothing of it decides an election.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its host name.
    pub hostname: String,
    /// Version of its firmware.
    pub firmware: String,
    /// When it was last heard, milliseconds ago.
    pub heard_ms: u64,
    /// Each way by which it is heard.
    pub ways: Vec<PeerWay>,
    /// How often it has taken a configuration since it started.
    pub generation: u64,
    /// Whether that is ours, but for what is each box's own; `None` = another firmware, which cannot be compared.
    pub same_configuration: Option<bool>,
    /// How much it has, and how much of that answers to it; `None` = its `lvs` does not answer.
    pub table: Option<LvsSummary>,
    /// It sends its connections to others.
    pub sends_connections: bool,
    /// It takes those of others.
    pub hears_connections: bool,
    /// The virtual routers of this box, as they are there; one that is missing is not there.
    pub routers: Vec<PeerRouter>,
    /// What is odd about it.
    pub warnings: Vec<String>,
}

/// A way by which another box is heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerWay {
    /// Our interface.
    pub interface: IfName,
    /// Its address.
    pub address: IpAddr,
    /// Whether all that it says here is signed.
    pub signed: bool,
    /// When it was last heard here, milliseconds ago.
    pub heard_ms: u64,
}

/// A virtual router on another box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRouter {
    /// Its name in this box's file.
    pub name: String,
    /// Its state there.
    pub state: RouterState,
    /// Its priority there.
    pub priority: u8,
    /// When that was last heard, milliseconds ago: longer than of its box, where only its own way is cut.
    #[serde(default)]
    pub heard_ms: u64,
}

/// One virtual router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterStatus {
    /// Instance.
    pub name: String,
    /// Interface.
    pub interface: IfName,
    /// Virtual router identifier.
    pub vrid: u8,
    /// 2 or 3.
    pub version: u8,
    /// State.
    pub state: RouterState,
    /// Why it is in this state.
    pub reason: String,
    /// Time in this state, milliseconds.
    pub since_ms: u64,
    /// Priority of the file.
    pub base_priority: u8,
    /// Priority with the trackers.
    pub priority: u8,
    /// Who is master as this router knows it.
    pub master: Option<IpAddr>,
    /// The master's priority.
    pub master_priority: Option<u8>,
    /// Interval in force, microseconds (a backup has its master's).
    pub interval_us: u64,
    /// VIPs.
    pub addresses: Vec<Cidr>,
    /// What each tracker says, in the order of the file.
    #[serde(default)]
    pub trackers: Vec<TrackerStatus>,
    /// What keeps it from being master already, where a new process waits for something.
    #[serde(default)]
    pub waits: Option<RouterWait>,
    /// `held` or `yields`, if the operator wants it so.
    #[serde(default)]
    pub order: Option<String>,
    /// How late an advertisement was at most since this router became master, microseconds.
    #[serde(default)]
    pub late_us: u64,
    /// How the peer sums version 3 over IPv4, once heard: `rfc9568` or `pseudo-header`.
    #[serde(default)]
    pub peer_checksum: Option<String>,
    /// Counters by name: advertisements sent and received, transitions, each kind of rejected packet.
    pub counters: BTreeMap<String, u64>,
}

/// State of a virtual router (RFC 9568 section 6.4), and FAULT for one that may not take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouterState {
    /// Not started.
    Initialize,
    /// Listens.
    Backup,
    /// Has the VIPs.
    Master,
    /// Interface or tracked object failed.
    Fault,
}

/// What a virtual router waits for that would be master otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterWait {
    /// Each thing: `service web`, `all real servers of web`, `gateway 192.168.61.1`, `the right time`.
    pub lacks: Vec<String>,
    /// For how long still at most, milliseconds.
    pub left_ms: u64,
}

impl fmt::Display for RouterWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        let first: Vec<&str> = self.lacks.iter().take(SHOWN).map(String::as_str).collect();
        f.write_str(&first.join(", "))?;
        match self.lacks.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// What a tracker says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackerStatus {
    /// `interface eth1`, `service web`, `gateway 192.168.61.1`, `file /data/drain`, `program /data/check`.
    pub what: String,
    /// `None`: nothing is known yet, which changes nothing.
    pub healthy: Option<bool>,
    /// Of the file; `None`: a failure is a FAULT.
    pub weight: Option<i16>,
    /// Why it is not healthy, or what is odd about it.
    pub reason: Option<String>,
}
