//! Which addresses have to be set and which taken off: desired against observed. Pure.

use std::collections::BTreeMap;
use std::fmt;

use crate::config::model::Look;
use crate::units::{Cidr, IfName, Mac};

use super::facts::{Address, Facts, Link};

/// The VIPs that should be on each interface.
pub type Desired = BTreeMap<IfName, BTreeMap<Cidr, Look>>;

/// One change of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// Set a VIP, with our mark.
    Add {
        /// Interface.
        interface: IfName,
        /// VIP.
        cidr: Cidr,
        /// Its label and its scope.
        look: Look,
    },
    /// Take off an address that carries our mark.
    Remove {
        /// Interface.
        interface: IfName,
        /// VIP.
        cidr: Cidr,
    },
    /// Make a device with a virtual MAC address, with our mark, down.
    Create {
        /// Its name.
        interface: IfName,
        /// The interface below it.
        parent: IfName,
        /// Its address.
        mac: Mac,
    },
    /// Set one of these devices up or down.
    Raise {
        /// Its name.
        interface: IfName,
        /// Up.
        up: bool,
    },
    /// Remove one of these devices.
    Delete {
        /// Its name.
        interface: IfName,
    },
}

impl Op {
    /// The interface whose index the kernel has to know.
    #[must_use]
    pub const fn on(&self) -> &IfName {
        match self {
            Self::Create { parent: interface, .. }
            | Self::Add { interface, .. }
            | Self::Remove { interface, .. }
            | Self::Raise { interface, .. }
            | Self::Delete { interface } => interface,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { interface, cidr, .. } => write!(f, "set VIP {cidr} on {interface}"),
            Self::Remove { interface, cidr } => write!(f, "take VIP {cidr} off {interface}"),
            Self::Create { interface, parent, mac } => {
                write!(f, "make device {interface} with {mac} on {parent}")
            }
            Self::Raise { interface, up: true } => write!(f, "set device {interface} up"),
            Self::Raise { interface, up: false } => write!(f, "set device {interface} down"),
            Self::Delete { interface } => write!(f, "remove device {interface}"),
        }
    }
}

/// The changes, in order. Only what carries our mark is removed; an address that the box has anyway (the owner's) counts
/// as set. Additions come first, for they are what a failover waits for, except where the kernel refuses the same IPv6
/// address twice.
#[must_use]
pub fn diff(facts: &Facts, desired: &Desired) -> Vec<Op> {
    let none = BTreeMap::new();
    let (mut first, mut adds, mut removes) = (Vec::new(), Vec::new(), Vec::new());
    for (interface, link) in &facts.links {
        let wanted = desired.get(interface).unwrap_or(&none);
        let odd = |a: &&Address| a.ours && wanted.get(&a.cidr) != Some(&a.look);
        for cidr in link.addresses.iter().filter(odd).map(|a| a.cidr) {
            let returns = wanted.keys().any(|other| other.address == cidr.address);
            let list = if returns { &mut first } else { &mut removes };
            list.push(Op::Remove { interface: interface.clone(), cidr });
        }
        for (cidr, look) in wanted.iter().filter(|(cidr, look)| !present(link, **cidr, look)) {
            adds.push(Op::Add { interface: interface.clone(), cidr: *cidr, look: look.clone() });
        }
    }
    first.into_iter().chain(adds).chain(removes).collect()
}

/// Notes in the facts what an accepted change has done, ahead of the kernel's own notice.
pub fn note(facts: &mut Facts, op: &Op) {
    match op {
        Op::Add { interface, cidr, look } => {
            if let Some(link) = facts.links.get_mut(interface).filter(|link| !present(link, *cidr, look)) {
                link.addresses.push(Address { cidr: *cidr, ours: true, look: look.clone(), usable: true });
            }
        }
        Op::Remove { interface, cidr } => {
            if let Some(link) = facts.links.get_mut(interface) {
                link.addresses.retain(|a| a.cidr != *cidr);
            }
        }
        // Its index is the kernel's to tell.
        Op::Create { .. } => {}
        Op::Raise { interface, up } => {
            if let Some(link) = facts.links.get_mut(interface) {
                link.up = *up;
            }
        }
        Op::Delete { interface } => drop(facts.links.remove(interface)),
    }
}

