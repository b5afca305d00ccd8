//! Changes on trial. The answer leaves before the network moves; what is not confirmed in time is taken back, also by the next
//! life of this worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::around::Watch;
use super::{Store, publish};
use crate::config::Before;
use crate::ipc::message::{Change, ChangeStep, Event, Reply, Request, Source, StoreStatus};
use crate::ipc::server::Answer;
use crate::store::difference::summary;
use crate::store::pending::{self, Pending, since_boot};
use crate::store::proof::Proof;
use crate::store::trial::{Outcome, Proposal, Resumed, Wish};
use crate::store::work::{Sources, Work};
use crate::units::show_duration;

/// From the answer to the change: enough for it to leave the box.
const GRACE: Duration = Duration::from_millis(200);
/// How long there may be to confirm a change.
const CONFIRM: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
/// Shortest sleep of the loop.
const SHORTEST: Duration = Duration::from_millis(10);
/// Longest sleep of the loop.
const LONGEST: Duration = Duration::from_secs(3600);

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// It was answered and is not active yet.
    coming: Option<(Instant, Box<Proposal>)>,
    /// It runs, and has to be confirmed.
    trial: Option<Trial>,
    pub(super) watch: Watch,
    pub(super) proof: Proof,
}

#[derive(Debug)]
struct Trial {
    pending: Pending,
    /// `None`: it can no longer be read; then the sources decide.
    previous: Option<Arc<Before>>,
}

impl Life {
    /// Why another change has to wait.
    pub(super) fn busy(&self) -> Option<String> {
        // One that is final is over in a moment, see `is_settling`.
        let pending = match (&self.trial, &self.coming) {
            (Some(trial), _) => &trial.pending,
            (None, Some((_, proposal))) => proposal.pending.as_ref()?,
            (None, None) => return None,
        };
        Some(format!(
            "a change from {} ({}) waits for its confirmation: `director confirm` or `director rollback` first",
            pending.from, pending.origin
        ))
    }

    /// Whether a final change was answered and is not active yet: what would change something again waits for it.
    pub(super) fn is_settling(&self) -> bool {
        self.coming.as_ref().is_some_and(|(_, proposal)| proposal.pending.is_none())
    }

    /// Whether this change still waits for its confirmation.
    pub(super) fn awaits(&self, pending: &Pending) -> bool {
        self.trial.as_ref().is_some_and(|trial| trial.pending == *pending)
    }
}

impl Store {
    /// The status with the time that is left.
    pub(super) fn present(&self) -> StoreStatus {
        let mut status = self.status.clone();
        status.life.pending = self.life.trial.as_ref().map(|trial| trial.pending.status(since_boot()));
        status
    }

    /// Takes a request that concerns changes; gives back any other.
    pub(super) fn life_request(
        &mut self,
        request: Request,
        answer: Answer,
    ) -> Result<(), Box<(Request, Answer)>> {
        let work = match request {
            Request::Diff { change } => Work::Diff(change),
            Request::Apply { change, confirm_ms, origin } => match self.wish(change, confirm_ms, origin) {
                Ok(wish) => Work::Apply(wish),
                Err(message) => {
                    answer.reply(&Reply::Error { message });
                    return Ok(());
                }
            },
            Request::Rollback { number: None, .. } if self.life.trial.is_some() && self.confirming() => {
                let message = "rollback: the change is being confirmed: look at it first".to_owned();
                answer.reply(&Reply::Error { message });
                return Ok(());
            }
            Request::Rollback { number: None, .. } if self.life.trial.is_some() => {
                let done = self.revert("taken back by the operator");
                answer.reply(&done);
                return Ok(());
            }
            Request::Rollback { number, confirm_ms, origin } => {
                let change = Change::Generation { number: number.unwrap_or(0) };
                match self.wish(change, confirm_ms, origin) {
                    Ok(wish) if number.is_some() => Work::Apply(wish),
                    Ok(wish) => Work::GoBack(wish),
                    Err(message) => {
                        answer.reply(&Reply::Error { message });
                        return Ok(());
                    }
                }
            }
            Request::Confirm => match &self.life.trial {
                Some(trial) => Work::Confirm(Box::new(trial.pending.clone())),
                None => {
                    let message = match self.life.coming {
                        Some(_) => "confirm: the change is being applied: look at it first",
                        None => "confirm: no change waits for its confirmation",
                    };
                    answer.reply(&Reply::Error { message: message.to_owned() });
                    return Ok(());
                }
            },
            Request::History => Work::History,
            Request::Show { number } => Work::Text(number),
            Request::Export => Work::Export,
            Request::FactoryReset => Work::Reset,
            other => return Err(Box::new((other, answer))),
        };
        self.queue.push_back((work, Some(answer)));
        Ok(())
    }

