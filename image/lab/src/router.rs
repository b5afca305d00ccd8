//! A virtual router's program in a host of a segment: Director, or keepalived as Debian builds it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::log::Log;
use crate::process::family;
use crate::segment::Host;
use crate::{command, scratch};

/// How long a program may take to read its configuration.
const READY: Duration = Duration::from_secs(20);

/// Which program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// This binary, with its supervisor and all workers.
    Director(PathBuf),
    /// With /tmp and /run of its own.
    Keepalived,
}

impl Program {
    /// Words that it says when it has its configuration and listens.
    const fn ready(&self) -> &'static str {
        match self {
            Self::Director(_) => " instances=",
            Self::Keepalived => "Entering BACKUP STATE",
        }
    }

    /// Director is where /run is: a busy disk is none of its business. Keepalived's file may not be below /tmp, which is hidden
    /// from it.
    fn folder(&self) -> Result<TempDir> {
        let folder = match self {
            Self::Director(_) => return scratch::folder("router"),
            Self::Keepalived => scratch::logs()?,
        };
        tempfile::Builder::new().prefix("keepalived-").tempdir_in(&folder).context("making a folder")
    }

    fn command(&self, folder: &Path) -> Command {
        match self {
            Self::Director(binary) => {
                let mut command = command::bound(&binary.display().to_string());
                command.args(["run", "--config"]).arg(folder.join("config"));
                command.arg("--run-dir").arg(folder.join("run"));
                command
            }
            Self::Keepalived => {
                let script = format!(
                    "mount -t tmpfs tmpfs /tmp && mount -t tmpfs tmpfs /run && \
                     exec keepalived --dont-fork --log-console --log-detail --vrrp --use-file {}/config",
                    folder.display()
                );
                let mut command = command::bound("unshare");
                command.args(["--mount", "sh", "-c", &script]);
                command
            }
        }
    }
}

/// One program with its configuration; ends with its owner.
#[derive(Debug)]
pub struct Router {
    host: Host,
    program: Program,
    folder: TempDir,
    log: Log,
    child: Option<Child>,
}

impl Router {
    /// Has a configuration, and does not run yet.
    ///
    /// # Errors
    /// No folder can be made.
    pub fn new(host: &Host, program: Program, config: &str) -> Result<Self> {
        let folder = program.folder()?;
        let router = Self { host: host.clone(), program, folder, log: Log::default(), child: None };
        router.configure(config)?;
        Ok(router)
    }

    /// Writes another configuration, which counts when it is read next.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn configure(&self, config: &str) -> Result<()> {
        let file = self.folder.path().join("config");
        std::fs::write(&file, config).with_context(|| format!("writing {}", file.display()))
    }

    /// Where it runs.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// What it says, in all its lives.
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// Director's sockets are here.
    pub fn run_dir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// Starts it, and waits until it listens.
    ///
    /// # Errors
    /// It cannot be started, or does not listen: what it said.
    pub fn start(&mut self) -> Result<()> {
        let mark = self.log.mark();
        let mut command = self.program.command(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let spawn = move || command.spawn();
        let mut child =
            self.host.namespace().run(spawn)?.with_context(|| format!("starting {:?}", self.program))?;
        if let Some(words) = child.stderr.take() {
            self.log.follow(words);
        }
        self.child = Some(child);
        self.log.wait(self.program.ready(), mark, READY).map(drop)
    }

    /// The first process; 0 when it does not run.
    pub fn process(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Sends a signal to the first process.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("it does not run")?;
        kill(pid(child.id())?, signal).with_context(|| format!("sending {signal}"))
    }

    /// Tells it to end, and waits for that.
    ///
    /// # Errors
    /// It does not run.
    pub fn stop(&mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        self.wait()
    }

    /// It dies, all of it at once: the first process is stopped before, so that it notices nothing.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        for process in family(self.process()).into_iter().rev() {
            kill(pid(process)?, Signal::SIGKILL).context("killing it")?;
        }
        self.wait()
    }

    fn wait(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if self.child.is_some() {
            // Whoever is gone already needs no killing.
            let _ = self.kill();
            let _ = self.wait();
        }
    }
}

fn pid(number: u32) -> Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(number)?))
}
