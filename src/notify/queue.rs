//! What waits for one receiver: in order, bounded, and worth telling. Pure.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::ipc::message::{Alarm, Attempt};

/// Alarms that may wait.
pub const MOST: usize = 256;
/// An alarm that could not be delivered for so long is given up, milliseconds.
pub const OLDEST_MS: u64 = 24 * 3600 * 1000;

/// The queue of one receiver, and how its deliveries went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// Oldest first.
    pub waiting: VecDeque<Alarm>,
    /// Alarms delivered.
    pub delivered: u64,
    /// Alarms given up.
    pub dropped: u64,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// The last attempt.
    pub last: Option<Attempt>,
}

impl Queue {
    /// Adds an alarm. When too many wait, the oldest that a newer one about the same makes obsolete is given up, else the oldest:
    /// the last state wins.
    pub fn push(&mut self, alarm: Alarm) {
        if self.waiting.len() >= MOST {
            // The first may be on its way just now.
            let about = |it: &Alarm| (it.kind, it.subject.clone());
            let last = about(&alarm);
            let obsolete = self.waiting.iter().enumerate().skip(1).position(|(at, old)| {
                let same = about(old);
                same == last || self.waiting.iter().skip(at + 1).any(|newer| about(newer) == same)
            });
            self.waiting.remove(obsolete.map_or(1, |at| at + 1));
            self.dropped += 1;
        }
        self.waiting.push_back(alarm);
    }

    /// Gives up what has waited too long.
    pub fn expire(&mut self, now_ms: u64) {
        while self.waiting.front().is_some_and(|alarm| now_ms.saturating_sub(alarm.time_ms) > OLDEST_MS) {
            self.waiting.pop_front();
            self.dropped += 1;
        }
    }

    /// The oldest, at most `count`.
    #[must_use]
    pub fn batch(&self, count: usize) -> Vec<Alarm> {
        self.waiting.iter().take(count).cloned().collect()
    }

    /// The alarms up to `attempt` were taken, or are given up because there is no second attempt.
    pub fn done(&mut self, attempt: Attempt, again: bool) {
        let count = self.waiting.iter().take_while(|alarm| alarm.id <= attempt.id).count();
        let gone = u64::try_from(count).unwrap_or(u64::MAX);
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
    use crate::ipc::message::AlarmKind;

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
        (1..=3).for_each(|id| queue.push(alarm(id, "a")));
        queue.done(attempt(3, false), true);
        assert_eq!((queue.waiting.len(), queue.failures), (3, 1));
        queue.push(alarm(4, "b"));
        queue.done(attempt(3, true), true);
        assert_eq!((queue.waiting.len(), queue.delivered, queue.failures), (1, 3, 0));
        queue.done(attempt(4, false), false);
        assert_eq!((queue.waiting.len(), queue.dropped), (0, 1));
    }

    #[test]
    fn of_too_many_the_last_about_each_subject_is_kept() {
        let mut queue = Queue::default();
        queue.push(alarm(1, "quiet"));
        queue.push(alarm(2, "quiet 2"));
        (3..1000).for_each(|id| queue.push(alarm(id, "noisy")));
        assert_eq!(queue.waiting.len(), MOST);
        let ids: Vec<u64> = queue.waiting.iter().map(|alarm| alarm.id).collect();
        assert!(ids.is_sorted() && ids[..2] == [1, 2] && ids[MOST - 1] == 999, "{ids:?}");
        assert_eq!(queue.dropped, 999 - 256);
        queue.expire(OLDEST_MS + 3);
        assert_eq!(queue.waiting.front().unwrap().subject, "noisy");
    }
}
