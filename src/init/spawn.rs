//! Starts a worker: the same binary again, with nothing of ours but what it needs.

use std::fs;
use std::io::{self, PipeReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::supervise::{Key, Pid};
use crate::paths::RunDir;
use crate::role::Role;

/// Variables that a worker gets from our environment, if they are there; of the rest it gets nothing.
const PASSED_ON: [&str; 3] = ["DIRECTOR_LOG", "RUST_BACKTRACE", "TERM"];

/// What all workers have in common.
#[derive(Debug, Clone)]
pub struct Spawner {
    /// Where they meet.
    pub run_dir: RunDir,
    /// The file of `director run`, absolute; `None` on the appliance.
    pub file: Option<PathBuf>,
    /// Its folder for what outlives it, absolute.
    pub state: Option<PathBuf>,
}

impl Spawner {
    /// Starts `key` in a process group of its own, with one pipe for what it says.
    ///
    /// Signal mask and dispositions are clean already ([`crate::sys::process::reset_signals`]), so no code of ours runs
    /// between fork and exec.
    ///
    /// # Errors
    /// When the kernel has no room for a process or a pipe.
    pub fn spawn(&self, key: &Key) -> io::Result<(Pid, PipeReader)> {
        let (reader, writer) = io::pipe()?;
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let mut command = self.command(key.role);
        if let Some(tty) = &key.tty {
            command.arg("--tty").arg(tty);
        }
        if let Some(file) = &self.file
            && key.role == Role::Store
        {
            command.arg("--file").arg(file);
            if let Some(state) = &self.state {
                command.arg("--state").arg(state);
            }
        }
        if self.file.is_none() && key.role == Role::Time {
            command.arg("--set-clock");
        }
        command.stdout(writer.try_clone()?).stderr(writer);
        let child = command.spawn()?;
        let pid = Pid::try_from(child.id()).map_err(io::Error::other)?;
        protect(key.role, pid);
        Ok((pid, reader))
    }

    /// Starts a process that takes off what a dead `vrrp` has left in the kernel, and ends.
    ///
    /// # Errors
    /// When the kernel has no room for a process.
    pub fn withdraw(&self) -> io::Result<Pid> {
        let mut command = self.command(Role::Vrrp);
        let child = command.arg("--withdraw").stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Pid::try_from(child.id()).map_err(io::Error::other)
    }

    fn command(&self, role: Role) -> Command {
        // The running binary, even when its file has been replaced meanwhile.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("director").arg("worker").arg(role.name()).arg("--run-dir").arg(self.run_dir.path());
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/");
        for name in PASSED_ON {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.stdin(Stdio::null()).current_dir("/").process_group(0);
        command
    }
}

/// Whom the kernel may sacrifice when memory is short: last of all who keeps the VIPs and the table (PID 1 it never takes).
fn protect(role: Role, pid: Pid) {
    let score = match role {
        Role::Vrrp | Role::Lvs => -900,
        Role::Init | Role::Store | Role::Net | Role::Api | Role::Notify | Role::Time | Role::Console => 0,
    };
    // Without the privilege to lower it, it stays as it is: that is no reason to run without the worker.
    if let Err(error) = fs::write(format!("/proc/{pid}/oom_score_adj"), format!("{score}")) {
        log::debug!("oom_score_adj not set: role={role} score={score} reason={error}");
    }
}
