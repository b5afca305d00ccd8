//! Which probes start together. Pure.
//!
//! To wake up costs a box about as much as to ask. Who asks two hundred servers in a second one by one wakes up six hundred times.

use std::time::{Duration, Instant};

use crate::config::model::Check;

/// How many start together, where they come that quickly.
const TOGETHER: f64 = 16.0;
/// A probe waits for others for no more than this part of its period,
const PART: u32 = 64;
/// nor longer than this.
const LONGEST: Duration = Duration::from_millis(50);
/// New targets are asked at once, for so long.
const HASTE: Duration = Duration::from_secs(1);

/// Points in time at which probes start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gather {
    begun: Instant,
    step: Duration,
}

impl Gather {
    /// Points from `begun` on, for targets with these checks.
    #[must_use]
    pub fn new<'a>(begun: Instant, checks: impl IntoIterator<Item = &'a Check>) -> Self {
        let (mut each_second, mut shortest) = (0.0, Duration::MAX);
        for check in checks {
            each_second += check.interval.as_secs_f64().max(f64::EPSILON).recip();
            shortest = shortest.min(check.interval).min(check.fast);
        }
        let step = Duration::try_from_secs_f64(TOGETHER / each_second).unwrap_or(LONGEST);
        Self { begun, step: step.min(shortest / PART).min(LONGEST) }
    }

    /// When a probe starts that is due at `due`: the first point that is not before. A target whose period is a multiple of the
    /// step starts as regularly as without.
    #[must_use]
    pub fn start(&self, due: Instant) -> Instant {
        let since = due.saturating_duration_since(self.begun);
        let step = self.step.as_nanos();
        if since < HASTE || step == 0 {
            return due;
        }
        let wait = (step - since.as_nanos() % step) % step;
        u64::try_from(wait).map_or(due, |wait| due + Duration::from_nanos(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::CheckKind;

    fn check(interval: Duration) -> Check {
        Check { interval, fast: interval, ..Check::new(CheckKind::Ping) }
    }

    fn step(count: usize, interval: Duration) -> Duration {
        Gather::new(Instant::now(), &vec![check(interval); count]).step
    }

    #[test]
    fn as_many_as_are_worth_it_and_never_for_long() {
        let second = Duration::from_secs(1);
        assert_eq!(step(1000, 5 * second), LONGEST, "ten at a time");
        assert_eq!(step(10_000, 2 * second), Duration::from_micros(3_200), "sixteen of 5,000 a second");
        assert_eq!(step(10, 2 * second), 2 * second / 64);
        assert_eq!(step(10, second / 10), second / 640);
        assert_eq!(step(0, second), LONGEST);
        let mixed = [check(60 * second), Check { fast: second / 10, ..check(second) }];
        assert_eq!(Gather::new(Instant::now(), &mixed).step, second / 640, "the shortest counts");
    }

    #[test]
    fn a_probe_starts_at_the_next_point_and_a_new_one_at_once() {
        let begun = Instant::now();
        let gather = Gather { begun, step: Duration::from_millis(50) };
        let at = |millis| begun + Duration::from_millis(millis);
        for (due, start) in
            [(0, 0), (7, 7), (999, 999), (1000, 1000), (1001, 1050), (1050, 1050), (1051, 1100)]
        {
            assert_eq!(gather.start(at(due)), at(start), "{due} ms");
        }
        let alone = Gather { begun, step: Duration::ZERO };
        assert_eq!(alone.start(at(1234)), at(1234));
    }
}
