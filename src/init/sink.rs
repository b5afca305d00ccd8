//! Where a log line goes besides the ring: to the terminal of `director run`, or to the kernel's log. Neither makes us wait.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::logring::RateLimit;
use crate::ipc::message::LogLine;

/// A reader of log lines.
#[derive(Debug)]
pub enum Sink {
    /// Standard error, with time of day (UTC) and role.
    Stderr {
        /// Lines that the reader did not take in time.
        lost: u64,
    },
    /// The kernel's log, `<prio>director[role]: text`; it outlives us in pstore and netconsole.
    Kmsg {
        /// The device.
        device: File,
        /// Everybody shares that log.
        limit: RateLimit,
    },
    /// Nowhere.
    None,
}

impl Sink {
    /// The kernel's log.
    ///
    /// # Errors
    /// Before `/dev` exists.
    pub fn kmsg() -> io::Result<Self> {
        let device = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")?;
        Ok(Self::Kmsg { device, limit: RateLimit::new(Instant::now()) })
    }

    /// Shows a line; what cannot be shown at once is not shown.
    pub fn show(&mut self, line: &LogLine) {
        match self {
            Self::Stderr { lost } => {
                if !writable(&io::stderr()) {
                    *lost += 1;
                    return;
                }
                let missed = std::mem::take(lost);
                let mut text =
                    if missed > 0 { format!("({missed} lines not shown)\n") } else { String::new() };
                text.push_str(&for_people(line));
                let _ = io::stderr().write_all(text.as_bytes());
            }
            Self::Kmsg { device, limit } => {
                let Some(suppressed) = limit.pass(Instant::now()) else { return };
                if suppressed > 0 {
                    let _ = device.write_all(
                        format!("<5>director[init]: {suppressed} lines not shown here\n").as_bytes(),
                    );
                }
                // Facility 3 (daemon) tells ours from the kernel's own when that log is read.
                let priority = (3 << 3) | line.severity;
                let _ = device
                    .write_all(format!("<{priority}>director[{}]: {}\n", line.role, line.text).as_bytes());
            }
            Self::None => {}
        }
    }
}

fn writable(target: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(target.as_fd(), PollFlags::POLLOUT)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(n) if n > 0)
}

/// `10:21:33.123 lvs    warning: text`.
fn for_people(line: &LogLine) -> String {
    let seconds = line.time_ms / 1000;
    let (h, m, s, ms) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60, line.time_ms % 1000);
    let word = match line.severity {
        0..=3 => "error: ",
        4 => "warning: ",
        7 => "debug: ",
        _ => "",
    };
    format!("{h:02}:{m:02}:{s:02}.{ms:03} {:<7} {word}{}\n", line.role, line.text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::Role;

    #[test]
    fn a_line_names_time_role_and_weight() {
        let line = |severity| LogLine {
            time_ms: 37_293_123,
            role: Role::Lvs,
            severity,
            text: "server down".to_owned(),
        };
        assert_eq!(for_people(&line(4)), "10:21:33.123 lvs     warning: server down\n");
        assert_eq!(for_people(&line(6)), "10:21:33.123 lvs     server down\n");
    }
}
