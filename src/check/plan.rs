//! Every target with its schedule and standing. Pure: events and time in, probes to start and verdicts out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::schedule::{Cadence, Tally};
use super::{Feedback, Notice, Outcome, Reason, Target};
use crate::config::model::{Check, CheckKind};
use crate::ipc::message::Health;
use entry::Entry;

mod entry;
#[cfg(test)]
mod tests;

/// Names a target as long as it is in the plan; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(u64);

const NOT_ASKED: Reason = Reason::Borrowed("not asked yet");

/// What is known about a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The verdict.
    pub health: Health,
    /// The last answer in words: `200 OK`, `connection refused`.
    pub reason: Reason,
    /// Consecutive answers against the verdict, as long as they do not suffice.
    pub against: u8,
    /// When the last answer came.
    pub answered: Option<Instant>,
    /// What the last probe took from start to answer.
    pub latency: Option<Duration>,
    /// How much the server said last that it can take.
    pub feedback: Option<Feedback>,
    /// What the last answer warned of: a certificate that expires soon.
    pub warning: Option<Notice>,
    /// The last answer is older than interval and timeout allow.
    pub overdue: bool,
}

/// That of a target that is not in the plan.
impl Default for Standing {
    fn default() -> Self {
        Self {
            health: Health::Unknown,
            reason: NOT_ASKED,
            against: 0,
            answered: None,
            latency: None,
            feedback: None,
            warning: None,
            overdue: false,
        }
    }
}

/// A verdict that changed, or what the server says that it can take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whose.
    pub target: Target,
    /// The verdict, never [`Health::Unknown`].
    pub health: Health,
    /// The answer that decided.
    pub reason: Reason,
    /// How much the server says that it can take.
    pub feedback: Option<Feedback>,
}

/// All targets.
#[derive(Debug, Default)]
pub struct Plan {
    entries: BTreeMap<Id, Entry>,
    ids: HashMap<Target, Id>,
    /// Who waits to be asked, the longest due on top. In one piece: nodes of a tree that come and go with each probe would riddle
    /// the heap over the years.
    due: BinaryHeap<Reverse<(Instant, Id)>>,
    born: u64,
}

/// Entries of targets that are gone, by address: who comes in their place may be asked the same.
type Heritage = HashMap<SocketAddr, Vec<Entry>>;

