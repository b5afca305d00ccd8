//! Taking another configuration: what is known of services that go on stays.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use super::super::desired::keys;
use super::super::state::id_of;
use super::super::watched::Watched;
use super::Core;
use crate::check::Target;
use crate::config::model::{Check, Service, Sorry};
use crate::ipvs::ServiceId;

impl Core {
    /// Takes another configuration; what was concluded about services that go on stays. Returns whether [`Self::targets`] may be others than
    /// before.
    pub fn configure(&mut self, mut services: Vec<Service>, now: Instant) -> bool {
        self.absent.leave(&self.services, now);
        let mut seen = HashMap::new();
        services.iter_mut().for_each(|service| intern(service, &mut self.checks, &mut seen));
        drop(seen);
        let others = if self.has_the_keys_of(&services) {
            self.change_in_place(services)
        } else {
            self.change_all(services);
            true
        };
        self.had.clear();
        self.absent.come_back(&mut self.services, now);
        if others {
            self.index();
        }
        self.checks.retain(|check| Arc::strong_count(check) > 1);
        others
    }

    /// Whether each service stays where it is.
    fn has_the_keys_of(&self, services: &[Service]) -> bool {
        let same = |(watched, service): (&Watched, &Service)| {
            keys(&watched.service).eq(keys(service)) && watched.service.name == service.name
        };
        self.services.len() == services.len() && self.services.iter().zip(services).all(same)
    }

    /// Of ten thousand servers one has another weight: nothing that is found by target or key moves. Returns whether that is not so.
    fn change_in_place(&mut self, services: Vec<Service>) -> bool {
        let mut others = false;
        let before = std::mem::take(&mut self.services);
        for (index, (old, service)) in before.into_iter().zip(services).enumerate() {
            if old.service == service {
                self.services.push(old);
                continue;
            }
            old.wake.map(|wake| self.timers.remove(&(wake, index)));
            self.stale.insert(index);
            let targets: Vec<Target> = old.targets().cloned().collect();
            let watched = old.succeed(service);
            others |= !watched.targets().eq(&targets);
            self.services.push(watched);
        }
        others
    }

    fn change_all(&mut self, services: Vec<Service>) {
        let mut before = Predecessors::new(std::mem::take(&mut self.services), &services);
        for service in services {
            self.services.push(match before.take(&service) {
                Some(old) if old.service == service => old,
                Some(old) => old.succeed(service),
                None => {
                    let had = self.had.remove(&service.name);
                    Watched { had, ..Watched::new(service) }
                }
            });
        }
    }

    fn index(&mut self) {
        self.by_target.clear();
        self.by_id.clear();
        self.timers.clear();
        self.stale.clear();
        for (index, watched) in self.services.iter().enumerate() {
            self.stale.extend(watched.judgement.is_none().then_some(index));
            self.by_id.extend(watched.ids.iter().map(|id| (*id, index)));
            self.timers.extend(watched.wake.map(|wake| (wake, index)));
            for target in watched.targets() {
                let concerned = self.by_target.entry(target.clone()).or_default();
                if concerned.last() != Some(&index) {
                    concerned.push(index);
                }
            }
        }
    }
}

/// Makes equal checks one.
fn intern(
    service: &mut Service,
    checks: &mut HashSet<Arc<Check>>,
    seen: &mut HashMap<*const Check, Arc<Check>>,
) {
    let sorry = match &mut service.sorry {
        Sorry::Servers(servers) => servers.as_mut_slice(),
        Sorry::None | Sorry::Local => &mut [],
    };
    for check in service.servers.iter_mut().chain(sorry).flat_map(|server| &mut server.checks) {
        let known = seen.entry(Arc::as_ptr(check)).or_insert_with(|| match checks.get(check) {
            Some(known) => Arc::clone(known),
            None => {
                checks.insert(Arc::clone(check));
                Arc::clone(check)
            }
        });
        *check = Arc::clone(known);
    }
}

/// The services of the configuration before, by key and by name.
struct Predecessors {
    /// Each with the number of those that go on as it: one that is split in two leaves its servers to both.
    services: Vec<(usize, Option<Watched>)>,
    by_id: HashMap<ServiceId, usize>,
    by_name: HashMap<String, usize>,
}

impl Predecessors {
    fn new(services: Vec<Watched>, heirs: &[Service]) -> Self {
        let all = || services.iter().enumerate();
        let by_id = all().flat_map(|(at, watched)| watched.ids.iter().map(move |id| (*id, at))).collect();
        let by_name = all().map(|(at, watched)| (watched.service.name.clone(), at)).collect();
        let services = services.into_iter().map(|watched| (0, Some(watched))).collect();
        let mut predecessors = Self { by_id, by_name, services };
        for heir in heirs {
            let at = predecessors.place(heir);
            if let Some((heirs, _)) = at.and_then(|at| predecessors.services.get_mut(at)) {
                *heirs += 1;
            }
        }
        predecessors
    }

    /// The last of several has the service itself, the others their copies.
    fn take(&mut self, service: &Service) -> Option<Watched> {
        let (heirs, watched) = self.place(service).and_then(|at| self.services.get_mut(at))?;
        *heirs = heirs.saturating_sub(1);
        if *heirs == 0 { watched.take() } else { watched.clone() }
    }

    /// Who goes on as this service: it has one of its keys, or else its name.
    fn place(&self, service: &Service) -> Option<usize> {
        let same = keys(service).find_map(|key| self.by_id.get(&id_of(key)));
        same.or_else(|| self.by_name.get(&service.name)).copied()
    }
}
