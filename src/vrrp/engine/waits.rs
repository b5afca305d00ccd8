//! Who may not claim anything yet: a new process before its services and its trackers have been heard of, for a bounded time; a backup
//! whose sockets hold more than was read.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::config::model::{Track, TrackTarget};
use crate::ipc::message::RouterState;

use super::super::group::members;
use super::super::instance::Instance;
use super::super::socket::places;
use super::Engine;

impl Engine {
    /// A new process claims no VIP before something was said about each of these services, and by each gateway, program and file that
    /// it tracks, or its `start_wait` has passed.
    pub fn await_first_words(&mut self, now: Instant, mut services: BTreeSet<String>) {
        services.retain(|service| !self.facts.services.contains_key(service));
        self.awaited = Some((now, services));
    }

    /// Whether somebody still waits for them.
    #[must_use]
    pub fn awaits_services(&self, now: Instant) -> bool {
        let Some((since, services)) = &self.awaited else { return false };
        let waits = |instance: &Instance| now < *since + instance.config().start_wait;
        !services.is_empty() && (self.instances.is_empty() || self.instances.iter().any(waits))
    }

    /// Until when an instance has to wait for word about the services and of its trackers; `None` when it need not.
    pub(super) fn waits_until(&self, instance: &Instance) -> Option<Instant> {
        let (since, services) = self.awaited.as_ref()?;
        let silent = |track: &Track| match &track.target {
            TrackTarget::Probe(probe) => !self.facts.probes.contains_key(probe),
            TrackTarget::File(path) => !self.facts.files.contains_key(path),
            TrackTarget::Interface(_) | TrackTarget::Service(_) => false,
        };
        let waits = !services.is_empty() || instance.config().track.iter().any(silent);
        waits.then(|| *since + instance.config().start_wait)
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
