//! Who may not claim anything yet: a new process before its services and its trackers have been heard of, for a bounded time; a backup
//! whose sockets hold more than was read.
//!
//! Where no master lives, a service that can answer should: one live server of it is enough. Where another box serves meanwhile, waiting
//! costs nothing, and taking over with one server of a hundred would send everybody to that one: there the whole service is waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::config::model::{Track, TrackTarget};
use crate::ipc::message::{RouterState, RouterWait};

use super::super::group::members;
use super::super::instance::Instance;
use super::super::socket::places;
use super::super::track::name_of;
use super::Engine;

/// What a new process waits for.
#[derive(Debug)]
pub(super) struct FirstWords {
    since: Instant,
    /// Services of which nobody knows whether they have quorum.
    unheard: BTreeSet<String>,
    /// Services that have servers without a verdict.
    unprimed: BTreeSet<String>,
    /// Virtual routers of which the log says that they wait.
    told: BTreeSet<String>,
}

impl FirstWords {
    /// These have quorum, or have not.
    pub(super) fn hear(&mut self, told: &BTreeMap<String, bool>) {
        self.unheard.retain(|service| !told.contains_key(service));
    }
}

impl Engine {
    /// A new process claims no VIP before something was said about each of these services, and by each gateway, program and file that
    /// it tracks, or its `start_wait` has passed; from a living master none before each of the services is primed.
    pub fn await_first_words(&mut self, now: Instant, services: BTreeSet<String>) {
        let unheard = services.iter().filter(|service| !self.facts.services.contains_key(*service));
        let unheard = unheard.cloned().collect();
        self.awaited = Some(FirstWords { since: now, unheard, unprimed: services, told: BTreeSet::new() });
    }

    /// All servers of these services have a verdict.
    pub fn services_primed(&mut self, services: &BTreeSet<String>) {
        if let Some(awaited) = &mut self.awaited {
            awaited.unprimed.retain(|service| !services.contains(service));
        }
    }

    /// The file has these services now: nobody waits for others.
    pub fn keep_services(&mut self, now: Instant, names: &BTreeSet<String>) {
        if let Some(awaited) = &mut self.awaited {
            awaited.unheard.retain(|service| names.contains(service));
            awaited.unprimed.retain(|service| names.contains(service));
        }
        self.observe(now, |facts| facts.keep_services(names));
    }

    /// Whether somebody still waits for them.
    #[must_use]
    pub fn awaits_services(&self, now: Instant) -> bool {
        let Some(FirstWords { since, unheard, unprimed, .. }) = &self.awaited else { return false };
        let waits = |instance: &Instance| now < *since + instance.config().start_wait;
        let missing = !unheard.is_empty() || !unprimed.is_empty();
        missing && (self.instances.is_empty() || self.instances.iter().any(waits))
    }

    /// Until when an instance has to wait for word about the services and of its trackers; `None` when it need not.
    pub(super) fn waits_until(&self, instance: &Instance) -> Option<Instant> {
        let FirstWords { since, unheard, unprimed, .. } = self.awaited.as_ref()?;
        let end = *since + instance.config().start_wait;
        if !unheard.is_empty() || instance.config().track.iter().any(|track| self.is_silent(track)) {
            return Some(end);
        }
        instance.led_until().filter(|_| !unprimed.is_empty()).map(|led| led.min(end))
    }

    fn is_silent(&self, track: &Track) -> bool {
        match &track.target {
            TrackTarget::Probe(probe) => !self.facts.probes.contains_key(probe),
            TrackTarget::File(path) => !self.facts.files.contains_key(path),
            TrackTarget::Interface(_) | TrackTarget::Service(_) => false,
        }
    }

    /// Until when a backup is held back, whatever its timer says: for its own first words or for those of another member of its group.
    pub(super) fn held_until(&self, instance: &Instance) -> Option<Instant> {
        let Some(group) = &instance.config().group else { return self.own_wait(instance) };
        let backups = members(&self.instances, group).filter(|member| member.state() == RouterState::Backup);
        backups.filter_map(|member| self.own_wait(member)).max()
    }

    fn own_wait(&self, instance: &Instance) -> Option<Instant> {
        self.waits_until(instance).into_iter().chain(instance.doubts()).max()
    }

    /// The name of a backup that has to wait still.
    pub(super) fn unready(&self, now: Instant, instance: &Instance) -> Option<String> {
        let waits = || self.own_wait(instance).is_some_and(|at| now < at) || self.is_behind(now, instance);
        let waits = instance.state() == RouterState::Backup && waits();
        waits.then(|| instance.config().name.clone())
    }

    /// What an instance waits for that would be master otherwise.
    pub(super) fn wait(&self, now: Instant, instance: &Instance) -> Option<RouterWait> {
        self.own_wait(instance).filter(|at| is_due(now, instance) && now < *at)?;
        // Its master may fall silent before; this is the most.
        let end = self.awaited.as_ref().map(|awaited| awaited.since + instance.config().start_wait);
        let until = end.into_iter().chain(instance.doubts()).max()?;
        let left_ms = u64::try_from(until.saturating_duration_since(now).as_millis()).unwrap_or(u64::MAX);
        Some(RouterWait { lacks: self.missing(now, instance), left_ms })
    }

    fn missing(&self, now: Instant, instance: &Instance) -> Vec<String> {
        let clock = instance.doubts().filter(|at| now < *at).map(|_| "the right time".to_owned());
        let Some(FirstWords { unheard, unprimed, .. }) = &self.awaited else {
            return clock.into_iter().collect();
        };
        let services = unheard.iter().map(|name| format!("service {name}"));
        let led = instance.led_until().is_some_and(|at| now < at);
        let servers = unprimed.iter().filter(|name| led && !unheard.contains(*name));
        let servers = servers.map(|name| format!("all real servers of {name}"));
        let tracks = instance.config().track.iter().filter(|track| self.is_silent(track));
        services.chain(servers).chain(tracks.map(|track| name_of(&track.target))).chain(clock).collect()
    }

    /// Says of each that waits, once, for what.
    pub(super) fn tell_waits(&mut self, now: Instant) {
        let Some(FirstWords { told, .. }) = &self.awaited else { return };
        let due = self.instances.iter().filter(|instance| is_due(now, instance));
        let untold = due.filter(|instance| !told.contains(&instance.config().name));
        let waits = untold.filter_map(|it| Some((it.config().name.clone(), self.wait(now, it)?)));
        for (name, wait) in waits.collect::<Vec<_>>() {
            log::info!("waits: name={name} milliseconds={} for={wait}", wait.left_ms);
            if let Some(awaited) = &mut self.awaited {
                awaited.told.insert(name);
            }
        }
    }

    /// Whether its time is over, and was not yet when one of its sockets had been read: its master may have spoken since.
    fn is_behind(&self, now: Instant, instance: &Instance) -> bool {
        // Nothing to count in almost every turn.
        if self.unread.is_empty() {
            return false;
        }
        let read_until = places(instance.config()).filter_map(|place| self.unread.get(&place)).min();
        let due = instance.deadline().filter(|at| *at <= now);
        due.zip(read_until).is_some_and(|(due, read_until)| due > *read_until)
    }
}

/// Whether it is a backup that has waited for its master long enough.
fn is_due(now: Instant, instance: &Instance) -> bool {
    instance.state() == RouterState::Backup && instance.deadline().is_some_and(|at| at <= now)
}
