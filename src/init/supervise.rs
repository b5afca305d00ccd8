//! Who is started, asked, killed and started again, and when. Pure: time comes in, actions go out.
//!
//! The first restart is at once, then after `min(0.2 s × 2ⁿ, 30 s)` with n the short lives in a row. There is no giving up: a
//! director must keep trying; from five on it is an alarm. `vrrp` is started at once more often, for a master that is back soon enough
//! stays master; before it waits, what it has left is taken off.  A worker whose loop no longer answers is killed, because a process
//! that hangs is worse than one that died: its twin takes over from a dead one.

use std::time::{Duration, Instant};

pub use super::child::{ALARM, Action, End, How, Key, Pid, Worker};
use crate::role::Role;

/// Every worker with a socket is asked this often.
pub const HELLO_INTERVAL: Duration = Duration::from_secs(1);
/// A step this late means that the supervisor itself did not run (a paused guest): nobody's silence counts.
const STALLED: Duration = Duration::from_secs(2);

/// The order was not carried out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such worker here.
    #[error("{order}: {role}: this director has no such worker")]
    Unknown {
        /// Restart, hold or release.
        order: &'static str,
        /// Which.
        role: Role,
    },
    /// A held worker is not restarted.
    #[error("restart: {0}: it is held: release it first")]
    Held(Role),
}

/// All workers.
#[derive(Debug)]
pub struct Supervisor {
    workers: Vec<Worker>,
    next_hello: Instant,
    last_step: Instant,
    ending: bool,
}

impl Supervisor {
    /// Workers that all want to start at `now`.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = Key>, now: Instant) -> Self {
        let workers = keys.into_iter().map(|key| Worker::new(key, now)).collect();
        Self { workers, next_hello: now + HELLO_INTERVAL, last_step: now, ending: false }
    }

    /// The workers in their order.
    #[must_use]
    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// Who has a process.
    pub fn living(&self) -> impl Iterator<Item = (&Key, Pid)> {
        self.workers.iter().filter_map(|worker| Some((worker.key(), worker.pid()?)))
    }

    /// What is due at `now`.
    pub fn step(&mut self, now: Instant) -> Vec<Action> {
        self.forgive_a_stall(now);
        if self.ending {
            return Vec::new();
        }
        let mut actions: Vec<Action> = self.workers.iter_mut().filter_map(|worker| worker.due(now)).collect();
        if self.next_hello <= now {
            self.next_hello = now + HELLO_INTERVAL;
            let asked = self.workers.iter().filter(|worker| worker.can_be_asked());
            actions.extend(asked.map(|worker| Action::Hello(worker.key().clone())));
        }
        actions
    }

    /// When [`Self::step`] has something to do again.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        if self.ending {
            return None;
        }
        let hello = self.workers.iter().any(Worker::can_be_asked).then_some(self.next_hello);
        self.workers.iter().filter_map(Worker::deadline).chain(hello).min()
    }

    /// [`Action::Start`] was done.
    pub fn started(&mut self, key: &Key, pid: Pid, now: Instant) {
        if let Some(worker) = self.find(key) {
            worker.started(pid, now);
        }
    }

    /// [`Action::Start`] could not be done: that is a short life, too.
    pub fn start_failed(&mut self, key: &Key, now: Instant) {
        if let Some(worker) = self.find(key) {
            worker.back_off(now);
        }
    }

    /// The worker answered a hello.
    pub fn answered(&mut self, key: &Key, now: Instant) {
        if let Some(worker) = self.find(key) {
            worker.answered(now);
        }
    }

    /// A child was reaped; `None` if it is none of the workers (an orphan that came to PID 1).
    pub fn on_exit(&mut self, pid: Pid, how: How, now: Instant) -> Option<Key> {
        let quiet = self.ending;
        let worker = self.workers.iter_mut().find(|worker| worker.pid() == Some(pid))?;
        worker.ended(how, now, quiet);
        Some(worker.key().clone())
    }

    /// Ends the processes of `role` and starts them again.
    ///
    /// `vrrp` is killed, not asked: at SIGTERM it would resign and hand over, at a crash it takes up where it was.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn restart(&mut self, role: Role, now: Instant) -> Result<Vec<Action>, Refused> {
        let end = if role == Role::Vrrp { End::Kill } else { End::Terminate };
        let workers = self.of("restart", role)?;
        if workers.iter().any(|worker| worker.is_held()) {
            return Err(Refused::Held(role));
        }
        Ok(workers.into_iter().filter_map(|worker| worker.stop(end, now)).collect())
    }

    /// Ends the processes of `role` and leaves them so.
    ///
    /// # Errors
    /// [`Refused::Unknown`].
    pub fn hold(&mut self, role: Role, now: Instant) -> Result<Vec<Action>, Refused> {
        Ok(self.of("hold", role)?.into_iter().filter_map(|worker| worker.hold(now)).collect())
    }

    /// Lets the processes of `role` run again.
    ///
    /// # Errors
    /// [`Refused::Unknown`].
    pub fn release(&mut self, role: Role, now: Instant) -> Result<(), Refused> {
        self.of("release", role)?.into_iter().for_each(|worker| worker.release(now));
        Ok(())
    }

    /// From now on nobody is started, asked or killed: [`super::power::Shutdown`] has the word.
    pub const fn end(&mut self) {
        self.ending = true;
    }

    /// Whether the hardware watchdog may be fed: not while the VRRP worker is stuck and does not even die of SIGKILL.
    ///
    /// A VRRP worker that crashes again and again does not reset the box: its twin has taken over, and the operator needs the
    /// console to see why.
    #[must_use]
    pub fn healthy(&self, now: Instant) -> bool {
        !self.workers.iter().any(|worker| worker.key().role == Role::Vrrp && worker.is_stuck(now))
    }

    fn find(&mut self, key: &Key) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.key() == key)
    }

    /// The workers of `role`, at least one.
    fn of(&mut self, order: &'static str, role: Role) -> Result<Vec<&mut Worker>, Refused> {
        let of_role: Vec<_> = self.workers.iter_mut().filter(|worker| worker.key().role == role).collect();
        if of_role.is_empty() { Err(Refused::Unknown { order, role }) } else { Ok(of_role) }
    }

    fn forgive_a_stall(&mut self, now: Instant) {
        let late = |since: Instant| now.saturating_duration_since(since);
        if late(self.last_step) > STALLED && self.deadline().is_some_and(|due| late(due) > STALLED) {
            log::warn!("supervisor stalled: seconds={:.1}", late(self.last_step).as_secs_f32());
            self.workers.iter_mut().for_each(|worker| worker.answered(now));
        }
        self.last_step = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_for_nobody_are_refused() {
        let now = Instant::now();
        let mut supervisor = Supervisor::new([Role::Store.into()], now);
        let refused = supervisor.restart(Role::Lvs, now).unwrap_err().to_string();
        assert_eq!(refused, "restart: lvs: this director has no such worker");
        supervisor.hold(Role::Store, now).unwrap();
        let refused = supervisor.restart(Role::Store, now).unwrap_err().to_string();
        assert_eq!(refused, "restart: store: it is held: release it first");
    }
}
