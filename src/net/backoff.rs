//! How soon the same operation may be tried again.
//!
//! What fails, and what somebody else undoes each time, is the same: the operation is needed again. The first few times
//! it is done at once; then the pause doubles, so that neither a refusal nor a war of two programs costs anything.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Times that an operation is repeated without a pause.
const FREE: u32 = 3;
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(30);
/// Not needed for so long: forgotten.
const FORGET: Duration = Duration::from_secs(60);

/// Remembers what was done lately.
#[derive(Debug, Default)]
pub struct Backoff<K> {
    done: BTreeMap<K, Tries>,
}

#[derive(Debug, Clone, Copy)]
struct Tries {
    count: u32,
    last: Instant,
}

impl Tries {
    fn due(self) -> Instant {
        let pause = match self.count.checked_sub(FREE) {
            None => Duration::ZERO,
            Some(doublings) => SHORTEST.saturating_mul(1 << doublings.min(16)).min(LONGEST),
        };
        self.last + pause
    }
}

impl<K: Ord + Clone> Backoff<K> {
    /// An empty memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { done: BTreeMap::new() }
    }

    /// When `key` may be done; `now` or earlier means at once.
    #[must_use]
    pub fn due(&self, now: Instant, key: &K) -> Instant {
        self.done.get(key).map_or(now, |tries| tries.due())
    }

    /// Notes that `key` was done.
    pub fn did(&mut self, now: Instant, key: &K) {
        self.done.retain(|_, tries| now.saturating_duration_since(tries.last) < FORGET);
        let tries = self.done.entry(key.clone()).or_insert(Tries { count: 0, last: now });
        tries.count = tries.count.saturating_add(1);
        tries.last = now;
    }

    /// Forgets everything: another configuration runs.
    pub fn clear(&mut self) {
        self.done.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_after_a_few_free_repetitions_and_are_forgotten() {
        let start = Instant::now();
        let mut backoff = Backoff::new();
        let mut pauses = Vec::new();
        let mut now = start;
        for _ in 0..14 {
            backoff.did(now, &"op");
            let due = backoff.due(now, &"op");
            pauses.push(u64::try_from(due.saturating_duration_since(now).as_millis()).unwrap());
            now = due;
        }
        assert_eq!(pauses[..6], [0, 0, 200, 400, 800, 1600]);
        assert_eq!(pauses[13], 30_000);
        now += FORGET;
        backoff.did(now, &"other");
        assert_eq!(backoff.due(now, &"op"), now);
    }
}
