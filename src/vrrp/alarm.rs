//! One timer with the kernel's resolution: tokio's own counts whole milliseconds, too coarse for 10 ms intervals.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
use tokio::io::unix::AsyncFd;

use crate::sys::async_fd::async_fd;

/// The timer.
#[derive(Debug)]
pub struct Alarm {
    timer: TimerFd,
    ready: AsyncFd<OwnedFd>,
}

impl Alarm {
    /// A timer that is not set. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the kernel gives no timer.
    pub fn new() -> io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let ready = async_fd(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Self { timer, ready })
    }

    /// Rings at `at`, at once if that is past, or not at all.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn set(&self, at: Option<Instant>) -> io::Result<()> {
        match at {
            None => self.timer.unset()?,
            Some(at) => {
                // A time of zero would switch the timer off.
                let wait =
                    at.saturating_duration_since(Instant::now()).max(std::time::Duration::from_nanos(1));
                self.timer.set(Expiration::OneShot(TimeSpec::from(wait)), TimerSetTimeFlags::empty())?;
            }
        }
        Ok(())
    }

    /// Waits until it rings. Cancel safe.
    ///
    /// # Errors
    /// When the event loop fails.
    pub async fn rings(&self) -> io::Result<()> {
        loop {
            let mut guard = self.ready.readable().await?;
            match self.timer.wait() {
                Ok(()) => return Ok(()),
                Err(nix::errno::Errno::EAGAIN) => guard.clear_ready(),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn rings_when_it_is_due_again_and_again() {
        let alarm = Alarm::new().unwrap();
        for wait in [0, 5, 1] {
            let start = Instant::now();
            alarm.set(Some(start + Duration::from_millis(wait))).unwrap();
            alarm.rings().await.unwrap();
            assert!(start.elapsed() >= Duration::from_millis(wait));
        }
    }

    #[tokio::test]
    async fn is_silent_when_it_is_not_set() {
        let alarm = Alarm::new().unwrap();
        alarm.set(Some(Instant::now() + Duration::from_millis(1))).unwrap();
        alarm.set(None).unwrap();
        let rung = tokio::time::timeout(Duration::from_millis(30), alarm.rings()).await;
        assert!(rung.is_err());
    }
}
