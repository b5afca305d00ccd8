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
use {super::state, crate::ipvs};

#[cfg(test)]
#[path = "../../tests/kernel_tables/random.rs"]
mod random;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use super::random::{Dice, assert_edits};

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
            let from = dice.state();
            let to = if round % 2 == 0 { dice.edited(&from) } else { dice.state() };
            let commands = diff(&from, &to);
            assert_edits(&commands);
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
