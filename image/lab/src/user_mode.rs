//! User-Mode Linux: a guest whose kernel is a program and whose processes run at this machine's own speed.
//!
//! Only their system calls are slow. It has no cards and no disk but its root; a first process that reports on its second serial
//! line finds that here as in a [`crate::guest::Guest`].

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::serial::Serial;
use crate::{command, scratch};

/// A running one. Dropping it is a power cut.
#[derive(Debug)]
pub struct UserMode {
    child: Child,
    reports: Serial,
}

impl UserMode {
    /// Boots `kernel` with the file system in `root`, `memory` MiB and `append` on its command line. What it says on its own goes to the
    /// log `name.console.log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, kernel: &Path, root: &Path, memory: u32, append: &str) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair().context("making a serial line")?;
        let theirs = OwnedFd::from(theirs);
        let logs = scratch::logs()?;
        let console = std::fs::File::create(logs.join(format!("{name}.console.log")))?;
        let mut linux = command::bound(&kernel.display().to_string());
        linux.arg(format!("mem={memory}M")).arg(format!("ubd0r={}", root.display()));
        linux.args(["root=/dev/ubda", "ro", "con=null", "con0=null", "ssl1=fd:0,fd:1"]);
        linux.args(append.split_whitespace());
        linux.stdin(theirs.try_clone()?).stdout(theirs).stderr(Stdio::from(console)).process_group(0);
        let started = Instant::now();
        let child = linux.spawn().with_context(|| format!("starting {}", kernel.display()))?;
        drop(linux); // its end of the line: the kernel's death must close it
        let reports = Serial::new(ours, &logs.join(format!("{name}.serial2.log")), started)?;
        Ok(Self { child, reports })
    }

    /// The second serial line (ttyS1).
    pub const fn second(&self) -> &Serial {
        &self.reports
    }
}

impl Drop for UserMode {
    fn drop(&mut self) {
        // Its processes are ours, in its group.
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}
