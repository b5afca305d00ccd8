//! What a box remembers from its last life: the time, so that the clock never goes far back, and a random seed.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::libc::O_NONBLOCK;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};

use super::files::replace;
use crate::sys::random::add_entropy;

/// How often both are saved.
pub const PERIOD: Duration = Duration::from_secs(11 * 60);
const SEED: usize = 64;

/// The directory on `data` in which they lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keepsakes(pub PathBuf);

impl Keepsakes {
    /// Sets the clock to the saved time if it is behind it, and feeds the saved seed to the kernel. A seed is used once: it
    /// is gone from the disk before it counts.
    pub fn restore(&self) {
        match self.saved_time() {
            Some(saved) if now() < saved => match clock_settime(ClockId::CLOCK_REALTIME, saved) {
                Ok(()) => log::info!("clock set: the time of the last save, it was behind"),
                Err(error) => log::warn!("set clock: {error}"),
            },
            _ => {}
        }
        match take_seed(&self.seed()) {
            Ok(Some(seed)) => {
                if let Err(error) = add_entropy(&seed) {
                    log::warn!("feed random seed: /dev/urandom: {error}");
                }
            }
            Ok(None) => {}
            Err(error) => log::warn!("use random seed: {}: {error}", self.seed().display()),
        }
        self.save_time();
        // A quiet box may need a while until its random numbers are good; the seed must not wait for a whole period.
        let first = self.clone();
        let waiting =
            std::thread::Builder::new().name("seed".to_owned()).spawn(move || first.save_seed(Wait::Yes));
        if let Err(error) = waiting {
            log::warn!("make random seed: thread: {error}");
        }
    }

    /// Saves the time and a new seed.
    pub fn save(&self) {
        self.save_time();
        self.save_seed(Wait::No);
    }

    fn save_time(&self) {
        let time = now().tv_sec().to_string();
        if let Err(error) = replace(&self.clock(), time.as_bytes()) {
            log::warn!("save time: {}: {error}", self.clock().display());
        }
    }

    fn save_seed(&self, wait: Wait) {
        match new_seed(wait) {
            Ok(Some(seed)) => {
                if let Err(error) = replace(&self.seed(), &seed) {
                    log::warn!("save random seed: {}: {error}", self.seed().display());
                }
            }
            // The kernel has too little itself; better none than a weak one. The next save makes up for it.
            Ok(None) => {}
            Err(error) => log::warn!("make random seed: /dev/random: {error}"),
        }
    }

    fn saved_time(&self) -> Option<TimeSpec> {
        let text = std::fs::read_to_string(self.clock()).ok()?;
        Some(TimeSpec::new(text.trim().parse().ok()?, 0))
    }

    fn clock(&self) -> PathBuf {
        self.0.join("clock")
    }

    fn seed(&self) -> PathBuf {
        self.0.join("seed")
    }
}

fn now() -> TimeSpec {
    clock_gettime(ClockId::CLOCK_REALTIME).unwrap_or(TimeSpec::new(0, 0))
}

/// Takes the seed away: two boots from one seed would draw the same numbers.
fn take_seed(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let seed = match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    std::fs::remove_file(path)?;
    File::open(path.parent().unwrap_or_else(|| Path::new("/")))?.sync_all()?;
    Ok(Some(seed).filter(|seed| seed.len() == SEED))
}

/// Whether to wait for the kernel's generator: at the first boot of a quiet box that takes seconds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Yes,
    No,
}

/// Fresh random bytes; `None` while the kernel's generator is not ready.
fn new_seed(wait: Wait) -> io::Result<Option<Vec<u8>>> {
    let mut seed = vec![0; SEED];
    let flags = if wait == Wait::Yes { 0 } else { O_NONBLOCK };
    let mut device = File::options().read(true).custom_flags(flags).open("/dev/random")?;
    match device.read_exact(&mut seed) {
        Ok(()) => Ok(Some(seed)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_used_once() {
        let dir = tempfile::tempdir().unwrap();
        let keepsakes = Keepsakes(dir.path().to_owned());
        keepsakes.save();
        let first = take_seed(&keepsakes.seed()).unwrap().unwrap();
        assert_eq!(take_seed(&keepsakes.seed()).unwrap(), None);
        keepsakes.save();
        assert_ne!(take_seed(&keepsakes.seed()).unwrap().unwrap(), first);
        std::fs::write(keepsakes.seed(), "short").unwrap();
        assert_eq!(take_seed(&keepsakes.seed()).unwrap(), None);
    }

    #[test]
    fn the_time_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let keepsakes = Keepsakes(dir.path().to_owned());
        assert_eq!(keepsakes.saved_time(), None);
        keepsakes.save();
        let saved = keepsakes.saved_time().unwrap();
        assert!(saved <= now() && saved.tv_sec() > 1_700_000_000);
        std::fs::write(keepsakes.clock(), "yesterday").unwrap();
        assert_eq!(keepsakes.saved_time(), None);
    }
}
