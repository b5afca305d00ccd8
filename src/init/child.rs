//! One worker: the life of its processes, and what is to be done with it when. Pure.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use crate::role::Role;

/// A life this long clears the count of failures.
pub const HEALTHY: Duration = Duration::from_secs(60);
/// Consecutive short lives from which on it is an alarm.
pub const ALARM: u32 = 5;
/// A worker that answered once and then not for this long is stuck.
pub const HELLO_LIMIT: Duration = Duration::from_secs(5);
/// Time for the first answer of a life: all workers start at the same moment, on a machine that may be slow, and killing a slow
/// starter only makes it slower.
pub const FIRST_HELLO_LIMIT: Duration = Duration::from_secs(30);
/// Between SIGTERM and SIGKILL when one worker is to end.
pub const TERM_LIMIT: Duration = Duration::from_secs(3);

/// Restarts at once of `vrrp` within [`HEALTHY`]: its next life is master as the last one was only if it begins before the backups'
/// patience is over, which at the shortest interval is 36 ms.
pub const AT_ONCE: usize = 60;

const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(30);
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
    /// Start it, then call [`super::supervise::Supervisor::started`] or [`super::supervise::Supervisor::start_failed`].
    Start(Key),
    /// Signal the process group `pid`.
    End(Key, Pid, End),
    /// Take off the VIPs that a dead `vrrp` has left: its next life comes too late, or never, and another box has claimed them.
    Withdraw,
    /// Ask it whether it lives; an answer goes to [`super::supervise::Supervisor::answered`].
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

/// One worker, as [`super::supervise::Supervisor::workers`] shows it.
#[derive(Debug, Clone)]
pub struct Worker {
    key: Key,
    disposition: Disposition,
    state: State,
    restarts: u32,
    failures: u32,
    last_exit: Option<How>,
    lives: u32,
    /// When it was started again at once.
    at_once: VecDeque<Instant>,
    /// Waits in a row; once there was one, only a long life brings the restarts at once back.
    waits: u32,
    /// Since when it is known that it has left something behind.
    leaves: Option<Instant>,
}

impl Worker {
    /// One that wants to start at `now`.
    pub(super) const fn new(key: Key, now: Instant) -> Self {
        Self {
            key,
            disposition: Disposition::Run,
            state: State::Waiting { until: now },
            restarts: 0,
            failures: 0,
            last_exit: None,
            lives: 0,
            at_once: VecDeque::new(),
            waits: 0,
            leaves: None,
        }
    }

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

    /// Whether it runs and can be asked.
    pub(super) const fn can_be_asked(&self) -> bool {
        matches!(self.state, State::Running { .. }) && self.listens()
    }

    /// Whether it must not be started.
    pub(super) const fn is_held(&self) -> bool {
        matches!(self.disposition, Disposition::Hold)
    }

