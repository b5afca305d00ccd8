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

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use crate::config::model::VrrpVersion;
use crate::ipc::message::RouterState;

use super::event::{Action, Actions, Announce, Event, Params, Peer, Reason, master_down, skew};

/// The interval named in the last advertisement before resigning, in version 3: the backups adopt it, and with it their
/// skew becomes at most 10 ms (RFC 9568 sections 6.1 and 6.4.2), whatever the configured interval.
pub const HURRY: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy)]
enum State {
    Initialize,
    Fault,
    Backup(Backup),
    Master(Master),
}

#[derive(Debug, Clone, Copy)]
struct Backup {
    /// Since when the timer runs: the last advertisement that counted, or the entry into the state.
    since: Instant,
    /// The master resigned: only the skew is waited for.
    resigned: bool,
    /// The master's interval; ours while none was heard.
    interval: Duration,
    /// End of the start-up hold.
    not_before: Instant,
    /// Until when a lower master that we hear is left alone.
    patient_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Master {
    sent: Instant,
    next: Instant,
}

/// One virtual router.
#[derive(Debug, Clone)]
pub struct Router {
    params: Params,
    state: State,
    heard: Option<Peer>,
}

impl Router {
    /// A router in Initialize.
    #[must_use]
    pub const fn new(params: Params) -> Self {
        Self { params, state: State::Initialize, heard: None }
    }

    /// The present state.
    #[must_use]
    pub const fn state(&self) -> RouterState {
        match self.state {
            State::Initialize => RouterState::Initialize,
            State::Fault => RouterState::Fault,
            State::Backup(_) => RouterState::Backup,
            State::Master(_) => RouterState::Master,
        }
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
        self.state = match (self.state, event) {
            (State::Initialize, Event::Ready { hold }) | (State::Fault, Event::Ready { hold }) => {
                self.start(now, hold, &mut out)
            }
            (State::Initialize, Event::Resume) => self.resume(now, &mut out),
            (State::Initialize, Event::Fail) | (State::Backup(_), Event::Fail) => {
                self.heard = None;
                enter(State::Fault, RouterState::Fault, Reason::Failed, &mut out)
            }
            (State::Master(_), Event::Fail) => {
                self.resign(&mut out);
                enter(State::Fault, RouterState::Fault, Reason::Failed, &mut out)
            }
            (State::Fault, Event::Stop) | (State::Backup(_), Event::Stop) => {
                self.heard = None;
                enter(State::Initialize, RouterState::Initialize, Reason::Stopped, &mut out)
            }
            (State::Master(_), Event::Stop) => {
                self.resign(&mut out);
                enter(State::Initialize, RouterState::Initialize, Reason::Stopped, &mut out)
            }
            (State::Master(_), Event::Yield) => {
                push(&mut out, Action::Release);
                let backup = self.listen(now, self.params.interval, now);
                enter(backup, RouterState::Backup, Reason::Group, &mut out)
            }
            (State::Master(_), Event::Resign) => {
                self.resign(&mut out);
                let backup = self.listen(now, self.params.interval, now);
                enter(backup, RouterState::Backup, Reason::Told, &mut out)
            }
            (State::Backup(backup), Event::Advert { peer, interval }) => {
                State::Backup(self.backup_hears(now, backup, peer, interval))
            }
            (State::Master(master), Event::Advert { peer, interval }) => {
                self.master_hears(now, master, peer, interval, &mut out)
            }
            (State::Backup(backup), Event::Timer) => self.backup_timer(now, backup, &mut out),
            (State::Master(master), Event::Timer) => self.master_timer(now, master, &mut out),
            (State::Initialize, Event::Params(params)) => {
                self.params = params;
                State::Initialize
            }
            (State::Fault, Event::Params(params)) => {
                self.params = params;
                State::Fault
            }
            (State::Backup(backup), Event::Params(params)) => {
                State::Backup(self.backup_params(backup, params))
            }
            (State::Master(master), Event::Params(params)) => {
                State::Master(self.master_params(now, master, params, &mut out))
            }
            // A packet or a timer from before the end: no router there to hear it (RFC 9568 section 6.4.1).
            (
                State::Initialize,
                Event::Advert { .. } | Event::Timer | Event::Stop | Event::Yield | Event::Resign,
            ) => State::Initialize,
            (
                State::Fault,
                Event::Advert { .. }
                | Event::Timer
                | Event::Fail
                | Event::Resume
                | Event::Yield
                | Event::Resign,
            ) => State::Fault,
            (State::Backup(backup), Event::Ready { .. } | Event::Resume | Event::Yield | Event::Resign) => {
                State::Backup(backup)
            }
            (State::Master(master), Event::Ready { .. } | Event::Resume) => State::Master(master),
        };
        out
    }

