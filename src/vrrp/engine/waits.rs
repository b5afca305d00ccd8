//! A new process claims nothing before its services have been heard of, for a bounded time.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::ipc::message::RouterState;

use super::super::instance::Instance;
use super::Engine;

impl Engine {
    /// A new process claims no VIP before something was said about each of these services, or its `start_wait` has passed.
    pub fn await_services(&mut self, now: Instant, mut services: BTreeSet<String>) {
        services.retain(|service| !self.facts.services.contains_key(service));
        self.awaited = Some((now, services));
    }

    /// Whether somebody still waits for them.
    #[must_use]
    pub fn awaits_services(&self, now: Instant) -> bool {
        self.awaited.is_some() && self.instances.is_empty()
            || self.instances.iter().any(|instance| self.waits_until(instance).is_some_and(|at| now < at))
    }

    /// Until when an instance has to wait for word about the services; `None` when it need not.
    pub(super) fn waits_until(&self, instance: &Instance) -> Option<Instant> {
        let (since, services) = self.awaited.as_ref()?;
        (!services.is_empty()).then(|| *since + instance.config().start_wait)
    }

    /// The name of a backup that has to wait still.
    pub(super) fn unready(&self, now: Instant, instance: &Instance) -> Option<String> {
        let waits =
            instance.state() == RouterState::Backup && self.waits_until(instance).is_some_and(|at| now < at);
        waits.then(|| instance.config().name.clone())
    }
}
