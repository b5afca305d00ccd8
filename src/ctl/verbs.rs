//! Verbs that concern this process alone.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Error, print};
use crate::paths::RunDir;
use crate::role::Role;
use crate::worker::{self, WorkerArgs};

/// `director version`.
pub fn version(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    match args.next()? {
        None => print(&format!("director {}\n", env!("CARGO_PKG_VERSION"))),
        Some(other) => Err(other.unexpected().into()),
    }
}

/// `director worker ROLE --run-dir DIR [--tty TTY] [--file FILE]`.
pub fn worker(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    use lexopt::Arg::{Long, Value};
    let mut role: Option<Role> = None;
    let mut told = WorkerArgs::default();
    while let Some(arg) = args.next()? {
        match arg {
            Long("run-dir") => told.run_dir = RunDir::new(args.value()?),
            Long("tty") => told.tty = Some(args.value()?.to_string_lossy().into_owned()),
            Long("file") => told.file = Some(PathBuf::from(args.value()?)),
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
