//! Backup (RFC 9568 section 6.4.2; for version 2 RFC 3768 section 6.4.2): hears, and waits for silence.

use std::time::{Duration, Instant};

use crate::config::model::VrrpVersion;

use super::super::event::{Actions, Event, Params, Peer, Reason, Turn, master_down, skew};
use super::{Router, State};

#[derive(Debug, Clone, Copy)]
pub(super) struct Backup {
    /// Since when the timer runs: the last advertisement that counted, or the entry into the state.
    since: Instant,
    /// The master resigned: only the skew is waited for.
    resigned: bool,
    /// The master's interval; ours while none was heard.
    pub(super) interval: Duration,
    /// End of the start-up hold.
    not_before: Instant,
    /// Until when a lower master that we hear is left alone.
    patient_until: Option<Instant>,
    /// The group gave way: its turn, for a silence that began before this.
    turn: Option<(Turn, Instant)>,
}

impl Router {
    pub(super) fn in_backup(
        &mut self,
        now: Instant,
        backup: Backup,
        event: Event,
        out: &mut Actions,
    ) -> State {
        match event {
            Event::Advert { peer, interval } => State::Backup(self.backup_hears(now, backup, peer, interval)),
            Event::Timer => self.backup_timer(now, backup, out),
            Event::Params(params) => State::Backup(self.backup_params(backup, params)),
            Event::Fail => self.leave(State::Fault, Reason::Failed, out),
            Event::Stop => self.leave(State::Initialize, Reason::Stopped, out),
            Event::Turn { turn, until } => State::Backup(Backup { turn: Some((turn, until)), ..backup }),
            Event::Ready { .. } | Event::Resume | Event::Yield { .. } | Event::Resign => {
                State::Backup(backup)
            }
        }
    }

    pub(super) const fn listen(&self, now: Instant, interval: Duration, not_before: Instant) -> State {
        let turn = None;
        State::Backup(Backup { since: now, resigned: false, interval, not_before, patient_until: None, turn })
    }

    pub(super) fn down_at(&self, backup: &Backup) -> Instant {
        let Params { version, priority, missed, .. } = self.params;
        let turn = backup.turn.filter(|(_, until)| backup.since <= *until);
        let missed = turn.map_or(missed, |(turn, _)| turn.missed(missed));
        let wait = if backup.resigned {
            skew(version, priority, backup.interval)
        } else {
            master_down(version, priority, backup.interval, missed)
        };
        (backup.since + wait).max(backup.not_before)
    }

    /// Version 3 backups count in their master's interval; in version 2 both have the same or do not talk.
    pub(super) const fn adopted(&self, theirs: Duration) -> Duration {
        match self.params.version {
            VrrpVersion::V2 => self.params.interval,
            VrrpVersion::V3 => theirs,
        }
    }

    /// RFC 9568 section 6.4.2, receipt of an advertisement. The start-up hold is for a switch that does not forward yet: with the
    /// first one it is over, and the silence of this master counts.
    fn backup_hears(&mut self, now: Instant, backup: Backup, peer: Peer, interval: Duration) -> Backup {
        let before = self.heard.replace(peer);
        let backup = Backup { not_before: now, ..backup };
        if peer.priority == 0 {
            // A resigning Director names a short interval: should its last advertisement but one be lost, this one counts.
            let interval = backup.interval.min(self.adopted(interval));
            Backup { since: now, resigned: true, interval, ..backup }
        } else if peer.priority >= self.params.priority || !self.preempts() {
            let mut interval = self.adopted(interval);
            if before.is_some_and(|before| before.address != peer.address && before.beats(&peer)) {
                // Of two masters, of whom the better one has just spoken, the other will give way: his shorter interval hastens nobody.
                interval = interval.max(backup.interval);
            }
            Backup { since: now, resigned: false, interval, patient_until: None, ..backup }
        } else {
            let until = backup.patient_until.unwrap_or(now + self.params.preempt_delay);
            let backup = Backup { patient_until: Some(until), ..backup };
            if now < until {
                return Backup { since: now, resigned: false, interval: self.adopted(interval), ..backup };
            }
            // Lower, and we preempt: the timer keeps running, so we take over within what is left of it. Who went before us is not better.
            Backup { turn: backup.turn.filter(|(turn, _)| *turn == Turn::First), ..backup }
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

    /// The backup's timer follows the new skew; the interval is the master's and stays, unless nobody was heard.
    fn backup_params(&mut self, backup: Backup, params: Params) -> Backup {
        self.params = params;
        let keep = self.heard.is_some() && params.version == VrrpVersion::V3;
        Backup { interval: if keep { backup.interval } else { params.interval }, ..backup }
    }
}
