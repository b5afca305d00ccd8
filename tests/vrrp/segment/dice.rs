//! Chance that can be repeated.

use std::time::Duration;

/// splitmix64: small, good enough, the same everywhere.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.roll(from.len() as u64)).unwrap()]
    }

    pub fn part(&mut self, of: Duration) -> Duration {
        Duration::from_nanos(self.roll(u64::try_from(of.as_nanos()).unwrap().max(1)))
    }
}
