//! A log line that would repeat is said once a minute: the counters tell the rest.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_secs(60);

/// When each kind of line was said last.
#[derive(Debug, Default)]
pub struct Quiet(BTreeMap<&'static str, Instant>);

impl Quiet {
    /// Whether a line of this kind may be said now; if so it counts as said.
    pub fn may_say(&mut self, now: Instant, kind: &'static str) -> bool {
        let recent = self.0.get(kind).is_some_and(|at| now.saturating_duration_since(*at) < PAUSE);
        if !recent {
            self.0.insert(kind, now);
        }
        !recent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_once_a_minute() {
        let now = Instant::now();
        let mut quiet = Quiet::default();
        assert!(quiet.may_say(now, "a"));
        assert!(quiet.may_say(now, "b"));
        assert!(!quiet.may_say(now + PAUSE / 2, "a"));
        assert!(quiet.may_say(now + PAUSE, "a"));
    }
}
