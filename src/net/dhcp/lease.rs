//! What a DHCP server granted.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::message::Incoming;
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
    /// Time servers.
    #[serde(default)]
    pub ntp: Vec<Ipv4Addr>,
    /// From when on the server is asked to extend it (T1).
    pub renew_at: Duration,
    /// From when on any server is asked to extend it (T2).
    pub rebind_at: Duration,
    /// When it ends; [`Duration::MAX`] = never.
    pub expires_at: Duration,
}

impl Lease {
    /// The lease in a server's message, counted from `asked`; `None` if it cannot be used.
    #[must_use]
    pub fn granted(message: &Incoming, asked: Duration) -> Option<Self> {
        let address = message.address;
        if address.is_unspecified()
            || address.is_loopback()
            || address.is_multicast()
            || address.is_broadcast()
        {
            return None;
        }
        let length = message.lease.filter(|seconds| *seconds > 0)?;
        let at = |seconds: u32| match seconds {
            u32::MAX => Duration::MAX,
            seconds => asked.saturating_add(Duration::from_secs(seconds.into())),
        };
        let share = |numerator: u64| match length {
            u32::MAX => u32::MAX,
            // Never zero, so that a lease of a second is not renewed without end.
            _ => u32::try_from(u64::from(length) * numerator / 8).unwrap_or(length).max(1),
        };
        let rebind = message.rebind.filter(|t2| *t2 > 0 && *t2 < length).unwrap_or_else(|| share(7));
        let renew =
            message.renew.filter(|t1| *t1 > 0 && *t1 < rebind).unwrap_or_else(|| share(4).min(rebind));
        Some(Self {
            address: Cidr {
                address: IpAddr::V4(address),
                prefix: message.prefix.unwrap_or_else(|| class(address)),
            },
            server: message.server?,
            routes: message.routes.clone(),
            dns: message.dns.clone(),
            ntp: message.ntp.clone(),
            renew_at: at(renew),
            rebind_at: at(rebind),
            expires_at: at(length),
        })
    }

    /// The address alone.
    #[must_use]
    pub const fn ip(&self) -> Option<Ipv4Addr> {
        match self.address.address {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        }
    }
}

/// Prefix of an address without a mask (RFC 791 classes, as RFC 2132 section 3.3 expects).
const fn class(address: Ipv4Addr) -> u8 {
    match address.octets() {
        [0..=127, ..] => 8,
        [128..=191, ..] => 16,
        _ => 24,
    }
}
