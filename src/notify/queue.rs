//! What waits for one receiver: in order, bounded, and worth telling. Pure.

use std::collections::{BTreeMap, HashSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::ipc::message::{Alarm, AlarmKind, Attempt};

/// Alarms that may wait.
pub const MOST: usize = 256;
/// An alarm that could not be delivered for so long is given up, milliseconds.
pub const OLDEST_MS: u64 = 24 * 3600 * 1000;

/// An alarm in a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What it says.
    pub alarm: Alarm,
    /// When it came: milliseconds since the start of the kernel, which no step of the clock moves.
    pub since_boot_ms: u64,
}

/// The queue of one receiver, and how its deliveries went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// Oldest first.
    pub waiting: VecDeque<Waiting>,
    /// Alarms delivered.
    pub delivered: u64,
    /// Alarms given up.
    pub dropped: u64,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// The last attempt.
    pub last: Option<Attempt>,
    /// Those given up of which the alarm about that in the queue tells.
    omitted: BTreeMap<AlarmKind, u64>,
    /// Number of the last alarm that is on its way; 0 = none is.
    #[serde(skip)]
    flying: u64,
}

impl Queue {
    /// Adds an alarm. When too many wait, the oldest that a newer one about the same makes obsolete is given up: the last state wins.
    /// Else it is the oldest of the least severe, and an alarm about that takes its place.
    pub fn push(&mut self, alarm: Alarm, since_boot_ms: u64) {
        self.waiting.push_back(Waiting { alarm, since_boot_ms });
        // The first that is left out needs room for the alarm about it, too.
        while self.waiting.len() > MOST {
            // What is on its way is not to be recalled.
            let free = self.waiting.iter().take_while(|it| it.alarm.id <= self.flying).count();
            if let Some(at) = self.obsolete(free) {
                self.waiting.remove(at);
                self.dropped += 1;
            } else if let Some(at) = self.least(free) {
                self.omit(at);
            } else {
                return;
            }
        }
    }

    /// The oldest behind `from` that a newer one is about the same as.
    fn obsolete(&self, from: usize) -> Option<usize> {
        let mut newer = HashSet::new();
        let mut found = None;
        for (at, Waiting { alarm, .. }) in self.waiting.iter().enumerate().skip(from).rev() {
            let fresh = newer.insert((alarm.kind, &alarm.subject));
            if !fresh && alarm.kind != AlarmKind::Queue {
                found = Some(at);
            }
        }
        found
    }

    /// The oldest of the least severe behind `from`.
    fn least(&self, from: usize) -> Option<usize> {
        let others = self.waiting.iter().enumerate().skip(from);
        let others = others.filter(|(_, it)| it.alarm.kind != AlarmKind::Queue);
        others.min_by_key(|(at, it)| (std::cmp::Reverse(it.alarm.severity), *at)).map(|(at, _)| at)
    }

    /// Gives up the alarm at this place for one that tells how many were.
    fn omit(&mut self, at: usize) {
        let Some(Waiting { alarm, since_boot_ms }) = self.waiting.remove(at) else { return };
        self.dropped += 1;
        let told = |it: &Waiting| it.alarm.kind == AlarmKind::Queue && it.alarm.id > self.flying;
        let before = self.waiting.iter().position(told).and_then(|before| self.waiting.remove(before));
        if before.is_none() {
            self.omitted.clear();
        }
        *self.omitted.entry(alarm.kind).or_default() += 1;
        let kinds: Vec<String> = self.omitted.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        let total: u64 = self.omitted.values().sum();
        let noun = if total == 1 { "alarm is" } else { "alarms are" };
        let text = format!("{total} {noun} left out, too many waited or for too long: {}", kinds.join(", "));
        let words = ["EVENT", "QUEUE", "alarms", "omitted", &text].map(str::to_owned).into();
        let alarm = Alarm {
            kind: AlarmKind::Queue,
            subject: "alarms".to_owned(),
            state: "omitted".to_owned(),
            severity: 4,
            text,
            words,
            ..alarm
        };
        // Its number is that of the last one which it stands for; so it stays in order.
        let place = self.waiting.partition_point(|it| it.alarm.id < alarm.id);
        self.waiting.insert(place, Waiting { alarm, since_boot_ms });
    }

    /// Gives up what has waited too long.
    pub fn expire(&mut self, since_boot_ms: u64) {
        let old = |it: &Waiting| since_boot_ms.saturating_sub(it.since_boot_ms) > OLDEST_MS;
        while let Some(at) = self.waiting.iter().position(|it| it.alarm.kind != AlarmKind::Queue && old(it)) {
            self.omit(at);
        }
    }

    /// The oldest, at most `count`: they are on their way until [`Self::done`].
    pub fn batch(&mut self, count: usize) -> Vec<Alarm> {
        let batch: Vec<Alarm> = self.waiting.iter().take(count).map(|it| it.alarm.clone()).collect();
        self.flying = batch.last().map_or(0, |alarm| alarm.id);
        batch
    }

