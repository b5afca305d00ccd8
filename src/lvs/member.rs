//! One real server of one service: what is known of it, and what that makes of it. Pure.

use std::time::{Duration, Instant};

use super::history::History;
use super::order::Order;
use super::quorum::Vote;
use super::ramp::{Ramp, STEPS, share};
use crate::check::plan::Plan;
use crate::check::{Feedback, Reason, Target};
use crate::config::model::{Check, OnFail, ProbeRoute, Server, ServiceKey, Start};
use crate::ipc::message::Health;

/// The verdicts on targets, wherever they come from.
pub trait Verdicts {
    /// The verdict on a target, [`Health::Unknown`] for one that has none, and how much it says that it can take.
    fn opinion(&self, target: &Target) -> (Health, Option<Feedback>);
    /// The last answer in words.
    fn reason(&self, target: &Target) -> Reason;
}

impl Verdicts for Plan {
    fn opinion(&self, target: &Target) -> (Health, Option<Feedback>) {
        self.opinion(target)
    }

    fn reason(&self, target: &Target) -> Reason {
        self.reason(target)
    }
}

/// What is known of a real server.
#[derive(Debug, Clone)]
pub struct Member {
    /// How it is checked, in the order of the file; all must succeed.
    pub targets: Vec<Target>,
    /// What its checks say together.
    pub health: Health,
    /// How much it says that it can take, the least where several of its checks say something.
    pub feedback: Option<Feedback>,
    /// Whether there was a verdict in the life of this process.
    pub decided: bool,
    /// What the operator ordered.
    pub order: Option<Order>,
    /// The slow start under way.
    pub ramp: Option<Ramp>,
    /// Another file has brought it, or enabled it: beside others that serve it starts slowly.
    pub new: bool,
    /// With what weight it is in the table, as far as it goes after Director; at first as the kernel has it.
    pub present: Option<u32>,
    /// Why.
    pub cause: Cause,
    /// What became of it.
    pub history: History,
}

/// What decides about a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It answers and has its weight.
    Lives,
    /// It answers and gets its weight in steps, so many tenths by now.
    SlowStart(u32),
    /// It says itself how much it can take.
    Feedback(Feedback),
    /// Its checks fail.
    Fails,
    /// No verdict yet: as the kernel has it.
    Kept,
    /// No verdict yet: in the table until its checks fail.
    StartsUp,
    /// No verdict yet: out until its checks succeed.
    StartsDown,
    /// `enabled = false` in the file.
    Off,
    /// Drained by the operator.
    Drains,
    /// Drained by the operator, and the time is over.
    Drained,
    /// Disabled by the operator.
    Disabled,
}

/// What should become of a real server while real servers answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// Weight in the table; `None` = not in it.
    pub weight: Option<u32>,
    /// What it means for the quorum.
    pub vote: Vote,
    /// What decided.
    pub cause: Cause,
}

/// What a service says about the fate of its servers.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Of the service, for servers without their own.
    pub on_fail: OnFail,
    /// Of the service.
    pub start: Start,
    /// By what weights are multiplied in the kernel, so that a slow start has steps.
    pub scale: u32,
}

impl Member {
    /// A server that nobody knows anything of.
    #[must_use]
    pub fn new(key: ServiceKey, server: &Server) -> Self {
        let mut member = Self {
            targets: Vec::new(),
            health: Health::Unknown,
            feedback: None,
            decided: false,
            order: None,
            ramp: None,
            new: false,
            present: None,
            cause: Cause::Kept,
            history: History::default(),
        };
        member.check(key, server);
        if member.targets.is_empty() {
            member.health = Health::Up;
        }
        member
    }

    /// Takes the checks of the file; without any it is up from the next [`Self::hear`] on.
    pub fn check(&mut self, key: ServiceKey, server: &Server) {
        let target = |check| Target::of(key, server, std::sync::Arc::clone(check));
        self.targets = server.checks.iter().map(target).collect();
    }

    /// The same server by another file, which had it as `before`.
    pub fn go_on(&mut self, key: ServiceKey, before: &Server, server: &Server) {
        self.check(key, server);
        self.new |= server.enabled && !before.enabled;
    }

    /// Takes what the checks say by now; gives the verdict before if that was another. A server without a verdict any more
    /// (it is asked something else) counts on as what it was.
    pub fn hear(&mut self, verdicts: &impl Verdicts) -> Option<Health> {
        let (health, feedback) = together(&self.targets, verdicts);
        self.feedback = feedback;
        let before = std::mem::replace(&mut self.health, health);
        self.decided |= health != Health::Unknown;
        (before != health).then_some(before)
    }

    /// The words of the check that decides: of one that fails, else of the first.
    pub fn reason(&self, verdicts: &impl Verdicts) -> Reason {
        let failing = self.targets.iter().find(|target| verdicts.opinion(target).0 == Health::Down);
        let Some(target) = failing.or_else(|| self.targets.first()) else {
            return Reason::Borrowed("not checked");
        };
        let reason = verdicts.reason(target);
        match self.targets.as_slice() {
            [_] => reason,
            _ => Reason::Owned(format!("{}: {reason}", what_asks(&target.check))),
        }
    }

    /// The slow start that an earlier life of this process has left in the table, if it did: it goes on with the first verdict. `whole` is
    /// the weight at its end.
    #[must_use]
    pub fn left_over(&self, whole: u32, length: Duration, now: Instant) -> Option<Ramp> {
        let present =
            self.present.filter(|present| (1..whole).contains(present) && self.feedback.is_none())?;
        let tenths = u64::from(present) * u64::from(STEPS) / u64::from(whole);
        Ramp::resumed(now, length, u32::try_from(tenths).unwrap_or(STEPS))
    }

