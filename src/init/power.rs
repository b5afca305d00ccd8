//! The order of an orderly end. Pure: time and the living come in, signals go out.
//!
//! VRRP goes first and alone, so that the twin has the VIPs before anything here stops working; then everybody else.

use std::time::{Duration, Instant};

use super::supervise::{Action, End, Key, Pid};
use crate::role::Role;

/// Time for VRRP to resign: priority 0 on the wire, VIPs taken off.
pub const RESIGN_LIMIT: Duration = Duration::from_secs(2);
/// Time for all others between SIGTERM and SIGKILL.
pub const TERM_LIMIT: Duration = Duration::from_secs(3);
/// Time for SIGKILL to be carried out by the kernel.
pub const KILL_LIMIT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Resigning,
    Terminating,
    Killing,
    Done,
}

/// An end under way.
#[derive(Debug)]
pub struct Shutdown {
    stage: Stage,
    until: Instant,
    told: bool,
}

impl Shutdown {
    /// Begins at `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { stage: Stage::Resigning, until: now + RESIGN_LIMIT, told: false }
    }

    /// What is due at `now` with these processes living. To be called again after each exit and at [`Self::deadline`].
    pub fn step(&mut self, living: &[(Key, Pid)], now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        loop {
            let concerned = |key: &Key| self.stage != Stage::Resigning || key.role == Role::Vrrp;
            let concerned: Vec<_> = living.iter().filter(|(key, _)| concerned(key)).collect();
            if !self.told {
                self.told = true;
                let end = if self.stage == Stage::Killing { End::Kill } else { End::Terminate };
                actions.extend(concerned.iter().map(|(key, pid)| Action::End(key.clone(), *pid, end)));
            }
            let waiting = !concerned.is_empty() && now < self.until;
            if waiting || self.stage == Stage::Done {
                return actions;
            }
            self.next(now);
        }
    }

    /// When [`Self::step`] is due at the latest.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.until
    }

    /// Whether everybody is gone, or will not go.
    #[must_use]
    pub fn done(&self) -> bool {
        self.stage == Stage::Done
    }

    fn next(&mut self, now: Instant) {
        let (stage, limit) = match self.stage {
            Stage::Resigning => (Stage::Terminating, TERM_LIMIT),
            Stage::Terminating => (Stage::Killing, KILL_LIMIT),
            Stage::Killing | Stage::Done => (Stage::Done, Duration::ZERO),
        };
        *self = Self { stage, until: now + limit, told: stage == Stage::Done };
    }
}
