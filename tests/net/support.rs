//! A worker of the role `net` in a network namespace of its own.

#![allow(clippy::unwrap_used, clippy::panic, dead_code, reason = "helpers of tests")]

#[path = "../common/publish.rs"]
mod publish;

use std::cell::Cell;
use std::fs::{self, File};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use director::ipc::client::ask;
use director::ipc::message::{NetStatus, Reply, Request, Status};
use director::paths::RunDir;
use director::role::Role;
use director_lab::namespace::Namespace;
use director_lab::preflight;
use publish::publish;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How soon a repair has to be seen: within a second, but a guest without hardware support needs longer to look.
pub fn promptly() -> Duration {
    if in_guest() { PATIENCE } else { Duration::from_secs(1) }
}

fn in_guest() -> bool {
    std::env::var_os("DIRECTOR_KERNEL_TEST").is_some()
}

/// A namespace with cards, a run directory, and a worker that can be killed and started again.
pub struct Box {
    pub ns: Namespace,
    run: RunDir,
    dir: tempfile::TempDir,
    child: Option<Child>,
    generation: Cell<u64>,
}

impl Box {
    /// `None`, having said why, where this machine cannot do it.
    pub fn new(name: &str) -> Option<Self> {
        if let Err(why) = preflight::namespaces() {
            eprintln!("skipped: {why:#}");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        Some(Self {
            ns: Namespace::new(name).unwrap(),
            run: RunDir::new(dir.path()),
            dir,
            child: None,
            generation: Cell::new(0),
        })
    }

    /// A card with its cable in a switch of the same namespace: carrier as long as the switch end is up.
    pub fn card(&self, name: &str, mac: &str) {
        self.ns.ip(&format!("link add {name} address {mac} type veth peer name {name}-far")).unwrap();
        // The switch does not speak by itself.
        self.ns.sysctl(&format!("net/ipv6/conf/{name}-far/disable_ipv6"), "1").unwrap();
        self.ns.ip(&format!("link set {name}-far up")).unwrap();
    }

    /// Activates a configuration as `store` does.
    pub fn configure(&self, toml: &str) {
        self.generation.set(self.generation.get() + 1);
        publish(&self.run, self.generation.get(), &format!("version = 1\n{toml}"));
    }

    pub fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        // In a test guest it is where the appliance has it.
        let guest = std::env::var_os("DIRECTOR_KERNEL_TEST").is_some();
        let mut command = Command::new(if guest { "/sbin/director" } else { env!("CARGO_BIN_EXE_director") });
        command.args(["worker", "net", "--run-dir"]).arg(self.run.path()).stderr(log);
        self.child = Some(self.ns.run(move || command.spawn()).unwrap().unwrap());
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        wait(&mut child);
    }

    /// The worker's process, to be ended in another way.
    pub fn take(&mut self) -> Child {
        self.child.take().unwrap()
    }

    /// Starts the worker and waits until it has nothing left to do.
    pub fn settle(&mut self) -> NetStatus {
        self.start();
        self.settled()
    }

    /// Waits until the newest configuration is in force and nothing is left to do.
    pub fn settled(&self) -> NetStatus {
        self.until("settled", |status| status.pending.is_empty())
    }

    /// Waits for a status of the newest configuration that pleases `fits`.
    pub fn until(&self, what: &str, fits: impl Fn(&NetStatus) -> bool) -> NetStatus {
        let deadline = Instant::now() + PATIENCE;
        let mut last = None;
        while Instant::now() < deadline {
            if let Ok(Reply::Status { status }) = ask(&self.run, Role::Net, &Request::Status, PATIENCE)
                && let Status::Net(status) = *status
            {
                if status.generation == self.generation.get() && fits(&status) {
                    return status;
                }
                last = Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("not {what}: {last:#?}\nlog:\n{}", self.log());
    }

    /// Waits until `ip ARGUMENTS` prints `needle`, and returns how long that took.
    pub fn shows(&self, arguments: &str, needle: &str) -> Duration {
        let begin = Instant::now();
        loop {
            let said = self.ns.ip(arguments).unwrap();
            if said.contains(needle) {
                return begin.elapsed();
            }
            assert!(begin.elapsed() < PATIENCE, "no {needle:?} in ip {arguments}:\n{said}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Addresses as `link cidr`, without those that the kernel makes.
    pub fn addresses(&self) -> Vec<String> {
        let said = self.ns.ip("-o address show scope global").unwrap();
        let mut found: Vec<String> = said
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                Some(format!("{} {}", words.nth(1)?, words.nth(1)?))
            })
            .collect();
        found.sort();
        found
    }

    /// Writes every change of links, addresses and routes into a file until the recorder is dropped.
    pub fn record(&self) -> Recorder {
        let path = self.dir.path().join("changes");
        let mut command = director_lab::command::bound("ip");
        command.args(["-o", "monitor", "address", "route", "link"]).stdout(File::create(&path).unwrap());
        let child = self.ns.run(move || command.spawn()).unwrap().unwrap();
        let mut recorder = Recorder { child, path, skip: 0 };
        // It listens when it has seen a change that we make; then the kernel's own late news (link-local addresses,
        // carrier) have to be over.
        let deadline = Instant::now() + PATIENCE;
        let mut seen = 0;
        loop {
            assert!(Instant::now() < deadline, "the kernel does not come to rest:\n{}", recorder.read());
            if recorder.read().is_empty() {
                self.ns.ip("address add 127.9.9.9/32 dev lo").unwrap();
                self.ns.ip("address del 127.9.9.9/32 dev lo").unwrap();
            }
            std::thread::sleep(Duration::from_millis(300));
            let now = recorder.read().len();
            if now > 0 && now == seen {
                break;
            }
            seen = now;
        }
        recorder.skip = recorder.read().lines().count();
        recorder
    }
}

impl Drop for Box {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            wait(child);
        }
    }
}

/// What changes, as `ip monitor` tells it.
pub struct Recorder {
    child: Child,
    path: std::path::PathBuf,
    skip: usize,
}

impl Recorder {
    fn read(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    /// Changes since it began.
    pub fn changes(&self) -> Vec<String> {
        self.read().lines().skip(self.skip).map(str::to_owned).collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        wait(&mut self.child);
    }
}

pub fn wait(child: &mut Child) {
    #[allow(clippy::disallowed_methods, reason = "this is no init: the child is ours to wait for")]
    let _ = child.wait();
}
