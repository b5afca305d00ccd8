//! Whether firmware on trial has proven itself: all its workers live and have the configuration, for a while. Pure but for
//! [`observe`].
//!
//! What the network does is no part of it: a cable that is out, or real servers that are down, must not take firmware back.

use std::time::{Duration, Instant};

use crate::ipc::client::ask;
use crate::ipc::message::{Reply, Request, Status};
use crate::paths::RunDir;
use crate::role::Role;

/// How long all must have been well.
pub const TIME: Duration = Duration::from_secs(60);
/// How long after the start of the kernel it may take; then the box starts again, and the boot loader counts one try more.
pub const DEADLINE: Duration = Duration::from_secs(300);
/// How often to look.
pub const PERIOD: Duration = Duration::from_secs(5);
/// How long a worker may take to answer.
const WAIT: Duration = Duration::from_secs(2);

/// The trial of a slot.
#[derive(Debug, Clone, Copy, Default)]
pub struct Proof {
    well_since: Option<Instant>,
    looked: Option<Instant>,
    over: bool,
}

impl Proof {
    /// Whether it is time to look.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = self.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= PERIOD);
        if due {
            self.looked = Some(now);
        }
        due
    }

    /// Whether the time is over, `since_boot` after the start of the kernel: `true` once. Who is well by then may end its minute.
    pub fn is_over(&mut self, since_boot: Duration, deadline: Duration) -> bool {
        let over = !self.over && self.well_since.is_none() && since_boot >= deadline;
        self.over |= over;
        over
    }

    /// Takes what was seen; `true` when it is proven. Whoever is unwell begins anew.
    pub fn seen(&mut self, now: Instant, well: bool) -> bool {
        if !well {
            self.well_since = None;
            return false;
        }
        let since = *self.well_since.get_or_insert(now);
        now.saturating_duration_since(since) >= TIME
    }
}

/// What is not well: a worker that does not run or ends again and again, or has another configuration than `generation`.
/// Blocking.
///
/// # Errors
/// In words, what.
pub fn observe(run: &RunDir, generation: u64) -> Result<(), String> {
    let Ok(Reply::Status { status }) = ask(run, Role::Init, &Request::Status, WAIT) else {
        return Err("the supervisor does not answer".to_owned());
    };
    let Status::Init(init) = *status else { return Err("the supervisor answered something else".to_owned()) };
    if let Some(worker) = init.workers.iter().find(|worker| worker.state != "running" || worker.failures > 0)
    {
        return Err(format!("{} is {}, after {} failures", worker.role, worker.state, worker.failures));
    }
    for role in [Role::Net, Role::Vrrp, Role::Lvs] {
        let has = match ask(run, role, &Request::Status, WAIT) {
            Ok(Reply::Status { status }) => match *status {
                Status::Net(status) => Some(status.generation),
                Status::Vrrp(status) => Some(status.generation),
                Status::Lvs(status) => Some(status.generation),
                _ => None,
            },
            _ => None,
        };
        if has != Some(generation) {
            return Err(format!("{role} does not have configuration {generation}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_is_proven_by_a_minute_without_trouble() {
        let (mut proof, start) = (Proof::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(proof.is_due(at(0)) && !proof.is_due(at(4)) && proof.is_due(at(5)));
        let seen = [(0, true), (30, true), (40, false), (50, true), (105, true), (110, true)];
        let proven: Vec<bool> = seen.into_iter().map(|(second, well)| proof.seen(at(second), well)).collect();
        assert_eq!(proven, [false, false, false, false, false, true]);
    }

    #[test]
    fn firmware_that_is_unwell_when_its_time_is_over_is_given_up_once() {
        let (mut proof, start) = (Proof::default(), Instant::now());
        let seconds = Duration::from_secs;
        assert!(!proof.is_over(seconds(299), DEADLINE));
        proof.seen(start, true);
        assert!(!proof.is_over(seconds(300), DEADLINE), "it is well, and about to prove itself");
        proof.seen(start, false);
        assert!(proof.is_over(seconds(310), DEADLINE) && !proof.is_over(seconds(320), DEADLINE));
    }

    #[test]
    fn who_is_not_there_is_not_well() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(observe(&RunDir::new(dir.path()), 1), Err("the supervisor does not answer".to_owned()));
    }
}
