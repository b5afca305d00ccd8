//! Of `store`: which configuration runs.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::units::{Cidr, IfName, Mac};

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

/// What a new box needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetUp {
    /// Host name (RFC 1123).
    pub hostname: String,
    /// Its address.
    #[serde(flatten)]
    pub management: SetManagement,
    /// Time servers; none leaves those of the file.
    #[serde(default)]
    pub ntp: Vec<IpAddr>,
    /// The address that it shares with a peer.
    #[serde(default)]
    pub shared: Option<SharedAddress>,
}

/// A virtual address of a pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedAddress {
    /// The VIP.
    pub address: IpAddr,
    /// Virtual router identifier, 1 to 255.
    pub vrid: u8,
    /// 1 to 254; the higher one is master.
    pub priority: u8,
    /// The other box, to send to it alone; `None` = by multicast.
    pub peer: Option<IpAddr>,
}

/// Which card an interface of the file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Name in the file.
    pub interface: IfName,
    /// Hardware address of the card.
    pub mac: Mac,
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
