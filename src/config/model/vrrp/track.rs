//! What else decides about mastership.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::IfName;

/// A tracked object and what its failure does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// What is watched.
    pub target: TrackTarget,
    /// `None`: a failure is a FAULT. Negative: subtracted while failed. Positive: added while healthy. −253..=253, not 0.
    pub weight: Option<i16>,
    /// What is healthy counts as failed, and the other way round.
    pub reverse: bool,
}

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrackTarget {
    /// Healthy while the interface is up and has carrier.
    Interface(IfName),
    /// Healthy while the service of this name has quorum.
    Service(String),
    /// Healthy while it answers.
    Probe(Probe),
    /// A number in this file counts as often as `weight` says; without one, anything but 0 is a failure.
    File(String),
}

/// Something that is asked again and again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Probe {
    /// What is asked.
    pub kind: ProbeKind,
    /// From one question to the next, 100 ms..=1 h.
    pub interval: Duration,
    /// How long an answer may take, no longer than the interval.
    pub timeout: Duration,
    /// Consecutive failures until it counts as failed, 1..=100.
    pub fall: u8,
    /// Consecutive successes until it counts as healthy again, 1..=100.
    pub rise: u8,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ProbeKind {
    /// An ICMP echo of this address.
    Ping(IpAddr),
    /// Its hardware address: ARP, or neighbour discovery for IPv6.
    Arp {
        /// Of whom.
        address: IpAddr,
        /// Where a link-local address is looked for.
        interface: Option<IfName>,
    },
    /// A program: exit status 0 is healthy.
    Exec {
        /// Absolute path.
        command: String,
        /// Its arguments.
        args: Vec<String>,
    },
}

impl std::fmt::Display for ProbeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ping(address) | Self::Arp { address, .. } => write!(f, "gateway {address}"),
            Self::Exec { command, .. } => write!(f, "program {command}"),
        }
    }
}
