//! What the worker knows and concludes. Pure: verdicts and dumps go in, commands and events come out.
//!
//! Three tables are kept apart: what the file and the verdicts want (`intent`), what the kernel has as far as known
//! (`kernel`), and a dump of what it really has ([`Core::observed`]). A dump that differs from `kernel` is somebody else's
//! doing; `kernel` that differs from `intent` is work to do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use super::desired::{Outlook, desired};
use super::diff::{diff, diff_service};
use super::state::{State, id_of};
use crate::check::Target;
use crate::config::model::{self, Config};
use crate::ipc::message::{Event, Health};
use crate::ipvs::{Command, Failure, ServiceId};

/// A service of the file with what is known of it.
#[derive(Debug)]
pub struct Watched {
    /// As the file has it.
    pub service: model::Service,
    /// Its name in the kernel.
    pub id: ServiceId,
    /// How each of its servers is checked, in their order; `None` = it is not.
    pub targets: Vec<Option<Target>>,
    /// What was concluded last; `None` before the first dump.
    pub outlook: Option<Outlook>,
}

/// The verdict on a target.
pub trait Verdicts {
    /// [`Health::Unknown`] for a target that has none.
    fn health(&self, target: &Target) -> Health;
}

impl<F: Fn(&Target) -> Health> Verdicts for F {
    fn health(&self, target: &Target) -> Health {
        self(target)
    }
}

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
    by_target: BTreeMap<Target, BTreeSet<usize>>,
    /// Empty before the first dump: only that tells what servers without a verdict have.
    intent: State,
    kernel: Option<State>,
    adopted: bool,
    told: BTreeMap<String, bool>,
    foreign: u64,
}

