//! From the table that is to the table that should be, by the fewest commands, in an order in which each is possible.
//!
//! What exists is edited, never deleted and added: that would drop its connections, and the kernel searches every server
//! deleted within the last minutes on each addition (`ip_vs_trash_get_dest`). Deletions come last, so a service is never
//! without servers while its servers are exchanged.

use super::state::{ServiceState, State};
use crate::ipvs::{Command, ServiceId};

/// The commands that lead from `observed` to `desired`; none when they are equal.
#[must_use]
pub fn diff(observed: &State, desired: &State) -> Vec<Command> {
    let mut difference = Difference::default();
    for (id, wanted) in &desired.services {
        difference.service(id, observed.services.get(id), wanted);
    }
    let mut commands = difference.commands();
    let gone = observed.services.keys().filter(|id| !desired.services.contains_key(id));
    commands.extend(gone.map(|id| Command::DeleteService(*id)));
    commands
}

/// What is to be done for some services, gathered one by one.
#[derive(Debug, Default)]
pub struct Difference {
    commands: Vec<Command>,
    deletions: Vec<Command>,
}

impl Difference {
    /// All of it, in an order in which it is possible.
    #[must_use]
    pub fn commands(mut self) -> Vec<Command> {
        self.commands.append(&mut self.deletions);
        self.commands
    }

    /// Adds what leads to `desired` for a service, which exists afterwards.
    pub fn service(&mut self, id: &ServiceId, observed: Option<&ServiceState>, desired: &ServiceState) {
        match observed {
            None => self.commands.push(Command::AddService(*id, desired.service.clone())),
            Some(there) if there.service != desired.service => {
                self.commands.push(Command::EditService(*id, desired.service.clone()));
            }
            // As it is for nearly every service nearly every time.
            Some(there) if there.servers == desired.servers => return,
            Some(_) => {}
        }
        for (address, wanted) in &desired.servers {
            match observed.and_then(|service| service.servers.get(address)) {
                None => self.commands.push(Command::AddServer(*id, *address, *wanted)),
                Some(there) if there != wanted => {
                    self.commands.push(Command::EditServer(*id, *address, *wanted));
                }
                Some(_) => {}
            }
        }
        let there = observed.iter().flat_map(|service| service.servers.keys());
        let gone = there.filter(|address| !desired.servers.contains_key(address));
        self.deletions.extend(gone.map(|address| Command::DeleteServer(*id, *address)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::net::SocketAddr;

    use crate::ipvs::{Family, Forward, Name, Persistence, Server, Service, Tunnel};

    /// xorshift64*: the same tables in every run.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, below: u64) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below
        }

        fn small(&mut self, below: u8) -> u8 {
            u8::try_from(self.roll(u64::from(below))).unwrap()
        }

        fn id(&mut self) -> ServiceId {
            match self.roll(4) {
                0 => ServiceId::Fwmark {
                    mark: 1 + u32::from(self.small(3)),
                    family: if self.roll(2) == 0 { Family::V4 } else { Family::V6 },
                },
                1 => ServiceId::Address {
                    address: format!("[2001:db8::{}]:80", self.small(3)).parse().unwrap(),
                    protocol: ServiceId::TCP,
                },
                _ => ServiceId::Address {
                    address: format!("192.0.2.{}:80", self.small(4)).parse().unwrap(),
                    protocol: if self.roll(2) == 0 { ServiceId::TCP } else { ServiceId::UDP },
                },
            }
        }

        fn service(&mut self) -> Service {
            let scheduler = ["rr", "wlc", "sh"][usize::from(self.small(3))];
            let persistence = (self.roll(3) == 0).then_some(Persistence { timeout: 50, mask: u32::MAX });
            Service { scheduler: Name::try_from(scheduler).unwrap(), flags: 0, persistence, engine: None }
        }

        fn server(&mut self) -> Server {
            let forward = [Forward::Route, Forward::Masquerade][usize::from(self.small(2))];
            let weight = u32::from(self.small(3));
            Server { forward, weight, upper: 0, lower: 0, tunnel: Tunnel::default() }
        }

        fn state(&mut self) -> State {
            let mut state = State::default();
            for _ in 0..self.roll(8) {
                let id = self.id();
                let mut service = ServiceState { service: self.service(), servers: Default::default() };
                for _ in 0..self.roll(7) {
                    let address: SocketAddr = format!("10.0.0.{}:80", self.small(8)).parse().unwrap();
                    let server = self.server();
                    service.servers.insert(address, server);
                }
                state.services.insert(id, service);
            }
            state
        }
    }

    /// Whether the kernel would take it: adding what exists and touching what does not are errors, and an edit that changes
    /// nothing is a waste.
    fn possible(state: &State, command: &Command) -> bool {
        let service = |id| state.services.get(id);
        let server = |id, address| service(id).and_then(|service| service.servers.get(address));
        match command {
            Command::AddService(id, _) => service(id).is_none(),
            Command::EditService(id, new) => service(id).is_some_and(|there| there.service != *new),
            Command::DeleteService(id) => service(id).is_some(),
            Command::AddServer(id, address, _) => service(id).is_some() && server(id, address).is_none(),
            Command::EditServer(id, address, new) => server(id, address).is_some_and(|there| there != new),
            Command::DeleteServer(id, address) => server(id, address).is_some(),
        }
    }

    fn is_deletion(command: &Command) -> bool {
        matches!(command, Command::DeleteServer(..) | Command::DeleteService(_))
    }

    #[test]
    fn applied_it_leads_from_any_table_to_any_other() {
        let mut dice = Dice(0x1dea_1dea_1dea_1dea);
        for round in 0..20_000 {
            let (from, to) = (dice.state(), dice.state());
            let commands = diff(&from, &to);
            let mut state = from.clone();
            for command in &commands {
                assert!(possible(&state, command), "round {round}: {command}");
                state.apply(command);
            }
            assert_eq!(state, to, "round {round}");
            assert!(diff(&state, &to).is_empty(), "round {round}: a second diff has nothing to do");
            let first = commands.iter().position(is_deletion).unwrap_or(commands.len());
            assert!(commands[first..].iter().all(is_deletion), "round {round}: deletions come last");
            let distinct: BTreeSet<String> = commands.iter().map(ToString::to_string).collect();
            assert_eq!(distinct.len(), commands.len(), "round {round}: nothing is said twice");
        }
    }

    #[test]
    fn one_service_is_a_part_of_the_whole() {
        let mut dice = Dice(7);
        for _ in 0..2_000 {
            let (from, mut to) = (dice.state(), dice.state());
            to.services.extend(
                from.services
                    .iter()
                    .map(|(id, s)| (*id, s.clone()))
                    .filter(|(id, _)| to.services.keys().next() != Some(id))
                    .collect::<Vec<_>>(),
            );
            let Some((id, wanted)) = to.services.iter().next() else { continue };
            let whole = State { services: [(*id, wanted.clone())].into() };
            let part =
                State { services: from.services.get(id).map(|s| (*id, s.clone())).into_iter().collect() };
            let mut difference = Difference::default();
            difference.service(id, from.services.get(id), wanted);
            assert_eq!(difference.commands(), diff(&part, &whole));
        }
    }
}