    fn wish(&self, change: Change, confirm_ms: Option<u64>, origin: String) -> Result<Box<Wish>, String> {
        let confirm = confirm_ms.map(Duration::from_millis);
        if let Some(time) = confirm.filter(|time| !CONFIRM.contains(time)) {
            let (least, most) = (show_duration(*CONFIRM.start()), show_duration(*CONFIRM.end()));
            let time = show_duration(time);
            return Err(format!("apply: a time to confirm of {time} is out of range: {least} to {most}"));
        }
        Ok(Box::new(Wish { change, confirm, origin, source: self.status.source }))
    }

    /// Goes on after a piece of work, and answers who wanted it.
    pub(super) fn come_to(&mut self, outcome: Outcome, work: &Work, reply: Reply, answer: Option<Answer>) {
        let refused = matches!(reply, Reply::Error { .. });
        let reply = match outcome {
            Outcome::Nothing => reply,
            Outcome::Difference(difference) => Reply::Difference { difference, pending: None },
            Outcome::Proposed(proposal) => self.proposed(proposal),
            Outcome::Confirmed(number) => self.confirmed(number),
            Outcome::Resumed(resumed) => {
                self.resumed(*resumed);
                reply
            }
            Outcome::Recorded(number) => {
                self.status.life.number = number;
                self.republish();
                reply
            }
            Outcome::Kept(kept) => {
                let runs = self.running.as_ref().map(|running| running.text.as_slice());
                if matches!(work, Work::Keep(text) if runs == Some(text.as_slice())) {
                    self.kept(kept);
                }
                reply
            }
            Outcome::History(generations) => Reply::History { generations },
            Outcome::Text(text) => Reply::Text { text, node: self.status.node.clone() },
            Outcome::Message(message) => Reply::Done { message },
            Outcome::Well(well) => {
                self.judge_slot(well);
                reply
            }
            Outcome::Settled { left, earlier_mode } => {
                self.settled(left, earlier_mode);
                reply
            }
        };
        if refused && let Reply::Error { message } = &reply {
            match work {
                Work::Conclude(_) | Work::Adopt(_) => log::error!("{message}"),
                Work::Apply(_) | Work::GoBack(_) => {
                    let first = message.lines().next().unwrap_or_default().to_owned();
                    self.tell(ChangeStep::Refused, first);
                }
                _ => {}
            }
        }
        if let Some(answer) = answer {
            answer.reply(&reply);
        }
    }

    fn proposed(&mut self, proposal: Box<Proposal>) -> Reply {
        let difference = Box::new(proposal.difference.clone());
        let pending = proposal.pending.as_ref().map(|pending| pending.status(since_boot()));
        self.life.coming = Some((Instant::now() + GRACE, proposal));
        Reply::Difference { difference, pending }
    }

    /// How long the loop may sleep.
    pub(super) fn patience(&self) -> Duration {
        let coming = self.life.coming.as_ref().map(|(at, _)| at.saturating_duration_since(Instant::now()));
        let trial = self.life.trial.as_ref().map(|trial| trial.pending.left(since_boot()));
        // What is over may still wait for a confirmation that is being written.
        coming.into_iter().chain(trial).min().unwrap_or(LONGEST).clamp(SHORTEST, LONGEST)
    }

