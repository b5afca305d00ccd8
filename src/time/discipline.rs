//! Step, slew or wait. Pure: time comes in, orders go out.
//!
//! The first answer of a boot steps the clock, however far: nobody relies on it yet. Later it is slewed, and a great difference is
//! believed only when it is found three times in a row, and never beyond a quarter of an hour: signatures of VRRP, certificates
//! and logs hang on the clock by then.

use std::time::{Duration, Instant};

/// From here on the clock is stepped; the kernel slews half a second at most (adjtimex(2)).
pub const STEP_US: u64 = 400_000;
/// The same for the first answer of a boot: a hundredth of a second would take minutes to slew.
const FIRST_STEP_US: u64 = 10_000;
/// Beyond this a running box does not follow.
const PANIC_US: u64 = 1_000_000_000;
/// So often a great difference must be found.
const CONFIRM: u8 = 3;
/// Between questions until the first answer: the first pause, doubled each time.
const FIRST: Duration = Duration::from_secs(2);
/// The shortest and the longest pause afterwards.
const SHORTEST: Duration = Duration::from_secs(64);
const LONGEST: Duration = Duration::from_secs(1024);
/// Between questions about a great difference.
const SOON: Duration = Duration::from_secs(8);
/// A difference below this is as good as it gets, and is looked for less often.
const FINE_US: u64 = 5000;

/// What is to be done with the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// At once.
    Step,
    /// Slowly; the difference is expected to be looked at again after this.
    Slew(Duration),
    /// A great difference: not yet.
    Wait,
    /// A difference beyond what is believed.
    Refuse,
}

/// How the clock stands.
#[derive(Debug)]
pub struct Discipline {
    agreed: Option<Instant>,
    running: bool,
    interval: Duration,
    doubts: u8,
}

impl Discipline {
    /// `running`: the clock was right once in this boot.
    #[must_use]
    pub const fn new(running: bool) -> Self {
        Self { agreed: None, running, interval: FIRST, doubts: 0 }
    }

    /// The servers say that the clock is `offset_us` behind.
    pub fn take(&mut self, offset_us: i64, now: Instant) -> Order {
        let off = offset_us.unsigned_abs();
        if off >= STEP_US && self.running {
            self.doubts = self.doubts.saturating_add(1).min(CONFIRM);
            self.interval = SOON;
            if self.doubts < CONFIRM {
                return Order::Wait;
            }
            if off > PANIC_US {
                self.interval = SHORTEST;
                return Order::Refuse;
            }
        }
        self.doubts = 0;
        let booted = !std::mem::replace(&mut self.running, true);
        let first = self.agreed.replace(now).is_none();
        let fine = !first && off < FINE_US;
        self.interval = if fine { (self.interval * 2).clamp(SHORTEST, LONGEST) } else { SHORTEST };
        let step = off >= if booted { FIRST_STEP_US } else { STEP_US };
        if step { Order::Step } else { Order::Slew(self.interval) }
    }

    /// Nobody could be believed.
    pub fn missed(&mut self) {
        self.interval = if self.agreed.is_none() { (self.interval * 2).min(SHORTEST) } else { SHORTEST };
    }

    /// The clock cannot be made to agree.
    pub fn lost(&mut self) {
        (self.agreed, self.interval) = (None, SHORTEST);
    }

    /// Other servers are to be asked: what these said does not count any more.
    pub fn forget(&mut self) {
        *self = Self::new(self.running);
    }

    /// Until the next question.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// When the clock agreed with the servers last.
    #[must_use]
    pub const fn agreed(&self) -> Option<Instant> {
        self.agreed
    }

    /// Whether it did within three of the longest pauses, and no great difference was found since.
    #[must_use]
    pub fn synchronised(&self, now: Instant) -> bool {
        self.doubts == 0 && self.agreed.is_some_and(|at| now.saturating_duration_since(at) < LONGEST * 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: i64 = 3_600_000_000;

    #[test]
    fn the_first_answer_steps_and_later_ones_slew() {
        let (mut clock, now) = (Discipline::new(false), Instant::now());
        assert!(!clock.synchronised(now));
        clock.missed();
        clock.missed();
        assert_eq!(clock.interval(), Duration::from_secs(8));
        assert_eq!(clock.take(-500 * HOUR_US, now), Order::Step);
        assert!(clock.synchronised(now) && clock.interval() == SHORTEST);
        assert_eq!(clock.take(20_000, now), Order::Slew(SHORTEST));
        assert_eq!(Discipline::new(false).take(20_000, now), Order::Step);
        assert_eq!(Discipline::new(false).take(-9_000, now), Order::Slew(SHORTEST));
        let pauses: Vec<u64> = (0..6)
            .map(|_| {
                clock.take(100, now);
                clock.interval().as_secs()
            })
            .collect();
        assert_eq!(pauses, [128, 256, 512, 1024, 1024, 1024]);
        assert_eq!(clock.take(-100_000, now), Order::Slew(SHORTEST), "looked at more often again");
        clock.missed();
        assert!(clock.synchronised(now + LONGEST), "a question may be lost");
        assert!(!clock.synchronised(now + LONGEST * 3));
        clock.take(10, now);
        clock.lost();
        assert!(!clock.synchronised(now) && clock.interval() == SHORTEST);
        clock.take(10, now);
        clock.forget();
        assert!(!clock.synchronised(now) && clock.interval() == FIRST);
        assert_eq!(clock.take(2_000_000, now), Order::Wait, "the box runs all the same");
    }

    #[test]
    fn a_great_difference_of_a_running_box_is_believed_late_or_never() {
        let (mut clock, now) = (Discipline::new(true), Instant::now());
        assert_eq!(clock.take(10, now), Order::Slew(SHORTEST));
        assert_eq!(clock.take(2_000_000, now), Order::Wait);
        assert!(!clock.synchronised(now) && clock.interval() == SOON);
        assert_eq!(clock.take(10, now), Order::Slew(SHORTEST), "a slip of the server");
        for order in [Order::Wait, Order::Wait, Order::Step] {
            assert_eq!(clock.take(2_000_000, now), order);
        }
        for order in [Order::Wait, Order::Wait, Order::Refuse, Order::Refuse] {
            assert_eq!(clock.take(HOUR_US, now), order);
        }
        assert!(!clock.synchronised(now));
    }
}