    /// RFC 9568 section 6.4.1: the owner is master at once, everybody else listens first.
    fn start(&mut self, now: Instant, hold: Duration, out: &mut Actions) -> State {
        self.heard = None;
        if self.params.priority == u8::MAX && hold.is_zero() {
            return self.become_master(now, Reason::Owner, out);
        }
        let backup = self.listen(now, self.params.interval, now + hold);
        enter(backup, RouterState::Backup, Reason::Started, out)
    }

    /// The segment never saw us leave: an advertisement at once, VIPs made sure of, nothing to announce.
    fn resume(&mut self, now: Instant, out: &mut Actions) -> State {
        self.send(self.params.priority, out);
        push(out, Action::Claim);
        enter(self.master(now), RouterState::Master, Reason::Resumed, out)
    }

    /// RFC 9568 section 6.4.2, receipt of an advertisement.
    fn backup_hears(&mut self, now: Instant, backup: Backup, peer: Peer, interval: Duration) -> Backup {
        self.heard = Some(peer);
        if peer.priority == 0 {
            // A resigning Director names a short interval: should its last advertisement but one be lost, this one counts.
            let interval = backup.interval.min(self.adopted(interval));
            Backup { since: now, resigned: true, interval, ..backup }
        } else if peer.priority >= self.params.priority || !self.preempts() {
            let interval = self.adopted(interval);
            Backup { since: now, resigned: false, interval, patient_until: None, ..backup }
        } else {
            let until = backup.patient_until.unwrap_or(now + self.params.preempt_delay);
            let backup = Backup { patient_until: Some(until), ..backup };
            if now < until {
                return Backup { since: now, resigned: false, interval: self.adopted(interval), ..backup };
            }
            // Lower, and we preempt: the timer keeps running, so we take over within what is left of it.
            backup
        }
    }

    /// RFC 9568 section 6.4.2, the timer fires.
    fn backup_timer(&mut self, now: Instant, backup: Backup, out: &mut Actions) -> State {
        if now < self.down_at(&backup) {
            return State::Backup(backup);
        }
        let reason = match self.heard {
            Some(Peer { address, .. }) if backup.resigned => Reason::Resigned(address),
            Some(peer) if peer.priority < self.params.priority && self.preempts() => Reason::Lower(peer),
            Some(_) | None => Reason::Silence(now.saturating_duration_since(backup.since)),
        };
        self.become_master(now, reason, out)
    }

    /// RFC 9568 section 6.4.3, receipt of an advertisement.
    fn master_hears(
        &mut self,
        now: Instant,
        master: Master,
        peer: Peer,
        interval: Duration,
        out: &mut Actions,
    ) -> State {
        self.heard = Some(peer);
        if peer.priority == 0 {
            // Its backups have started their skew: stop them.
            self.send(self.params.priority, out);
            return self.master(now);
        }
        match (peer.priority, peer.address).cmp(&(self.params.priority, self.params.source)) {
            Ordering::Greater => {
                push(out, Action::Release);
                // A last one: the winner learns that there were two, and announces its VIPs again.
                self.send(self.params.priority, out);
                let backup = self.listen(now, self.adopted(interval), now);
                enter(backup, RouterState::Backup, Reason::Higher(peer), out)
            }
            // Ourselves, by a loop in the network: answering would never end.
            Ordering::Equal => State::Master(master),
            Ordering::Less => {
                // Asserts who is master, and teaches bridges the path anew (RFC 9568 section 6.4.3, new there).
                self.send(self.params.priority, out);
                push(out, Action::Announce(Announce::Once));
                self.master(now)
            }
        }
    }

