//! How much of its time a loop could not listen, for want of a processor or because it did something else. Pure.

use std::time::{Duration, Instant};

/// From beat to beat.
const BEAT: Duration = Duration::from_millis(50);

/// A beat that should come every 50 ms while somebody is listened to. How late it comes is time in which nobody listened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    next: Instant,
    lost: Duration,
}

impl Pulse {
    /// Starts at `now`, with nothing lost.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { next: now + BEAT, lost: Duration::ZERO }
    }

    /// When the loop has to wake up next.
    #[must_use]
    pub const fn next(&self) -> Instant {
        self.next
    }

    /// Nobody was listened to until `now`.
    pub fn rest(&mut self, now: Instant) {
        self.next = now + BEAT;
    }

    /// Notes that the loop has come round at `now`; to be called each time that it does.
    pub fn beat(&mut self, now: Instant) {
        if let Some(late) = now.checked_duration_since(self.next) {
            self.lost += late;
            self.next = now + BEAT;
        }
    }

    /// All time lost so far: the difference between two moments is what was lost between them.
    #[must_use]
    pub const fn lost(&self) -> Duration {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_late_is_lost_and_rest_is_not() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pulse = Pulse::new(start);
        for (now, lost) in [(20, 0), (50, 0), (99, 0), (110, 10), (160, 10), (700, 500), (701, 500)] {
            pulse.beat(at(now));
            assert_eq!(pulse.lost().as_millis(), lost, "after {now} ms");
        }
        pulse.rest(at(5000));
        pulse.beat(at(5050));
        assert_eq!((pulse.lost().as_millis(), pulse.next()), (500, at(5100)));
    }
}
