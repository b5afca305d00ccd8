//! The worker `store` as a process, on one file: what it publishes at start, on reload, after its own death.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use director::config::active;
use director::ipc::client::{AskError, ask};
use director::ipc::message::{Reply, Request, SetManagement, Source, Status, StoreStatus};
use director::paths::RunDir;
use director::role::Role;

const ONE: &str = "version = 1\n[[interface]]\nname = \"eth0\" # the first\naddresses = [\"10.0.0.2/8\"]\n";
const FAULTY: &str = "version = 1\n[[interface]]\nname = \"e/0\"\nmtu = 9\nspeed = 3\n";
const PATIENCE: Duration = Duration::from_secs(20);

struct Store {
    run: RunDir,
    file: PathBuf,
    process: Child,
    _dir: tempfile::TempDir,
}

impl Store {
    fn start(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("director.toml");
        fs::write(&file, text).unwrap();
        let run = RunDir::new(dir.path().join("run"));
        fs::create_dir(run.path()).unwrap();
        let process = spawn(&run, &file);
        let store = Self { run, file, process, _dir: dir };
        store.until(|status| !status.candidates.is_empty());
        store
    }

    fn ask(&self, request: &Request) -> Result<Reply, AskError> {
        ask(&self.run, Role::Store, request, PATIENCE)
    }

    fn until(&self, wanted: impl Fn(&StoreStatus) -> bool) -> StoreStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(Reply::Status { status }) = self.ask(&Request::Status)
                && let Status::Store(status) = *status
                && wanted(&status)
            {
                return status;
            }
            assert!(Instant::now() < deadline, "the store does not come so far");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn status(&self) -> StoreStatus {
        self.until(|_| true)
    }

    fn addresses(&self) -> (u64, String) {
        let active = active(&self.run).unwrap().unwrap();
        (active.generation, active.checked.config.interfaces[0].addresses[0].to_string())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(run: &RunDir, file: &PathBuf) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_director"));
    command.args(["worker", "store", "--run-dir"]).arg(run.path()).arg("--file").arg(file);
    command.stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_valid_file_is_published_and_a_faulty_one_changes_nothing() {
    let store = Store::start(ONE);
    assert_eq!(store.addresses(), (1, "10.0.0.2/8".to_owned()));

    store.ask(&Request::Reload).unwrap();
    assert_eq!(store.status().generation, 1, "the same text is no new configuration");

    fs::write(&store.file, FAULTY).unwrap();
    let refused = store.ask(&Request::Reload).unwrap_err().to_string();
    assert!(
        refused.contains("the running configuration goes on") && refused.contains("3 faults"),
        "{refused}"
    );
    assert!(refused.contains("director.toml:5:1: unknown key `speed`"), "{refused}");
    let status = store.status();
    assert_eq!((status.generation, status.source), (1, Source::File));
    assert_eq!(status.candidates[0].verdict, "faulty");
    assert!(status.candidates[0].report.contains("director.toml:5:1: unknown key `speed`"));
    assert_eq!(store.addresses(), (1, "10.0.0.2/8".to_owned()));

    fs::write(&store.file, ONE.replace("0.2/8", "0.3/8")).unwrap();
    store.ask(&Request::Reload).unwrap();
    assert_eq!(store.addresses(), (2, "10.0.0.3/8".to_owned()));
}

#[test]
fn death_is_no_reason_to_choose_again() {
    let mut store = Store::start(ONE);
    store.process.kill().unwrap();
    store.process.wait().unwrap();
    fs::write(&store.file, FAULTY).unwrap();
    store.process = spawn(&store.run, &store.file);
    assert_eq!(store.status().generation, 1);
    assert_eq!(store.addresses(), (1, "10.0.0.2/8".to_owned()));
}

#[test]
fn a_box_without_a_valid_file_waits_for_one() {
    let store = Store::start(FAULTY);
    let status = store.status();
    assert_eq!((status.generation, active(&store.run).unwrap()), (0, None));
    fs::write(&store.file, ONE).unwrap();
    store.ask(&Request::Reload).unwrap();
    assert_eq!(store.addresses().0, 1);
}

#[test]
fn a_management_address_is_written_only_if_the_whole_fits() {
    let store = Store::start(ONE);
    let wish = |address: &str, gateway: Option<&str>| {
        Request::SetManagement(SetManagement {
            interface: "eth0".parse().unwrap(),
            address: Some(address.parse().unwrap()),
            gateway: gateway.map(|text| text.parse().unwrap()),
        })
    };
    let refused = store.ask(&wish("10.0.0.9/8", Some("192.168.1.1"))).unwrap_err().to_string();
    assert!(refused.contains("gateway 192.168.1.1 is in no network of an interface"), "{refused}");
    assert_eq!(fs::read_to_string(&store.file).unwrap(), ONE);

    store.ask(&wish("10.0.0.9/8", Some("10.0.0.1"))).unwrap();
    assert_eq!(store.addresses(), (2, "10.0.0.9/8".to_owned()));
    let text = fs::read_to_string(&store.file).unwrap();
    assert!(text.contains("name = \"eth0\" # the first\n") && text.contains("via = \"10.0.0.1\""), "{text}");
    assert_eq!(fs::read_to_string(store.file.with_extension("toml.prev")).unwrap(), ONE);
}

#[test]
fn it_ends_when_told() {
    let mut store = Store::start(ONE);
    let id = nix::unistd::Pid::from_raw(i32::try_from(store.process.id()).unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(store.process.wait().unwrap().success());
}