impl Plan {
    /// Makes `targets` the whole of what is asked. Unchanged targets keep schedule and standing; a target whose timing or
    /// counters alone changed keeps its verdict. Returns the verdicts that need no probe ([`CheckKind::None`]).
    pub fn set<'a>(&mut self, now: Instant, targets: impl IntoIterator<Item = &'a Target>) -> Vec<Verdict> {
        let targets: HashSet<&Target> = targets.into_iter().collect();
        let gone: Vec<Target> = self.ids.keys().filter(|t| !targets.contains(*t)).cloned().collect();
        let mut heritage = Heritage::new();
        for target in &gone {
            if let Some(entry) = self.ids.remove(target).and_then(|id| self.entries.remove(&id)) {
                heritage.entry(target.address).or_default().push(entry);
            }
        }
        if !gone.is_empty() {
            self.due.retain(|Reverse((_, id))| self.entries.contains_key(id));
        }
        let mut new: Vec<&Target> = targets.into_iter().filter(|t| !self.ids.contains_key(*t)).collect();
        new.sort_unstable();
        new.iter().filter_map(|target| self.insert(now, target, new.len(), &heritage)).collect()
    }

    /// A target that has no verdict yet serves, for all that is known: from the last life of this process, or by other checks.
    pub fn presume_up(&mut self, target: &Target) {
        if let Some(entry) = self.ids.get(target).and_then(|id| self.entries.get_mut(id)) {
            entry.tally.presume_up();
        }
    }

    /// The checks of all targets that are asked.
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        self.entries.values().map(|entry| &*entry.target.check).filter(|check| check.kind != CheckKind::None)
    }

    /// When the next probe is due, if any waits to start.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    /// The probes to start now, the longest due first, at most `room`. Each must be answered by [`Self::finish`].
    pub fn start(&mut self, now: Instant, room: usize) -> Vec<(Id, Target)> {
        let mut started = Vec::new();
        while started.len() < room {
            if self.deadline().is_none_or(|due| due > now) {
                break;
            }
            let next = self.due.pop();
            if let Some((id, entry)) = next.and_then(|Reverse((_, id))| Some((id, self.entries.get(&id)?))) {
                started.push((id, entry.target.clone()));
            }
        }
        started
    }

    /// A probe has ended at `now` after `latency`; plans the next. An answer about a target that is gone is dropped.
    pub fn finish(&mut self, now: Instant, id: Id, outcome: Outcome, latency: Duration) -> Option<Verdict> {
        let entry = self.entries.get_mut(&id)?;
        let heard = entry.heard(now, outcome);
        if heard.is_none() && entry.answered.is_none() {
            entry.cadence.retry(now, entry.retries);
            entry.retries = entry.retries.saturating_add(1);
            self.due.push(Reverse((entry.cadence.due(), id)));
            return None;
        }
        let news = heard.is_some_and(|heard| entry.take(now, heard, latency));
        let check = &entry.target.check;
        let period = if entry.tally.against() > 0 { check.fast.min(check.interval) } else { check.interval };
        entry.cadence.advance(now, period);
        self.due.push(Reverse((entry.cadence.due(), id)));
        news.then(|| entry.verdict())
    }

    /// What is known about a target; `None` if it is not in the plan.
    #[must_use]
    pub fn standing(&self, target: &Target, now: Instant) -> Option<Standing> {
        self.entry(target).map(|entry| entry.standing(now))
    }

    /// The verdict on a target and how much it can take; unknown if it is not in the plan.
    #[must_use]
    pub fn opinion(&self, target: &Target) -> (Health, Option<Feedback>) {
        self.entry(target).map_or((Health::Unknown, None), |entry| (entry.tally.health(), entry.feedback))
    }

    /// The last answer of a target in words.
    #[must_use]
    pub fn reason(&self, target: &Target) -> Reason {
        self.entry(target).map_or(NOT_ASKED, |entry| entry.reason.clone())
    }

    /// Whom a probe asks; `None` if that target is gone.
    #[must_use]
    pub fn target(&self, id: Id) -> Option<&Target> {
        self.entries.get(&id).map(|entry| &entry.target)
    }

    /// What the last answer of a probe's target warned of.
    #[must_use]
    pub fn warning(&self, id: Id) -> Option<&Notice> {
        self.entries.get(&id)?.warning.as_ref()
    }

    /// Whether this is a target.
    #[must_use]
    pub fn has(&self, target: &Target) -> bool {
        self.ids.contains_key(target)
    }

    fn entry(&self, target: &Target) -> Option<&Entry> {
        self.ids.get(target).and_then(|id| self.entries.get(id))
    }

    /// Targets without an answer for longer than their interval and timeout allow: the checker itself is in trouble.
    pub fn overdue(&self, now: Instant) -> impl Iterator<Item = &Target> {
        self.entries.values().filter(move |e| e.overdue(now)).map(|e| &e.target)
    }

    /// How many targets have warned of something with their last answer.
    #[must_use]
    pub fn warned(&self) -> usize {
        self.entries.values().filter(|entry| entry.warning.is_some()).count()
    }

    fn insert(
        &mut self,
        now: Instant,
        target: &Target,
        company: usize,
        heritage: &Heritage,
    ) -> Option<Verdict> {
        let id = Id(self.born);
        // The number only gives a phase, so it may wrap.
        let number = u32::try_from(self.born & u64::from(u32::MAX)).unwrap_or_default();
        self.born += 1;
        let mut entry = Entry {
            target: target.clone(),
            tally: Tally::default(),
            cadence: Cadence::new(now, target.check.interval, number, company),
            since: now,
            retries: 0,
            answered: None,
            latency: None,
            reason: NOT_ASKED,
            feedback: None,
            warning: None,
        };
        let never_asked = target.check.kind == CheckKind::None;
        if never_asked {
            entry.tally.observe(true, 1, 1);
            entry.reason = Reason::Borrowed("not checked");
        } else {
            let old = heritage.get(&target.address).into_iter().flatten();
            if let Some(old) = old.into_iter().find(|old| old.asks_the_same(target)) {
                entry.inherit(old);
            }
            self.due.push(Reverse((entry.cadence.due(), id)));
        }
        let verdict = never_asked.then(|| entry.verdict());
        self.ids.insert(target.clone(), id);
        self.entries.insert(id, entry);
        verdict
    }
}
