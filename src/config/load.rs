//! Reading a configuration from a file, and the one that runs from the run directory.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc::O_NONBLOCK;

use super::again::Before;
use super::marks::Marks;
use super::model::Gist;
use super::packed::{unpack, unpack_rest};
use super::{Checked, LARGEST, NodeFacts, Nodes, Report, check, check_nodes};
use crate::ipc::message::StoreStatus;
use crate::paths::RunDir;
use crate::sys::mapped::Mapped;

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

/// The same for those who do not hold the services: there are none in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveRest {
    /// As in [`Active`].
    pub generation: u64,
    /// All but services.
    pub checked: Checked,
    /// What the services come to.
    pub gist: Gist,
    /// By what the configuration is told from others.
    pub marks: Marks,
}

/// Reads and checks a file.
///
/// # Errors
/// Says why it cannot be read (missing, a directory, no permission, no ordinary file), or gives every fault in it.
pub fn load_file(path: &Path, facts: &NodeFacts) -> Result<Checked, LoadError> {
    load_text(path, facts).map(|before| before.checked)
}

/// The same with the text.
///
/// # Errors
/// As [`load_file`].
pub fn load_text(path: &Path, facts: &NodeFacts) -> Result<Before, LoadError> {
    let text = read_file(path)
        .map_err(|error| LoadError::Unreadable { path: path.to_owned(), why: explain(&error) })?;
    let checked = check(&text, &path.display().to_string(), facts)?;
    Ok(Before { text, checked })
}

/// Reads at most one byte more than [`LARGEST`], so that a device or a runaway file cannot fill the memory.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let handed_over = path.starts_with("/dev/fd") || path == Path::new("/dev/stdin");
    // Without O_NONBLOCK, opening a pipe that nobody writes to would never end.
    let flags = if handed_over { 0 } else { O_NONBLOCK };
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if meta.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !meta.is_file() && !handed_over {
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
/// The files cannot be read, or do not fit this firmware: then a worker keeps what it has.
pub fn active(run: &RunDir) -> Result<Option<Active>, LoadError> {
    let Some(published) = published(run)? else { return Ok(None) };
    let checked = match prepared(run, &published.text, &published.facts) {
        Some(checked) => checked,
        None => published.check(run)?,
    };
    Ok(Some(Active { generation: published.generation, checked }))
}

/// The same for those who do not hold the services.
///
/// # Errors
/// As [`active`].
pub fn active_without_services(run: &RunDir) -> Result<Option<ActiveRest>, LoadError> {
    let Some(published) = published(run)? else { return Ok(None) };
    let packed = Mapped::open(&run.packed()).ok();
    let known = packed.and_then(|bytes| unpack_rest(&bytes, &published.text, &published.facts));
    let (checked, gist, marks) = match known {
        Some(known) => known,
        None => {
            let mut checked = published.check(run)?;
            let marks = Marks::of(&published.text, &checked.config);
            let services = std::mem::take(&mut checked.config.services);
            (checked, Gist::of(&services), marks)
        }
    };
    Ok(Some(ActiveRest { generation: published.generation, checked, gist, marks }))
}

/// What another process of this Director has found `text` to say, if that is known and was found with the same `facts`.
#[must_use]
pub fn prepared(run: &RunDir, text: &[u8], facts: &NodeFacts) -> Option<Checked> {
    unpack(&Mapped::open(&run.packed()).ok()?, text, facts)
}

/// What lies in the run directory.
struct Published {
    generation: u64,
    facts: NodeFacts,
    /// Every worker looks at it, none keeps it.
    text: Mapped,
}

impl Published {
    fn check(&self, run: &RunDir) -> Result<Checked, LoadError> {
        let name = run.active_config().display().to_string();
        Ok(check_nodes(&self.text, &name, &self.facts, Nodes::Own)?)
    }
}

fn published(run: &RunDir) -> Result<Option<Published>, LoadError> {
    let unreadable = |path: PathBuf, why: String| LoadError::Unreadable { path, why };
    // `active.toml` is replaced last: its text is never older than the generation beside it, and a newer
    // `source.json` in between only makes the watcher call again.
    let text = match Mapped::open(&run.active_config()) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| unreadable(run.active_config(), explain(&error)))?,
    };
    let source = std::fs::read(run.source()).map_err(|error| unreadable(run.source(), explain(&error)))?;
    let status: StoreStatus =
        serde_json::from_slice(&source).map_err(|error| unreadable(run.source(), error.to_string()))?;
    let facts = NodeFacts { node: status.node, ..NodeFacts::default() };
    Ok(Some(Published { generation: status.generation, facts, text }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
        let why = |path: &Path| load_file(path, &NodeFacts::default()).unwrap_err().to_string();
        let place = |path: &Path| format!("cannot read configuration: {}: ", path.display());
        for (path, expected) in [
            (dir.path().join("missing.toml"), "there is no such file"),
            (dir.path().to_owned(), "it is a directory, not a file"),
            (pipe, "it is not an ordinary file"),
            (PathBuf::from("/dev/zero"), "it is not an ordinary file"),
        ] {
            assert_eq!(why(&path), place(&path) + expected);
        }
    }

    #[test]
    fn a_runaway_file_is_not_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("huge.toml");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let why = load_file(&path, &NodeFacts::default()).unwrap_err().to_string();
        assert!(why.contains("more than 1048576 bytes are not read"), "{why}");
    }
}
