//! Reading a configuration from a file, and the one that runs from the run directory.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::{Checked, LARGEST, NodeFacts, Nodes, Report, check, check_nodes};
use crate::ipc::message::StoreStatus;
use crate::paths::RunDir;

/// Why a file gave no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read configuration: {path}: {why}")]
    Unreadable {
        /// As it was given.
        path: PathBuf,
        /// In words.
        why: String,
    },
    /// It was read and has faults.
    #[error(transparent)]
    Faulty(#[from] Report),
}

/// The configuration that `store` has activated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// Counts up with each activation; what a worker's status carries back.
    pub generation: u64,
    /// The configuration as this box has it.
    pub checked: Checked,
}

/// Reads and checks a file.
///
/// # Errors
/// Says why it cannot be read (missing, a directory, no permission, no ordinary file), or gives every fault in it.
pub fn load_file(path: &Path, facts: &NodeFacts) -> Result<Checked, LoadError> {
    let bytes = read_file(path)
        .map_err(|error| LoadError::Unreadable { path: path.to_owned(), why: explain(&error) })?;
    Ok(check(&bytes, &path.display().to_string(), facts)?)
}

/// Reads at most one byte more than [`LARGEST`], so that a device or a runaway file cannot fill the memory.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    if meta.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !meta.is_file() && !path.starts_with("/dev/fd") && path != Path::new("/dev/stdin") {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not an ordinary file"));
    }
    let most = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(4);
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn explain(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "no permission to read it".to_owned(),
        ErrorKind::IsADirectory => "it is a directory, not a file".to_owned(),
        ErrorKind::InvalidInput => "it is not an ordinary file".to_owned(),
        _ => error.to_string(),
    }
}

/// The configuration in force: what `store` last published in `run`; `None` before it has.
///
/// # Errors
/// The two files cannot be read, or do not fit this firmware: then a worker keeps what it has.
pub fn active(run: &RunDir) -> Result<Option<Active>, LoadError> {
    let unreadable = |path: PathBuf, why: String| LoadError::Unreadable { path, why };
    // `active.toml` is replaced last: its text is never older than the generation beside it, and a newer
    // `source.json` in between only makes the watcher call again.
    let text = match read_file(&run.active_config()) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| unreadable(run.active_config(), explain(&error)))?,
    };
    let source = std::fs::read(run.source()).map_err(|error| unreadable(run.source(), explain(&error)))?;
    let status: StoreStatus =
        serde_json::from_slice(&source).map_err(|error| unreadable(run.source(), error.to_string()))?;
    let facts = NodeFacts { node: status.node, ..NodeFacts::default() };
    let checked = check_nodes(&text, &run.active_config().display().to_string(), &facts, Nodes::Own)?;
    Ok(Some(Active { generation: status.generation, checked }))
}
