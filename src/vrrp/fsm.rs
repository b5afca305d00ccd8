//! The virtual router's state machine (RFC 9568 section 6.4; for version 2 RFC 3768 section 6.4): no clock, no socket.
//!
//! ```text
//!              Ready                 no advertisement for master-down
//! Initialize ────────▶ Backup ───────────────────────────────────────▶ Master
//!   ▲  ▲   Ready: 255  │  ▲  ▲     higher priority, or slept too long     │
//!   │  └───────────────┼──┼──┴────────────────────────────────────────────┤
//!   │ Stop             ▼  │ Ready                                         │
//!   └────────────────  Fault  ◀──────────────────────── Fail: resigns ────┘
//! ```

use std::time::{Duration, Instant};

use crate::ipc::message::RouterState;

use super::event::{Action, Actions, Event, Params, Peer, Reason};

use backup::Backup;
use master::Master;
use rank::Rank;

mod backup;
mod master;
mod rank;

#[derive(Debug, Clone, Copy)]
enum State {
    Initialize,
    Fault,
    Backup(Backup),
    Master(Master),
}

impl State {
    const fn name(self) -> RouterState {
        match self {
            Self::Initialize => RouterState::Initialize,
            Self::Fault => RouterState::Fault,
            Self::Backup(_) => RouterState::Backup,
            Self::Master(_) => RouterState::Master,
        }
    }
}

/// One virtual router.
#[derive(Debug, Clone)]
pub struct Router {
    params: Params,
    state: State,
    heard: Option<Peer>,
    rank: Rank,
}

impl Router {
    /// A router in Initialize.
    #[must_use]
    pub const fn new(params: Params) -> Self {
        Self { params, state: State::Initialize, heard: None, rank: Rank::NOBODY }
    }

    /// The present state.
    #[must_use]
    pub const fn state(&self) -> RouterState {
        self.state.name()
    }

    /// What decides about elections at present.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// The last router heard; in Master the one we took over from or saw off.
    #[must_use]
    pub const fn heard(&self) -> Option<Peer> {
        self.heard
    }

    /// Since `begun`: whether somebody claimed to be master who is better than we are; `None` when nobody claimed.
    #[must_use]
    pub fn outdone(&self, begun: Instant) -> Option<bool> {
        self.rank.outdone(begun)
    }

    /// The interval in force: a version 3 backup has its master's.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        match self.state {
            State::Backup(backup) => backup.interval,
            State::Initialize | State::Fault | State::Master(_) => self.params.interval,
        }
    }

    /// When [`Event::Timer`] is due next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Initialize | State::Fault => None,
            State::Backup(backup) => Some(self.down_at(&backup)),
            State::Master(master) => Some(master.next),
        }
    }

    /// Goes on by one event.
    pub fn step(&mut self, now: Instant, event: Event) -> Actions {
        let mut out = Actions::new();
        if let State::Master(master) = self.state {
            self.state = self.awake(now, master, &mut out);
        }
        if let Event::Advert { peer, .. } = event {
            let own = Peer { address: self.params.source, priority: self.params.priority };
            self.rank.hear(now, peer, &own, self.params.interval);
        }
        self.state = match self.state {
            State::Initialize => self.in_initialize(now, event, &mut out),
            State::Fault => self.in_fault(now, event, &mut out),
            State::Backup(backup) => self.in_backup(now, backup, event, &mut out),
            State::Master(master) => self.in_master(now, master, event, &mut out),
        };
        out
    }

    /// RFC 9568 section 6.4.1. A packet or a timer from before the end: no router there to hear it.
    fn in_initialize(&mut self, now: Instant, event: Event, out: &mut Actions) -> State {
        match event {
            Event::Ready { hold } => self.start(now, hold, out),
            Event::Resume => self.resume(now, out),
            Event::Fail => self.leave(State::Fault, Reason::Failed, out),
            Event::Params(params) => {
                self.params = params;
                State::Initialize
            }
            Event::Advert { .. }
            | Event::Timer
            | Event::Stop
            | Event::Yield { .. }
            | Event::Turn { .. }
            | Event::Resign => State::Initialize,
        }
    }

    fn in_fault(&mut self, now: Instant, event: Event, out: &mut Actions) -> State {
        match event {
            Event::Ready { hold } => self.start(now, hold, out),
            Event::Stop => self.leave(State::Initialize, Reason::Stopped, out),
            Event::Params(params) => {
                self.params = params;
                State::Fault
            }
            Event::Advert { .. }
            | Event::Timer
            | Event::Fail
            | Event::Resume
            | Event::Yield { .. }
            | Event::Turn { .. }
            | Event::Resign => State::Fault,
        }
    }

    /// RFC 9568 section 6.4.1: the owner is master at once, everybody else listens first.
    fn start(&mut self, now: Instant, hold: Duration, out: &mut Actions) -> State {
        self.heard = None;
        if self.params.priority == u8::MAX && hold.is_zero() {
            return self.become_master(now, Reason::Owner, out);
        }
        let backup = self.listen(now, self.params.interval, now + hold);
        enter(backup, Reason::Started, out)
    }

    /// The segment never saw us leave: an advertisement at once, VIPs made sure of, nothing to announce.
    fn resume(&mut self, now: Instant, out: &mut Actions) -> State {
        self.send(self.params.priority, out);
        push(out, Action::Claim);
        enter(self.master(now), Reason::Resumed, out)
    }

    /// Takes part no more.
    fn leave(&mut self, state: State, reason: Reason, out: &mut Actions) -> State {
        self.heard = None;
        enter(state, reason, out)
    }

    fn send(&self, priority: u8, out: &mut Actions) {
        push(out, Action::Send { priority, interval: self.params.interval });
    }

    /// Whether it is backup of a master that it leaves alone, as long as that one is heard.
    #[must_use]
    pub fn follows(&self) -> bool {
        let master = self.heard.filter(|peer| peer.priority != 0);
        matches!(self.state, State::Backup(_))
            && master.is_some_and(|peer| peer.priority >= self.params.priority || !self.preempts())
    }

    /// RFC 9568 section 6.1: the owner preempts whatever the file says. The operator's word goes above both.
    const fn preempts(&self) -> bool {
        !self.params.yields && (self.params.preempt || self.params.priority == u8::MAX)
    }
}

fn enter(state: State, reason: Reason, out: &mut Actions) -> State {
    push(out, Action::Enter { state: state.name(), reason });
    state
}

fn push(out: &mut Actions, action: Action) {
    // No step asks for more than five; a sixth would be a fault of this file that its tests show.
    debug_assert!(!out.is_full(), "too many actions");
    let _ = out.push(action);
}
