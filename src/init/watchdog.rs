//! The hardware watchdog: resets the box when the supervisor's loop no longer turns.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::sys::watchdog;

/// What the hardware is asked for, in seconds.
const TIMEOUT: i32 = 30;

/// An armed watchdog. Dropping it does not disarm it: an end that nobody intended must end in a reset.
#[derive(Debug)]
pub struct Watchdog {
    device: File,
    identity: String,
    interval: Duration,
    next: Instant,
}

impl Watchdog {
    /// Arms the first watchdog; `None` on a box without one.
    ///
    /// # Errors
    /// When there is one that cannot be used.
    pub fn arm(now: Instant) -> io::Result<Option<Self>> {
        let device = match OpenOptions::new().write(true).open("/dev/watchdog") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let identity = watchdog::identity(&device).unwrap_or_else(|_| "unnamed".to_owned());
        // Hardware that cannot be set has a timeout of its own; a third of a minute is short enough for any in use.
        let taken = watchdog::set_timeout(&device, TIMEOUT).unwrap_or(TIMEOUT);
        let timeout = Duration::from_secs(u64::try_from(taken).unwrap_or(1).max(1));
        log::info!("watchdog armed: device={identity} timeout={}s", timeout.as_secs());
        if watchdog::caused_last_reset(&device).unwrap_or(false) {
            log::warn!("the last reset was the watchdog's");
        }
        Ok(Some(Self { device, identity, interval: timeout / 3, next: now }))
    }

    /// What the driver calls itself.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Feeds it when that is due: at a third of its timeout.
    pub fn feed(&mut self, now: Instant) {
        if self.next <= now {
            self.next = now + self.interval;
            if let Err(error) = self.device.write_all(b"\0") {
                log::error!("watchdog not fed: device={} reason={error}", self.identity);
            }
        }
    }

    /// When it wants to be fed.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.next
    }

    /// Disarms it, if the kernel lets us, and never closes it: only before power is switched off on purpose, where a reset
    /// would start the box again.
    pub fn disarm(self) {
        let _ = watchdog::disable(&self.device);
        // Closing one that runs on would be complained about on every console.
        std::mem::forget(self);
    }
}
