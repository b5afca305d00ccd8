//! What a DHCP server granted.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::Cidr;

/// A lease. Times are boot time (`CLOCK_BOOTTIME`): they mean the same to the next process of this boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Address with the subnet's prefix.
    pub address: Cidr,
    /// Who granted it.
    pub server: Ipv4Addr,
    /// Routes: (destination, gateway); without a gateway it is on the link.
    pub routes: Vec<(Cidr, Option<Ipv4Addr>)>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// From when on the server is asked to extend it (T1).
    pub renew_at: Duration,
    /// From when on any server is asked to extend it (T2).
    pub rebind_at: Duration,
    /// When it ends; [`Duration::MAX`] = never.
    pub expires_at: Duration,
}

impl Lease {
    /// The address alone.
    #[must_use]
    pub const fn ip(&self) -> Option<Ipv4Addr> {
        match self.address.address {
            std::net::IpAddr::V4(ip) => Some(ip),
            std::net::IpAddr::V6(_) => None,
        }
    }
}
