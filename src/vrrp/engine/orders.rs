//! What the operator wants of a virtual router: `director vrrp {failover,resign,hold,release}`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::ipc::message::{PeerStatus, RouterOrder, RouterState};

use super::super::effect::Effect;
use super::super::exchange::pace::PATIENCE;
use super::super::instance::Instance;
use super::Engine;

/// Whether one of the boxes that tell of themselves may take a virtual router over; where none ever told, whether anybody advertised.
fn follower(now: Instant, instance: &Instance, known: &[PeerStatus]) -> Result<(), String> {
    let name = &instance.config().name;
    let told = known.iter().filter_map(|peer| {
        let router = peer.routers.iter().find(|router| router.name == *name)?;
        // Of the router, not of its box: that may live on another segment.
        Some((Duration::from_millis(router.heard_ms), router.state))
    });
    let told: Vec<(Duration, RouterState)> = told.collect();
    let lives = |(heard, _): &&(Duration, RouterState)| *heard < PATIENCE;
    if told.iter().filter(lives).any(|(_, state)| *state != RouterState::Fault) {
        return Ok(());
    }
    match told.iter().min_by_key(|(heard, _)| *heard) {
        Some(found) if lives(&found) => Err(format!("the other box cannot take {name} over, it is in fault")),
        Some((heard, _)) => {
            Err(format!("the other box that would take {name} over was last heard {} s ago", heard.as_secs()))
        }
        None if instance.met(now) => Ok(()),
        None => Err(format!("no other box is known that would take {name} over")),
    }
}

impl Engine {
    /// Whether somebody would follow where the operator takes mastership from a virtual router: another box that was heard to advertise
    /// since this process runs, or one that tells of itself and may take part.
    ///
    /// # Errors
    /// Nobody is known; a backup that only listens, as of another make, cannot be known.
    pub fn successor(
        &self,
        now: Instant,
        order: RouterOrder,
        name: &str,
        known: &[PeerStatus],
    ) -> Result<(), String> {
        if !matches!(order, RouterOrder::Failover | RouterOrder::Resign) {
            return Ok(());
        }
        // What is wrong with the order itself is said first.
        let Ok(members) = self.ordered(order, name) else { return Ok(()) };
        let mut members = self.instances.iter().filter(|i| members.contains(&i.config().name));
        members.try_for_each(|member| follower(now, member, known))
    }

    /// Does what the operator wants of a virtual router and its group.
    ///
    /// # Errors
    /// There is none of this name, or there is nothing to do.
    pub fn order(&mut self, now: Instant, order: RouterOrder, name: &str) -> Result<(), String> {
        let members = self.ordered(order, name)?;
        log::info!("operator: {order:?}: routers={}", members.iter().cloned().collect::<Vec<_>>().join(","));
        if order == RouterOrder::Clear {
            self.counters.values_mut().for_each(|count| *count = 0);
            let members = self.instances.iter_mut().filter(|i| members.contains(&i.config().name));
            members.for_each(Instance::clear);
            return Ok(());
        }
        // First of all the resignation: it is what a client waits for.
        if matches!(order, RouterOrder::Failover | RouterOrder::Resign) {
            for instance in self.instances.iter_mut().filter(|i| members.contains(&i.config().name)) {
                instance.resign(now, &mut self.effects);
            }
        }
        self.observe(now, |facts| match order {
            RouterOrder::Failover => facts.yielding.extend(members.iter().cloned()),
            RouterOrder::Resign | RouterOrder::Clear => {}
            RouterOrder::Hold => facts.held.extend(members.iter().cloned()),
            RouterOrder::Release => {
                facts.held.retain(|name| !members.contains(name));
                facts.yielding.retain(|name| !members.contains(name));
            }
        });
        self.align(now);
        self.effects.push(Effect::Remember);
        Ok(())
    }

    /// Whom an order to `name` means: it and its group.
    fn ordered(&self, order: RouterOrder, name: &str) -> Result<BTreeSet<String>, String> {
        let Some(named) = self.instances.iter().find(|instance| instance.config().name == name) else {
            let known: Vec<&str> =
                self.instances.iter().map(|instance| instance.config().name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(format!("no virtual router is named {name}: there are: {known}"));
        };
        let group = named.config().group.clone();
        let together = |instance: &Instance| {
            instance.config().name == name || (group.is_some() && instance.config().group == group)
        };
        let members: BTreeSet<String> =
            self.instances.iter().filter(|i| together(i)).map(|i| i.config().name.clone()).collect();
        let facts = &self.facts;
        let ordered = members.iter().any(|name| facts.held.contains(name) || facts.yielding.contains(name));
        match order {
            RouterOrder::Failover | RouterOrder::Resign if named.state() != RouterState::Master => {
                let state = format!("{:?}", named.state()).to_lowercase();
                return Err(format!("{name} is not master here, it is {state}: {}", named.reason()));
            }
            RouterOrder::Release if !ordered => {
                return Err(format!("{name} is neither held nor has it handed over: nothing to release"));
            }
            _ => {}
        }
        Ok(members)
    }

    /// Who has handed over and is master again, because the other one is gone, stands in elections as ever.
    pub(super) fn honour(&mut self, now: Instant) {
        if self.facts.yielding.is_empty() {
            return;
        }
        let back: Vec<String> = self
            .masters()
            .map(|instance| instance.config().name.clone())
            .filter(|name| self.facts.yielding.contains(name))
            .collect();
        if !back.is_empty() {
            self.observe(now, |facts| facts.yielding.retain(|name| !back.contains(name)));
            self.effects.push(Effect::Remember);
        }
    }
}
