//! Rise and fall, and when to ask next. Pure: time comes in as an argument.

use std::time::{Duration, Instant};

use crate::ipc::message::Health;

/// Counts answers into a verdict. The very first answer decides at once, and so does the first success ever, so that a cold
/// boot is quick; after that, and where a server serves already, it takes `fall` failures in a row to take it out and `rise`
/// successes to bring it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    health: Health,
    against: u8,
    ever_up: bool,
}

impl Default for Tally {
    fn default() -> Self {
        Self { health: Health::Unknown, against: 0, ever_up: false }
    }
}

impl Tally {
    /// The present verdict.
    #[must_use]
    pub const fn health(self) -> Health {
        self.health
    }

    /// Consecutive answers that speak against the present verdict.
    #[must_use]
    pub const fn against(self) -> u8 {
        self.against
    }

    /// Before the first answer: it serves, for all that is known.
    pub fn presume_up(&mut self) {
        self.ever_up |= self.health == Health::Unknown;
    }

    /// Counts one answer; true when the verdict changed.
    pub fn observe(&mut self, success: bool, rise: u8, fall: u8) -> bool {
        let (verdict, needed) = match (self.health, success) {
            (Health::Unknown, true) => (Health::Up, 1),
            (Health::Unknown, false) => (Health::Down, if self.ever_up { fall } else { 1 }),
            (Health::Up, false) => (Health::Down, fall),
            (Health::Down, true) => (Health::Up, if self.ever_up { rise } else { 1 }),
            (Health::Up, true) | (Health::Down, false) => {
                self.against = 0;
                return false;
            }
        };
        self.against = self.against.saturating_add(1);
        let decided = self.against >= needed;
        if decided {
            *self = Self { health: verdict, against: 0, ever_up: self.ever_up || success };
        }
        decided
    }
}

/// Time that a round of first probes may take for each probe in it: new targets are asked as fast as this, no faster.
const FIRST_ROUND_PACE: Duration = Duration::from_micros(400);

/// Pause before a probe that could not leave this box is tried again the first time.
const FIRST_RETRY: Duration = Duration::from_millis(25);

/// When one target is asked: a true period from start to start, with a phase of its own.
///
/// The first probes of targets that arrive together are spread over a time that grows with their number but never over more
/// than the interval, so few servers are known at once and many make no burst. The second probe comes anywhere within one
/// interval after the first, which spreads the phases evenly for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    planned: Instant,
    interval: Duration,
    number: u32,
    settled: bool,
}

impl Cadence {
    /// The cadence of the `number`th target ever, which arrived with `company` targets (itself included) at `now`.
    #[must_use]
    pub fn new(now: Instant, interval: Duration, number: u32, company: usize) -> Self {
        let round = FIRST_ROUND_PACE.saturating_mul(u32::try_from(company).unwrap_or(u32::MAX)).min(interval);
        Self { planned: now + round.mul_f64(fraction(number, GOLDEN)), interval, number, settled: false }
    }

    /// When the next probe shall start.
    #[must_use]
    pub const fn due(&self) -> Instant {
        self.planned
    }

    /// The probe that was due has ended at `now`: plans the next, `period` after the start of this one (the interval, or less
    /// while a verdict is about to change). Periods that were missed altogether are not made up for, and move no phase: whoever
    /// waited for the same pause would go on in step with all others.
    pub fn advance(&mut self, now: Instant, period: Duration) {
        let step = if self.settled {
            period
        } else {
            self.interval.mul_f64(fraction(self.number, SILVER)).min(period)
        };
        self.settled = true;
        self.planned = next_in_phase(self.planned + step, period, now);
    }

    /// The probe could not even leave this box, for the `times`th time: plans another soon, later each time.
    pub fn retry(&mut self, now: Instant, times: u8) {
        let pause = FIRST_RETRY.saturating_mul(1 << times.min(10));
        self.planned = now + pause.min(self.interval);
    }

    /// How long a target may stay without an answer before something is wrong with the checker itself.
    #[must_use]
    pub fn patience(&self, timeout: Duration) -> Duration {
        self.interval + timeout + Duration::from_secs(1)
    }
}

/// The first of `planned`, `planned` + `period`… that is not before `now`.
fn next_in_phase(planned: Instant, period: Duration, now: Instant) -> Instant {
    let late = now.saturating_duration_since(planned).as_nanos();
    let missed = late.div_ceil(period.as_nanos().max(1));
    let skipped = period.checked_mul(u32::try_from(missed).unwrap_or(u32::MAX));
    skipped.and_then(|skipped| planned.checked_add(skipped)).unwrap_or(now)
}

