//! One target: what it was asked, what it said, what that means. Pure.

use std::time::{Duration, Instant};

use super::{Feedback, Notice, Outcome, Reason, Standing, Target, Verdict};
use crate::check::schedule::{Cadence, Tally};
use crate::config::model::CheckKind;
use crate::ipc::message::Health;

/// A target with its schedule and standing.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) target: Target,
    pub(super) tally: Tally,
    pub(super) cadence: Cadence,
    pub(super) since: Instant,
    pub(super) retries: u8,
    pub(super) answered: Option<Instant>,
    pub(super) latency: Option<Duration>,
    pub(super) reason: Reason,
    pub(super) feedback: Option<Feedback>,
    pub(super) warning: Option<Notice>,
}

/// What an answer says about the server.
pub(super) struct Heard {
    pub(super) success: bool,
    pub(super) reason: Reason,
    pub(super) feedback: Option<Feedback>,
    pub(super) warning: Option<Notice>,
}

impl Entry {
    pub(super) fn verdict(&self) -> Verdict {
        Verdict {
            target: self.target.clone(),
            health: self.tally.health(),
            reason: self.reason.clone(),
            feedback: self.feedback,
        }
    }

    /// What an outcome says about the server; `None` = nothing.
    pub(super) fn heard(&self, now: Instant, outcome: Outcome) -> Option<Heard> {
        let up = |reason| Heard { success: true, reason, feedback: None, warning: None };
        Some(match outcome {
            Outcome::Success(reason) => up(reason),
            Outcome::Warning(notice) => Heard { warning: Some(notice.clone()), ..up(notice.reason) },
            Outcome::Feedback(feedback, reason) => Heard { feedback: Some(feedback), ..up(reason) },
            Outcome::Unreachable(_) if self.may_be_booting(now) => return None,
            Outcome::Failure(reason) | Outcome::Unreachable(reason) => Heard { success: false, ..up(reason) },
            Outcome::Inconclusive(_) => return None,
        })
    }

    /// Takes an answer; true when it changed the verdict, or the weight of a server that is up.
    pub(super) fn take(&mut self, now: Instant, heard: Heard, latency: Duration) -> bool {
        self.answered = Some(now);
        self.latency = Some(latency);
        keep(&mut self.reason, heard.reason);
        let check = &self.target.check;
        let turned = self.tally.observe(heard.success, check.rise, check.fall);
        if !heard.success {
            return turned;
        }
        match (&mut self.warning, heard.warning) {
            (Some(kept), Some(new)) => {
                keep(&mut kept.reason, new.reason);
                kept.days_left = new.days_left;
            }
            (kept, new) => *kept = new,
        }
        let fed = self.feedback != heard.feedback;
        self.feedback = heard.feedback;
        turned || (fed && self.tally.health() == Health::Up)
    }

    pub(super) fn asks_the_same(&self, other: &Target) -> bool {
        self.target.check.kind == other.check.kind && self.target.front == other.front
    }

    pub(super) fn standing(&self, now: Instant) -> Standing {
        Standing {
            health: self.tally.health(),
            reason: self.reason.clone(),
            against: self.tally.against(),
            answered: self.answered,
            latency: self.latency,
            feedback: self.feedback,
            warning: self.warning.clone(),
            overdue: self.overdue(now),
        }
    }

    pub(super) fn overdue(&self, now: Instant) -> bool {
        self.target.check.kind != CheckKind::None
            && now.saturating_duration_since(self.answered.unwrap_or(self.since))
                > self.cadence.patience(self.target.check.timeout)
    }

    /// Nobody has answered yet, and the target is young: the network of this box may not be up.
    pub(super) fn may_be_booting(&self, now: Instant) -> bool {
        self.answered.is_none()
            && now.saturating_duration_since(self.since) < self.cadence.patience(self.target.check.timeout)
    }

    pub(super) fn inherit(&mut self, old: &Self) {
        self.tally = old.tally;
        self.answered = old.answered;
        self.latency = old.latency;
        self.reason = old.reason.clone();
        self.feedback = old.feedback;
        self.warning.clone_from(&old.warning);
    }
}

/// Puts `new` in the place of other words only: what lives from probe to probe must not move about in the heap with each of them.
fn keep(kept: &mut Reason, new: Reason) {
    if *kept != new {
        *kept = new;
    }
}
