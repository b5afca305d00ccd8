//! Verbs that concern this process alone.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{Error, ask, check, print};
use crate::config::NodeFacts;
use crate::init::release::Release;
use crate::init::{appliance, foreground};
use crate::paths::RunDir;
use crate::role::Role;
use crate::store;
use crate::worker::{self, WorkerArgs};

/// `director version [--json]`.
pub fn version(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    let version = Release::read().version;
    match args.next()? {
        None => print(&format!("director {version}\n")),
        Some(lexopt::Arg::Long("json")) => print(&ask::json(&serde_json::json!({ "version": version }))?),
        Some(other) => Err(other.unexpected().into()),
    }
}

/// `director worker ROLE --run-dir DIR [--tty TTY] [--file FILE] [--state DIR] [--set-clock]`.
pub fn worker(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    use lexopt::Arg::{Long, Value};
    let mut role: Option<Role> = None;
    let mut told = WorkerArgs::default();
    while let Some(arg) = args.next()? {
        match arg {
            Long("run-dir") => told.run_dir = RunDir::new(args.value()?),
            Long("tty") => told.tty = Some(args.value()?.to_string_lossy().into_owned()),
            Long("file") => told.file = Some(PathBuf::from(args.value()?)),
            Long("set-clock") => told.set_clock = true,
            Long("withdraw") => told.withdraw = true,
            Long("state") => told.state = Some(PathBuf::from(args.value()?)),
            Value(word) if role.is_none() => {
                role = Some(
                    word.to_string_lossy()
                        .parse()
                        .map_err(|error: crate::units::Refused| Error::Usage(error.to_string()))?,
                );
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let role = role.ok_or_else(|| Error::Usage("worker: which role is missing".to_owned()))?;
    let Some(entry) = worker::entry(role) else {
        return Err(Error::Usage(format!("worker: {role} is not a worker")));
    };
    worker::prepare();
    match entry(&told) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            log::error!("{error}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// `director run --config FILE [--run-dir DIR] [--state-dir DIR] [--console TTY]...`.
pub fn run(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    use lexopt::Arg::Long;
    let mut run_dir =
        std::env::var_os("DIRECTOR_RUN").map_or_else(|| PathBuf::from(RunDir::DEFAULT), PathBuf::from);
    let (mut file, mut state) = (None, None);
    let mut consoles = Vec::new();
    while let Some(arg) = args.next()? {
        match arg {
            Long("config") => file = Some(PathBuf::from(args.value()?)),
            Long("run-dir") => run_dir = PathBuf::from(args.value()?),
            Long("state-dir") => state = Some(PathBuf::from(args.value()?)),
            Long("console") => {
                let tty = args.value()?.to_string_lossy().into_owned();
                consoles.push(tty.strip_prefix("/dev/").map(str::to_owned).unwrap_or(tty));
            }
            // The default, for scripts that want to say so.
            Long("no-console") => consoles.clear(),
            other => return Err(other.unexpected().into()),
        }
    }
    let file = file.ok_or_else(|| Error::Usage("run: --config FILE is missing".to_owned()))?;
    // The workers have another working directory.
    let whole = |path: PathBuf| {
        std::path::absolute(&path).map_err(|e| Error::Failed(format!("{}: {e}", path.display())))
    };
    let (run_dir, file) = (RunDir::new(whole(run_dir)?), whole(file)?);
    let state = whole(state.unwrap_or_else(|| beside(&file)))?;
    let facts = store::node_facts();
    let config = file.clone();
    let read = move |run: &RunDir| read_ahead(&config, &facts, run);
    foreground::run(run_dir, (file, state), consoles, read).map(ExitCode::from).map_err(Error::failed)
}

/// Judges the file and leaves what it says for `store`; gives the exit code.
fn read_ahead(file: &Path, facts: &NodeFacts, run: &RunDir) -> u8 {
    match check::refuse(file, facts) {
        Ok(Ok(before)) => {
            // It only saves time: without it `store` reads the text.
            if let Err(error) = store::prepare(run, &before, facts) {
                super::complain(&format!("director: write what {} says: {error}", file.display()));
            }
            0
        }
        Ok(Err(code)) => code,
        Err(error) => {
            super::complain(&format!("director: {error}"));
            error.exit_code()
        }
    }
}

/// The folder for what outlives a Director on this file.
fn beside(file: &Path) -> PathBuf {
    let mut folder = file.as_os_str().to_owned();
    folder.push(".state");
    folder.into()
}

/// `director init`, or `/sbin/init`.
pub fn init(_: lexopt::Parser) -> Result<ExitCode, Error> {
    if std::process::id() == 1 {
        // The kernel gives what it does not know on its command line to us as arguments: none of them is for us.
        appliance::main();
    }
    Err(Error::Usage("init: only the kernel starts it, as PID 1".to_owned()))
}
