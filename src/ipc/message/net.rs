//! Of `net`: links, addresses and routes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::units::{Cidr, IfName, Mac};

/// Links, addresses and routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetStatus {
    /// Every network card and every link of the file, by name.
    pub links: BTreeMap<IfName, LinkStatus>,
    /// Default gateways in force.
    pub gateways: Vec<IpAddr>,
    /// Name servers: those of the file, or else learnt by DHCP.
    pub dns: Vec<IpAddr>,
    /// Time servers learnt by DHCP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ntp: Vec<IpAddr>,
    /// Whether the kernel agrees with the configuration; else what is still different or fails.
    pub pending: Vec<String>,
    /// Generation of the configuration in force.
    pub generation: u64,
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Hardware address.
    pub mac: Option<Mac>,
    /// Administratively up.
    pub up: bool,
    /// Has carrier.
    pub carrier: bool,
    /// Maximum transmission unit in bytes.
    pub mtu: u32,
    /// Addresses, VIPs included.
    pub addresses: Vec<Cidr>,
    /// DHCP: `off`, `asking`, or `bound by SERVER for TIME`.
    pub dhcp: String,
    /// Whether the file speaks of it.
    pub configured: bool,
}
