//! `director run`: the supervisor as an ordinary process of any Linux host.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::boot::MAX_FILES;
use super::own_log;
use super::release::Release;
use super::run::Init;
use super::setup::{Boot, Setup};
use super::signals::Signals;
use super::sink::Sink;
use super::spawn::Spawner;
use super::supervise::Key;
use crate::paths::RunDir;
use crate::role::Role;
use crate::store;
use crate::sys::process;
use crate::worker;

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The run directory cannot be used.
    #[error("cannot use the run directory: {}: {source}", path.display())]
    RunDir {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file has a change that nobody confirmed, and cannot be written.
    #[error("cannot take back a change: {}: {source}", path.display())]
    TakeBack {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another supervisor has it.
    #[error("cannot use the run directory: {}: another director runs there; give this one its own by --run-dir", .0.display())]
    Taken(PathBuf),
    /// The loop could not begin or go on.
    #[error("cannot supervise: {0}")]
    Loop(#[from] io::Error),
}

/// Runs every worker on `file`, with the folder `state` for what outlives them, until SIGTERM or SIGINT; SIGHUP makes `store` read the file again.
///
/// `consoles` are terminals (without `/dev/`) that get a console each. `read` judges the file for whoever begins here, and leaves what it says
/// in the run directory: `store` need not read it a second time. It runs in a process of its own, and unless its exit code is 0 nobody is
/// started: the code is returned.
///
/// # Errors
/// [`Error`].
pub fn run(
    run_dir: RunDir,
    (file, state): (PathBuf, PathBuf),
    consoles: Vec<String>,
    read: impl FnOnce(&RunDir) -> u8,
) -> Result<u8, Error> {
    own_log::install();
    process::close_leaks_on_exec();
    process::reset_signals()?;
    raise_file_limit();
    let signals = Signals::install()?;
    let _lock = claim(&run_dir)?;
    store::recover(&file, &state).map_err(|source| Error::TakeBack { path: file.clone(), source })?;
    let failed = |source| Error::RunDir { path: run_dir.path().to_owned(), source };
    store::forget(&run_dir).map_err(failed)?;
    match process::apart(|| read(&run_dir)).map_err(io::Error::from)? {
        0 => {}
        code => return Ok(code),
    }
    let socket = run_dir.socket(Role::Init);
    let setup = Setup {
        workers: workers(consoles),
        spawner: Spawner { run_dir, file: Some(file), state: Some(state) },
        signals,
        sink: Sink::Stderr { lost: 0 },
        watchdog: None,
        kernel_log: None,
        button: None,
        boot: Boot {
            version: Release::read().version,
            slot: None,
            mode: "normal".to_owned(),
            since: Instant::now(),
            appliance: false,
        },
    };
    let done = Init::new(setup)?.run();
    // Whoever looks now shall see that nobody is there.
    let _ = std::fs::remove_file(socket);
    done.map(|_| 0).map_err(Error::Loop)
}

/// Workers inherit it. What the host allows at least, if it does not allow what the appliance has.
fn raise_file_limit() {
    let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let wanted = hard.max(MAX_FILES);
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted).is_err() {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Every worker of this binary, and a console for each terminal.
#[must_use]
pub fn workers(consoles: Vec<String>) -> Vec<Key> {
    let known = |role: &Role| worker::entry(*role).is_some();
    let mut keys: Vec<Key> = Role::WORKERS.into_iter().filter(known).map(Key::from).collect();
    if known(&Role::Console) {
        keys.extend(consoles.into_iter().map(|tty| Key { role: Role::Console, tty: Some(tty) }));
    }
    keys
}

/// Makes the run directory (mode 0700: the file in it may hold passwords) and takes its lock, which ends with this process.
fn claim(run_dir: &RunDir) -> Result<Flock<File>, Error> {
    let path = run_dir.path().to_owned();
    let failed = |source| Error::RunDir { path: path.clone(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed)?;
    let lock = path.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(lock).map_err(failed)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => Error::Taken(path.clone()),
        other => failed(io::Error::from_raw_os_error(other as i32)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_directory_has_one_supervisor() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path().join("a/b"));
        let lock = claim(&run).unwrap();
        let text = claim(&run).unwrap_err().to_string();
        assert!(text.contains("another director runs there"), "{text}");
        drop(lock);
        claim(&run).unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let text = claim(&RunDir::new(dir.path().join("file"))).unwrap_err().to_string();
        assert!(text.starts_with("cannot use the run directory: "), "{text}");
    }
}
