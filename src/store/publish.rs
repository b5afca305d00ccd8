//! The run directory: `source.json` says which configuration runs and why, `active.toml` is its text.

use std::io;
use std::path::Path;

use crate::config::{Before, NodeFacts, check, pack, prepared};
use crate::ipc::message::StoreStatus;
use crate::paths::RunDir;
use crate::role::Role;
use crate::store::files::swap;

/// What was published by an earlier life of this worker under the same supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Which, and why.
    pub status: StoreStatus,
    /// Its text; `None` if none could be used so far.
    pub active: Option<Before>,
}

/// Writes `status`, and then `active` if it is a new one: the other workers wake at its text.
///
/// # Errors
/// The run directory cannot be written.
pub fn publish(run: &RunDir, status: &StoreStatus, active: Option<&Before>) -> io::Result<()> {
    let source = serde_json::to_vec_pretty(status).map_err(io::Error::other)?;
    swap(&run.source(), &source)?;
    if let Some(active) = active {
        prepare(run, active, &told(status))?;
        swap(&run.active_config(), &active.text)?;
    }
    swap(&run.state(Role::Store), supervisor().as_bytes())
}

/// Leaves what a text says for those who read it next with the same `facts`; only saves them time.
///
/// # Errors
/// The run directory cannot be written.
pub fn prepare(run: &RunDir, before: &Before, facts: &NodeFacts) -> io::Result<()> {
    match pack(before, facts) {
        Some(packed) => swap(&run.packed(), &packed),
        None => Ok(()),
    }
}

/// What a worker knows of the box: what this status tells it.
fn told(status: &StoreStatus) -> NodeFacts {
    NodeFacts { node: status.node.clone(), ..NodeFacts::default() }
}

/// What the run directory holds, if it was published under the present supervisor.
///
/// What an earlier supervisor left is nothing to go by: the file may have been changed since.
#[must_use]
pub fn published(run: &RunDir) -> Option<Published> {
    if std::fs::read_to_string(run.state(Role::Store)).ok()? != supervisor() {
        return None;
    }
    let status: StoreStatus = serde_json::from_slice(&std::fs::read(run.source()).ok()?).ok()?;
    let active = std::fs::read(run.active_config()).ok().and_then(|text| {
        let facts = told(&status);
        let checked = prepared(run, &text, &facts).or_else(|| check(&text, "active.toml", &facts).ok())?;
        Some(Before { text, checked })
    });
    Some(Published { status, active })
        .filter(|published| published.status.generation == 0 || published.active.is_some())
}

/// Removes what an earlier supervisor's `store` published: its file may have changed, and no worker is to act on the old text.
/// For the supervisor, before it starts anybody.
///
/// # Errors
/// Something is there that cannot be removed.
pub fn forget(run: &RunDir) -> io::Result<()> {
    for path in [run.active_config(), run.packed(), run.source(), run.state(Role::Store)] {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    super::secrets::forget(run)
}

/// The supervisor as a word that no later process shares: its id and when it started.
pub(super) fn supervisor() -> String {
    let parent = nix::unistd::getppid();
    let stat = std::fs::read_to_string(Path::new("/proc").join(parent.to_string()).join("stat"));
    let stat = stat.unwrap_or_default();
    // The name, in parentheses, may hold anything; field 22 is the start in clock ticks since boot (proc_pid_stat(5)).
    let started = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(19)).unwrap_or("0");
    format!("{{\"supervisor\":{parent},\"started\":{started}}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::message::Source;

    fn status(generation: u64) -> StoreStatus {
        StoreStatus {
            generation,
            source: Source::File,
            why: "it is there".to_owned(),
            node: None,
            candidates: Vec::new(),
            slot: "none".to_owned(),
            life: Default::default(),
        }
    }

    #[test]
    fn a_new_life_takes_up_what_was_published() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path());
        assert_eq!(published(&run), None);
        let text = b"version = 1\n".to_vec();
        let checked = check(&text, "f", &NodeFacts::default()).unwrap();
        publish(&run, &status(3), Some(&Before { text: text.clone(), checked })).unwrap();
        let found = published(&run).unwrap();
        assert_eq!((found.status.generation, found.active.unwrap().text), (3, text));
        let active = crate::config::active(&run).unwrap().unwrap();
        assert_eq!(active.generation, 3);
        std::fs::write(run.state(Role::Store), "{\"supervisor\":1,\"started\":0}\n").unwrap();
        assert_eq!(published(&run), None, "another supervisor's");
        forget(&run).unwrap();
        forget(&run).unwrap();
        assert_eq!(crate::config::active(&run).unwrap(), None);
    }
}