/// An address that somebody else has set counts as it is.
fn present(link: &Link, cidr: Cidr, look: &Look) -> bool {
    let so = |a: &Address| {
        if a.ours { a.cidr == cidr && a.look == *look } else { a.cidr.address == cidr.address }
    };
    link.addresses.iter().any(so)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(addresses: &[(&str, bool)]) -> Facts {
        let addresses = addresses
            .iter()
            .map(|(cidr, ours)| Address {
                cidr: cidr.parse().unwrap(),
                ours: *ours,
                look: Look::default(),
                usable: true,
            })
            .collect();
        let link = Link { index: 2, up: true, running: true, addresses, ..Link::default() };
        Facts { links: [("eth0".parse().unwrap(), link)].into(), ..Facts::default() }
    }

    fn desired(vips: &[&str]) -> Desired {
        [("eth0".parse().unwrap(), vips.iter().map(|vip| (vip.parse().unwrap(), Look::default())).collect())]
            .into()
    }

    fn show(ops: &[Op]) -> Vec<String> {
        ops.iter()
            .map(|op| match op {
                Op::Add { cidr, .. } => format!("+{cidr}"),
                Op::Remove { cidr, .. } => format!("-{cidr}"),
                other => panic!("{other}"),
            })
            .collect()
    }

    #[test]
    fn adds_what_is_missing_and_removes_only_what_is_ours() {
        let facts = facts(&[("10.0.0.1/24", false), ("10.0.0.7/32", true), ("10.0.0.8/32", true)]);
        let ops = diff(&facts, &desired(&["10.0.0.8/32", "10.0.0.9/32"]));
        assert_eq!(show(&ops), ["+10.0.0.9/32", "-10.0.0.7/32"]);
    }

    #[test]
    fn leftovers_go_when_nothing_is_desired() {
        let facts = facts(&[("10.0.0.1/24", false), ("10.0.0.7/32", true)]);
        assert_eq!(show(&diff(&facts, &Desired::new())), ["-10.0.0.7/32"]);
    }

    #[test]
    fn the_owner_keeps_its_own_address() {
        let facts = facts(&[("10.0.0.1/24", false)]);
        assert!(diff(&facts, &desired(&["10.0.0.1/32"])).is_empty());
        assert!(diff(&facts, &Desired::new()).is_empty());
    }

    #[test]
    fn another_prefix_of_the_same_address_replaces_it() {
        let facts = facts(&[("2001:db8::5/64", true)]);
        let ops = diff(&facts, &desired(&["2001:db8::5/128"]));
        assert_eq!(show(&ops), ["-2001:db8::5/64", "+2001:db8::5/128"]);
    }

    #[test]
    fn another_label_or_scope_is_set_anew() {
        let facts = facts(&[("10.0.0.7/32", true)]);
        let look = Look { label: Some("eth0:7".try_into().unwrap()), ..Look::default() };
        let goal: Desired =
            [("eth0".parse().unwrap(), [("10.0.0.7/32".parse().unwrap(), look)].into())].into();
        assert_eq!(show(&diff(&facts, &goal)), ["-10.0.0.7/32", "+10.0.0.7/32"]);
    }

    #[test]
    fn what_was_applied_is_noted() {
        let mut facts = facts(&[("10.0.0.7/32", true)]);
        let goal = desired(&["10.0.0.9/32"]);
        for op in diff(&facts, &goal) {
            note(&mut facts, &op);
        }
        assert!(diff(&facts, &goal).is_empty());
    }
}
