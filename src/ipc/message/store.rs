//! Of `store`: which configuration runs.

use std::net::IpAddr;
use std::path::PathBuf;

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
    /// Name servers; none leaves those of the file.
    #[serde(default)]
    pub dns: Vec<IpAddr>,
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
    /// Boot slot health: `confirmed`, `trying`, `given up`, or `none` outside the appliance.
    pub slot: String,
    /// What becomes of changes.
    #[serde(default)]
    pub life: LifeStatus,
}

/// What becomes of changes of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LifeStatus {
    /// The change that waits for its confirmation.
    pub pending: Option<PendingStatus>,
    /// A USB stick with a file that does not run.
    pub stick: Option<StickStatus>,
    /// Number of the running configuration in the history, if it is there.
    pub number: Option<u64>,
    /// Whether the running configuration lies on `data` as the last good one: for a boot at which no file can be used.
    #[serde(default)]
    pub kept: bool,
    /// What was last done or refused by itself, in a sentence: "not confirmed within 5m: the earlier configuration runs again".
    pub notice: Option<String>,
    /// Firmware that was given up, so that another slot runs, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_slot: Option<String>,
    /// How the start before this one was not a normal one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier_mode: Option<UnusualStart>,
    /// Whether the box is as after flashing: nobody has given it a configuration yet.
    pub factory: bool,
}

/// A start with the built-in configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnusualStart {
    /// Somebody wanted it.
    Safe,
    /// No firmware came up by itself.
    Rescue,
}

impl UnusualStart {
    /// That of `director.mode=`; `None` = a start as it should be.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "safe" => Some(Self::Safe),
            "rescue" => Some(Self::Rescue),
            _ => None,
        }
    }

    /// The word of `director.mode=`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Rescue => "rescue",
        }
    }
}

/// A change that runs and waits for its confirmation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingStatus {
    /// Who wanted it.
    pub origin: String,
    /// Where it was taken from, for people.
    pub from: String,
    /// Until it is taken back, milliseconds.
    pub left_ms: u64,
    /// A line for each thing that it changed.
    pub changes: Vec<String>,
}

/// A USB stick with something called director.toml.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StickStatus {
    /// Partition and file, for people.
    pub place: String,
    /// `new` (may be applied), `faulty` or `unreadable`.
    pub verdict: String,
    /// In a sentence what it is, or why it cannot be used.
    pub message: String,
    /// The fault report of a faulty one.
    pub report: String,
}

/// What changes from one configuration to another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Difference {
    /// Where the new one is taken from, for people.
    pub from: String,
    /// The section `[node.NAME]` that is merged into it here.
    pub node: Option<String>,
    /// Everything that changes on this box; empty = nothing but the words of the file.
    pub changes: Vec<Changed>,
    /// What may cut somebody off.
    pub warnings: Vec<String>,
    /// The texts line by line: `-`, `+` or a space before each, `@@` where lines are left out.
    pub lines: Vec<String>,
}

/// One thing that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// How.
    pub action: ChangeAction,
    /// The section of the file: `system`, `interface`, `route`, `vrrp`, `service`, `server`, `ipvs`, `sync`.
    pub kind: String,
    /// Its name; of a server that of its service and its address.
    pub name: String,
    /// The keys concerned: `priority: 100 -> 50`.
    pub details: Vec<String>,
}

/// What becomes of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeAction {
    /// It was not there.
    Add,
    /// It stays, and is changed in its place.
    Change,
    /// It goes.
    Remove,
}

/// A configuration that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Counts up for ever.
    pub number: u64,
    /// Milliseconds since the epoch by the box's clock at that time.
    pub time_ms: u64,
    /// How it came: `boot`, `command line`, `console ttyS0`, `USB stick`, `autoreload`.
    pub origin: String,
    /// SHA-256 of its text, hexadecimal.
    pub sha256: String,
    /// Length of its text.
    pub bytes: usize,
    /// Whether it is the one that runs.
    pub running: bool,
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

/// Where a new configuration is taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Change {
    /// The operator's file in its place, as it is now.
    File,
    /// Another file.
    Path {
        /// Absolute.
        path: PathBuf,
    },
    /// `director.toml` of the USB stick.
    Stick,
    /// One that ran before.
    Generation {
        /// Its number in the history.
        number: u64,
    },
}

/// What became of a change of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeStep {
    /// It runs, and waits for its confirmation.
    Pending,
    /// It stays.
    Confirmed,
    /// What ran before runs again.
    Reverted,
    /// It was not applied.
    Refused,
}
