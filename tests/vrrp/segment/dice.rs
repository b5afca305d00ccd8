//! Chance that can be repeated.

use std::time::Duration;

use director_lab::random::Random;

pub struct Dice(Random);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    pub const fn roll(&mut self, below: u64) -> u64 {
        self.0.next() % below
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.roll(from.len() as u64)).unwrap()]
    }

    pub fn part(&mut self, of: Duration) -> Duration {
        Duration::from_nanos(self.roll(u64::try_from(of.as_nanos()).unwrap().max(1)))
    }
}