    /// Whether somebody tries the receiver.
    #[must_use]
    pub fn has_test(&self) -> bool {
        self.waiting.iter().any(|it| it.alarm.kind == AlarmKind::Test)
    }

    /// The alarms up to `attempt` were taken, or are given up because there is no second attempt.
    pub fn done(&mut self, attempt: Attempt, again: bool) {
        let count = self.waiting.iter().take_while(|it| it.alarm.id <= attempt.id).count();
        let gone = u64::try_from(count).unwrap_or(u64::MAX);
        self.flying = 0;
        if attempt.ok {
            self.delivered += gone;
            self.failures = 0;
        } else {
            self.failures = self.failures.saturating_add(1);
        }
        if attempt.ok || !again {
            self.waiting.drain(..count);
        }
        if !attempt.ok && !again {
            self.dropped += gone;
        }
        self.last = Some(attempt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm(id: u64, subject: &str) -> Alarm {
        Alarm {
            id,
            time_ms: id,
            kind: AlarmKind::Server,
            subject: subject.to_owned(),
            state: "up".to_owned(),
            severity: 5,
            text: String::new(),
            words: Vec::new(),
        }
    }

    fn attempt(id: u64, ok: bool) -> Attempt {
        Attempt { time_ms: 0, id, ok, text: String::new() }
    }

    #[test]
    fn what_failed_is_tried_again_and_what_came_meanwhile_stays() {
        let mut queue = Queue::default();
        (1..=3).for_each(|id| queue.push(alarm(id, "a"), id));
        queue.done(attempt(3, false), true);
        assert_eq!((queue.waiting.len(), queue.failures), (3, 1));
        queue.push(alarm(4, "b"), 4);
        queue.done(attempt(3, true), true);
        assert_eq!((queue.waiting.len(), queue.delivered, queue.failures), (1, 3, 0));
        queue.done(attempt(4, false), false);
        assert_eq!((queue.waiting.len(), queue.dropped), (0, 1));
    }

    #[test]
    fn of_too_many_the_last_about_each_subject_is_kept() {
        let mut queue = Queue::default();
        queue.push(alarm(1, "quiet"), 1);
        queue.push(alarm(2, "quiet 2"), 2);
        (3..1000).for_each(|id| queue.push(alarm(id, "noisy"), id));
        assert_eq!(queue.waiting.len(), MOST);
        let ids: Vec<u64> = queue.waiting.iter().map(|it| it.alarm.id).collect();
        assert!(ids.is_sorted() && ids[..2] == [1, 2] && ids[MOST - 1] == 999, "{ids:?}");
        assert_eq!(queue.dropped, 999 - 256);
    }

    #[test]
    fn the_gravest_stay_and_the_receiver_is_told_how_many_are_left_out() {
        let mut queue = Queue::default();
        let fault = |id, subject: &str| Alarm { severity: 3, kind: AlarmKind::Vrrp, ..alarm(id, subject) };
        queue.push(alarm(1, "first"), 1);
        assert_eq!(queue.batch(100).len(), 1);
        queue.push(fault(2, "VI_1"), 2);
        (3..303).for_each(|id| queue.push(alarm(id, &format!("server {id}")), id));
        queue.push(fault(303, "VI_2"), 303);
        assert_eq!((queue.waiting.len(), queue.dropped), (MOST, 303 - 255));
        let said = |queue: &Queue| {
            let texts = queue.waiting.iter().filter(|it| it.alarm.kind == AlarmKind::Queue);
            texts.map(|it| it.alarm.text.clone()).collect::<Vec<_>>()
        };
        assert_eq!(said(&queue), ["48 alarms are left out, too many waited or for too long: server 48"]);
        let ids: Vec<u64> = queue.waiting.iter().map(|it| it.alarm.id).collect();
        assert!(ids.is_sorted() && ids[..2] == [1, 2] && ids[MOST - 1] == 303, "{ids:?}");

        // What is on its way is not changed; what is left out meanwhile is told anew.
        queue.done(attempt(1, true), true);
        let id = queue.batch(100).last().unwrap().id;
        (304..308).for_each(|id| queue.push(alarm(id, &format!("server {id}")), id));
        assert_eq!(said(&queue).len(), 2);
        queue.done(attempt(id, true), true);
        assert_eq!(said(&queue), ["4 alarms are left out, too many waited or for too long: server 4"]);
    }

    #[test]
    fn only_time_that_passes_makes_an_alarm_old() {
        let mut queue = Queue::default();
        // By the clock it is from 1970: it was set since.
        queue.push(Alarm { time_ms: 0, ..alarm(1, "a") }, 5_000);
        queue.push(alarm(2, "b"), 6_000);
        queue.expire(OLDEST_MS + 5_000);
        assert_eq!(queue.dropped, 0);
        queue.expire(OLDEST_MS + 5_001);
        assert_eq!((queue.dropped, queue.waiting.len()), (1, 2));
        assert_eq!(
            queue.waiting[0].alarm.text,
            "1 alarm is left out, too many waited or for too long: server 1"
        );
    }
}
