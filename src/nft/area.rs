//! Packets by where they go: addresses × ports of one protocol. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::model::{AddressRange, Protocol};

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// That of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Every packet of one protocol to one of these addresses and ports; both ranges include their ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Area {
    /// Of the addresses.
    pub family: Family,
    /// The protocol.
    pub protocol: Protocol,
    /// Addresses as numbers; those of IPv4 have 32 bits.
    pub addresses: (u128, u128),
    /// Ports.
    pub ports: (u16, u16),
}

impl Area {
    /// Everything to `addresses` at `ports`.
    #[must_use]
    pub fn new(addresses: AddressRange, protocol: Protocol, ports: (u16, u16)) -> Self {
        let family = Family::of(addresses.first);
        Self { family, protocol, addresses: (number(addresses.first), number(addresses.last)), ports }
    }

    /// The lowest and the highest address.
    #[must_use]
    pub fn ends(&self) -> (IpAddr, IpAddr) {
        (address(self.family, self.addresses.0), address(self.family, self.addresses.1))
    }

    /// What of it does not lie in `other`: at most four areas that do not overlap.
    #[must_use]
    pub fn without(self, other: &Self) -> Vec<Self> {
        if self.family != other.family || self.protocol != other.protocol {
            return vec![self];
        }
        let (before, common, after) = split(self.addresses, other.addresses);
        let Some(common) = common else { return vec![self] };
        let (below, ports, above) = split(
            (u128::from(self.ports.0), u128::from(self.ports.1)),
            (u128::from(other.ports.0), u128::from(other.ports.1)),
        );
        if ports.is_none() {
            return vec![self];
        }
        let aside = [before, after].into_iter().flatten().map(|addresses| Self { addresses, ..self });
        let port = |number| u16::try_from(number).unwrap_or(u16::MAX);
        let over = [below, above].into_iter().flatten().map(|(first, last)| Self {
            addresses: common,
            ports: (port(first), port(last)),
            ..self
        });
        aside.chain(over).collect()
    }
}

/// Makes areas disjoint: of two that overlap the first keeps the common part.
#[derive(Debug, Default)]
pub struct Disjoint {
    taken: Vec<Area>,
}

impl Disjoint {
    /// Takes an area, and returns what of it was free.
    pub fn take(&mut self, area: Area) -> Vec<Area> {
        let mut free = vec![area];
        for taken in &self.taken {
            free = free.into_iter().flat_map(|area| area.without(taken)).collect();
        }
        self.taken.push(area);
        free
    }
}

/// The part of `whole` before `cut`, that within, and that behind it.
type Split = (Option<(u128, u128)>, Option<(u128, u128)>, Option<(u128, u128)>);

fn split(whole: (u128, u128), cut: (u128, u128)) -> Split {
    let range = |first: u128, last: u128| (first <= last).then_some((first, last));
    let common = range(whole.0.max(cut.0), whole.1.min(cut.1));
    let before = cut.0.checked_sub(1).and_then(|end| range(whole.0, whole.1.min(end)));
    let after = cut.1.checked_add(1).and_then(|start| range(whole.0.max(start), whole.1));
    (before, common, after)
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn address(family: Family, number: u128) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        Family::V6 => Ipv6Addr::from_bits(number).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(first: &str, last: &str, ports: (u16, u16)) -> Area {
        let addresses = AddressRange { first: first.parse().unwrap(), last: last.parse().unwrap() };
        Area::new(addresses, Protocol::Tcp, ports)
    }

    /// How many pairs of address and port.
    fn size(areas: &[Area]) -> u128 {
        areas
            .iter()
            .map(|a| (a.addresses.1 - a.addresses.0 + 1) * (u128::from(a.ports.1 - a.ports.0) + 1))
            .sum()
    }

    #[test]
    fn a_hole_leaves_four_sides() {
        let whole = area("10.0.0.0", "10.0.0.9", (80, 89));
        let rest = whole.without(&area("10.0.0.4", "10.0.0.5", (82, 83)));
        assert_eq!(rest.len(), 4);
        assert_eq!(size(&rest), 100 - 4);
        assert_eq!(
            rest[0].ends(),
            ("10.0.0.0".parse::<IpAddr>().unwrap(), "10.0.0.3".parse::<IpAddr>().unwrap())
        );
    }

    #[test]
    fn what_does_not_overlap_stays_whole() {
        let whole = area("10.0.0.0", "10.0.0.9", (80, 89));
        for other in [
            area("10.0.0.10", "10.0.0.12", (80, 89)),
            area("10.0.0.0", "10.0.0.9", (90, 90)),
            area("fd00::", "fd00::9", (80, 89)),
            Area { protocol: Protocol::Udp, ..whole },
        ] {
            assert_eq!(whole.without(&other), [whole]);
        }
        assert_eq!(whole.without(&whole), []);
        let all = area("0.0.0.0", "255.255.255.255", (0, 65535));
        assert_eq!(whole.without(&all), []);
        assert_eq!(size(&all.without(&whole)), (1 << 48) - 100);
    }

    #[test]
    fn the_first_keeps_what_is_common() {
        let mut disjoint = Disjoint::default();
        let (a, b) = (area("10.0.0.0", "10.0.0.9", (80, 80)), area("10.0.0.5", "10.0.0.14", (80, 81)));
        assert_eq!(disjoint.take(a), [a]);
        assert_eq!(size(&disjoint.take(b)), 20 - 5);
        assert_eq!(disjoint.take(a), []);
    }
}
