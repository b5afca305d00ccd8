//! Master (RFC 9568 section 6.4.3, "Active" there; for version 2 RFC 3768 section 6.4.3): advertises, until somebody better does.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use crate::config::model::VrrpVersion;

use super::super::event::{Action, Actions, Announce, Event, Params, Peer, Reason, master_down};
use super::{Router, State, enter, push};

/// The interval named in the last advertisement before resigning, in version 3: the backups adopt it, and with it their
/// skew becomes at most 10 ms (RFC 9568 sections 6.1 and 6.4.2), whatever the configured interval.
pub const HURRY: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy)]
pub(super) struct Master {
    sent: Instant,
    pub(super) next: Instant,
}

impl Router {
    pub(super) fn in_master(
        &mut self,
        now: Instant,
        master: Master,
        event: Event,
        out: &mut Actions,
    ) -> State {
        match event {
            Event::Advert { peer, interval } => self.master_hears(now, master, peer, interval, out),
            Event::Timer => self.master_timer(now, master, out),
            Event::Params(params) => State::Master(self.master_params(now, master, params, out)),
            Event::Fail => {
                self.resign(out);
                enter(State::Fault, Reason::Failed, out)
            }
            Event::Stop => {
                self.resign(out);
                enter(State::Initialize, Reason::Stopped, out)
            }
            Event::Yield { resigns } => {
                if resigns {
                    self.resign(out);
                } else {
                    push(out, Action::Release);
                    // As who hears a better one does: whoever gave way as well learns how it stands to us.
                    self.send(self.params.priority, out);
                }
                enter(self.listen(now, self.params.interval, now), Reason::Group, out)
            }
            Event::Resign => {
                self.resign(out);
                enter(self.listen(now, self.params.interval, now), Reason::Told, out)
            }
            Event::Ready { .. } | Event::Resume | Event::Turn { .. } => State::Master(master),
        }
    }

    /// RFC 9568 section 6.4.2: advertisement first, which stops the other backups, then the addresses and their news.
    pub(super) fn become_master(&self, now: Instant, reason: Reason, out: &mut Actions) -> State {
        self.send(self.params.priority, out);
        push(out, Action::Claim);
        push(out, Action::Announce(Announce::Burst));
        enter(self.master(now), reason, out)
    }

    pub(super) fn master(&self, now: Instant) -> State {
        State::Master(Master { sent: now, next: now + self.params.interval })
    }

    /// A master that slept longer than its backups wait is not master any more, whatever it believes: it listens first,
    /// whatever has woken it.
    pub(super) fn awake(&self, now: Instant, master: Master, out: &mut Actions) -> State {
        let Params { version, priority, interval, missed, .. } = self.params;
        let silent = now.saturating_duration_since(master.sent);
        if silent <= master_down(version, priority, interval, missed) {
            return State::Master(master);
        }
        push(out, Action::Release);
        enter(self.listen(now, interval, now), Reason::Slept(silent), out)
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
                enter(backup, Reason::Higher(peer), out)
            }
            // Ourselves, by a loop in the network: answering would never end.
            Ordering::Equal => State::Master(master),
            Ordering::Less => {
                // Asserts who is master, and teaches bridges the path anew (RFC 9568 section 6.4.3, new there).
                self.send(self.params.priority, out);
                push(out, Action::Announce(Announce::Claimed));
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
}
