//! What the worker knows and concludes. Pure: verdicts and dumps go in, commands and events come out.
//!
//! Three tables are kept apart: what the file and the verdicts want ([`Watched::states`]), what the kernel has as far as known
//! (`kernel`), and a dump of what it really has ([`Core::observed`]). A dump that differs from `kernel` is somebody else's
//! doing; `kernel` that differs from what is wanted is work to do.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::absent::Absent;
use super::admin::{give, name_of, select};
use super::diff::{Difference, diff};
use super::member::Verdicts;
use super::memory::Recalled;
use super::state::State;
use super::watched::{Watched, sorry_servers};
use crate::check::Target;
use crate::config::model::{Check, Service};
use crate::ipc::message::{AdminOrder, Event, ServerName};
use crate::ipvs::{Command, Failure, ServiceId};

mod succession; // another configuration

/// What is to be done and told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// For the kernel, in this order.
    pub commands: Vec<Command>,
    /// For subscribers.
    pub events: Vec<Event>,
}

/// The worker's knowledge.
#[derive(Debug, Default)]
pub struct Core {
    services: Vec<Watched>,
    by_target: HashMap<Target, Vec<usize>>,
    by_id: HashMap<ServiceId, usize>,
    /// Each check of the file once, so that comparing two of them is comparing pointers as a rule.
    checks: HashSet<Arc<Check>>,
    /// Services that another file has changed since they were concluded about.
    stale: BTreeSet<usize>,
    /// When what was concluded about a service must be concluded anew.
    timers: BTreeSet<(Instant, usize)>,
    kernel: Option<State>,
    adopted: bool,
    foreign: u64,
    /// Which services had their quorum in the last life, until the first configuration.
    had: BTreeMap<String, bool>,
    absent: Absent,
}

impl Core {
    /// Takes what the last life of this worker left, before the first configuration.
    pub fn recall(&mut self, recalled: Recalled) {
        self.had = recalled.services;
        self.absent = recalled.orders;
    }

