//! The worker `lvs` alone, without supervisor and without `store`.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use director::ipc::client;
use director::ipc::message::{LvsStatus, Reply, Request, Status};
use director::paths::RunDir;
use director::role::Role;
use director_lab::command;
use director_lab::segment::Host;

use super::publish::publish;

/// The worker with its run directory. It is killed when dropped; what it logged is shown if the test fails.
pub struct Worker {
    pub run: RunDir,
    child: Option<Child>,
    log: PathBuf,
    generation: u64,
    _folder: tempfile::TempDir,
}

impl Worker {
    /// Makes the run directory; the worker does not run yet.
    pub fn new() -> Worker {
        let folder = tempfile::tempdir().unwrap();
        let (run, log) = (RunDir::new(folder.path()), folder.path().join("log"));
        Worker { run, child: None, log, generation: 0, _folder: folder }
    }

    /// Activates a configuration. Returns its generation.
    pub fn activate(&mut self, text: &str) -> u64 {
        self.generation += 1;
        publish(&self.run, self.generation, text);
        self.generation
    }

    /// Starts the worker on `host`.
    pub fn spawn(&mut self, host: &Host) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let mut command = command::bound(&super::binary());
        command.args(["worker", "lvs", "--run-dir"]).arg(self.run.path());
        command.stdin(Stdio::null()).stderr(log);
        self.child = Some(host.namespace().run(move || command.spawn()).unwrap().unwrap());
    }

    /// Whether it was started and not ended.
    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Ends it by `signal`, and waits until it is gone.
    pub fn end(&mut self, signal: &str) {
        let mut child = self.child.take().unwrap();
        command::output("kill", &[signal.to_owned(), child.id().to_string()]).unwrap();
        child.wait().unwrap();
    }

    pub fn status(&self) -> Option<LvsStatus> {
        match client::ask(&self.run, Role::Lvs, &Request::Status, Duration::from_secs(5)).ok()? {
            Reply::Status { status } => match *status {
                Status::Lvs(status) => Some(status),
                _ => None,
            },
            _ => None,
        }
    }

    /// Everything that it has logged.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            println!("the worker logged:\n{}", self.logged());
        }
    }
}
