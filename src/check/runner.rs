//! The loop that asks: starts what is due, bounds how much runs at once, and hands out verdicts.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use log::{info, warn};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::plan::{Id, Plan, Standing, Verdict};
use super::tls::Clients;
use super::{Outcome, Reason, Target, probe};
use crate::units::show_duration;

/// Most probes at one time, however many descriptors there are.
const MOST_AT_ONCE: usize = 4096;
/// How often late checks are looked for.
const AUDIT: Duration = Duration::from_secs(5);
/// A probe whose end is noticed so late says nothing: a loop that turns notices it within a few milliseconds.
const OVERSLEPT: Duration = Duration::from_millis(250);
/// Descriptors left for everything else in the process.
const RESERVED_DESCRIPTORS: usize = 256;

/// Runs the checks of all targets in the task that calls [`Self::next`]; nothing else moves them.
pub struct Runner {
    plan: Plan,
    running: FuturesUnordered<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    at_once: usize,
    clients: Arc<Clients>,
    verdicts: VecDeque<Verdict>,
    hindered: bool,
    late: usize,
    audit: Instant,
}

struct Answer {
    id: Id,
    outcome: Outcome,
    latency: Duration,
}

impl Runner {
    /// A runner without targets that runs at most `at_once` probes at a time (at least one).
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self {
            plan: Plan::default(),
            running: FuturesUnordered::new(),
            at_once: at_once.max(1),
            clients: Arc::default(),
            verdicts: VecDeque::new(),
            hindered: false,
            late: 0,
            audit: Instant::now() + AUDIT,
        }
    }

    /// Makes `targets` the whole of what is asked. Unchanged targets keep schedule and standing. The verdict of a target
    /// that is never asked comes by [`Self::next`] like any other.
    pub fn set<'a>(&mut self, now: Instant, targets: impl IntoIterator<Item = &'a Target>) {
        self.verdicts.extend(self.plan.set(now, targets));
        let plan = &self.plan;
        self.verdicts.retain(|verdict| plan.has(&verdict.target));
        // Those still wanted are made again with their next probe; the others are gone.
        self.clients = Arc::default();
    }

    /// Waits for the next verdict that changed, running the checks meanwhile. Cancel-safe: nothing is lost when the future
    /// is dropped, and probes go on with the next call.
    pub async fn next(&mut self) -> Verdict {
        loop {
            self.start();
            self.audit();
            if let Some(verdict) = self.verdicts.pop_front() {
                return verdict;
            }
            let wake = self.plan.deadline().filter(|_| self.running.len() < self.at_once);
            tokio::select! {
                Some(answer) = self.running.next() => self.take(answer),
                () = sleep_until(wake) => {}
            }
            while let Some(Some(answer)) = self.running.next().now_or_never() {
                self.take(answer);
            }
        }
    }

    /// What is known about a target; `None` if it is not one.
    #[must_use]
    pub fn standing(&self, target: &Target) -> Option<Standing> {
        self.plan.standing(target, Instant::now())
    }

    /// All targets and their verdicts, without the rest of their standing.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Targets without an answer for longer than their interval and timeout allow: the checker itself is in trouble.
    pub fn overdue(&self, now: Instant) -> impl Iterator<Item = &Target> {
        self.plan.overdue(now)
    }

    fn start(&mut self) {
        let room = self.at_once.saturating_sub(self.running.len());
        for (id, target) in self.plan.start(Instant::now(), room) {
            self.running.push(Box::pin(ask(id, target, Arc::clone(&self.clients))));
        }
    }

    /// Says when checks come late and when they are in time again: a checker that falls silent must not look like health.
    fn audit(&mut self) {
        let now = Instant::now();
        if now < self.audit {
            return;
        }
        self.audit = now + AUDIT;
        let mut overdue = self.plan.overdue(now);
        let first = overdue.next().map(|target| target.address);
        let late = usize::from(first.is_some()) + overdue.count();
        match first {
            Some(first) if self.late == 0 => {
                warn!("checks are late: targets={late} first={first} running={}", self.running.len());
            }
            None if self.late > 0 => info!("checks are in time again"),
            Some(_) | None => {}
        }
        self.late = late;
    }

    fn take(&mut self, answer: Answer) {
        if let Outcome::Inconclusive(reason) = &answer.outcome {
            if !self.hindered {
                warn!("checks are hindered: running={} reason={reason}", self.running.len());
            }
            self.hindered = true;
        } else {
            self.hindered = false;
        }
        if let Outcome::Warning(reason) = &answer.outcome
            && self.plan.warning(answer.id) != Some(reason)
            && let Some(target) = self.plan.target(answer.id)
        {
            warn!("check warns: target={} reason={reason}", target.address);
        }
        let verdict = self.plan.finish(Instant::now(), answer.id, answer.outcome, answer.latency);
        self.verdicts.extend(verdict);
    }
}

/// Raises the limit of open files as far as allowed, and says how many probes may run at once under it.
#[must_use]
pub fn probes_allowed() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 128 };
    let open =
        if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft };
    usize::try_from(open).unwrap_or(usize::MAX).saturating_sub(RESERVED_DESCRIPTORS).clamp(16, MOST_AT_ONCE)
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}

async fn ask(id: Id, target: Target, clients: Arc<Clients>) -> Answer {
    let started = Instant::now();
    let timeout = target.check.timeout;
    let answer = tokio::time::timeout(timeout, probe::probe(&target, &clients)).await;
    let latency = started.elapsed();
    let outcome = answer.unwrap_or_else(|_| silence(timeout, latency));
    Answer { id, outcome, latency }
}

/// What it means that nothing was heard when the time of a probe was over, which was noticed after `latency`. Who notices it
/// late had no processor, and cannot say what a server would have answered.
fn silence(timeout: Duration, latency: Duration) -> Outcome {
    if latency > timeout + OVERSLEPT {
        return Outcome::Inconclusive(Reason::Borrowed("this box was too busy to listen"));
    }
    Outcome::Failure(Reason::Owned(format!("no answer within {}", show_duration(timeout))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_not_blamed_for_a_box_that_oversleeps() {
        let second = Duration::from_secs(1);
        let heard = |latency| silence(second, latency);
        assert_eq!(heard(second), Outcome::Failure("no answer within 1s".into()));
        assert_eq!(heard(second + Duration::from_millis(40)), Outcome::Failure("no answer within 1s".into()));
        assert!(matches!(heard(second * 2), Outcome::Inconclusive(_)));
    }
}
