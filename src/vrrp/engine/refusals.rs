//! A master without its VIPs gives way: one that the kernel refuses twice puts its router in FAULT, and so does the device, the route or
//! the rule that belongs to it.
//!
//! After a while it stands again, and leaves a living master alone until it has had all its VIPs: nothing goes back and forth. Where nobody has
//! taken over meanwhile there is nobody else, and it keeps what it could set.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::instance::Instance;
use super::super::vips::Op;
use super::Engine;

/// How long such a router stays in FAULT: longer than any backup with an interval of a second waits.
const FAULT: Duration = Duration::from_secs(5);

/// What a master lacks: why, and whether it was refused before.
pub type Lacks = BTreeMap<String, (String, bool)>;

/// Whether a virtual router lacks something where this is refused: a VIP, or the device that carries them.
#[must_use]
pub fn needs(instance: &Instance, op: &Op) -> bool {
    match op {
        Op::Add { interface, cidr, .. } => {
            instance.held().any(|(on, vip)| on == interface && vip.cidr == *cidr)
        }
        // One that is removed is in the way of another.
        Op::Create { interface, .. } | Op::Raise { interface, up: true } | Op::Delete { interface } => {
            instance.device().is_some_and(|(name, _)| name == *interface)
        }
        Op::Remove { .. } | Op::Raise { up: false, .. } => false,
    }
}

impl Engine {
    /// What the masters lack after the kernel was asked for their VIPs, devices, routes and rules.
    pub fn lacks(&mut self, now: Instant, lacks: &Lacks) {
        let alone = |instance: &Instance| {
            self.facts.wary.contains(&instance.config().name) && instance.router().heard().is_none()
        };
        let mut failed = BTreeMap::new();
        let mut whole = Vec::new();
        for instance in self.masters() {
            let name = &instance.config().name;
            match lacks.get(name) {
                Some((why, true)) if !alone(instance) => drop(failed.insert(name.clone(), why.clone())),
                Some(_) => {}
                None => whole.push(name.clone()),
            }
        }
        whole.retain(|name| self.facts.wary.contains(name));
        if failed.is_empty() && whole.is_empty() {
            return;
        }
        self.refusals.extend(failed.keys().map(|name| (name.clone(), now + FAULT)));
        self.observe(now, |facts| {
            facts.refused.extend(failed);
            facts.wary.retain(|name| !whole.contains(name));
        });
    }

    /// Lets those stand again whose time in FAULT is over.
    pub(super) fn forgive(&mut self, now: Instant) {
        let over: Vec<String> =
            self.refusals.iter().filter(|(_, until)| **until <= now).map(|(name, _)| name.clone()).collect();
        if over.is_empty() {
            return;
        }
        self.refusals.retain(|_, until| *until > now);
        let groups = |name: &String| {
            let named = self.instances.iter().find(|instance| instance.config().name == *name);
            let group = named.and_then(|instance| instance.config().group.clone());
            let together = self.instances.iter().filter(move |instance| {
                instance.config().name == *name || (group.is_some() && instance.config().group == group)
            });
            together.map(|instance| instance.config().name.clone()).collect::<Vec<_>>()
        };
        let wary: Vec<String> = over.iter().flat_map(groups).collect();
        self.observe(now, |facts| {
            facts.refused.retain(|name, _| !over.contains(name));
            facts.wary.extend(wary);
        });
    }

    /// Whether a master lacks something, or may have lacked it.
    #[must_use]
    pub fn is_wary(&self) -> bool {
        !self.facts.wary.is_empty()
    }
}
