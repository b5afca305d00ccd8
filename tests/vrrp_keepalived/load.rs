//! What makes a machine busy, and chance.

use std::process::{Child, Stdio};
use std::time::Duration;

/// A number from the environment: long forms of tests are asked for by one.
pub fn number(name: &str) -> Option<u32> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// xorshift64*.
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// Some part of `of`.
    pub fn part(&mut self, of: Duration) -> Duration {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let share = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        of.mul_f64(share as f64 / f64::from(u32::MAX))
    }
}

/// Processes that do nothing, as fast as they can. Each ends with this one, and after a minute of processor time at the latest
/// unless the long form of a test runs.
pub struct Hogs(Vec<Child>);

impl Hogs {
    /// One for each processor, with the least claim to it: none is ever idle, and whoever else is there has it when he wants.
    pub fn ordinary() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self((0..processors).map(|_| hog(&["nice", "-n", "19"])).collect())
    }

    /// Two in real-time, with a lower priority than the loop of `vrrp`, on the first processor alone: the others are left to
    /// whoever else is there.
    pub fn real_time() -> Self {
        Self((0..2).map(|_| hog(&["taskset", "--cpu-list", "0", "chrt", "--rr", "10"])).collect())
    }
}

fn hog(how: &[&str]) -> Child {
    let limit = if number("DIRECTOR_BUSY_SECONDS").is_some() { "--cpu=900" } else { "--cpu=60" };
    let mut command = director_lab::command::bound("prlimit");
    command.arg(limit).args(how).args(["sh", "-c", "while :; do :; done"]).stdin(Stdio::null());
    command.spawn().unwrap()
}

impl Drop for Hogs {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
