//! Devices with a virtual MAC address: which there should be, and what has to be changed (RFC 9568 section 7.3). Pure.
//!
//! A macvlan in private mode for each virtual router that wants it, with our mark. It is there as long as the file wants it and
//! up while its router is master, for what a device that is up says by itself (IGMP, MLD) would teach switches a wrong port.

use std::collections::BTreeMap;

use super::facts::{Facts, Link};
use super::vips::Op;
use crate::units::{IfName, Mac};

/// How a device should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The interface below it.
    pub parent: IfName,
    /// Its address.
    pub mac: Mac,
    /// Its router is master.
    pub up: bool,
}

/// The devices by name.
pub type Devices = BTreeMap<IfName, Device>;

/// What comes before the VIPs are set: old devices that are in the way, new ones, those that have to be up.
#[must_use]
pub fn before(facts: &Facts, desired: &Devices) -> Vec<Op> {
    let mut ops = Vec::new();
    for (name, device) in desired {
        let Some(parent) = facts.links.get(&device.parent) else { continue };
        match facts.links.get(name) {
            Some(link) if link.ours && !fits(link, parent, device) => {
                ops.push(Op::Delete { interface: name.clone() });
            }
            Some(link) if link.ours && device.up && !link.up => {
                ops.push(Op::Raise { interface: name.clone(), up: true });
            }
            Some(_) => {}
            None => {
                let (interface, parent, mac) = (name.clone(), device.parent.clone(), device.mac);
                ops.push(Op::Create { interface, parent, mac });
            }
        }
    }
    ops
}

/// What comes after the VIPs are taken off: devices that nobody wants up, or at all.
#[must_use]
pub fn after(facts: &Facts, desired: &Devices) -> Vec<Op> {
    let mut ops = Vec::new();
    for (name, link) in facts.links.iter().filter(|(_, link)| link.ours) {
        match desired.get(name) {
            None => ops.push(Op::Delete { interface: name.clone() }),
            Some(device) if link.up && !device.up => {
                ops.push(Op::Raise { interface: name.clone(), up: false });
            }
            Some(_) => {}
        }
    }
    ops
}

fn fits(link: &Link, parent: &Link, device: &Device) -> bool {
    link.parent == Some(parent.index) && link.mac == Some(device.mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([0, 0, 0x5e, 0, 1, 51]);

    fn name(text: &str) -> IfName {
        text.parse().unwrap()
    }

    fn desired(up: bool) -> Devices {
        [(name("v4.51.eth0"), Device { parent: name("eth0"), mac: MAC, up })].into()
    }

    fn facts(device: Option<Link>) -> Facts {
        let eth0 = Link { index: 2, up: true, ..Link::default() };
        let links = [(name("eth0"), eth0)].into_iter();
        Facts {
            links: links.chain(device.map(|link| (name("v4.51.eth0"), link))).collect(),
            ..Facts::default()
        }
    }

    fn device(up: bool) -> Link {
        Link { index: 3, up, ours: true, parent: Some(2), mac: Some(MAC), ..Link::default() }
    }

    #[test]
    fn it_is_made_once_and_up_while_its_router_is_master() {
        let (interface, parent) = (name("v4.51.eth0"), name("eth0"));
        let create = Op::Create { interface: interface.clone(), parent, mac: MAC };
        assert_eq!(before(&facts(None), &desired(false)), [create]);
        let raise = |up| Op::Raise { interface: interface.clone(), up };
        assert_eq!(before(&facts(Some(device(false))), &desired(true)), [raise(true)]);
        assert_eq!(before(&facts(Some(device(true))), &desired(true)), []);
        assert_eq!(after(&facts(Some(device(true))), &desired(false)), [raise(false)]);
        assert_eq!(after(&facts(Some(device(false))), &desired(false)), []);
    }

    #[test]
    fn what_a_dead_worker_left_goes_and_what_is_not_ours_stays() {
        let delete = Op::Delete { interface: name("v4.51.eth0") };
        assert_eq!(after(&facts(Some(device(true))), &Devices::new()), std::slice::from_ref(&delete));
        let odd = Link { parent: Some(9), ..device(true) };
        assert_eq!(before(&facts(Some(odd)), &desired(true)), [delete]);
        let foreign = Link { ours: false, ..device(true) };
        assert_eq!(after(&facts(Some(foreign.clone())), &Devices::new()), []);
        assert_eq!(before(&facts(Some(foreign)), &desired(true)), []);
    }

    #[test]
    fn without_its_interface_there_is_none() {
        assert_eq!(before(&Facts::default(), &desired(true)), []);
    }
}
