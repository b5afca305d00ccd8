//! Addresses in a row.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::units::Cidr;

/// Addresses from `first` to `last`, both included, of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AddressRange {
    /// The lowest.
    pub first: IpAddr,
    /// The highest.
    pub last: IpAddr,
}

impl AddressRange {
    /// How many addresses these are, up to the greatest number there is.
    #[must_use]
    pub fn count(&self) -> u128 {
        let distance = match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                u128::from(last.to_bits().saturating_sub(first.to_bits()))
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => last.to_bits().saturating_sub(first.to_bits()),
            _ => 0,
        };
        distance.saturating_add(1)
    }

    /// Whether `address` is one of these.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        (self.first..=self.last).contains(&address)
    }

    /// Each address, the lowest first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let Self { first, last } = *self;
        std::iter::successors(Some(first), move |address| {
            let next = match *address {
                IpAddr::V4(address) => Ipv4Addr::from(address.to_bits().checked_add(1)?).into(),
                IpAddr::V6(address) => Ipv6Addr::from(address.to_bits().checked_add(1)?).into(),
            };
            Some(next).filter(|next| *next <= last)
        })
    }
}

impl From<Cidr> for AddressRange {
    fn from(network: Cidr) -> Self {
        let prefix = u32::from(network.prefix);
        let first = network.network().address;
        let last = match first {
            IpAddr::V4(first) => {
                Ipv4Addr::from(first.to_bits() | u32::MAX.checked_shr(prefix).unwrap_or(0)).into()
            }
            IpAddr::V6(first) => {
                Ipv6Addr::from(first.to_bits() | u128::MAX.checked_shr(prefix).unwrap_or(0)).into()
            }
        };
        Self { first, last }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { self.first.fmt(f) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}
