//! Virtual routers that are master together or not at all, as a box between two segments needs it. Pure.
//!
//! - One that fails takes its group with it ([`super::track::judge_all`]).
//! - A member whose master has fallen silent waits until every other member's has: the twin may have lost one cable only.
//! - When one gives way to a better master, all do, also where they became a group only now.
//! - Of two boxes each of which is better at one member both lose the group at once. One comparison decides then who takes it: that of the
//!   first member by family, number and address, which is the same one everywhere. Who lost there lets the other go first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::ipc::message::RouterState;

use super::instance::{Entry, Instance};
use super::track::is_ipv6;

/// Groups in which somebody would be master and has to wait for another.
#[must_use]
pub fn waiting(instances: &[Instance], now: Instant) -> BTreeSet<String> {
    let may_lead = |instance: &Instance| match instance.state() {
        RouterState::Master => true,
        RouterState::Backup => instance.deadline().is_some_and(|at| at <= now),
        RouterState::Initialize | RouterState::Fault => false,
    };
    grouped(instances).filter(|(_, instance)| !may_lead(instance)).map(|(group, _)| group.clone()).collect()
}

/// Groups all of whose members are master.
#[must_use]
pub fn leading(instances: &[Instance]) -> BTreeSet<String> {
    let all: BTreeSet<String> = grouped(instances).map(|(group, _)| group.clone()).collect();
    let behind: BTreeSet<&String> = grouped(instances)
        .filter(|(_, instance)| instance.state() != RouterState::Master)
        .map(|(group, _)| group)
        .collect();
    all.into_iter().filter(|group| !behind.contains(group)).collect()
}

/// Groups of which one member is master here while another hears a better master, and for each whether its first member is the
/// one that is master.
#[must_use]
pub fn torn(instances: &[Instance]) -> BTreeMap<String, bool> {
    let masters: BTreeSet<&String> = grouped(instances)
        .filter(|(_, instance)| instance.state() == RouterState::Master)
        .map(|(group, _)| group)
        .collect();
    let beaten = grouped(instances).filter(|(group, instance)| masters.contains(group) && instance.follows());
    beaten.map(|(group, _)| (group.clone(), leads_first(instances, group))).collect()
}

/// Whether the first member of `group` is master: first by what all boxes know of it alike.
#[must_use]
pub fn leads_first(instances: &[Instance], group: &str) -> bool {
    let key = |instance: &Instance| {
        let config = instance.config();
        let address = config.addresses.iter().map(|vip| vip.cidr.address).min();
        (is_ipv6(config), config.vrid, address)
    };
    let members = grouped(instances).filter(|(name, _)| *name == group).map(|(_, instance)| instance);
    members.min_by_key(|instance| key(instance)).is_some_and(|first| first.state() == RouterState::Master)
}

/// When the timer of `instance` is due: that of a backup in a group not before those of the others.
#[must_use]
pub fn deadline(instances: &[Instance], instance: &Instance) -> Option<Instant> {
    let own = instance.deadline()?;
    let Some(group) = instance.config().group.as_ref().filter(|_| instance.state() == RouterState::Backup)
    else {
        return Some(own);
    };
    let mut last = own;
    for (_, other) in grouped(instances).filter(|(name, _)| *name == group) {
        match other.state() {
            RouterState::Master => {}
            RouterState::Backup => last = last.max(other.deadline().unwrap_or(last)),
            // Nothing can become of the group until that one is back, which is an event of its own.
            RouterState::Initialize | RouterState::Fault => return None,
        }
    }
    Some(last)
}

/// How each begins: a group goes on where it was only as a whole.
#[must_use]
pub fn entries(instances: &[Instance], entries: Vec<Entry>) -> Vec<Entry> {
    let whole = |group: &String| {
        let mut members =
            instances.iter().zip(&entries).filter(|(i, _)| i.config().group.as_ref() == Some(group));
        members.all(|(_, entry)| matches!(entry, Entry::Resume(_)))
    };
    let broken: BTreeSet<String> =
        grouped(instances).map(|(group, _)| group).filter(|group| !whole(group)).cloned().collect();
    let listens = |instance: &Instance| instance.config().group.as_ref().is_some_and(|g| broken.contains(g));
    instances
        .iter()
        .zip(entries)
        .map(|(instance, entry)| if listens(instance) { Entry::Listen } else { entry })
        .collect()
}

fn grouped(instances: &[Instance]) -> impl Iterator<Item = (&String, &Instance)> {
    instances.iter().filter_map(|instance| Some((instance.config().group.as_ref()?, instance)))
}