impl Core {
    /// Takes another configuration; what was concluded about services that go on stays. Returns who is to be checked.
    pub fn configure(&mut self, config: &Config) -> BTreeSet<Target> {
        let mut before: BTreeMap<ServiceId, Option<Outlook>> =
            self.services.drain(..).map(|watched| (watched.id, watched.outlook)).collect();
        self.by_target.clear();
        for (index, service) in config.services.iter().enumerate() {
            let targets = targets(service);
            for target in targets.iter().flatten() {
                self.by_target.entry(target.clone()).or_default().insert(index);
            }
            let id = id_of(&service.key);
            let outlook = before.remove(&id).flatten();
            self.services.push(Watched { service: service.clone(), id, targets, outlook });
        }
        let names: BTreeSet<&str> = config.services.iter().map(|service| service.name.as_str()).collect();
        self.told.retain(|name, _| names.contains(name.as_str()));
        self.by_target.keys().cloned().collect()
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
            self.intent = table.clone();
            self.adopted = true;
        }
        self.kernel = Some(table);
        changes
    }

    /// Services that the file does not know, and that were there before this process.
    fn strange(&self, table: &State) -> Vec<Command> {
        let known: BTreeSet<ServiceId> = self.services.iter().map(|watched| watched.id).collect();
        let strange = table.services.iter().filter(|(id, _)| !known.contains(id));
        strange.map(|(id, there)| Command::AddService(*id, there.service.clone())).collect()
    }

    /// Concludes anew about every service. Without a dump there are no commands.
    pub fn conclude(&mut self, verdicts: &impl Verdicts) -> Plan {
        let mut plan = Plan::default();
        let mut intent = State::default();
        for watched in &mut self.services {
            let was = self.intent.services.get(&watched.id);
            let outlook = desired(&watched.service, &watched.verdicts(verdicts), was);
            plan.events.extend(tell(&mut self.told, &watched.service.name, &outlook));
            intent.services.insert(watched.id, outlook.state.clone());
            watched.outlook = Some(outlook);
        }
        if let Some(kernel) = &self.kernel {
            plan.commands = diff(kernel, &intent);
        }
        if self.adopted {
            self.intent = intent;
        }
        plan
    }

    /// Concludes anew about the services of these targets alone.
    pub fn conclude_about(&mut self, targets: &BTreeSet<Target>, verdicts: &impl Verdicts) -> Plan {
        let mut plan = Plan::default();
        let concerned: BTreeSet<usize> =
            targets.iter().filter_map(|target| self.by_target.get(target)).flatten().copied().collect();
        for index in concerned {
            let Some(watched) = self.services.get_mut(index) else { continue };
            let was = self.intent.services.get(&watched.id);
            let outlook = desired(&watched.service, &watched.verdicts(verdicts), was);
            plan.events.extend(tell(&mut self.told, &watched.service.name, &outlook));
            if let Some(kernel) = &self.kernel {
                let there = kernel.services.get(&watched.id);
                plan.commands.extend(diff_service(&watched.id, there, &outlook.state));
            }
            if self.adopted {
                self.intent.services.insert(watched.id, outlook.state.clone());
            }
            watched.outlook = Some(outlook);
        }
        plan
    }

    /// Takes the kernel's answer to `commands`.
    pub fn applied(&mut self, commands: &[Command], failures: &[Failure]) {
        let Some(kernel) = self.kernel.as_mut() else { return };
        for command in commands {
            if !failures.iter().any(|failure| failure.command == *command) {
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

    /// The services and servers that a target stands for.
    pub fn concerned<'a>(
        &'a self,
        target: &'a Target,
    ) -> impl Iterator<Item = (&'a model::Service, SocketAddr)> {
        let services = self.by_target.get(target).into_iter().flatten();
        services.filter_map(|index| self.services.get(*index)).flat_map(move |watched| {
            let servers = watched.service.servers.iter().zip(&watched.targets);
            let mine = servers.filter(move |(_, its)| its.as_ref() == Some(target));
            mine.map(|(server, _)| (&watched.service, server.address))
        })
    }

    /// What subscribers were told about services, as events.
    pub fn told(&self) -> impl Iterator<Item = Event> {
        self.told.iter().map(|(service, up)| Event::Service { service: service.clone(), up: *up })
    }

    /// Changes by others since the start.
    #[must_use]
    pub const fn foreign(&self) -> u64 {
        self.foreign
    }
}

impl Watched {
    /// The verdicts on its servers, in their order; who is not checked is up.
    fn verdicts(&self, verdicts: &impl Verdicts) -> Vec<Health> {
        let health = |target: &Option<Target>| target.as_ref().map_or(Health::Up, |t| verdicts.health(t));
        self.targets.iter().map(health).collect()
    }
}

fn targets(service: &model::Service) -> Vec<Option<Target>> {
    let target =
        |server: &model::Server| Some(Target::new(server.address, Arc::clone(server.checks.first()?)));
    service.servers.iter().map(target).collect()
}

/// What subscribers do not know yet.
fn tell(told: &mut BTreeMap<String, bool>, service: &str, outlook: &Outlook) -> Option<Event> {
    let up = outlook.up?;
    (told.insert(service.to_owned(), up) != Some(up))
        .then(|| Event::Service { service: service.to_owned(), up })
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::config::model::{
        Check, CheckKind, Dialogue, Listen, Method, Protocol, Server, Service, ServiceKey,
    };
    use crate::lvs::state::ServiceState;
    use crate::units::Weight;

    fn service(name: &str, last_octet: u8, servers: &[&str]) -> Service {
        let check = Arc::new(Check::new(CheckKind::Tcp(Dialogue::default())));
        let server = |address: &&str| Server {
            checks: vec![Arc::clone(&check)],
            ..Server::new(address.parse().unwrap(), Method::Dr)
        };
        let key = ServiceKey {
            listen: Listen::Address(SocketAddr::from(([192, 0, 2, last_octet], 80))),
            protocol: Some(Protocol::Tcp),
        };
        Service { servers: servers.iter().map(server).collect(), ..Service::new(name, key) }
    }

    /// Two services that share a server, and the verdicts on all targets.
    fn config() -> Config {
        let services = vec![
            service("web", 1, &["10.0.0.1:80", "10.0.0.2:80"]),
            service("shop", 2, &["10.0.0.2:80", "10.0.0.3:80"]),
        ];
        Config { services, ..Config::default() }
    }

    fn all(health: Health) -> impl Fn(&Target) -> Health {
        move |_| health
    }

    /// A core that has brought an empty kernel to what it wants, with every server up.
    fn settled() -> Core {
        let mut core = Core::default();
        core.configure(&config());
        core.observed(State::default());
        let plan = core.conclude(&all(Health::Up));
        core.applied(&plan.commands, &[]);
        core
    }

    fn words(plan: &Plan) -> Vec<String> {
        plan.commands.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_shared_server_is_one_target_of_both_services() {
        let mut core = settled();
        let targets = core.configure(&config());
        assert_eq!(targets.len(), 3);
        let shared =
            targets.iter().find(|target| target.address.to_string() == "10.0.0.2:80").unwrap().clone();
        let names: Vec<_> = core.concerned(&shared).map(|(service, _)| service.name.clone()).collect();
        assert_eq!(names, ["web", "shop"]);
        let down = shared.clone();
        let verdicts = move |target: &Target| if *target == down { Health::Down } else { Health::Up };
        let plan = core.conclude_about(&BTreeSet::from([shared]), &verdicts);
        assert_eq!(
            words(&plan),
            ["delete server tcp 192.0.2.1:80 10.0.0.2:80", "delete server tcp 192.0.2.2:80 10.0.0.2:80"]
        );
        core.applied(&plan.commands, &[]);
        assert!(core.conclude(&verdicts).commands.is_empty(), "the whole agrees with its parts");
    }

    #[test]
    fn nothing_is_commanded_before_the_first_dump_and_quorum_is_told_once() {
        let mut core = Core::default();
        core.configure(&config());
        let plan = core.conclude(&all(Health::Unknown));
        assert_eq!(plan, Plan::default(), "nobody knows anything");
        let plan = core.conclude(&all(Health::Up));
        assert!(plan.commands.is_empty());
        assert_eq!(plan.events.len(), 2);
        core.observed(State::default());
        let plan = core.conclude(&all(Health::Up));
        assert_eq!((plan.commands.len(), plan.events.len()), (6, 0));
        core.applied(&plan.commands, &[]);
        assert_eq!(core.conclude(&all(Health::Down)).events.len(), 2);
    }

    #[test]
    fn a_restarted_worker_changes_nothing_and_keeps_to_it_after_foreign_changes() {
        let table = settled().kernel.unwrap();
        let mut core = Core::default();
        core.configure(&config());
        assert!(core.observed(table.clone()).is_empty());
        let plan = core.conclude(&all(Health::Unknown));
        assert!(plan.commands.is_empty());
        assert_eq!(plan.events.len(), 2, "it knows from the table that they are up");
        // Somebody clears the table while no check has spoken: what was there comes back.
        let gone = core.observed(State::default());
        assert_eq!((gone.len(), core.foreign()), (2, 2));
        let plan = core.conclude(&all(Health::Unknown));
        assert_eq!(plan.commands.len(), 6);
        core.applied(&plan.commands, &[]);
        assert_eq!(core.kernel, Some(table));
    }

    #[test]
    fn foreign_services_are_told_and_removed() {
        let mut table = settled().kernel.unwrap();
        let foreign = ServiceId::Fwmark { mark: 9, family: crate::ipvs::Family::V4 };
        let service = table.services.values().next().unwrap().service.clone();
        table.services.insert(foreign, ServiceState { service, servers: BTreeMap::new() });
        let mut core = Core::default();
        core.configure(&config());
        assert_eq!(core.observed(table).len(), 1);
        assert_eq!(words(&core.conclude(&all(Health::Unknown))), ["delete service fwmark 9"]);
        assert_eq!(core.foreign(), 1);
    }

    #[test]
    fn a_reload_edits_what_changed_and_nothing_else() {
        let mut core = settled();
        let mut config = config();
        config.services[0].scheduler = "rr";
        config.services[0].servers[1].weight = Weight::try_from(5).unwrap();
        let mut new = config.services[1].servers[0].clone();
        new.address = "10.0.0.4:80".parse().unwrap();
        config.services[1].servers.push(new);
        core.configure(&config);
        let verdicts = |target: &Target| {
            if target.address.to_string() == "10.0.0.4:80" { Health::Unknown } else { Health::Up }
        };
        let plan = core.conclude(&verdicts);
        assert_eq!(
            words(&plan),
            [
                "edit service tcp 192.0.2.1:80 scheduler=rr",
                "edit server tcp 192.0.2.1:80 10.0.0.2:80 method=route weight=5"
            ],
            "the new server waits for its check"
        );
        core.applied(&plan.commands, &[]);
        config.services.remove(0);
        core.configure(&config);
        assert_eq!(words(&core.conclude(&verdicts)), ["delete service tcp 192.0.2.1:80"]);
    }

    #[test]
    fn what_the_kernel_refused_is_still_to_do() {
        let mut core = Core::default();
        core.configure(&config());
        core.observed(State::default());
        let plan = core.conclude(&all(Health::Up));
        let refused =
            Failure { command: plan.commands[1].clone(), errno: nix::errno::Errno::EINVAL, sentence: None };
        core.applied(&plan.commands, std::slice::from_ref(&refused));
        let again = core.conclude(&all(Health::Up));
        assert_eq!(again.commands, [refused.command]);
        assert!(core.observed(core.kernel.clone().unwrap()).is_empty(), "which is nobody else's doing");
        core.lost_sight();
        assert!(core.conclude(&all(Health::Up)).commands.is_empty());
        assert!(core.observed(State::default()).is_empty(), "nor is what was not seen");
    }
}
