//! The programs that are compared.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use director_lab::{command, process};

use super::place::{PATIENCE, Place};
use super::table::Table;

/// A program that keeps the table as its file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Director,
    Keepalived,
}

impl Peer {
    /// Its name in the measurements.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Director => "director",
            Self::Keepalived => "keepalived",
        }
    }

    fn config(self, table: Table) -> String {
        match self {
            Self::Director => table.director(),
            Self::Keepalived => table.keepalived(),
        }
    }
}

/// One life of a program.
pub struct Running {
    peer: Peer,
    life: Life,
    pub folder: tempfile::TempDir,
}

/// Ends the program with it, so that a failing case leaves nobody behind.
struct Life(Child);

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts it with the table in its file. What is measured begins when this is called.
    pub fn start(peer: Peer, place: &Place, table: Table) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(peer, place, table, folder)
    }

    /// The same with the folder of an earlier life.
    pub fn start_in(peer: Peer, place: &Place, table: Table, folder: tempfile::TempDir) -> Self {
        write(peer, folder.path(), table);
        let mut command = command_of(peer, folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let log = std::fs::File::options().create(true).append(true).open(folder.path().join("log")).unwrap();
        command.stderr(log);
        let child = place.namespace().run(move || command.spawn()).unwrap().unwrap();
        Self { peer, life: Life(child), folder }
    }

    /// Changes the file, and tells the program to read it. Returns when the signal was sent.
    pub fn reload(&self, table: Table) -> Instant {
        write(self.peer, self.folder.path(), table);
        let begun = Instant::now();
        self.signal("-HUP");
        begun
    }

    /// Asks it to end, and waits until it has. Returns how long that took, and what it leaves to its next life.
    pub fn stop(mut self) -> (Duration, tempfile::TempDir) {
        let begun = Instant::now();
        self.signal("-TERM");
        while self.life.0.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "{} does not end", self.peer.name());
            std::thread::sleep(Duration::from_millis(5));
        }
        (begun.elapsed(), self.folder)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until it has logged `words` once more than `before`.
    pub fn until_logged(&self, begun: Instant, words: &str, before: usize) -> Duration {
        while self.log().matches(words).count() <= before {
            assert!(begun.elapsed() < PATIENCE, "it does not say {words:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        begun.elapsed()
    }

    /// Its process and those that it has started.
    pub fn processes(&self) -> Vec<u32> {
        process::family(self.life.0.id())
    }

    fn signal(&self, signal: &str) {
        command::output("kill", &[signal.to_owned(), self.life.0.id().to_string()]).unwrap();
    }
}

fn path(peer: Peer, folder: &Path) -> PathBuf {
    folder.join(format!("{}.conf", peer.name()))
}

fn write(peer: Peer, folder: &Path, table: Table) {
    std::fs::write(path(peer, folder), peer.config(table)).unwrap();
}

fn command_of(peer: Peer, folder: &Path) -> std::process::Command {
    let file = path(peer, folder).display().to_string();
    let place = |name: &str| folder.join(name).display().to_string();
    let mut command;
    match peer {
        Peer::Director => {
            command = command::bound(&std::env::var("DIRECTOR_BIN").unwrap());
            command.args(["run", "--config", &file, "--run-dir", &place("run")]);
        }
        Peer::Keepalived => {
            command = command::bound("keepalived");
            command.args(["-n", "-C", "-f", &file, "-p", &place("pid"), "-c", &place("checkers")]);
        }
    }
    command
}
