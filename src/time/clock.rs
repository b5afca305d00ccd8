//! The kernel's clock and the RTC: who may, sets them.

use std::io;
use std::time::{Duration, SystemTime};

use crate::sys::clock;

/// The kernel's clock; that of a host which is not ours is only read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    sets: bool,
}

impl Clock {
    /// A clock that is set (`sets`), or only compared.
    #[must_use]
    pub const fn new(sets: bool) -> Self {
        Self { sets }
    }

    /// Whether the clock is set here.
    #[must_use]
    pub const fn sets(self) -> bool {
        self.sets
    }

    /// Steps the clock forward, or back for a negative offset.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn step(self, offset_us: i64) -> io::Result<()> {
        if !self.sets {
            return Ok(());
        }
        clock::step(offset_us)?;
        // There the kernel's loop begins anew.
        clock::slew(0, time_constant(Duration::ZERO))
    }

    /// Slews the clock by at most half a second.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn slew(self, offset_us: i64, interval: Duration) -> io::Result<()> {
        if self.sets { clock::slew(offset_us, time_constant(interval)) } else { Ok(()) }
    }

    /// Writes the clock to the RTC; that a box has none is not worth a word.
    pub fn keep(self) {
        if self.sets {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            match clock::set_rtc(now.as_secs()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    log::warn!("RTC not written: {error}")
                }
                _ => {}
            }
        }
    }
}

/// Time constant of the kernel's loop for questions at this interval: its binary logarithm less four (kernel/time/ntp.c, `SHIFT_PLL`).
fn time_constant(interval: Duration) -> i64 {
    i64::from(interval.as_secs().max(16).ilog2()) - 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_constants() {
        let of = |seconds| time_constant(Duration::from_secs(seconds));
        assert_eq!([of(0), of(64), of(1024)], [0, 2, 6]);
    }
}