    /// RFC 9568 section 6.4.3, the timer fires.
    fn master_timer(&self, now: Instant, master: Master, out: &mut Actions) -> State {
        if now < master.next {
            return State::Master(master);
        }
        let Params { priority, interval, .. } = self.params;
        self.send(priority, out);
        // Counted from when it was due, so that lateness does not add up.
        let next = if master.next + interval > now { master.next + interval } else { now + interval };
        State::Master(Master { sent: now, next })
    }

    /// A master that slept longer than its backups wait is not master any more, whatever it believes: it listens first,
    /// whatever has woken it.
    fn awake(&self, now: Instant, master: Master, out: &mut Actions) -> State {
        let Params { version, priority, interval, missed, .. } = self.params;
        let silent = now.saturating_duration_since(master.sent);
        if silent <= master_down(version, priority, interval, missed) {
            return State::Master(master);
        }
        push(out, Action::Release);
        enter(self.listen(now, interval, now), RouterState::Backup, Reason::Slept(silent), out)
    }

    /// The backup's timer follows the new skew; the interval is the master's and stays, unless nobody was heard.
    fn backup_params(&mut self, backup: Backup, params: Params) -> Backup {
        self.params = params;
        let keep = self.heard.is_some() && params.version == VrrpVersion::V3;
        Backup { interval: if keep { backup.interval } else { params.interval }, ..backup }
    }

    /// The others learn at once what has changed, so that none of them times out on an interval that is no more.
    fn master_params(&mut self, now: Instant, master: Master, params: Params, out: &mut Actions) -> Master {
        let before = std::mem::replace(&mut self.params, params);
        let Params { preempt, preempt_delay, .. } = params;
        if (Params { preempt, preempt_delay, ..before }) == params {
            return master;
        }
        self.send(params.priority, out);
        Master { sent: now, next: now + params.interval }
    }

    /// RFC 9568 section 6.4.2: advertisement first, which stops the other backups, then the addresses and their news.
    fn become_master(&self, now: Instant, reason: Reason, out: &mut Actions) -> State {
        self.send(self.params.priority, out);
        push(out, Action::Claim);
        push(out, Action::Announce(Announce::Burst));
        enter(self.master(now), RouterState::Master, reason, out)
    }

    /// RFC 9568 section 6.4.3, shutdown. The VIPs go last: until the successor has announced itself, we serve.
    fn resign(&mut self, out: &mut Actions) {
        self.heard = None;
        if self.params.version == VrrpVersion::V3 && self.params.interval > HURRY {
            push(out, Action::Send { priority: self.params.priority, interval: HURRY });
        }
        let interval = match self.params.version {
            VrrpVersion::V2 => self.params.interval,
            VrrpVersion::V3 => HURRY.min(self.params.interval),
        };
        push(out, Action::Send { priority: 0, interval });
        push(out, Action::Release);
    }

    fn send(&self, priority: u8, out: &mut Actions) {
        push(out, Action::Send { priority, interval: self.params.interval });
    }

    fn master(&self, now: Instant) -> State {
        State::Master(Master { sent: now, next: now + self.params.interval })
    }

    const fn listen(&self, now: Instant, interval: Duration, not_before: Instant) -> State {
        State::Backup(Backup { since: now, resigned: false, interval, not_before, patient_until: None })
    }

    fn down_at(&self, backup: &Backup) -> Instant {
        let Params { version, priority, missed, .. } = self.params;
        let wait = if backup.resigned {
            skew(version, priority, backup.interval)
        } else {
            master_down(version, priority, backup.interval, missed)
        };
        (backup.since + wait).max(backup.not_before)
    }

    /// Version 3 backups count in their master's interval; in version 2 both have the same or do not talk.
    const fn adopted(&self, theirs: Duration) -> Duration {
        match self.params.version {
            VrrpVersion::V2 => self.params.interval,
            VrrpVersion::V3 => theirs,
        }
    }

    /// RFC 9568 section 6.1: the owner preempts whatever the file says. The operator's word goes above both.
    const fn preempts(&self) -> bool {
        !self.params.yields && (self.params.preempt || self.params.priority == u8::MAX)
    }
}

fn enter(state: State, name: RouterState, reason: Reason, out: &mut Actions) -> State {
    push(out, Action::Enter { state: name, reason });
    state
}

fn push(out: &mut Actions, action: Action) {
    // No step asks for more than five; a sixth would be a fault of this file that its tests show.
    debug_assert!(!out.is_full(), "too many actions");
    let _ = out.push(action);
}