/// 2³² divided by the golden ratio: successive multiples fill a circle evenly, whatever their number (Weyl sequence).
const GOLDEN: u32 = 2_654_435_769;
/// 2³² × (√2 − 1): a second such sequence, independent of the first.
const SILVER: u32 = 1_779_033_703;

fn fraction(number: u32, multiplier: u32) -> f64 {
    f64::from(number.wrapping_mul(multiplier)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rise: u8, fall: u8, answers: &str) -> String {
        let mut tally = Tally::default();
        answers
            .chars()
            .map(|answer| {
                let changed = tally.observe(answer == '+', rise, fall);
                let letter = match tally.health() {
                    Health::Unknown => '?',
                    Health::Up => 'u',
                    Health::Down => 'd',
                };
                if changed { letter.to_ascii_uppercase() } else { letter }
            })
            .collect()
    }

    #[test]
    fn the_first_answer_decides_then_rise_and_fall_count() {
        assert_eq!(run(2, 3, "+--+---+-++"), "UuuuuuDdddU");
        assert_eq!(run(1, 1, "-+-"), "DUD");
        assert_eq!(run(3, 2, "-+---++-+++"), "DUuDddddddU");
        assert_eq!(Tally::default().health(), Health::Unknown);
    }

    #[test]
    fn who_serves_already_is_not_taken_out_by_one_lost_answer() {
        let mut tally = Tally::default();
        tally.presume_up();
        let answers =
            [false, true, false, false, false, true, true].map(|answer| tally.observe(answer, 2, 3));
        assert_eq!(answers, [false, true, false, false, true, false, true]);
        let mut dead = Tally::default();
        dead.presume_up();
        assert_eq!([(); 3].map(|()| dead.observe(false, 2, 3)), [false, false, true]);
    }

    #[test]
    fn the_period_runs_from_start_to_start() {
        let start = Instant::now();
        let interval = Duration::from_secs(2);
        let mut cadence = Cadence::new(start, interval, 0, 1);
        assert_eq!(cadence.due(), start);
        cadence.advance(start + Duration::from_millis(5), interval);
        let second = cadence.due();
        assert!(second <= start + interval);
        cadence.advance(second + Duration::from_millis(900), interval);
        assert_eq!(cadence.due(), second + interval, "a slow probe moves nothing");
        let late = second + interval * 5 + Duration::from_millis(1);
        cadence.advance(late, interval);
        assert_eq!(
            cadence.due(),
            second + interval * 6,
            "missed periods are not made up for, and the phase stays"
        );
    }

    fn slot(offset: Duration, whole: Duration) -> usize {
        usize::try_from(offset.as_micros() * 20 / (whole.as_micros() + 1)).unwrap()
    }

    #[test]
    fn what_cannot_leave_the_box_is_retried_soon_and_later_each_time() {
        let start = Instant::now();
        let interval = Duration::from_secs(2);
        let mut cadence = Cadence::new(start, interval, 0, 1);
        let pauses: Vec<u128> = (0..9)
            .map(|times| {
                cadence.retry(start, times);
                (cadence.due() - start).as_millis()
            })
            .collect();
        assert_eq!(pauses, [25, 50, 100, 200, 400, 800, 1600, 2000, 2000]);
    }

    #[test]
    fn few_targets_start_at_once_and_many_without_a_burst() {
        let start = Instant::now();
        let interval = Duration::from_secs(2);
        assert!(Cadence::new(start, interval, 7, 10).due() <= start + Duration::from_millis(4));
        for company in [2_000_u32, 20_000] {
            let mut slots = vec![0_usize; 20];
            let mut later = vec![0_usize; 20];
            let round = Duration::from_micros(400 * u64::from(company)).min(interval);
            for number in 0..company {
                let mut cadence = Cadence::new(start, interval, number, company as usize);
                slots[slot(cadence.due() - start, round)] += 1;
                cadence.advance(cadence.due(), interval);
                cadence.advance(cadence.due(), interval);
                let phase = (cadence.due() - start).as_micros() % interval.as_micros();
                later[usize::try_from(phase * 20 / interval.as_micros()).unwrap()] += 1;
            }
            let company = company as usize;
            assert!(slots.iter().all(|n| n.abs_diff(company / 20) < company / 200), "{slots:?}");
            assert!(later.iter().all(|n| n.abs_diff(company / 20) < company / 100), "{later:?}");
        }
    }
}
