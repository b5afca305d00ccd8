//! The last changes of a real server, for `director why`. Pure.

use std::collections::VecDeque;
use std::time::Instant;

use crate::check::Reason;

/// Changes that are remembered of each server.
const DEPTH: usize = 16;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Instant,
    /// To what: `up`, `down`, `drained by the operator`.
    pub what: &'static str,
    /// Why.
    pub why: Reason,
}

/// The last changes, oldest first. Takes no memory before the first one.
#[derive(Debug, Clone, Default)]
pub struct History(VecDeque<Change>);

impl History {
    /// Notes a change, and forgets the oldest when there are too many.
    pub fn note(&mut self, at: Instant, what: &'static str, why: Reason) {
        if self.0.len() == DEPTH {
            self.0.pop_front();
        }
        self.0.push_back(Change { at, what, why });
    }

    /// The changes, oldest first.
    pub fn changes(&self) -> impl ExactSizeIterator<Item = &Change> {
        self.0.iter()
    }

    /// The last one.
    #[must_use]
    pub fn last(&self) -> Option<&Change> {
        self.0.back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept() {
        let mut history = History::default();
        let now = Instant::now();
        for n in 0..40 {
            history.note(now, if n % 2 == 0 { "up" } else { "down" }, Reason::Owned(n.to_string()));
        }
        let kept: Vec<_> = history.changes().map(|change| change.why.to_string()).collect();
        assert_eq!((kept.len(), kept[0].as_str()), (DEPTH, "24"));
        assert_eq!(history.last().unwrap().why, "39");
    }
}
