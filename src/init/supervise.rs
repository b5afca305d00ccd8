//! Who is started, asked, killed and started again, and when. Pure: time comes in, actions go out.
//!
//! The first restart is at once, then after `min(0.2 s × 2ⁿ, 30 s)` with n the short lives in a row. There is no giving up: a
//! director must keep trying; from five on it is an alarm. A worker whose loop no longer answers is killed, because a process
//! that hangs is worse than one that died: its twin takes over from a dead one.

use std::fmt;
use std::time::{Duration, Instant};

use crate::role::Role;

/// A life this long clears the count of failures.
pub const HEALTHY: Duration = Duration::from_secs(60);
/// Consecutive short lives from which on it is an alarm.
pub const ALARM: u32 = 5;
/// Every worker with a socket is asked this often.
pub const HELLO_INTERVAL: Duration = Duration::from_secs(1);
/// A worker that answered once and then not for this long is stuck.
pub const HELLO_LIMIT: Duration = Duration::from_secs(5);
/// Time for the first answer of a life: all workers start at the same moment on a machine that may be slow.
pub const FIRST_HELLO_LIMIT: Duration = Duration::from_secs(15);
/// Between SIGTERM and SIGKILL when one worker is to end.
pub const TERM_LIMIT: Duration = Duration::from_secs(3);

const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// A step this late means that the supervisor itself did not run (a paused guest): nobody's silence counts.
const STALLED: Duration = Duration::from_secs(2);

/// A process id as the kernel gives it.
pub type Pid = i32;

/// What makes a worker unique: consoles exist once for each terminal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Its role.
    pub role: Role,
    /// The terminal of a console.
    pub tty: Option<String>,
}

impl From<Role> for Key {
    fn from(role: Role) -> Self {
        Self { role, tty: None }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tty {
            None => self.role.fmt(f),
            Some(tty) => write!(f, "{}:{tty}", self.role),
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// By itself, with this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => match nix::sys::signal::Signal::try_from(*signal) {
                Ok(name) => write!(f, "{name}"),
                Err(_) => write!(f, "signal {signal}"),
            },
        }
    }
}

/// How a process is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// SIGTERM: it may tidy up.
    Terminate,
    /// SIGKILL to its whole process group.
    Kill,
}

/// What the loop has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start it, then call [`Supervisor::started`] or [`Supervisor::start_failed`].
    Start(Key),
    /// Signal the process group `pid`.
    End(Key, Pid, End),
    /// Ask it whether it lives; an answer goes to [`Supervisor::answered`].
    Hello(Key),
}

/// Whether a worker should run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Yes, always.
    Run,
    /// Not until it is released.
    Hold,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Waiting { until: Instant },
    Running { pid: Pid, since: Instant, heard: Option<Instant> },
    Stopping { pid: Pid, since: Instant, why: Why, kill: Option<Instant>, asked: Instant },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Operator,
    Silent,
}

/// One worker, as [`Supervisor::workers`] shows it.
#[derive(Debug, Clone)]
pub struct Worker {
    key: Key,
    disposition: Disposition,
    state: State,
    restarts: u32,
    failures: u32,
    last_exit: Option<How>,
    lives: u32,
}

impl Worker {
    /// Which.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// The process, while there is one.
    #[must_use]
    pub const fn pid(&self) -> Option<Pid> {
        match self.state {
            State::Waiting { .. } => None,
            State::Running { pid, .. } | State::Stopping { pid, .. } => Some(pid),
        }
    }

