//! Every target with its schedule and standing. Pure: events and time in, probes to start and verdicts out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::schedule::{Cadence, Tally};
use super::{Feedback, Outcome, Reason, Target};
use crate::config::model::CheckKind;
use crate::ipc::message::Health;

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
    pub warning: Option<Reason>,
    /// The last answer is older than interval and timeout allow.
    pub overdue: bool,
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
    due: BTreeSet<(Instant, Id)>,
    born: u64,
}

#[derive(Debug)]
struct Entry {
    target: Target,
    tally: Tally,
    cadence: Cadence,
    since: Instant,
    retries: u8,
    answered: Option<Instant>,
    latency: Option<Duration>,
    reason: Reason,
    feedback: Option<Feedback>,
    warning: Option<Reason>,
}

/// What an answer says about the server.
struct Heard {
    success: bool,
    reason: Reason,
    feedback: Option<Feedback>,
    warning: Option<Reason>,
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
        for target in gone {
            if let Some(entry) = self.remove(&target) {
                heritage.entry(target.address).or_default().push(entry);
            }
        }
        let mut new: Vec<&Target> = targets.into_iter().filter(|t| !self.ids.contains_key(*t)).collect();
        new.sort_unstable();
        new.iter().filter_map(|target| self.insert(now, target, new.len(), &heritage)).collect()
    }

    /// When the next probe is due, if any waits to start.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The probes to start now, the longest due first, at most `room`. Each must be answered by [`Self::finish`].
    pub fn start(&mut self, now: Instant, room: usize) -> Vec<(Id, Target)> {
        let mut started = Vec::new();
        while started.len() < room {
            let Some((due, id)) = self.due.first().copied().filter(|(due, _)| *due <= now) else { break };
            self.due.remove(&(due, id));
            if let Some(entry) = self.entries.get(&id) {
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
            self.due.insert((entry.cadence.due(), id));
            return None;
        }
        let news = heard.is_some_and(|heard| entry.take(now, heard, latency));
        let check = &entry.target.check;
        let period = if entry.tally.against() > 0 { check.fast.min(check.interval) } else { check.interval };
        entry.cadence.advance(now, period);
        self.due.insert((entry.cadence.due(), id));
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
    pub fn warning(&self, id: Id) -> Option<&Reason> {
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

    fn remove(&mut self, target: &Target) -> Option<Entry> {
        let id = self.ids.remove(target)?;
        let entry = self.entries.remove(&id)?;
        self.due.remove(&(entry.cadence.due(), id));
        Some(entry)
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
            self.due.insert((entry.cadence.due(), id));
        }
        let verdict = never_asked.then(|| entry.verdict());
        self.ids.insert(target.clone(), id);
        self.entries.insert(id, entry);
        verdict
    }
}

impl Entry {
    fn verdict(&self) -> Verdict {
        Verdict {
            target: self.target.clone(),
            health: self.tally.health(),
            reason: self.reason.clone(),
            feedback: self.feedback,
        }
    }

    /// What an outcome says about the server; `None` = nothing.
    fn heard(&self, now: Instant, outcome: Outcome) -> Option<Heard> {
        let up = |reason| Heard { success: true, reason, feedback: None, warning: None };
        Some(match outcome {
            Outcome::Success(reason) => up(reason),
            Outcome::Warning(reason) => Heard { warning: Some(reason.clone()), ..up(reason) },
            Outcome::Feedback(feedback, reason) => Heard { feedback: Some(feedback), ..up(reason) },
            Outcome::Unreachable(_) if self.may_be_booting(now) => return None,
            Outcome::Failure(reason) | Outcome::Unreachable(reason) => Heard { success: false, ..up(reason) },
            Outcome::Inconclusive(_) => return None,
        })
    }

    /// Takes an answer; true when it changed the verdict, or the weight of a server that is up.
    fn take(&mut self, now: Instant, heard: Heard, latency: Duration) -> bool {
        self.answered = Some(now);
        self.latency = Some(latency);
        self.reason = heard.reason;
        let check = &self.target.check;
        let turned = self.tally.observe(heard.success, check.rise, check.fall);
        if !heard.success {
            return turned;
        }
        self.warning = heard.warning;
        let fed = self.feedback != heard.feedback;
        self.feedback = heard.feedback;
        turned || (fed && self.tally.health() == Health::Up)
    }

    fn asks_the_same(&self, other: &Target) -> bool {
        self.target.check.kind == other.check.kind && self.target.front == other.front
    }

    fn standing(&self, now: Instant) -> Standing {
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

    fn overdue(&self, now: Instant) -> bool {
        self.target.check.kind != CheckKind::None
            && now.saturating_duration_since(self.answered.unwrap_or(self.since))
                > self.cadence.patience(self.target.check.timeout)
    }

    /// Nobody has answered yet, and the target is young: the network of this box may not be up.
    fn may_be_booting(&self, now: Instant) -> bool {
        self.answered.is_none()
            && now.saturating_duration_since(self.since) < self.cadence.patience(self.target.check.timeout)
    }

    fn inherit(&mut self, old: &Self) {
        self.tally = old.tally;
        self.answered = old.answered;
        self.latency = old.latency;
        self.reason = old.reason.clone();
        self.feedback = old.feedback;
        self.warning.clone_from(&old.warning);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::model::{Check, Dialogue};

    fn check(kind: CheckKind, interval: u64, fall: u8) -> Arc<Check> {
        let interval = Duration::from_secs(interval);
        Arc::new(Check { interval, fast: interval, fall, ..Check::new(kind) })
    }

    fn tcp(server: &str, fall: u8) -> Target {
        Target::new(server.parse().unwrap(), check(CheckKind::Tcp(Dialogue::default()), 2, fall))
    }

    fn set(targets: &[&Target]) -> BTreeSet<Target> {
        targets.iter().map(|t| (*t).clone()).collect()
    }

    fn answer(plan: &mut Plan, now: Instant, outcome: Outcome) -> Vec<Verdict> {
        let started = plan.start(now, usize::MAX);
        started
            .into_iter()
            .filter_map(|(id, _)| plan.finish(now, id, outcome.clone(), Duration::from_millis(1)))
            .collect()
    }

    #[test]
    fn equal_targets_are_asked_once_and_by_the_port_of_the_check() {
        let mut other = (*check(CheckKind::Tcp(Dialogue::default()), 2, 3)).clone();
        other.port = Some(8080);
        let moved = Target::new("10.0.0.1:80".parse().unwrap(), Arc::new(other));
        assert_eq!(moved.address, "10.0.0.1:8080".parse().unwrap());
        let mut plan = Plan::default();
        plan.set(Instant::now(), &set(&[&tcp("10.0.0.1:80", 3), &tcp("10.0.0.1:80", 3), &moved]));
        assert_eq!(plan.start(Instant::now() + Duration::from_secs(2), 10).len(), 2);
    }

    #[test]
    fn an_unchanged_target_keeps_its_standing_and_a_changed_counter_keeps_the_verdict() {
        let now = Instant::now();
        let (stays, changes) = (tcp("10.0.0.1:80", 3), tcp("10.0.0.2:80", 3));
        let mut plan = Plan::default();
        plan.set(now, &set(&[&stays, &changes]));
        let later = now + Duration::from_secs(2);
        assert_eq!(answer(&mut plan, later, Outcome::Success("connected".into())).len(), 2);
        let due = plan.deadline();
        let changed = tcp("10.0.0.2:80", 1);
        plan.set(later, &set(&[&stays, &changed]));
        assert_eq!(plan.standing(&stays, later).unwrap().health, Health::Up);
        assert_eq!(plan.standing(&changed, later).unwrap().health, Health::Up);
        assert_eq!(plan.standing(&changes, later), None);
        assert!(plan.deadline() <= due, "nothing was postponed");
    }

    #[test]
    fn a_probe_of_a_target_that_left_says_nothing() {
        let now = Instant::now();
        let mut plan = Plan::default();
        plan.set(now, &set(&[&tcp("10.0.0.1:80", 3)]));
        let started = plan.start(now + Duration::from_secs(2), 10);
        plan.set(now, &set(&[]));
        let refused = Outcome::Failure("connection refused".into());
        assert_eq!(plan.finish(now, started[0].0, refused, Duration::ZERO), None);
        assert_eq!(plan.deadline(), None);
    }

    #[test]
    fn none_is_up_without_being_asked() {
        let never = Target::new("10.0.0.1:0".parse().unwrap(), check(CheckKind::None, 2, 3));
        let mut plan = Plan::default();
        let now = Instant::now();
        let verdicts = plan.set(now, &set(&[&never]));
        assert_eq!(
            verdicts.first().map(|v| (v.health, v.reason.as_ref())),
            Some((Health::Up, "not checked"))
        );
        assert_eq!(plan.deadline(), None);
        assert_eq!(plan.overdue(now + Duration::from_secs(3600)).count(), 0);
    }

    #[test]
    fn what_cannot_be_asked_changes_nothing_and_shows_as_overdue() {
        let now = Instant::now();
        let target = tcp("10.0.0.1:80", 1);
        let mut plan = Plan::default();
        plan.set(now, &set(&[&target]));
        let second = Duration::from_secs(1);
        assert_eq!(answer(&mut plan, now + second, Outcome::Success("connected".into())).len(), 1);
        let cannot = Outcome::Inconclusive("cannot ask: too many open files".into());
        for n in 2..7 {
            assert_eq!(answer(&mut plan, now + second * n, cannot.clone()), []);
        }
        assert_eq!(plan.standing(&target, now).unwrap().health, Health::Up);
        assert_eq!(plan.overdue(now + second * 4).count(), 0);
        assert_eq!(plan.overdue(now + second * 6).collect::<Vec<_>>(), [&target]);
    }

    #[test]
    fn a_box_whose_network_is_not_up_yet_asks_again_soon_and_then_says_so() {
        let now = Instant::now();
        let target = tcp("10.0.0.1:80", 3);
        let nowhere = Outcome::Unreachable("network unreachable".into());
        let mut plan = Plan::default();
        plan.set(now, &set(&[&target]));
        assert_eq!(answer(&mut plan, now + Duration::from_millis(1), nowhere.clone()), []);
        assert_eq!(plan.standing(&target, now).unwrap().health, Health::Unknown);
        assert!(plan.deadline().unwrap() <= now + Duration::from_millis(30));
        let up = answer(&mut plan, now + Duration::from_millis(30), Outcome::Success("connected".into()));
        assert_eq!(up[0].health, Health::Up);

        let mut plan = Plan::default();
        plan.set(now, &set(&[&target]));
        let (time, down) = loop {
            let time = plan.deadline().unwrap();
            if let [verdict] = answer(&mut plan, time, nowhere.clone()).as_slice() {
                break (time, verdict.clone());
            }
        };
        assert_eq!((down.health, down.reason.as_ref()), (Health::Down, "network unreachable"));
        assert!(time < now + Duration::from_secs(7), "{:?}", time - now);
    }

    /// Asks as planned for so long, a server that is up and down for a second each in turn; the verdicts and the probes.
    fn flapping(rise: u8, fall: u8, seconds: u64) -> (Vec<Health>, usize) {
        let now = Instant::now();
        let check =
            Check { rise, fall, fast: Duration::from_millis(250), ..(*check(tcp_kind(), 1, fall)).clone() };
        let target = Target::new("10.0.0.1:80".parse().unwrap(), Arc::new(check));
        let mut plan = Plan::default();
        plan.set(now, &set(&[&target]));
        let (mut verdicts, mut probes) = (Vec::new(), 0);
        while let Some(time) = plan.deadline().filter(|time| *time < now + Duration::from_secs(seconds)) {
            let up = (time - now).as_secs().is_multiple_of(2);
            let outcome =
                if up { Outcome::Success("connected".into()) } else { Outcome::Failure("refused".into()) };
            verdicts.extend(answer(&mut plan, time, outcome).into_iter().map(|verdict| verdict.health));
            probes += 1;
        }
        (verdicts, probes)
    }

    fn tcp_kind() -> CheckKind {
        CheckKind::Tcp(Dialogue::default())
    }

    #[test]
    fn a_flapping_server_changes_its_verdict_no_more_often_than_rise_and_fall_permit() {
        // Four answers fit into a second while they contradict the verdict: six in a row never do.
        let (verdicts, probes) = flapping(2, 6, 60);
        assert_eq!(verdicts, [Health::Up], "of {probes} probes");
        assert!(probes > 100, "{probes}");
        // Two in a row do: one change a second at most.
        let (verdicts, _) = flapping(2, 2, 60);
        assert!((20..=61).contains(&verdicts.len()), "{}", verdicts.len());
    }

    #[test]
    fn contradicting_answers_are_asked_for_faster_until_the_verdict_has_turned() {
        let now = Instant::now();
        let fast = Duration::from_millis(250);
        let target = {
            let check = Check { fast, ..(*check(tcp_kind(), 2, 3)).clone() };
            Target::new("10.0.0.1:80".parse().unwrap(), Arc::new(check))
        };
        let mut plan = Plan::default();
        plan.set(now, &set(&[&target]));
        let step = |plan: &mut Plan, success: bool| {
            let time = plan.deadline().unwrap();
            let said = if success { Outcome::Success("yes".into()) } else { Outcome::Failure("no".into()) };
            let turned = !answer(plan, time, said).is_empty();
            (turned, plan.deadline().unwrap() - time)
        };
        step(&mut plan, true);
        let slow = Duration::from_secs(2);
        assert_eq!(step(&mut plan, true), (false, slow));
        assert_eq!(step(&mut plan, false), (false, fast));
        assert_eq!(step(&mut plan, false), (false, fast));
        assert_eq!(step(&mut plan, false), (true, slow));
        assert_eq!(step(&mut plan, true), (false, fast));
        assert_eq!(step(&mut plan, true), (true, slow));
    }

    #[test]
    fn feedback_is_news_when_it_changes_and_only_of_a_server_that_is_up() {
        let now = Instant::now();
        let target = tcp("10.0.0.1:80", 1);
        let mut plan = Plan::default();
        plan.set(now, &set(&[&target]));
        let mut told = |outcome: Outcome| {
            let time = plan.deadline().unwrap();
            answer(&mut plan, time, outcome).first().map(|verdict| (verdict.health, verdict.feedback))
        };
        let half = |percent| Outcome::Feedback(Feedback::Percent(percent), "half".into());
        assert_eq!(told(half(50)), Some((Health::Up, Some(Feedback::Percent(50)))));
        assert_eq!(told(half(50)), None);
        assert_eq!(told(half(20)), Some((Health::Up, Some(Feedback::Percent(20)))));
        assert_eq!(told(Outcome::Failure("gone".into())).map(|told| told.0), Some(Health::Down));
        assert_eq!(told(half(90)), None, "it has to rise first");
        assert_eq!(told(half(80)), Some((Health::Up, Some(Feedback::Percent(80)))));
        assert_eq!(told(Outcome::Success("well".into())), Some((Health::Up, None)));
    }

    #[test]
    fn no_more_start_than_there_is_room_and_the_longest_due_goes_first() {
        let now = Instant::now();
        let targets: BTreeSet<Target> = (1..=200).map(|n| tcp(&format!("10.0.0.{n}:80"), 3)).collect();
        let mut plan = Plan::default();
        plan.set(now, &targets);
        let later = now + Duration::from_secs(1);
        assert_eq!(plan.start(later, 150).len(), 150);
        assert_eq!(plan.start(later, 150).len(), 50);
        assert_eq!(plan.start(later, 150).len(), 0);
    }
}
