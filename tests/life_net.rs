//! A change that cuts the management address, on a whole Director in a network namespace of its own: it is taken back with the
//! box left alone, with the worker killed, and with everything killed as by a cut of the power.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use director::ipc::client::ask;
use director::ipc::message::{Reply, Request, Status};
use director::paths::RunDir;
use director::role::Role;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Far more than anything here takes, even on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_secs(5);
const OLD: &str = "10.77.0.2/24";
const NEW: &str = "10.78.0.2/24";

fn text(address: &str) -> String {
    format!("version = 1\n[[interface]]\nname = \"eth0\"\naddresses = [\"{address}\"]\n")
}

/// A Director with one card; dropped, it is killed, and its workers end with it.
struct Director {
    process: Child,
    run_dir: RunDir,
    folder: PathBuf,
}

impl Director {
    fn start(folder: &Path) -> Self {
        const CARD: &str = "ip link add eth0 type veth peer name far && ip link set far up && exec \"$@\"";
        let run_dir = RunDir::new(folder.join("run"));
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", CARD, "sh"]).arg(env!("CARGO_BIN_EXE_director")).arg("run");
        command.arg("--config").arg(folder.join("director.toml")).arg("--run-dir").arg(run_dir.path());
        command.stdin(Stdio::null()).stderr(File::create(folder.join("log")).unwrap());
        Self { process: command.spawn().unwrap(), run_dir, folder: folder.to_owned() }
    }

    /// The addresses of the card, as the kernel has them.
    fn addresses(&self) -> String {
        let pid = self.process.id().to_string();
        let words = ["--target", &pid, "--net", "ip", "-brief", "-4", "address", "show", "dev", "eth0"];
        let output = Command::new("nsenter").args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn until_address(&self, wanted: &str, other: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let has = self.addresses();
            if has.contains(wanted) && !has.contains(other) {
                return;
            }
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "never {wanted}: {has}\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn apply(&self, confirm: &str) {
        let new = self.folder.join("new.toml");
        fs::write(&new, text(NEW)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_director"));
        command.arg("apply").arg(&new).args(["--confirm", confirm, "--run-dir"]).arg(self.run_dir.path());
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("! the address 10.77.0.2/24 of this box goes"), "{said}");
        self.until_address(NEW, OLD);
    }

    fn store(&self) -> u32 {
        let Ok(Reply::Status { status }) = ask(&self.run_dir, Role::Init, &Request::Status, WAIT) else {
            panic!("init does not answer")
        };
        let Status::Init(status) = *status else { panic!("{status:?}") };
        status.workers.into_iter().find(|worker| worker.role == Role::Store).unwrap().pid.unwrap()
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_change_that_cuts_the_management_address_is_taken_back() {
    if !Command::new("unshare").arg("--net").arg("true").status().is_ok_and(|status| status.success()) {
        eprintln!(
            "skipped: a_change_that_cuts…: no network namespace can be made (needs root, or `unshare -Ur`)"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("director.toml"), text(OLD)).unwrap();
    let director = Director::start(folder.path());
    director.until_address(OLD, NEW);

    director.apply("8s");
    director.until_address(OLD, NEW);

    director.apply("8s");
    kill(Pid::from_raw(i32::try_from(director.store()).unwrap()), Signal::SIGKILL).unwrap();
    director.until_address(OLD, NEW);

    director.apply("1h");
    drop(director);
    let again = Director::start(folder.path());
    again.until_address(OLD, NEW);
    assert_eq!(fs::read_to_string(folder.path().join("director.toml")).unwrap(), text(OLD));
}
