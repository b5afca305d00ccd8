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

use super::gather::Gather;
use super::plan::{Id, Plan, Standing, Verdict};
use super::pulse::Pulse;
use super::tls::Clients;
use super::{Outcome, Reason, Target, probe};
use crate::units::show_duration;

/// Most probes at one time, however many descriptors there are.
const MOST_AT_ONCE: usize = 4096;
/// Probes that start between two looks at what the others have heard. Who starts more when there is much to do hears late of all
/// of them, and takes that for silence.
const BURST: usize = 64;
/// How often late checks are looked for.
const AUDIT: Duration = Duration::from_secs(5);
/// A probe in whose time nobody listened for more than this part of it says nothing when nothing was heard.
const DEAF: u32 = 4;
/// Descriptors left for everything else in the process.
const RESERVED_DESCRIPTORS: usize = 256;

/// Runs the checks of all targets in the task that calls [`Self::next`]; nothing else moves them.
pub struct Runner {
    plan: Plan,
    gather: Gather,
    running: FuturesUnordered<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    at_once: usize,
    /// How many have started since the last look.
    burst: usize,
    pulse: Pulse,
    clients: Arc<Clients>,
    verdicts: VecDeque<Verdict>,
    hindered: bool,
    /// Probes that could not be carried out since the last audit.
    hindrances: usize,
    late: usize,
    audit: Instant,
}

struct Answer {
    id: Id,
    /// What was heard; `None` if the time was over.
    outcome: Option<Outcome>,
    latency: Duration,
    timeout: Duration,
    /// What [`Pulse::lost`] was when it started.
    lost: Duration,
}

impl Runner {
    /// A runner without targets that runs at most `at_once` probes at a time (at least one).
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self {
            plan: Plan::default(),
            gather: Gather::new(Instant::now(), []),
            running: FuturesUnordered::new(),
            at_once: at_once.max(1),
            burst: 0,
            pulse: Pulse::new(Instant::now()),
            clients: Arc::default(),
            verdicts: VecDeque::new(),
            hindered: false,
            hindrances: 0,
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
        self.gather = Gather::new(now, plan.checks());
        // Those still wanted are made again with their next probe; the others are gone.
        self.clients = Arc::default();
    }