    /// Who is to be checked; some may come twice.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.by_target.keys()
    }

    /// Targets of servers that take connections by the table, as far as it is known; some may come twice.
    pub fn serving(&self) -> impl Iterator<Item = &Target> {
        self.services.iter().flat_map(Watched::serving)
    }

    /// Takes a dump of the kernel's table. Returns what others changed since the last one. The first dump is where
    /// everything begins: servers without a verdict stay as it shows them.
    pub fn observed(&mut self, table: State) -> Vec<Command> {
        let changes = match &self.kernel {
            Some(believed) => diff(believed, &table),
            None if !self.adopted => self.strange(&table),
            // After an answer of the kernel was lost nobody knows who did what.
            None => Vec::new(),
        };
        self.foreign = self.foreign.saturating_add(u64::try_from(changes.len()).unwrap_or(u64::MAX));
        if !self.adopted {
            self.services.iter_mut().for_each(|watched| watched.adopt(&table));
            self.adopted = true;
        }
        self.kernel = Some(table);
        changes
    }

    /// Services that the file does not know, and that were there before this process.
    fn strange(&self, table: &State) -> Vec<Command> {
        let strange = table.services.iter().filter(|(id, _)| !self.by_id.contains_key(id));
        strange.map(|(id, there)| Command::AddService(*id, there.service.clone())).collect()
    }

    /// Concludes anew about every service. Without a dump there are no commands.
    pub fn conclude(&mut self, verdicts: &impl Verdicts, now: Instant) -> Plan {
        let all = (0..self.services.len()).collect();
        self.stale.clear();
        let mut plan = self.conclude_these(&all, verdicts, now);
        plan.commands.extend(self.leftovers());
        plan
    }

    /// Concludes anew about the services that another file has changed, and about those that it does not have any more.
    pub fn conclude_changed(&mut self, verdicts: &impl Verdicts, now: Instant) -> Plan {
        let stale = std::mem::take(&mut self.stale);
        let mut plan = self.conclude_these(&stale, verdicts, now);
        plan.commands.extend(self.leftovers());
        plan
    }

    /// Concludes anew about the services of these targets alone.
    pub fn conclude_about<'a>(
        &mut self,
        targets: impl IntoIterator<Item = &'a Target>,
        verdicts: &impl Verdicts,
        now: Instant,
    ) -> Plan {
        let services = targets.into_iter().filter_map(|target| self.by_target.get(target));
        let concerned: BTreeSet<usize> = services.flatten().copied().collect();
        self.conclude_these(&concerned, verdicts, now)
    }

    /// Concludes anew about the services whose time has come.
    pub fn wake(&mut self, verdicts: &impl Verdicts, now: Instant) -> Plan {
        let due = self.timers.iter().take_while(|(wake, _)| *wake <= now).map(|(_, index)| *index).collect();
        self.conclude_these(&due, verdicts, now)
    }

    /// When [`Self::wake`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(wake, _)| *wake)
    }

    fn conclude_these(&mut self, which: &BTreeSet<usize>, verdicts: &impl Verdicts, now: Instant) -> Plan {
        let mut events = Vec::new();
        let mut difference = Difference::default();
        for index in which {
            let Some(watched) = self.services.get_mut(*index) else { continue };
            let before = watched.wake;
            events.extend(watched.conclude(verdicts, now));
            if before != watched.wake {
                before.map(|wake| self.timers.remove(&(wake, *index)));
                self.timers.extend(watched.wake.map(|wake| (wake, *index)));
            }
            let Some(kernel) = &self.kernel else { continue };
            for (id, state) in watched.ids.iter().zip(&watched.states) {
                difference.service(id, kernel.services.get(id), state);
            }
        }
        Plan { commands: difference.commands(), events }
    }

    /// What the kernel has and the file has not.
    fn leftovers(&self) -> impl Iterator<Item = Command> {
        let there = self.kernel.iter().flat_map(|kernel| kernel.services.keys());
        there.filter(|id| !self.by_id.contains_key(id)).map(|id| Command::DeleteService(*id))
    }

    /// Takes an order of the operator. Returns whom it concerns and what subscribers shall know;
    /// [`Self::conclude_changed`] does the rest.
    ///
    /// # Errors
    /// It concerns nobody, in words.
    pub fn administer(
        &mut self,
        service: &str,
        server: &str,
        order: AdminOrder,
        now: Instant,
    ) -> Result<(Vec<ServerName>, Vec<Event>), String> {
        let places = select(&self.services, service, server)?;
        let mut events = Vec::new();
        for (index, at) in &places {
            let Some(watched) = self.services.get_mut(*index) else { continue };
            events.extend(give(watched, *at, order, now));
            self.stale.insert(*index);
        }
        let names = places.into_iter().filter_map(|place| name_of(&self.services, place));
        Ok((names.collect(), events))
    }

    /// Takes the kernel's answer to `commands`; `failures` in their order.
    pub fn applied(&mut self, commands: &[Command], failures: &[Failure]) {
        let Some(kernel) = self.kernel.as_mut() else { return };
        let mut failures = failures.iter().peekable();
        for command in commands {
            if failures.next_if(|failure| failure.command == *command).is_none() {
                kernel.apply(command);
            }
        }
    }

    /// Nobody knows what the kernel has: a dump must come before the next command.
    pub fn lost_sight(&mut self) {
        self.kernel = None;
    }

    /// Whether a dump is needed before commands can be found.
    #[must_use]
    pub const fn is_blind(&self) -> bool {
        self.kernel.is_none()
    }

    /// The services in the order of the file.
    #[must_use]
    pub fn services(&self) -> &[Watched] {
        &self.services
    }

    /// Orders for servers that the file does not have at the moment.
    #[must_use]
    pub const fn absent(&self) -> &Absent {
        &self.absent
    }

    /// Whether these are the services that are watched.
    #[must_use]
    pub fn has(&self, services: &[Service]) -> bool {
        self.services.iter().map(|watched| &watched.service).eq(services)
    }

    /// The services and servers that a target stands for.
    pub fn concerned<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = (&'a Service, SocketAddr)> {
        let services = self.by_target.get(target).into_iter().flatten();
        services.filter_map(|index| self.services.get(*index)).flat_map(move |watched| {
            let real = watched.service.servers.iter().zip(&watched.members);
            let sorry = sorry_servers(&watched.service).iter().zip(&watched.substitutes);
            let mine = real.chain(sorry).filter(move |(_, member)| member.targets.contains(target));
            mine.map(|(server, _)| (&watched.service, server.address))
        })
    }

    /// What subscribers were told about services, as events.
    pub fn told(&self) -> impl Iterator<Item = Event> {
        self.services.iter().flat_map(|watched| {
            let service = || watched.service.name.clone();
            let up = watched.up.map(|up| Event::Service { service: service(), up });
            up.into_iter().chain(watched.primed.then(|| Event::Primed { service: service() }))
        })
    }

    /// Changes by others since the start.
    #[must_use]
    pub const fn foreign(&self) -> u64 {
        self.foreign
    }
}

#[cfg(test)]
mod tests;
