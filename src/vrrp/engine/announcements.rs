//! Announcements of all virtual routers: paced on each interface, and fair. Every VIP is announced once before any is announced again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ipc::message::RouterState;
use crate::units::IfName;

use super::super::effect::Effect;
use super::super::instance::Instance;
use super::Engine;

/// Announcements made in one turn: between two turns the sockets are read.
pub(super) const A_TURN: usize = 64;

/// So many VIPs on an interface are announced without a pause.
const FEW: usize = 50;

/// Between two announcements of more than that, unless the file says otherwise: switches learn from them in software, and 500 VIPs are
/// through within 0.1 s.
const PACE: Duration = Duration::from_micros(200);

/// What all virtual routers have in common.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    /// When the next one may be made on an interface.
    gates: BTreeMap<IfName, Instant>,
    /// VIPs that are ours on each interface; `None` = they have changed.
    crowds: Option<BTreeMap<IfName, usize>>,
    /// The kernel has yet to set VIPs.
    held: bool,
}

impl Engine {
    /// Whether announcements have to wait for the kernel: nobody is called before the VIP is there.
    pub const fn hold_announcements(&mut self, held: bool) {
        self.announcements.held = held;
    }

    /// When one is due next.
    pub(super) fn announcements_at(&self, now: Instant) -> Option<Instant> {
        if self.announcements.held {
            return None;
        }
        let due = self.instances.iter().filter_map(|instance| {
            let at = instance.announcement_at(now)?;
            let Some(interface) = instance.next_announced() else { return Some(at) };
            let gate = self.announcements.gates.get(interface);
            self.is_there(interface).then(|| gate.map_or(at, |gate| at.max(*gate)))
        });
        due.min()
    }

    /// Makes those that are due.
    pub(super) fn announce(&mut self, now: Instant) {
        if self.effects.contains(&Effect::Addresses) {
            // First what they are about.
            self.announcements.crowds = None;
            return;
        }
        if self.announcements.held {
            return;
        }
        let due = |(at, instance): (usize, &mut Instance)| instance.announcement(now).map(|_| at);
        let mut busy: Vec<usize> = self.instances.iter_mut().enumerate().filter_map(due).collect();
        let mut left = A_TURN;
        let rounds = |engine: &Self, at: usize| engine.instances.get(at).map(Instance::rounds);
        while let Some(least) = busy.iter().filter_map(|at| rounds(self, *at)).min()
            && left > 0
        {
            busy.retain(|at| {
                if left == 0 || rounds(self, *at) != Some(least) {
                    return true;
                }
                let made = self.announce_one(now, *at);
                left -= usize::from(made);
                made
            });
        }
    }

    /// Makes the next announcement of the virtual router at this place, if it has one and the interface is free.
    fn announce_one(&mut self, now: Instant, at: usize) -> bool {
        let next = self.instances.get_mut(at).and_then(|instance| instance.announcement(now));
        let Some((interface, vip)) = next else { return false };
        let closed = self.announcements.gates.get(&interface).is_some_and(|gate| *gate > now);
        if closed || !self.is_there(&interface) {
            return false;
        }
        let pace = self.pace(&interface, at);
        if let Some(instance) = self.instances.get_mut(at) {
            instance.pacer().advance();
        }
        if !pace.is_zero() {
            self.announcements.gates.insert(interface.clone(), now + pace);
        }
        self.effects.push(Effect::Announce { interface, vip });
        true
    }

    fn pace(&mut self, interface: &IfName, at: usize) -> Duration {
        if let Some(pace) = self.instances.get(at).and_then(|instance| instance.pace()) {
            return pace;
        }
        let Self { instances, announcements, .. } = self;
        let crowds = announcements.crowds.get_or_insert_with(|| {
            let mut crowds = BTreeMap::<IfName, usize>::new();
            let masters = instances.iter().filter(|instance| instance.state() == RouterState::Master);
            for (interface, _) in masters.flat_map(Instance::held) {
                *crowds.entry(interface.clone()).or_default() += 1;
            }
            crowds
        });
        if crowds.get(interface).is_some_and(|vips| *vips > FEW) { PACE } else { Duration::ZERO }
    }

    /// Whether a device is there, or is none that is about to be made.
    fn is_there(&self, interface: &IfName) -> bool {
        self.facts.links.contains_key(interface) || !self.devices().contains_key(interface)
    }
}
