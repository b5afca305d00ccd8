//! `director ipvs clear`: a host that Director has left gets its kernel back.

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use super::options::Options;
use crate::config::active;
use crate::ctl::{Error, print};
use crate::ipvs::{Client, Command, ServiceId};
use crate::lvs::desired::keys;
use crate::lvs::state::id_of;
use crate::lvs::ways::is_way;
use crate::nft::{Keeper, Ruleset};
use crate::role::Role;

/// `director ipvs clear`.
pub(super) fn clear(options: &Options) -> Result<ExitCode, Error> {
    if UnixStream::connect(options.run_dir.socket(Role::Lvs)).is_ok() {
        let why = "clear: Director runs, and would enter its services again: stop it first, or take them out of the file";
        return Err(Error::Failed(why.to_owned()));
    }
    let run = options.run_dir.path().display();
    let active = active(&options.run_dir).map_err(|error| Error::Failed(format!("clear: {run}: {error}")))?;
    let Some(active) = active else {
        let why =
            format!("clear: {run}: no configuration was in force here, so nothing is known to be Director's");
        return Err(Error::Failed(why));
    };
    let own: BTreeSet<ServiceId> = active.checked.config.services.iter().flat_map(keys).map(id_of).collect();
    let mut client = Client::connect().map_err(Error::failed)?;
    let there = client.services().map_err(Error::failed)?;
    let (commands, left) = leaving(there.iter().map(|entry| entry.id), &own);
    let failures = client.apply(&commands).map_err(Error::failed)?;
    if let Some(failure) = failures.first() {
        return Err(Error::Failed(format!("clear: {failure}")));
    }
    Keeper::default().keep(&Ruleset::default()).map_err(Error::failed)?;
    let others = if left == 0 { String::new() } else { format!("; {left} of others are left alone") };
    print(&format!("{} services deleted{others}\n", commands.len()))
}

/// What is deleted, and how many services are not.
fn leaving(there: impl Iterator<Item = ServiceId>, own: &BTreeSet<ServiceId>) -> (Vec<Command>, usize) {
    let (ours, others): (Vec<_>, Vec<_>) = there.partition(|id| own.contains(id) || is_way(id));
    (ours.into_iter().map(Command::DeleteService).collect(), others.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::WAY_MARKS;
    use crate::ipvs::Family;

    #[test]
    fn services_of_the_file_and_ways_of_probes_go_and_others_stay() {
        let marked = |mark| ServiceId::Fwmark { mark, family: Family::V4 };
        let own = BTreeSet::from([marked(5), marked(6)]);
        let way = marked(*WAY_MARKS.start());
        let (commands, left) = leaving([marked(5), marked(7), way].into_iter(), &own);
        assert_eq!(commands, [Command::DeleteService(marked(5)), Command::DeleteService(way)]);
        assert_eq!(left, 1);
    }
}
