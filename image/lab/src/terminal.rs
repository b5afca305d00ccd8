//! A console on a pseudo terminal, as a person has it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};

use crate::command;

/// Between two tries to read before the console has opened its side.
const PAUSE: Duration = Duration::from_millis(10);

/// The console and our side of its terminal; it ends with its owner.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    seen: String,
    console: Child,
}

impl Terminal {
    /// Starts the console of the Director whose run directory is `run`.
    ///
    /// # Errors
    /// There is no pseudo terminal, or the program cannot be started.
    pub fn start(director: &Path, run: &Path) -> Result<Self> {
        // Not `openpty`: a console that inherits our side never sees it hang up.
        let pty =
            posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).context("pseudo terminal")?;
        grantpt(&pty).and_then(|()| unlockpt(&pty)).context("pseudo terminal")?;
        let name = ptsname_r(&pty).context("pseudo terminal")?;
        let mut command = command::bound(&director.to_string_lossy());
        command.args(["worker", "console", "--run-dir"]).arg(run);
        command.args(["--tty", name.trim_start_matches("/dev/")]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let console = command.spawn().context("starting a console")?;
        Ok(Self { master: File::from(OwnedFd::from(pty)), seen: String::new(), console })
    }

    /// Types.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn send(&mut self, text: &str) -> Result<()> {
        self.master.write_all(text.as_bytes()).context("typing at a console")
    }

    /// Waits until it shows `wanted`; what was shown up to that, since the last time.
    ///
    /// # Errors
    /// It does not within `patience`: what it shows instead.
    pub fn expect(&mut self, wanted: &str, patience: Duration) -> Result<String> {
        let end = Instant::now() + patience;
        loop {
            if let Some(at) = self.seen.find(wanted) {
                let rest = self.seen.split_off(at + wanted.len());
                return Ok(std::mem::replace(&mut self.seen, rest));
            }
            let left = end.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "the console does not show {wanted:?}:\n{}", self.seen);
            let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            let wait = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            if poll(&mut fds, wait).context("waiting for a console")? == 0 {
                continue;
            }
            let mut buffer = [0; 4096];
            match self.master.read(&mut buffer) {
                Ok(count) => self.seen.push_str(&String::from_utf8_lossy(buffer.get(..count).unwrap_or(&[]))),
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.console.kill();
        let _ = self.console.wait();
    }
}