    /// Does what is due.
    pub(super) fn due(&mut self) {
        if self.life.coming.as_ref().is_some_and(|(at, _)| *at <= Instant::now())
            && let Some((_, proposal)) = self.life.coming.take()
        {
            self.begin_change(*proposal);
        }
        let over = |trial: &Trial| trial.pending.left(since_boot()).is_zero();
        // A confirmation that is being written was in time.
        if !self.confirming() && self.life.trial.as_ref().is_some_and(over) {
            self.revert("not confirmed in time");
        }
    }

    /// Whether a confirmation is being written, or is about to be: then nothing is taken back.
    fn confirming(&self) -> bool {
        self.job.as_ref().is_some_and(|job| matches!(job.work, Work::Confirm(_)))
            || self.queue.iter().any(|(work, _)| matches!(work, Work::Confirm(_)))
    }

    fn begin_change(&mut self, proposal: Proposal) {
        let Proposal { new, difference, pending, source, origin } = proposal;
        let previous = self.running.clone();
        let changed = summary(&difference.changes).join("; ");
        self.status.why = match &pending {
            Some(_) => format!("{} ({origin}) is on trial, and waits for its confirmation", difference.from),
            None => format!("{} was applied ({origin})", difference.from),
        };
        let before = std::mem::replace(&mut self.status.source, source);
        log::info!("change applied: from={} origin={origin} changes={changed}", difference.from);
        if let Err(error) = self.activate(new) {
            log::error!("publish configuration: {}: {error}", self.run.path().display());
            self.status.source = before;
            pending::settled(self.run.path());
            if let Some(pending) = pending {
                self.queue.push_back((Work::Conclude(Box::new(pending)), None));
            }
            return;
        }
        match pending {
            Some(pending) => {
                let left = show_duration(Duration::from_millis(pending.confirm_ms));
                self.life.trial = Some(Trial { pending, previous });
                self.tell(ChangeStep::Pending, format!("{}, for {left} at most", self.status.why));
            }
            None => {
                pending::settled(self.run.path());
                self.keep(&origin);
                self.tell(ChangeStep::Confirmed, self.status.why.clone());
            }
        }
    }

    fn confirmed(&mut self, number: Option<u64>) -> Reply {
        let Some(Trial { pending, .. }) = self.life.trial.take() else { return Reply::Ok };
        self.status.life.number = number;
        self.status.why = format!("{} was applied and confirmed ({})", pending.from, pending.origin);
        self.republish();
        self.queue.push_front((Work::Keep(pending.text.into_bytes()), None));
        let number = number.map(|number| format!(": it is configuration {number}")).unwrap_or_default();
        let message = format!("{} stays{number}", pending.from);
        self.tell(ChangeStep::Confirmed, message.clone());
        Reply::Done { message }
    }

    /// What ran before runs again.
    fn revert(&mut self, reason: &str) -> Reply {
        let Some(Trial { pending, previous }) = self.life.trial.take() else { return Reply::Ok };
        if let Err(error) = pending.mark_undone(self.run.path()) {
            log::warn!("note that the change is taken back: {}: {error}", self.run.path().display());
        }
        self.status.source = pending.source;
        let message = format!(
            "the change from {} ({}) was {reason}: what was before runs",
            pending.from, pending.origin
        );
        self.status.why.clone_from(&message);
        let activated = match previous {
            Some(previous) => self.activate(previous).map_err(|error| error.to_string()),
            None => Err("the earlier configuration cannot be read".to_owned()),
        };
        if let Err(error) = activated {
            log::error!("take the change back: {error}: the sources decide");
            self.queue.push_back((Work::Look("start"), None));
        }
        self.queue.push_front((Work::Conclude(Box::new(pending)), None));
        self.queue.push_back((Work::Resume, None));
        self.tell(ChangeStep::Reverted, message.clone());
        Reply::Done { message }
    }