    /// When [`Self::due`] has something to do again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { .. } if self.leaves.is_some() => self.leaves,
            State::Waiting { until } => (!self.is_held()).then_some(until),
            State::Stopping { kill, .. } => kill,
            State::Running { .. } => self.silence_ends(),
        }
    }

    /// What is to be done with it at `now`.
    pub(super) fn due(&mut self, now: Instant) -> Option<Action> {
        let held = self.is_held();
        let silent = self.silence_ends().is_some_and(|end| end <= now);
        match &mut self.state {
            State::Waiting { .. } if self.leaves.take().is_some() => Some(Action::Withdraw),
            State::Waiting { until } if !held && *until <= now => Some(Action::Start(self.key.clone())),
            State::Stopping { pid, kill, .. } if kill.is_some_and(|kill| kill <= now) => {
                *kill = None;
                log::warn!("worker does not end, killed: worker={} pid={pid}", self.key);
                Some(Action::End(self.key.clone(), *pid, End::Kill))
            }
            State::Running { pid, since, .. } if silent => {
                let (pid, since) = (*pid, *since);
                log::error!("worker does not answer, killed: worker={} pid={pid}", self.key);
                self.state = State::Stopping { pid, since, why: Why::Silent, kill: None, asked: now };
                Some(Action::End(self.key.clone(), pid, End::Kill))
            }
            State::Waiting { .. } | State::Running { .. } | State::Stopping { .. } => None,
        }
    }

    /// It has a process now.
    pub(super) fn started(&mut self, pid: Pid, now: Instant) {
        self.restarts = self.lives;
        self.lives += 1;
        self.state = State::Running { pid, since: now, heard: None };
    }

    /// It could not be started: that is a short life, too.
    pub(super) fn back_off(&mut self, now: Instant) {
        self.state = State::Waiting { until: now + delay(self.failures) };
        self.failures = self.failures.saturating_add(1);
    }

    /// Time until the start after a life that was too short.
    fn wait(&mut self, now: Instant) -> Duration {
        if self.key.role != Role::Vrrp {
            return delay(self.failures);
        }
        self.at_once.retain(|at| now.saturating_duration_since(*at) < HEALTHY);
        if self.waits == 0 && self.at_once.len() < AT_ONCE {
            self.at_once.push_back(now);
            return Duration::ZERO;
        }
        self.waits = self.waits.saturating_add(1);
        delay(self.waits)
    }

    /// It answered.
    pub(super) const fn answered(&mut self, now: Instant) {
        if let State::Running { heard, .. } = &mut self.state {
            *heard = Some(now);
        }
    }

    /// Its process ended; `quiet` when everybody's does.
    pub(super) fn ended(&mut self, how: How, now: Instant, quiet: bool) {
        let age = self.age(now).unwrap_or_default();
        let asked_for = matches!(self.state, State::Stopping { why: Why::Operator, .. });
        self.last_exit = Some(how);
        if asked_for || age >= HEALTHY {
            (self.failures, self.waits) = (0, 0);
        }
        let wait = if asked_for { Duration::ZERO } else { self.wait(now) };
        self.state = State::Waiting { until: now + wait };
        self.failures = if asked_for { 0 } else { self.failures.saturating_add(1) };
        let back_at_once = wait.is_zero() && !self.is_held();
        if self.key.role == Role::Vrrp && how != How::Code(0) && !back_at_once && !quiet {
            self.leaves = Some(now);
        }
        if !quiet {
            self.report(how, age, now, asked_for);
        }
    }

    /// Ends its process, or its wait, because the operator wants it so.
    pub(super) fn stop(&mut self, end: End, now: Instant) -> Option<Action> {
        match self.state {
            State::Running { pid, since, .. } => {
                let kill = (end == End::Terminate).then_some(now + TERM_LIMIT);
                self.state = State::Stopping { pid, since, why: Why::Operator, kill, asked: now };
                Some(Action::End(self.key.clone(), pid, end))
            }
            State::Waiting { .. } => {
                self.state = State::Waiting { until: now };
                None
            }
            State::Stopping { .. } => None,
        }
    }

    /// Ends its process and leaves it so.
    pub(super) fn hold(&mut self, now: Instant) -> Option<Action> {
        self.disposition = Disposition::Hold;
        self.stop(End::Terminate, now)
    }

    /// Lets it run again, with a clean record.
    pub(super) fn release(&mut self, now: Instant) {
        self.disposition = Disposition::Run;
        if matches!(self.state, State::Waiting { .. }) {
            (self.failures, self.waits) = (0, 0);
            self.state = State::Waiting { until: now };
        }
    }

    /// Whether it was told to end and does not, not even by SIGKILL.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        match self.state {
            State::Stopping { asked, .. } => now.saturating_duration_since(asked) > HELLO_LIMIT,
            State::Waiting { .. } | State::Running { .. } => false,
        }
    }

    fn report(&self, how: How, age: Duration, now: Instant, asked_for: bool) {
        let Self { key, failures, .. } = self;
        let next = match self.state {
            _ if self.is_held() => "when released".to_owned(),
            State::Waiting { until } => {
                format!("in {:.1}s", until.saturating_duration_since(now).as_secs_f32())
            }
            State::Running { .. } | State::Stopping { .. } => "?".to_owned(),
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
}

/// Time until the next start after `failures` short lives in a row before this one.
fn delay(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        n => FIRST_DELAY.saturating_mul(1_u32.checked_shl(n).unwrap_or(u32::MAX)).min(LONGEST_DELAY),
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
}