    /// `running`, `waiting`, `held` or `stopping`.
    #[must_use]
    pub const fn state(&self) -> &'static str {
        match (&self.state, self.disposition) {
            (State::Waiting { .. }, Disposition::Run) => "waiting",
            (State::Waiting { .. }, Disposition::Hold) => "held",
            (State::Running { .. }, _) => "running",
            (State::Stopping { .. }, _) => "stopping",
        }
    }

    /// Life of the present process.
    #[must_use]
    pub fn age(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Waiting { .. } => None,
            State::Running { since, .. } | State::Stopping { since, .. } => {
                Some(now.saturating_duration_since(since))
            }
        }
    }

    /// Starts after the first.
    #[must_use]
    pub const fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Short lives in a row; from [`ALARM`] on it is an alarm.
    #[must_use]
    pub fn failures(&self, now: Instant) -> u32 {
        if self.age(now).is_some_and(|age| age >= HEALTHY) { 0 } else { self.failures }
    }

    /// How the last process ended.
    #[must_use]
    pub const fn last_exit(&self) -> Option<How> {
        self.last_exit
    }

    const fn listens(&self) -> bool {
        !matches!(self.key.role, Role::Console | Role::Init)
    }

    /// When its silence becomes too long.
    fn silence_ends(&self) -> Option<Instant> {
        match self.state {
            State::Running { since, heard, .. } if self.listens() => {
                Some(heard.map_or(since + FIRST_HELLO_LIMIT, |heard| heard + HELLO_LIMIT))
            }
            _ => None,
        }
    }
}

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
        let workers = keys
            .into_iter()
            .map(|key| Worker {
                key,
                disposition: Disposition::Run,
                state: State::Waiting { until: now },
                restarts: 0,
                failures: 0,
                last_exit: None,
                lives: 0,
            })
            .collect();
        Self { workers, next_hello: now + HELLO_INTERVAL, last_step: now, ending: false }
    }

    /// The workers in their order.
    #[must_use]
    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// Who has a process.
    pub fn living(&self) -> impl Iterator<Item = (&Key, Pid)> {
        self.workers.iter().filter_map(|worker| Some((&worker.key, worker.pid()?)))
    }

    /// What is due at `now`.
    pub fn step(&mut self, now: Instant) -> Vec<Action> {
        self.forgive_a_stall(now);
        let mut actions = Vec::new();
        if self.ending {
            return actions;
        }
        for worker in &mut self.workers {
            actions.extend(due(worker, now));
        }
        if self.next_hello <= now {
            self.next_hello = now + HELLO_INTERVAL;
            let alive = |worker: &&Worker| matches!(worker.state, State::Running { .. }) && worker.listens();
            actions.extend(self.workers.iter().filter(alive).map(|worker| Action::Hello(worker.key.clone())));
        }
        actions
    }

    /// When [`Self::step`] has something to do again.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        if self.ending {
            return None;
        }
        let asked = self.workers.iter().any(|worker| worker.silence_ends().is_some());
        let each = self.workers.iter().filter_map(|worker| match worker.state {
            State::Waiting { until } if worker.disposition == Disposition::Run => Some(until),
            State::Stopping { kill, .. } => kill,
            _ => worker.silence_ends(),
        });
        each.chain(asked.then_some(self.next_hello)).min()
    }

    /// [`Action::Start`] was done.
    pub fn started(&mut self, key: &Key, pid: Pid, now: Instant) {
        if let Some(worker) = self.find(key) {
            worker.restarts = worker.lives;
            worker.lives += 1;
            worker.state = State::Running { pid, since: now, heard: None };
        }
    }

    /// [`Action::Start`] could not be done: that is a short life, too.
    pub fn start_failed(&mut self, key: &Key, now: Instant) {
        if let Some(worker) = self.find(key) {
            back_off(worker, now);
        }
    }

    /// The worker answered a hello.
    pub fn answered(&mut self, key: &Key, now: Instant) {
        if let Some(Worker { state: State::Running { heard, .. }, .. }) = self.find(key) {
            *heard = Some(now);
        }
    }

    /// A child was reaped; `None` if it is none of the workers (an orphan that came to PID 1).
    pub fn on_exit(&mut self, pid: Pid, how: How, now: Instant) -> Option<Key> {
        let worker = self.workers.iter_mut().find(|worker| worker.pid() == Some(pid))?;
        let age = worker.age(now).unwrap_or_default();
        let asked_for = matches!(worker.state, State::Stopping { why: Why::Operator, .. });
        worker.last_exit = Some(how);
        if asked_for {
            worker.failures = 0;
            worker.state = State::Waiting { until: now };
        } else {
            if age >= HEALTHY {
                worker.failures = 0;
            }
            back_off(worker, now);
        }
        if !self.ending {
            report(worker, how, age, now, asked_for);
        }
        Some(worker.key.clone())
    }

    /// Ends the processes of `role` and starts them again.
    ///
    /// `vrrp` is killed, not asked: at SIGTERM it would resign and hand over, at a crash it takes up where it was.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn restart(&mut self, role: Role, now: Instant) -> Result<Vec<Action>, Refused> {
        self.known("restart", role)?;
        let mut actions = Vec::new();
        for worker in self.workers.iter_mut().filter(|worker| worker.key.role == role) {
            if worker.disposition == Disposition::Hold {
                return Err(Refused::Held(role));
            }
            let end = if role == Role::Vrrp { End::Kill } else { End::Terminate };
            actions.extend(stop(worker, end, now));
        }
        Ok(actions)
    }

    /// Ends the processes of `role` and leaves them so.
    ///
    /// # Errors
    /// [`Refused::Unknown`].
    pub fn hold(&mut self, role: Role, now: Instant) -> Result<Vec<Action>, Refused> {
        self.known("hold", role)?;
        let mut actions = Vec::new();
        for worker in self.workers.iter_mut().filter(|worker| worker.key.role == role) {
            worker.disposition = Disposition::Hold;
            actions.extend(stop(worker, End::Terminate, now));
        }
        Ok(actions)
    }

    /// Lets the processes of `role` run again.
    ///
    /// # Errors
    /// [`Refused::Unknown`].
    pub fn release(&mut self, role: Role, now: Instant) -> Result<(), Refused> {
        self.known("release", role)?;
        for worker in self.workers.iter_mut().filter(|worker| worker.key.role == role) {
            worker.disposition = Disposition::Run;
            if matches!(worker.state, State::Waiting { .. }) {
                worker.failures = 0;
                worker.state = State::Waiting { until: now };
            }
        }
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
        self.workers.iter().filter(|worker| worker.key.role == Role::Vrrp).all(|worker| match worker.state {
            State::Stopping { asked, .. } => now.saturating_duration_since(asked) <= HELLO_LIMIT,
            State::Waiting { .. } | State::Running { .. } => true,
        })
    }

    fn find(&mut self, key: &Key) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.key == *key)
    }

    fn known(&self, order: &'static str, role: Role) -> Result<(), Refused> {
        let known = self.workers.iter().any(|worker| worker.key.role == role);
        if known { Ok(()) } else { Err(Refused::Unknown { order, role }) }
    }

    fn forgive_a_stall(&mut self, now: Instant) {
        let stalled = self.deadline().is_some_and(|due| now.saturating_duration_since(due) > STALLED);
        if stalled && now.saturating_duration_since(self.last_step) > STALLED {
            log::warn!(
                "supervisor stalled: seconds={:.1}",
                now.saturating_duration_since(self.last_step).as_secs_f32()
            );
            for worker in &mut self.workers {
                if let State::Running { heard, .. } = &mut worker.state {
                    *heard = Some(now);
                }
            }
        }
        self.last_step = now;
    }
}

