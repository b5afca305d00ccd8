//! Of `store`: which configuration runs.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::units::{Cidr, IfName};

/// A management address as the console sets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetManagement {
    /// The interface by its present name.
    pub interface: IfName,
    /// A static address, or `None` for DHCP.
    pub address: Option<Cidr>,
    /// Default gateway with a static address; `None` removes none and adds none.
    pub gateway: Option<IpAddr>,
}

/// Which configuration runs, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStatus {
    /// Counts up with each activation in the life of this boot, from 1.
    pub generation: u64,
    /// Where the running one comes from.
    pub source: Source,
    /// In a sentence, for the console's banner: why this one.
    pub why: String,
    /// The section `[node.NAME]` that was merged in.
    pub node: Option<String>,
    /// Every source that was looked at, in order of precedence.
    pub candidates: Vec<Candidate>,
    /// Boot slot health: `confirmed`, `trying`, or `none` outside the appliance.
    pub slot: String,
}

/// Where a configuration comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A USB stick.
    Usb,
    /// The partition labelled DIRECTOR of the boot disk.
    Partition,
    /// The last one that was valid, kept on `data`.
    LastGood,
    /// Built in: DHCP on every NIC, claims no VIP.
    Safe,
    /// A file named on the command line.
    File,
}

/// A source that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Which source.
    pub source: Source,
    /// Path or partition, for people.
    pub place: String,
    /// `used`, `valid` (but a better one was used), `faulty`, `absent` or `unreadable`.
    pub verdict: String,
    /// The whole fault report, as `director check` prints it; empty when there is none.
    pub report: String,
}