    /// These serve, for all that is known: where they have no verdict yet, one failure does not suffice.
    pub fn presume_up<'a>(&mut self, targets: impl IntoIterator<Item = &'a Target>) {
        targets.into_iter().for_each(|target| self.plan.presume_up(target));
    }

    /// Waits for the next verdict that changed, running the checks meanwhile. Cancel-safe: nothing is lost when the future
    /// is dropped, and probes go on with the next call.
    pub async fn next(&mut self) -> Verdict {
        loop {
            self.pulse.beat(Instant::now());
            self.start();
            self.audit();
            if let Some(verdict) = self.verdicts.pop_front() {
                return verdict;
            }
            if self.burst < BURST {
                let due = self.plan.deadline().filter(|_| self.running.len() < self.at_once);
                let due = due.map(|due| self.gather.start(due));
                let beat = (!self.running.is_empty()).then(|| self.pulse.next());
                tokio::select! {
                    Some(answer) = self.running.next() => self.take(answer),
                    () = sleep_until(due.into_iter().chain(beat).min()) => {}
                }
            } else {
                tokio::task::yield_now().await;
                self.burst = 0;
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
        let room = self.at_once.saturating_sub(self.running.len()).min(BURST.saturating_sub(self.burst));
        let now = Instant::now();
        if self.running.is_empty() {
            self.pulse.rest(now);
        }
        for (id, target) in self.plan.start(now, room) {
            self.burst += 1;
            self.running.push(Box::pin(ask(id, target, Arc::clone(&self.clients), self.pulse.lost())));
        }
    }

    /// Says when checks come late and when they are in time again: a checker that falls silent must not look like health.
    fn audit(&mut self) {
        let now = Instant::now();
        if now < self.audit {
            return;
        }
        self.audit = now + AUDIT;
        self.hindered = std::mem::take(&mut self.hindrances) > 0;
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
        let now = Instant::now();
        self.pulse.beat(now);
        let Answer { id, latency, timeout, lost, .. } = answer;
        let outcome = answer.outcome.unwrap_or_else(|| silence(timeout, self.pulse.lost() - lost));
        if let Outcome::Inconclusive(reason) = &outcome {
            if !self.hindered {
                warn!("checks are hindered: running={} reason={reason}", self.running.len());
            }
            self.hindered = true;
            self.hindrances += 1;
        }
        if let Outcome::Warning(notice) = &outcome
            && self.plan.warning(id) != Some(notice)
            && let Some(target) = self.plan.target(id)
        {
            warn!("check warns: target={} reason={}", target.address, notice.reason);
        }
        let verdict = self.plan.finish(now, id, outcome, latency);
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

async fn ask(id: Id, target: Target, clients: Arc<Clients>, lost: Duration) -> Answer {
    let started = Instant::now();
    let timeout = target.check.timeout;
    // Tokio's budget would hold back who has been answered until others have had their turn, and his time would run on.
    let asking = tokio::time::timeout(timeout, probe::probe(&target, &clients));
    let outcome = tokio::task::unconstrained(asking).await.ok();
    Answer { id, outcome, latency: started.elapsed(), timeout, lost }
}

/// What it means that nothing was heard when the time of a probe was over, `lost` of which nobody listened. Who had no processor
/// cannot say what a server would have answered.
fn silence(timeout: Duration, lost: Duration) -> Outcome {
    if lost > timeout / DEAF {
        return Outcome::Inconclusive(Reason::Borrowed("this box was too busy to listen"));
    }
    Outcome::Failure(Reason::Owned(format!("no answer within {}", show_duration(timeout))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{Check, CheckKind, Dialogue};

    #[tokio::test]
    async fn an_answer_is_heard_though_others_have_used_up_the_budget_of_the_task() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let check = Arc::new(Check::new(CheckKind::Tcp(Dialogue::default())));
        let target = Target::new(server.local_addr().unwrap(), check);
        let mut plan = Plan::default();
        plan.set(Instant::now(), [&target]);
        let (id, target) = plan.start(Instant::now() + Duration::from_secs(9), 1).remove(0);
        let mut asking = Box::pin(ask(id, target, Arc::default(), Duration::ZERO));
        let begun = Instant::now();
        let busy = std::future::poll_fn(|context| {
            assert!(begun.elapsed() < Duration::from_secs(10), "it is never its turn");
            while tokio::task::coop::has_budget_remaining() {
                let _ = Box::pin(tokio::task::coop::consume_budget()).poll_unpin(context);
            }
            asking.poll_unpin(context)
        });
        let answer = busy.await;
        assert!(matches!(answer.outcome, Some(Outcome::Success(_))), "{:?}", answer.outcome);
    }

    #[tokio::test]
    async fn few_start_between_two_looks_however_many_are_due() {
        let check = Arc::new(Check::new(CheckKind::Tcp(Dialogue::default())));
        let targets: Vec<Target> = (1..=200_u16)
            .map(|port| Target::new(([127, 0, 0, 1], port).into(), Arc::clone(&check)))
            .collect();
        let mut runner = Runner::new(4096);
        let past = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        runner.set(past, &targets);
        // All are refused, so a verdict comes with the next look.
        let _ = runner.next().now_or_never();
        assert_eq!(runner.plan.start(Instant::now(), usize::MAX).len(), 200 - BURST);
    }

    #[test]
    fn a_server_is_not_blamed_for_a_box_that_does_not_listen() {
        let second = Duration::from_secs(1);
        let heard = |lost| silence(second, Duration::from_millis(lost));
        assert_eq!(heard(0), Outcome::Failure("no answer within 1s".into()));
        assert_eq!(heard(250), Outcome::Failure("no answer within 1s".into()));
        assert!(matches!(heard(251), Outcome::Inconclusive(_)));
    }
}