fn due(worker: &mut Worker, now: Instant) -> Option<Action> {
    let silent = worker.silence_ends().is_some_and(|end| end <= now);
    match &mut worker.state {
        State::Waiting { until } if worker.disposition == Disposition::Run && *until <= now => {
            Some(Action::Start(worker.key.clone()))
        }
        State::Stopping { pid, kill, .. } if kill.is_some_and(|kill| kill <= now) => {
            *kill = None;
            log::warn!("worker does not end, killed: worker={} pid={pid}", worker.key);
            Some(Action::End(worker.key.clone(), *pid, End::Kill))
        }
        State::Running { pid, since, .. } if silent => {
            let (pid, since) = (*pid, *since);
            log::error!("worker does not answer, killed: worker={} pid={pid}", worker.key);
            worker.state = State::Stopping { pid, since, why: Why::Silent, kill: None, asked: now };
            Some(Action::End(worker.key.clone(), pid, End::Kill))
        }
        State::Waiting { .. } | State::Running { .. } | State::Stopping { .. } => None,
    }
}

fn stop(worker: &mut Worker, end: End, now: Instant) -> Option<Action> {
    match worker.state {
        State::Running { pid, since, .. } => {
            let kill = (end == End::Terminate).then_some(now + TERM_LIMIT);
            worker.state = State::Stopping { pid, since, why: Why::Operator, kill, asked: now };
            Some(Action::End(worker.key.clone(), pid, end))
        }
        State::Waiting { .. } => {
            worker.state = State::Waiting { until: now };
            None
        }
        State::Stopping { .. } => None,
    }
}

fn back_off(worker: &mut Worker, now: Instant) {
    worker.state = State::Waiting { until: now + delay(worker.failures) };
    worker.failures = worker.failures.saturating_add(1);
}

/// Time until the next start after `failures` short lives in a row before this one.
fn delay(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        n => FIRST_DELAY.saturating_mul(1_u32.checked_shl(n).unwrap_or(u32::MAX)).min(LONGEST_DELAY),
    }
}

fn report(worker: &Worker, how: How, age: Duration, now: Instant, asked_for: bool) {
    let Worker { key, failures, .. } = worker;
    let next = match (&worker.state, worker.disposition) {
        (_, Disposition::Hold) => "when released".to_owned(),
        (State::Waiting { until }, _) => {
            format!("in {:.1}s", until.saturating_duration_since(now).as_secs_f32())
        }
        _ => "?".to_owned(),
    };
    let text = format!("worker ended: worker={key} how={how} age={:.1}s next={next}", age.as_secs_f32());
    if asked_for {
        log::info!("{text}");
    } else if *failures >= ALARM {
        log::error!("{text} failures={failures}: it keeps failing");
    } else {
        log::warn!("{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_half_a_minute() {
        let ms: Vec<u128> = (0..10).map(|n| delay(n).as_millis()).collect();
        assert_eq!(ms, [0, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
        assert_eq!(delay(u32::MAX), LONGEST_DELAY);
    }

    #[test]
    fn an_end_is_told_in_words() {
        assert_eq!(How::Code(1).to_string(), "exit code 1");
        assert_eq!(How::Signal(9).to_string(), "SIGKILL");
        assert_eq!(How::Signal(63).to_string(), "signal 63");
    }

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
