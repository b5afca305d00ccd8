//! Virtual routers that are master together or not at all, as a box between two segments needs it. Pure.
//!
//! - One that fails takes its group with it ([`super::track::judge_all`]).
//! - A member whose master has fallen silent waits until every other member's has: the twin may have lost one cable only.
//! - When one gives way to a better master, all do, also where they became a group only now.
//! - Of boxes each of which is better at one member all lose the group at once. One comparison decides then who takes it, that of the
//!   first member ([`Contest`]): who is best there waits for one advertisement less than usual, the others for one more.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use crate::ipc::message::RouterState;
use crate::units::Vrid;

use super::event::Turn;
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

/// Groups of which one member is master here while another hears a better master.
#[must_use]
pub fn torn(instances: &[Instance]) -> BTreeSet<String> {
    let masters: BTreeSet<&String> = grouped(instances)
        .filter(|(_, instance)| instance.state() == RouterState::Master)
        .map(|(group, _)| group)
        .collect();
    let beaten = grouped(instances).filter(|(group, instance)| masters.contains(group) && instance.follows());
    beaten.map(|(group, _)| group.clone()).collect()
}

/// A group that gave way, and what it hears of the others that did.
#[derive(Debug, Clone, Copy)]
pub struct Contest {
    begun: Instant,
    until: Instant,
    decided: Option<Turn>,
}

impl Contest {
    /// One that `group` has lost now. Each of those that gave way has spoken within an interval before it, or will within one after it.
    #[must_use]
    pub fn new(instances: &[Instance], group: &str, now: Instant) -> Self {
        let routers = members(instances, group).map(Instance::router);
        let interval = routers.map(|router| router.interval().max(router.params().interval)).max();
        let interval = interval.unwrap_or_default();
        Self { begun: now.checked_sub(interval).unwrap_or(now), until: now + interval, decided: None }
    }

    /// One that a new file has made of masters and backups here, and on the other box perhaps of the others at the same time: who is not
    /// master at the first member goes later. `None` for who is: its turn is that of everybody.
    #[must_use]
    pub fn of_a_file(instances: &[Instance], group: &str, now: Instant) -> Option<Self> {
        let first = members(instances, group).min_by_key(key)?;
        let behind = first.state() != RouterState::Master;
        behind.then(|| Self { decided: Some(Turn::Later), ..Self::new(instances, group, now) })
    }

    /// Until when what is heard is of this contest.
    #[must_use]
    pub const fn until(&self) -> Instant {
        self.until
    }

    /// Whether `group` goes before or after the others. That of its members decides at which anybody was heard, and of several the first
    /// by family, number and address, which all boxes know alike. As ever where no better one was heard, or that one has resigned since:
    /// the group has fallen for another reason.
    #[must_use]
    pub fn turn(&self, instances: &[Instance], group: &str) -> Turn {
        if let Some(turn) = self.decided {
            return turn;
        }
        let outdone = |instance: &Instance| instance.router().outdone(self.begun);
        if !members(instances, group).any(|member| outdone(member) == Some(true)) {
            return Turn::Usual;
        }
        let heard = members(instances, group).filter(|member| outdone(member).is_some());
        match heard.min_by_key(key).and_then(outdone) {
            Some(true) => Turn::Later,
            Some(false) | None => Turn::First,
        }
    }
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

/// By what all boxes know alike: family, number, address.
fn key(instance: &&Instance) -> (bool, Vrid, Option<IpAddr>) {
    let config = instance.config();
    (is_ipv6(config), config.vrid, config.addresses.iter().map(|vip| vip.cidr.address).min())
}

/// Those of one group.
pub fn members<'a>(instances: &'a [Instance], group: &str) -> impl Iterator<Item = &'a Instance> {
    grouped(instances).filter(move |(name, _)| *name == group).map(|(_, instance)| instance)
}

fn grouped(instances: &[Instance]) -> impl Iterator<Item = (&String, &Instance)> {
    instances.iter().filter_map(|instance| Some((instance.config().group.as_ref()?, instance)))
}
