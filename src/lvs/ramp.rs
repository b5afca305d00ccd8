//! Slow start: a server that has recovered gets its weight back in steps. Pure.

use std::time::{Duration, Instant};

/// Steps from the first share of the weight to all of it.
pub const STEPS: u32 = 10;

/// A slow start under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ramp {
    begun: Instant,
    length: Duration,
}

impl Ramp {
    /// Begins at `now` with a tenth of the weight, and reaches all of it after `length`; `None` if that is no time.
    #[must_use]
    pub fn new(now: Instant, length: Duration) -> Option<Self> {
        (!length.is_zero()).then_some(Self { begun: now, length })
    }

    /// One that has come to `tenths` of the weight by `now`.
    #[must_use]
    pub fn resumed(now: Instant, length: Duration, tenths: u32) -> Option<Self> {
        let gone = length.mul_f64(f64::from(tenths.clamp(1, STEPS) - 1) / f64::from(STEPS - 1));
        Some(Self { begun: now.checked_sub(gone)?, ..Self::new(now, length)? })
    }

    /// The share of the weight at `now` in tenths, 1..=[`STEPS`].
    #[must_use]
    pub fn tenths(&self, now: Instant) -> u32 {
        let gone = now.saturating_duration_since(self.begun).as_nanos() * u128::from(STEPS - 1);
        let steps = gone.checked_div(self.length.as_nanos()).unwrap_or(u128::MAX);
        u32::try_from(steps).unwrap_or(STEPS).saturating_add(1).min(STEPS)
    }

    /// When the next step is due; `None` after the last one.
    #[must_use]
    pub fn next(&self, now: Instant) -> Option<Instant> {
        let at = self.tenths(now);
        // Rounded up: at that instant the step has been reached.
        (at < STEPS)
            .then(|| self.begun + (self.length * at).div_f64(f64::from(STEPS - 1)) + Duration::from_nanos(1))
    }

    /// How long until the whole weight.
    #[must_use]
    pub fn left(&self, now: Instant) -> Duration {
        self.length.saturating_sub(now.saturating_duration_since(self.begun))
    }
}

/// `weight` in a slow start: at least 1 unless it is 0.
#[must_use]
pub fn share(weight: u32, tenths: u32) -> u32 {
    let part = u64::from(weight) * u64::from(tenths) / u64::from(STEPS);
    u32::try_from(part).unwrap_or(u32::MAX).max(weight.min(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_steps_lead_to_the_whole_weight_at_the_end_of_the_time() {
        let start = Instant::now();
        for length in [Duration::from_millis(7), Duration::from_secs(30), Duration::from_secs(86_400)] {
            let ramp = Ramp::new(start, length).unwrap();
            let (mut now, mut seen) = (start, vec![ramp.tenths(start)]);
            while let Some(next) = ramp.next(now) {
                assert!(next > now);
                now = next;
                seen.push(ramp.tenths(now));
            }
            assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
            let late = now - (start + length);
            assert!(late < Duration::from_micros(1), "{late:?}");
            assert_eq!(ramp.left(now), Duration::ZERO);
        }
        assert_eq!(Ramp::new(start, Duration::ZERO), None);
    }

    #[test]
    fn one_that_was_under_way_goes_on_where_it_was() {
        let now = Instant::now() + Duration::from_secs(1000);
        for length in [Duration::from_millis(7), Duration::from_secs(30), Duration::from_secs(90)] {
            for tenths in 1..=STEPS {
                let ramp = Ramp::resumed(now, length, tenths).unwrap();
                assert!(ramp.tenths(now + Duration::from_nanos(1)) == tenths, "{tenths} of {length:?}");
            }
        }
        assert_eq!(Ramp::resumed(now, Duration::ZERO, 3), None);
    }

    #[test]
    fn a_share_is_at_least_one_of_what_is_more_than_none() {
        let shares = |weight| (1..=10).map(|tenths| share(weight, tenths)).collect::<Vec<_>>();
        assert_eq!(shares(100), [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
        assert_eq!(shares(3), [1, 1, 1, 1, 1, 1, 2, 2, 2, 3]);
        assert_eq!(shares(0), [0; 10]);
    }
}
