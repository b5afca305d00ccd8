//! The IPVS synchronisation daemons: which run here, and what has to be changed. Pure but for [`Keeper`].

use std::fmt;

use crate::config::model;
use crate::ipvs::daemon::{Daemon, Duty};
use crate::ipvs::{Client, client};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// End the one of a kind.
    Stop(Duty),
    /// Start this one.
    Start(Daemon),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stop(duty) => write!(f, "stop the daemon that {}", word(*duty)),
            Self::Start(daemon) => write!(
                f,
                "start the daemon that {}: interface={} id={} group={}",
                word(daemon.duty),
                daemon.interface,
                daemon.id,
                daemon.group
            ),
        }
    }
}

/// `sends` or `listens`.
#[must_use]
pub const fn word(duty: Duty) -> &'static str {
    match duty {
        Duty::Send => "sends",
        Duty::Listen => "listens",
    }
}

/// The daemons that should run. `masters` says whether a virtual router is master here.
#[must_use]
pub fn desired(sync: Option<&model::Sync>, masters: impl Fn(&str) -> bool) -> Vec<Daemon> {
    let Some(sync) = sync else { return Vec::new() };
    let duties: &[Duty] = match &sync.follow {
        None => &[Duty::Send, Duty::Listen],
        Some(router) if masters(router) => &[Duty::Send],
        Some(_) => &[Duty::Listen],
    };
    let daemon = |duty: &Duty| Daemon {
        duty: *duty,
        interface: sync.interface.to_string(),
        id: sync.id,
        group: sync.group,
        port: sync.port,
        ttl: sync.ttl,
        max_length: sync.max_length.unwrap_or(0),
    };
    duties.iter().map(daemon).collect()
}

/// The changes in order: nobody is started where one of its kind still runs.
#[must_use]
pub fn diff(observed: &[Daemon], desired: &[Daemon]) -> Vec<Change> {
    let same = |a: &Daemon, b: &Daemon| {
        // What the MTU allows is nothing to insist on.
        let length = if b.max_length == 0 { 0 } else { a.max_length };
        Daemon { max_length: length, ..a.clone() } == *b
    };
    let odd = observed.iter().filter(|a| !desired.iter().any(|b| same(a, b))).map(|a| Change::Stop(a.duty));
    let missing = desired.iter().filter(|b| !observed.iter().any(|a| same(a, b))).cloned().map(Change::Start);
    odd.chain(missing).collect()
}

/// The connection to the kernel, made when it is needed first.
#[derive(Debug, Default)]
pub struct Keeper(Option<Client>);

impl Keeper {
    /// Makes the daemons so; gives each change with its outcome, then the daemons that run.
    ///
    /// # Errors
    /// The kernel has no IPVS, or does not answer.
    pub fn agree(&mut self, desired: &[Daemon]) -> Result<Agreed, client::Error> {
        let client = match &mut self.0 {
            Some(client) => client,
            none => none.insert(Client::connect()?),
        };
        let agreed = agree(client, desired);
        if agreed.is_err() {
            self.0 = None;
        }
        agreed
    }
}

/// What was done, and what runs now.
#[derive(Debug)]
pub struct Agreed {
    /// Each change, and why it failed.
    pub changes: Vec<(Change, Option<String>)>,
    /// The daemons of the kernel.
    pub running: Vec<Daemon>,
}

fn agree(client: &mut Client, desired: &[Daemon]) -> Result<Agreed, client::Error> {
    let observed = client.daemons()?;
    let mut changes = Vec::new();
    for change in diff(&observed, desired) {
        let result = match &change {
            Change::Stop(duty) => client.stop_daemon(*duty),
            Change::Start(daemon) => client.start_daemon(daemon),
        };
        changes.push((change, result.err().map(|error| error.to_string())));
    }
    let running = if changes.is_empty() { observed } else { client.daemons()? };
    Ok(Agreed { changes, running })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(follow: Option<&str>) -> model::Sync {
        model::Sync {
            interface: "eth1".parse().unwrap(),
            id: 5,
            group: "224.0.0.81".parse().unwrap(),
            port: 8848,
            ttl: 1,
            max_length: None,
            follow: follow.map(str::to_owned),
        }
    }

    #[test]
    fn both_run_unless_one_follows_a_router() {
        let duties = |follow, master| {
            let daemons = desired(Some(&config(follow)), |_| master);
            daemons.into_iter().map(|daemon| daemon.duty).collect::<Vec<_>>()
        };
        assert_eq!(duties(None, false), [Duty::Send, Duty::Listen]);
        assert_eq!(duties(Some("VI_1"), true), [Duty::Send]);
        assert_eq!(duties(Some("VI_1"), false), [Duty::Listen]);
        assert!(desired(None, |_| true).is_empty());
    }

    #[test]
    fn only_what_differs_is_changed() {
        let wanted = desired(Some(&config(None)), |_| true);
        // The kernel says which length it has found for itself.
        let running: Vec<_> =
            wanted.iter().cloned().map(|daemon| Daemon { max_length: 1472, ..daemon }).collect();
        assert_eq!(diff(&running, &wanted), []);
        assert_eq!(diff(&running[..1], &wanted), [Change::Start(wanted[1].clone())]);
        assert_eq!(diff(&running, &[]), [Change::Stop(Duty::Send), Change::Stop(Duty::Listen)]);
        let other = [Daemon { id: 6, ..wanted[0].clone() }];
        assert_eq!(diff(&running[..1], &other), [Change::Stop(Duty::Send), Change::Start(other[0].clone())]);
    }
}