    /// When its fate changes without anybody saying anything.
    #[must_use]
    pub fn wake(&self, now: Instant) -> Option<Instant> {
        let step = self.ramp.and_then(|ramp| ramp.next(now));
        let end = self.order.and_then(|order| order.deadline(now));
        step.into_iter().chain(end).min()
    }

    /// Whether it takes new connections for all that is known.
    #[must_use]
    pub fn serves(&self, server: &Server) -> bool {
        self.health == Health::Up && self.order.is_none() && server.enabled && server.weight.get() > 0
    }

    /// What should become of it at `now`.
    #[must_use]
    pub fn fate(&self, rules: Rules, server: &Server, now: Instant) -> Fate {
        let on_fail = server.on_fail.unwrap_or(rules.on_fail);
        let out = |weight, cause| Fate { weight, vote: Vote::Out, cause };
        match self.order {
            Some(order) if order.lets_finish(now) => {
                let weight = match (self.health, on_fail) {
                    (Health::Down, OnFail::Remove) => None,
                    (Health::Unknown, _) => self.present.map(|_| 0),
                    (Health::Up | Health::Down, _) => Some(0),
                };
                return out(weight, Cause::Drains);
            }
            Some(order) if order.kind == super::order::Kind::Disable => return out(None, Cause::Disabled),
            Some(_) => return out(None, Cause::Drained),
            None if !server.enabled => return out(Some(0), Cause::Off),
            None => {}
        }
        match (self.health, on_fail) {
            (Health::Down, OnFail::Remove) => out(None, Cause::Fails),
            (Health::Down, OnFail::Quiesce) => out(Some(0), Cause::Fails),
            (Health::Up, _) => self.live(rules, server, now),
            (Health::Unknown, _) => self.unknown(rules, server),
        }
    }

    fn unknown(&self, rules: Rules, server: &Server) -> Fate {
        let keep = Fate {
            weight: self.present,
            vote: Vote::Open { present: self.present.is_some_and(|weight| weight > 0) },
            cause: Cause::Kept,
        };
        match rules.start {
            _ if self.decided => keep,
            Start::Keep => keep,
            Start::Down => Fate { weight: None, vote: Vote::Out, cause: Cause::StartsDown },
            Start::Up => Fate {
                weight: Some(fed(server.weight.get(), rules.scale, None)),
                vote: Vote::Lives,
                cause: Cause::StartsUp,
            },
        }
    }

    fn live(&self, rules: Rules, server: &Server, now: Instant) -> Fate {
        let whole = server.weight.get();
        let weight = fed(whole, rules.scale, self.feedback);
        let vote = if weight == 0 && whole > 0 { Vote::Out } else { Vote::Lives };
        let tenths = self.ramp.map_or(STEPS, |ramp| ramp.tenths(now));
        let cause = match self.feedback {
            Some(feedback) if tenths == STEPS => Cause::Feedback(feedback),
            _ if tenths < STEPS => Cause::SlowStart(tenths),
            _ => Cause::Lives,
        };
        Fate { weight: Some(share(weight, tenths)), vote, cause }
    }
}

/// Which of several checks.
fn what_asks(check: &Check) -> String {
    let name = check.kind.name();
    match (check.route, check.address) {
        (ProbeRoute::Vip, Some(vip)) => format!("{name} by way of {vip}"),
        _ => name.to_owned(),
    }
}

/// All must live for a server to live, and one that does not suffices for it not to.
fn together(targets: &[Target], verdicts: &impl Verdicts) -> (Health, Option<Feedback>) {
    let (mut health, mut least) = (Health::Up, None);
    for target in targets {
        let (verdict, feedback) = verdicts.opinion(target);
        health = match (health, verdict) {
            (Health::Down, _) | (_, Health::Down) => Health::Down,
            (Health::Unknown, _) | (_, Health::Unknown) => Health::Unknown,
            (Health::Up, Health::Up) => Health::Up,
        };
        least = match (least, feedback) {
            (Some(a), Some(b)) => Some(lesser(a, b)),
            (a, b) => a.or(b),
        };
    }
    (health, least)
}

/// The one by which a server takes less; shares and weights cannot be compared, so a share counts before a weight.
fn lesser(a: Feedback, b: Feedback) -> Feedback {
    match (a, b) {
        (Feedback::Drain, _) | (_, Feedback::Drain) => Feedback::Drain,
        (Feedback::Percent(a), Feedback::Percent(b)) => Feedback::Percent(a.min(b)),
        (Feedback::Weight(a), Feedback::Weight(b)) => Feedback::Weight(a.min(b)),
        (percent @ Feedback::Percent(_), _) | (_, percent) => percent,
    }
}

/// `weight` in the kernel's units.
#[must_use]
pub fn scaled(weight: u32, scale: u32) -> u32 {
    fed(weight, scale, None)
}

/// The weight in the kernel's units of a server that says how much it can take; at least 1 unless it says none.
fn fed(weight: u32, scale: u32, feedback: Option<Feedback>) -> u32 {
    let whole = u64::from(weight) * u64::from(scale);
    let fed = match feedback {
        None => whole,
        Some(Feedback::Drain | Feedback::Percent(0)) => 0,
        Some(Feedback::Percent(percent)) => (whole * u64::from(percent) / 100).max(whole.min(1)),
        Some(Feedback::Weight(weight)) => u64::from(weight) * u64::from(scale),
    };
    u32::try_from(fed.min(GREATEST)).unwrap_or(u32::MAX)
}

/// The kernel keeps a weight in an `int` (struct ip_vs_dest, `atomic_t weight`).
const GREATEST: u64 = i32::MAX as u64;
