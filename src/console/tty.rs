//! A terminal: opened without becoming its slave, set to what the menu needs, and put back when dropped.
//!
//! It never becomes our controlling terminal (`O_NOCTTY`): without job control there is nothing to gain, and a lost carrier
//! would end the process by SIGHUP. It is opened and written without blocking, so that a line without a listener stops nobody.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{
    BaudRate, ControlFlags, FlushArg, InputFlags, LocalFlags, OutputFlags, SetArg, SpecialCharacterIndices,
    Termios, cfsetspeed, tcflush, tcgetattr, tcsetattr,
};

use crate::sys::terminal;

/// Most time that output waits for a line that does not take it; the rest of it is lost then.
const STALLED: Duration = Duration::from_secs(5);

/// An open terminal.
#[derive(Debug)]
pub struct Tty {
    file: File,
    before: Termios,
    clears: bool,
}

/// What waiting brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// Bytes can be read, or a hang-up noticed by reading.
    Input,
    /// The other descriptor is readable.
    Other,
    /// The time is over.
    Time,
}

impl Tty {
    /// Opens `/dev/NAME` and sets it: 8N1, no flow control, no echo, no signals; a serial line to 115200 baud.
    ///
    /// # Errors
    /// There is no such device, or it is no terminal.
    pub fn open(name: &str) -> io::Result<Self> {
        Self::set(&PathBuf::from("/dev").join(name), is_screen(name), |raw| {
            raw.control_flags = ControlFlags::CS8 | ControlFlags::CREAD | ControlFlags::CLOCAL;
            cfsetspeed(raw, BaudRate::B115200).map_err(io::Error::from)
        })
    }

    /// Opens the terminal of whoever called this program, whose line is as it should be.
    ///
    /// # Errors
    /// There is none.
    pub fn own() -> io::Result<Self> {
        Self::set(Path::new("/dev/tty"), false, |_| Ok(()))
    }

    fn set(path: &Path, clears: bool, line: impl FnOnce(&mut Termios) -> io::Result<()>) -> io::Result<Self> {
        let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        let before = tcgetattr(&file)?;
        let mut raw = before.clone();
        raw.input_flags = InputFlags::IGNBRK | InputFlags::IGNPAR;
        raw.output_flags = OutputFlags::OPOST | OutputFlags::ONLCR;
        raw.local_flags = LocalFlags::empty();
        line(&mut raw)?;
        for (index, value) in [(SpecialCharacterIndices::VMIN, 1), (SpecialCharacterIndices::VTIME, 0)] {
            if let Some(place) = raw.control_chars.get_mut(index as usize) {
                *place = value;
            }
        }
        tcsetattr(&file, SetArg::TCSANOW, &raw)?;
        // What was typed before nobody read is no answer to what is asked now.
        tcflush(&file, FlushArg::TCIFLUSH)?;
        Ok(Self { file, before, clears })
    }

    /// Columns and lines, where the kernel knows them: of screens and pseudo terminals, not of serial lines.
    #[must_use]
    pub fn window(&self) -> Option<(u16, u16)> {
        terminal::window(&self.file)
    }

    /// Whether it is a screen of this box (`tty1`), which understands ANSI's "clear screen"; a serial line may have
    /// anything at its end.
    #[must_use]
    pub const fn clears(&self) -> bool {
        self.clears
    }

    /// Waits for input, for `other` to be readable, or for `timeout` (`None` = for ever).
    ///
    /// # Errors
    /// What poll returns.
    pub fn wait(&self, other: &impl AsFd, timeout: Option<Duration>) -> io::Result<Woken> {
        let mut fds = [
            PollFd::new(self.file.as_fd(), PollFlags::POLLIN),
            PollFd::new(other.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, milliseconds(timeout)) {
            Ok(0) | Err(Errno::EINTR) => Ok(Woken::Time),
            Ok(_) => {
                let [_, other] = &fds;
                Ok(if other.any() == Some(true) { Woken::Other } else { Woken::Input })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what is there: `Some(0)` bytes if nothing is; `None` after a hang-up.
    pub fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        match self.file.read(buffer) {
            Ok(0) => None,
            Ok(count) => Some(count),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Some(0)
            }
            Err(_) => None,
        }
    }

    /// Writes all of `text`, or as much as the line takes before it stalls for too long.
    pub fn write(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        let mut moved = Instant::now();
        while !rest.is_empty() && moved.elapsed() < STALLED {
            match self.file.write(rest) {
                Ok(count) => {
                    rest = rest.get(count..).unwrap_or_default();
                    moved = Instant::now();
                }
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
                {
                    let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
                    if poll(&mut fds, milliseconds(Some(STALLED))).is_err() {
                        return;
                    }
                }
                // A hang-up; reading will notice.
                Err(_) => return,
            }
        }
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        // After a hang-up there is nothing to put back.
        let _ = tcsetattr(&self.file, SetArg::TCSANOW, &self.before);
    }
}

fn milliseconds(timeout: Option<Duration>) -> PollTimeout {
    // One more than the truncated time, so that nobody wakes just before it is over.
    timeout.map_or(PollTimeout::NONE, |t| {
        i32::try_from(t.as_micros().div_ceil(1000))
            .ok()
            .and_then(|ms| PollTimeout::try_from(ms).ok())
            .unwrap_or(PollTimeout::MAX)
    })
}

fn is_screen(name: &str) -> bool {
    name.strip_prefix("tty").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_virtual_terminals_are_screens() {
        assert!(is_screen("tty1") && is_screen("tty12"));
        for line in ["ttyS0", "ttyAMA0", "tty", "pts/3", "hvc0"] {
            assert!(!is_screen(line), "{line}");
        }
    }
}
