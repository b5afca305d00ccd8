//! A Director in a network namespace with `lo` and nothing else.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use director::ipc::client::ask;
use director::ipc::message::{Reply, Request, Status};
use director::paths::RunDir;
use director::role::Role;
use director_lab::command::bound;
use director_lab::namespace::Namespace;
use director_lab::preflight;
use tempfile::TempDir;

/// Far more than anything here takes, even on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running Director. Dropped, it is killed, and its workers end with it.
pub struct Director {
    pub ns: Namespace,
    pub run_dir: RunDir,
    pub dir: TempDir,
    process: Child,
    config: PathBuf,
}

/// A namespace of the test's own, or why there is none.
pub fn namespace(test: &str) -> Option<Namespace> {
    if let Err(why) = preflight::namespaces() {
        eprintln!("skipped: {test}: {why:#}");
        return None;
    }
    Some(Namespace::new(test).unwrap())
}

impl Director {
    /// Starts one with `config` behind the version.
    pub fn start(ns: Namespace, config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("director.toml");
        fs::write(&path, format!("version = 1\n{config}")).unwrap();
        let run_dir = RunDir::new(dir.path().join("run"));
        let log = File::create(dir.path().join("log")).unwrap();
        let (file, run) = (path.clone(), run_dir.clone());
        let process = ns
            .run(move || {
                let mut command = bound(env!("CARGO_BIN_EXE_director"));
                command.arg("run").arg("--config").arg(file).arg("--run-dir").arg(run.path());
                command.stderr(log).spawn().unwrap()
            })
            .unwrap();
        Self { ns, run_dir, dir, process, config: path }
    }

    /// Writes another configuration and has it read.
    pub fn reload(&self, config: &str) {
        fs::write(&self.config, format!("version = 1\n{config}")).unwrap();
        ask(&self.run_dir, Role::Store, &Request::Reload, PATIENCE).unwrap();
    }

    pub fn status(&self, role: Role) -> Option<Status> {
        match ask(&self.run_dir, role, &Request::Status, Duration::from_secs(5)) {
            Ok(Reply::Status { status }) => Some(*status),
            _ => None,
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Waits until `look` finds something.
    #[track_caller]
    pub fn until<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(start.elapsed() < PATIENCE, "never: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends `request` to `address` within the namespace and gives all that comes back; `None` if nobody listens.
    pub fn exchange(&self, address: &str, request: &str) -> Option<String> {
        let (address, request) = (address.parse::<SocketAddr>().unwrap(), request.to_owned());
        self.ns
            .run(move || {
                let mut stream = TcpStream::connect(address).ok()?;
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let _ = stream.write_all(request.as_bytes());
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer);
                Some(String::from_utf8_lossy(&answer).into_owned())
            })
            .unwrap()
    }

    /// Head and body of the answer to a GET.
    pub fn get(&self, address: &str, path: &str) -> Option<(String, String)> {
        let answer = self.exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.to_owned(), body.to_owned()))
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
