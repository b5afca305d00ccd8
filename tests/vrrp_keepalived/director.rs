//! A worker `vrrp` of its own in a host of the lab.

#[path = "../common/publish.rs"]
mod publish;

use std::fmt::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use ::director::ipc::client::ask;
use ::director::ipc::message::{Reply, Request, RouterState, RouterStatus, Status};
use ::director::paths::RunDir;
use ::director::role::Role;
use ::director::vrrp::packet::Reject;
use director_lab::segment::Host;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::log::Log;
use publish::publish;

pub struct Director {
    pub host: Host,
    pub log: Log,
    pub dir: TempDir,
    generation: u64,
    child: Option<Child>,
}

/// An `[[interface]]` for the only card and the `[[vrrp]]` sections of `routers`.
pub fn file(address: &str, routers: &str) -> String {
    let mut text = "version = 1\n".to_owned();
    writeln!(text, "[[interface]]\nname = \"eth0\"\naddresses = [\"{address}\"]\n{routers}").unwrap();
    text
}

impl Director {
    /// Has a configuration, and does not run yet.
    pub fn new(host: &Host, file: &str) -> Self {
        // On tmpfs, as /run is: a busy disk is none of the worker's business.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut director = Self { host: host.clone(), log: Log::default(), dir, generation: 0, child: None };
        director.configure(file);
        director
    }

    pub fn run_dir(&self) -> RunDir {
        RunDir::new(self.dir.path())
    }

    /// Publishes another configuration, as `store` does.
    pub fn configure(&mut self, file: &str) {
        self.generation += 1;
        publish(&self.run_dir(), self.generation, file);
    }

    /// Starts the worker and waits until it has its configuration.
    pub fn start(&mut self) {
        let mark = self.log.mark();
        self.spawn();
        self.log.wait("configuration taken", mark, Duration::from_secs(10));
    }

    /// Starts the worker.
    pub fn spawn(&mut self) {
        let mut command = director_lab::command::bound(env!("CARGO_BIN_EXE_director"));
        command.args(["worker", "vrrp", "--run-dir"]).arg(self.dir.path());
        command
            .env("DIRECTOR_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = self.host.namespace().run(move || command.spawn()).unwrap().unwrap();
        self.log.follow(child.stderr.take().unwrap());
        self.child = Some(child);
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    fn end(&mut self, signal: Signal) {
        if let Some(mut child) = self.child.take() {
            kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
            child.wait().unwrap();
        }
    }

    /// Told to end.
    pub fn stop(&mut self) {
        self.end(Signal::SIGTERM);
    }

    /// Dies.
    pub fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    pub fn status(&self) -> Vec<RouterStatus> {
        match ask(&self.run_dir(), Role::Vrrp, &Request::Status, Duration::from_secs(5)) {
            Ok(Reply::Status { status }) => match *status {
                Status::Vrrp(status) => status.instances,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}\n{}", self.log.text()),
        }
    }

    pub fn state(&self) -> RouterState {
        self.status()[0].state
    }

    /// Waits until a router enters a state, after `mark` of the log.
    pub fn wait_for(&self, state: &str, mark: usize, within: Duration) -> Instant {
        self.log.wait(&format!("state={state} "), mark, within)
    }

    /// Waits until `done` is true of the first router; for what no log line tells.
    pub fn wait_until(&self, what: &str, within: Duration, done: impl Fn(&RouterStatus) -> bool) {
        let deadline = Instant::now() + within;
        while !done(&self.status()[0]) {
            assert!(Instant::now() < deadline, "not {what} within {within:?}: {:?}", self.status()[0]);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether `address` is on the card.
    pub fn has(&self, address: &str) -> bool {
        self.host.namespace().ip("-o address show dev eth0").unwrap().contains(&format!(" {address}/"))
    }

    /// The worker has the kernel make the VIPs so as it goes: within a moment it is so.
    pub fn holds(&self, present: &[&str], absent: &[&str]) {
        self.holds_within(present, absent, Duration::from_secs(2));
    }

    /// It does so within this time.
    pub fn holds_within(&self, present: &[&str], absent: &[&str], time: Duration) {
        let so = || present.iter().all(|vip| self.has(vip)) && !absent.iter().any(|vip| self.has(vip));
        let deadline = Instant::now() + time;
        while !so() {
            assert!(Instant::now() < deadline, "not {present:?} without {absent:?}:\n{}", self.log.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Nothing that came in was rejected, nothing in it was odd.
    pub fn assert_content(&self) {
        for router in self.status() {
            for kind in Reject::NAMES.into_iter().chain(["addr_list_err"]) {
                assert_eq!(router.counters[kind], 0, "{kind} of {}:\n{}", router.name, self.log.text());
            }
        }
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        self.end(Signal::SIGKILL);
        if std::thread::panicking() {
            eprintln!("--- director on {} said:\n{}", self.host.name(), self.log.text());
        }
    }
}
