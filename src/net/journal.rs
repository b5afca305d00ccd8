//! What is said to people about a pass: each failure once while it lasts, and what is still to be done.

use std::collections::BTreeMap;

use super::desired::Desired;
use super::diff::Op;
use super::state::State;
use crate::units::IfName;

/// What was said already.
#[derive(Debug, Default)]
pub struct Journal {
    failures: BTreeMap<Op, String>,
    waiting: Vec<String>,
    carriers: BTreeMap<IfName, bool>,
}

impl Journal {
    /// Logs what is news and returns all that keeps the kernel from agreeing. `left` is still to be done; of that
    /// `failed` failed in this pass.
    pub fn pass(
        &mut self,
        observed: &State,
        desired: &Desired,
        left: &[Op],
        failed: &BTreeMap<Op, String>,
    ) -> Vec<String> {
        self.cables(observed, desired);
        for why in desired.waiting.iter().filter(|why| !self.waiting.contains(why)) {
            log::info!("waiting: {why}");
        }
        self.waiting.clone_from(&desired.waiting);
        self.fail(left, failed);
        let words = |op: &Op| match self.failures.get(op) {
            Some(error) => format!("{op}: {error}"),
            None => op.to_string(),
        };
        desired.waiting.iter().cloned().chain(left.iter().map(words)).collect()
    }

    fn fail(&mut self, left: &[Op], failed: &BTreeMap<Op, String>) {
        // What waits for its next try failed as it did before.
        let error = |op: &Op| failed.get(op).or_else(|| self.failures.get(op)).cloned();
        let failures: BTreeMap<Op, String> =
            left.iter().filter_map(|op| Some((op.clone(), error(op)?))).collect();
        for (op, error) in failures.iter().filter(|(op, error)| self.failures.get(op) != Some(error)) {
            log::error!("cannot {op}: {error}");
        }
        self.failures = failures;
    }

    fn cables(&mut self, observed: &State, desired: &Desired) {
        let links = observed.links.iter().filter(|(name, _)| desired.configured.contains(*name));
        let carriers: BTreeMap<IfName, bool> =
            links.map(|(name, link)| (name.clone(), link.carrier)).collect();
        for (name, carrier) in &carriers {
            match (self.carriers.get(name), carrier) {
                (Some(true), false) => log::warn!("link has lost its carrier: link={name}"),
                (Some(false), true) => log::info!("link has carrier: link={name}"),
                _ => {}
            }
        }
        self.carriers = carriers;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_lasts_until_the_operation_is_not_needed() {
        let op = Op::Sysctl { path: "ipv4/ip_forward".to_owned(), value: "1".to_owned() };
        let failed = BTreeMap::from([(op.clone(), "read-only file system".to_owned())]);
        let (state, desired) = (State::default(), Desired::default());
        let mut journal = Journal::default();
        let words = ["set ipv4/ip_forward to 1: read-only file system"];
        assert_eq!(journal.pass(&state, &desired, std::slice::from_ref(&op), &failed), words);
        let later = journal.pass(&state, &desired, std::slice::from_ref(&op), &BTreeMap::new());
        assert_eq!(later, words, "it waits for its next try");
        assert!(journal.pass(&state, &desired, &[], &BTreeMap::new()).is_empty());
        let again = journal.pass(&state, &desired, &[op], &BTreeMap::new());
        assert_eq!(again, ["set ipv4/ip_forward to 1"], "not tried yet");
    }
}
