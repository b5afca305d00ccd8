//! What the operator ordered for a real server, in place of what the file and the checks say. Pure.

use std::time::{Duration, Instant};

/// An order; it holds until `enable`, whatever happens to the configuration and to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// What is ordered.
    pub kind: Kind,
    /// Since when.
    pub since: Instant,
}

/// What can be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No new connections; those there are go on, at most until then.
    Drain {
        /// `None` = as long as they last.
        until: Option<Instant>,
    },
    /// Out of the table.
    Disable,
}

impl Order {
    /// A drain from `now` on, for at most `time`.
    #[must_use]
    pub fn drain(now: Instant, time: Option<Duration>) -> Self {
        // A time beyond what the clock can count is for ever.
        Self { kind: Kind::Drain { until: time.and_then(|time| now.checked_add(time)) }, since: now }
    }

    /// Out from `now` on.
    #[must_use]
    pub const fn disable(now: Instant) -> Self {
        Self { kind: Kind::Disable, since: now }
    }

    /// Whether the server is to be in the table, without new connections.
    #[must_use]
    pub fn lets_finish(&self, now: Instant) -> bool {
        match self.kind {
            Kind::Drain { until } => until.is_none_or(|until| now < until),
            Kind::Disable => false,
        }
    }

    /// When that ends, if it will.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        match self.kind {
            Kind::Drain { until } => until.filter(|until| now < *until),
            Kind::Disable => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_lasts_until_its_deadline() {
        let now = Instant::now();
        let minute = Duration::from_secs(60);
        let order = Order::drain(now, Some(minute));
        assert_eq!((order.lets_finish(now), order.deadline(now)), (true, Some(now + minute)));
        assert_eq!((order.lets_finish(now + minute), order.deadline(now + minute)), (false, None));
        let order = Order::drain(now, Some(Duration::MAX));
        assert_eq!((order.lets_finish(now + minute), order.deadline(now)), (true, None));
        assert!(!Order::disable(now).lets_finish(now));
    }
}
