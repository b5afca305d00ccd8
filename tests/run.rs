//! `director run` as a whole, in a network namespace and a run directory of its own: who dies is back within a second, and
//! an end is orderly.

// A test that finds nothing to hold on to is to end there.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use director::init::foreground::workers;
use director::ipc::client::ask;
use director::ipc::message::{InitStatus, PowerAction, Reply, Request, Status, WorkerStatus};
use director::paths::RunDir;
use director::role::Role;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Far more than anything here takes, even on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);
const WAIT: Duration = Duration::from_secs(5);

/// A running Director. Dropped, it is killed, and its workers end with it.
struct Director {
    process: Child,
    run_dir: RunDir,
    config: PathBuf,
    log: PathBuf,
    _dir: TempDir,
}

impl Director {
    /// Starts one, or says why that cannot be done here.
    fn start(test: &str) -> Option<Self> {
        if !Command::new("unshare").arg("--net").arg("true").status().is_ok_and(|status| status.success()) {
            eprintln!("skipped: {test}: no network namespace can be made (needs root, or `unshare -Ur`)");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let (config, log) = (dir.path().join("director.toml"), dir.path().join("log"));
        fs::write(&config, "version = 1\n").unwrap();
        let run_dir = RunDir::new(dir.path().join("run"));
        let mut command = Command::new("unshare");
        command.arg("--net").arg(env!("CARGO_BIN_EXE_director")).arg("run").arg("--config").arg(&config);
        command.arg("--run-dir").arg(run_dir.path()).stdin(Stdio::null()).stderr(File::create(&log).unwrap());
        let process = command.spawn().unwrap();
        Some(Self { process, run_dir, config, log, _dir: dir })
    }

    fn status(&self) -> Option<InitStatus> {
        match ask(&self.run_dir, Role::Init, &Request::Status, WAIT) {
            Ok(Reply::Status { status }) => match *status {
                Status::Init(status) => Some(status),
                other => panic!("{other:?}"),
            },
            _ => None,
        }
    }

    fn worker(&self, role: Role) -> WorkerStatus {
        self.status().unwrap().workers.into_iter().find(|worker| worker.role == role).unwrap()
    }

    fn answers(&self, role: Role) -> bool {
        ask(&self.run_dir, role, &Request::Hello, WAIT).is_ok()
    }

    fn order(&self, request: &Request) -> String {
        match ask(&self.run_dir, Role::Init, request, WAIT) {
            Ok(reply) => format!("{reply:?}"),
            Err(error) => error.to_string(),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn generation(&self) -> Option<u64> {
        match ask(&self.run_dir, Role::Store, &Request::Status, WAIT) {
            Ok(Reply::Status { status }) => match *status {
                Status::Store(status) => Some(status.generation),
                other => panic!("{other:?}"),
            },
            _ => None,
        }
    }

    #[track_caller]
    fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) -> Duration {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < PATIENCE, "never: {what}\n{:#?}\n{}", self.status(), self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        start.elapsed()
    }

    fn signal(&self, pid: u32, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn workers_come_back_and_all_end_in_order() {
    let Some(mut director) = Director::start("workers_come_back_and_all_end_in_order") else { return };
    let roles: Vec<Role> = workers(Vec::new()).into_iter().map(|key| key.role).collect();
    for role in &roles {
        director.until(&format!("{role} answers"), |director| director.answers(*role));
    }
    let mut took = Vec::new();
    for role in &roles {
        let before = director.worker(*role);
        director.signal(before.pid.unwrap(), Signal::SIGKILL);
        let back =
            |director: &Director| director.worker(*role).pid.is_some_and(|pid| Some(pid) != before.pid);
        let restarted = director.until(&format!("{role} is back"), back);
        assert!(restarted < Duration::from_secs(1), "{role} took {restarted:?}");
        took.push(director.until(&format!("{role} answers again"), |director| director.answers(*role)));
        let after = director.worker(*role);
        assert_eq!((after.restarts, after.last_exit.as_deref()), (1, Some("SIGKILL")), "{role}");
    }
    println!("answered again after {took:?}");

    let pids: Vec<u32> = director.status().unwrap().workers.iter().filter_map(|worker| worker.pid).collect();
    director.signal(director.process.id(), Signal::SIGTERM);
    let start = Instant::now();
    let status = director.process.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    for pid in pids {
        assert!(!PathBuf::from(format!("/proc/{pid}")).exists(), "{pid} is left");
    }
    assert!(!director.run_dir.socket(Role::Init).exists());
    let log = director.log();
    assert!(log.contains("stopping: reason=SIGTERM"), "{log}");
}

#[test]
fn orders_are_carried_out_or_refused() {
    let Some(director) = Director::start("orders_are_carried_out_or_refused") else { return };
    let Some(role) = workers(Vec::new()).first().map(|key| key.role) else { return };
    director.until("it runs", |director| director.answers(role));

    assert_eq!(director.order(&Request::Hold { role }), "Ok");
    director.until("it is held", |director| director.worker(role).state == "held");
    let mut asking = Command::new(env!("CARGO_BIN_EXE_director"));
    asking.args(["status", role.name(), "--run-dir"]).arg(director.run_dir.path());
    let told = String::from_utf8(asking.output().unwrap().stderr).unwrap();
    assert!(told.starts_with(&format!("director: {role} does not answer: it is held")), "{told}");
    let refused = format!("restart: {role}: it is held: release it first");
    assert_eq!(director.order(&Request::Restart { role }), refused);
    assert_eq!(director.order(&Request::Release { role }), "Ok");
    director.until("it runs again", |director| director.answers(role));

    let refused = "power: this director is an ordinary process: end it by SIGTERM";
    assert_eq!(director.order(&Request::Power { action: PowerAction::PowerOff }), refused);
    let logs = director.order(&Request::Logs { role: Some(Role::Init), lines: 100 });
    assert!(logs.contains("worker ended"), "{logs}");
}

#[test]
fn programs_get_objects_and_logs_are_followed() {
    let Some(director) = Director::start("programs_get_objects_and_logs_are_followed") else { return };
    director.until("it runs", |director| director.answers(Role::Lvs) && director.answers(Role::Store));
    let verb = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_director"));
        command.args(args).arg("--run-dir").arg(director.run_dir.path());
        command
    };
    let told = |args: &[&str]| -> Vec<serde_json::Value> {
        let output = verb(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::Deserializer::from_slice(&output.stdout).into_iter().map(Result::unwrap).collect()
    };
    // It goes on from the newest line that has the text.
    let mut follow =
        verb(&["logs", "store", "--text", "CONFIGURATION active", "-n", "1", "--follow", "--json"]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<serde_json::Value>(&lines.next().unwrap().unwrap()).unwrap();
    let first = next();
    assert_eq!(
        (&first["event"], &first["fields"]["generation"]),
        (&"configuration active".into(), &"1".into())
    );
    fs::write(&director.config, "version = 1\n[system]\nhostname = \"lb1\"\n").unwrap();
    assert_eq!(told(&["reload", "--json"]), [serde_json::json!({"done": "reload", "on": null})]);
    assert_eq!(next()["fields"]["generation"], "2");
    follow.kill().unwrap();
    follow.wait().unwrap();

    assert_eq!(told(&["restart", "lvs", "--json"]), [serde_json::json!({"done": "restart", "on": "lvs"})]);
    let newest = told(&["logs", "-n", "1", "--text", "configuration active", "--json"]);
    assert_eq!((newest.len(), &newest[0]["role"]), (1, &"store".into()));
}

#[test]
fn a_stuck_worker_is_killed() {
    let Some(director) = Director::start("a_stuck_worker_is_killed") else { return };
    let Some(role) = workers(Vec::new()).first().map(|key| key.role) else { return };
    director.until("it runs", |director| director.answers(role));
    // One hello must have been answered: before that a worker has more time.
    let before = director.worker(role);
    director.until("a second passed", |director| director.worker(role).age_ms.is_some_and(|age| age > 2500));
    director.signal(before.pid.unwrap(), Signal::SIGSTOP);
    director.until("it is killed", |director| director.worker(role).pid != before.pid);
    assert_eq!(director.worker(role).last_exit.as_deref(), Some("SIGKILL"));
}

#[test]
fn nobody_outlives_a_killed_supervisor() {
    let Some(mut director) = Director::start("nobody_outlives_a_killed_supervisor") else { return };
    let Some(role) = workers(Vec::new()).first().map(|key| key.role) else { return };
    director.until("it runs", |director| director.answers(role));
    let pid = director.worker(role).pid.unwrap();
    director.process.kill().unwrap();
    director.process.wait().unwrap();
    director.until("the worker is gone", |_| {
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Whoever inherits it may be slow to bury it.
        state.is_empty() || state.contains(") Z ")
    });
}

#[test]
fn a_hangup_reads_the_file_again() {
    let Some(director) = Director::start("a_hangup_reads_the_file_again") else { return };
    director.until("the file runs", |director| director.generation() == Some(1));
    fs::write(&director.config, "version = 1\n[system]\nhostname = \"-\"\n").unwrap();
    director.signal(director.process.id(), Signal::SIGHUP);
    director.until("the fault is told", |director| director.log().contains("director.toml:3:12"));
    assert_eq!(director.generation(), Some(1), "a faulty file changes nothing");

    fs::write(&director.config, "version = 1\n[[interface]]\nname = \"eth9\"\n").unwrap();
    director.signal(director.process.id(), Signal::SIGHUP);
    director.until("the new file runs", |director| director.generation() == Some(2));
    director.until("it is said", |director| director.log().contains("reload done"));
}

#[test]
fn a_run_directory_is_not_shared() {
    let Some(director) = Director::start("a_run_directory_is_not_shared") else { return };
    director.until("it runs", |director| director.status().is_some());
    let mut second = Command::new(env!("CARGO_BIN_EXE_director"));
    second.arg("run").arg("--config").arg(&director.config).arg("--run-dir").arg(director.run_dir.path());
    let output = second.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("another director runs there"), "{text}");
    assert!(director.status().is_some(), "the first one runs on");
}