    fn resumed(&mut self, resumed: Resumed) {
        let Resumed { pending, notice, number } = resumed;
        self.status.life.number = number.or(self.status.life.number);
        if let Some(notice) = notice {
            self.tell(ChangeStep::Reverted, notice);
        }
        let idle = self.life.trial.is_none() && self.life.coming.is_none();
        let Some((pending, new, previous)) = pending.filter(|_| idle) else {
            // The last life of this worker may have ended before it kept what it had chosen.
            if idle && !self.status.life.kept && matches!(self.sources, Sources::Appliance(_)) {
                self.keep("start");
            }
            return;
        };
        if pending.is_undone(self.run.path()) {
            self.undo(pending, previous);
            return;
        }
        log::info!("change on trial taken up: from={} left={:?}", pending.from, pending.left(since_boot()));
        let active = self.running.as_ref().is_some_and(|running| running.text == new.text);
        if !active {
            // The last life answered and died before it acted.
            self.status.source = match self.sources {
                Sources::File(_) => Source::File,
                Sources::Appliance(_) => Source::Partition,
            };
            if let Err(error) = self.activate(new) {
                log::error!("publish configuration: {}: {error}", self.run.path().display());
            }
        }
        self.life.trial = Some(Trial { pending, previous });
    }

    /// The last life has begun to take this change back: that is ended.
    fn undo(&mut self, pending: Pending, previous: Option<Arc<Before>>) {
        if self.running.as_ref().is_some_and(|running| running.text == pending.previous.as_bytes()) {
            self.queue.push_back((Work::Conclude(Box::new(pending)), None));
            return;
        }
        self.life.trial = Some(Trial { pending, previous });
        self.revert("taken back");
    }

    /// Tells everybody, and keeps it for the status.
    pub(super) fn tell(&mut self, step: ChangeStep, message: String) {
        match step {
            ChangeStep::Refused | ChangeStep::Reverted => log::warn!("configuration: {message}"),
            ChangeStep::Pending | ChangeStep::Confirmed => log::info!("configuration: {message}"),
        }
        self.status.life.notice = Some(message.clone());
        self.republish();
        self.subscribers.emit(&Event::Change { step, message });
    }

    /// Notes whether what runs lies on the disk as the last good one.
    pub(super) fn kept(&mut self, kept: bool) {
        if kept && !self.status.life.kept {
            log::info!("configuration kept as the last good one: generation={}", self.status.generation);
        }
        self.status.life.kept = kept;
        self.republish();
    }

    pub(super) fn republish(&self) {
        if let Err(error) = publish(&self.run, &self.status, None) {
            log::error!("publish status: {}: {error}", self.run.path().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::RunDir;
    use crate::worker::WorkerArgs;

    fn pending() -> Pending {
        Pending {
            origin: "command line".to_owned(),
            from: "new.toml".to_owned(),
            text: "version = 1\n# new\n".to_owned(),
            previous: "version = 1\n".to_owned(),
            source: Source::File,
            in_place: false,
            on_stick: false,
            changes: Vec::new(),
            deadline_ms: 0,
            confirm_ms: 60_000,
            life: "x".to_owned(),
        }
    }

    #[test]
    fn what_is_being_confirmed_is_not_taken_back_and_is_confirmed_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::new(&WorkerArgs {
            run_dir: RunDir::new(dir.path()),
            file: Some(dir.path().join("director.toml")),
            ..WorkerArgs::default()
        });
        store.queue.clear();
        store.life.trial = Some(Trial { pending: pending(), previous: None });
        let ask = |store: &mut Store, request| {
            let (answer, replies) = Answer::played();
            assert!(store.life_request(request, answer).is_ok());
            replies
        };
        let said = |replies: &mut tokio::sync::mpsc::Receiver<Vec<u8>>| {
            replies.try_recv().ok().map(|line| String::from_utf8(line).unwrap())
        };
        let mut confirms = [ask(&mut store, Request::Confirm), ask(&mut store, Request::Confirm)];
        let back = Request::Rollback { number: None, confirm_ms: None, origin: "console".to_owned() };
        let refused = said(&mut ask(&mut store, back)).unwrap();
        assert!(refused.contains("rollback: the change is being confirmed"), "{refused}");
        store.due();
        assert!(store.life.trial.is_some(), "its time is over, but the confirmation was in time");

        // The first one has been written.
        store.queue.pop_front();
        store.life.trial = None;
        store.begin();
        assert!(store.job.is_none() && store.queue.is_empty());
        assert_eq!(said(&mut confirms[0]), None);
        assert!(said(&mut confirms[1]).unwrap().contains("no change waits for its confirmation"));
    }
}
