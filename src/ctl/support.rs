//! `director support`: everything that helps others to help, as one file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::{Error, ask, print};
use crate::paths::RunDir;
use crate::support;

/// What may follow `director support`.
pub const USAGE: &str = "[--to PATH] [--json]";

/// What `director help support` says below the summary.
pub const DETAILS: &str = "\
PATH is a file, or a folder in which director-support-HOST.tar.gz is made; without it, this folder. It works while workers do not
answer: a part that cannot be had has a file NAME.error that says why. Keys, passwords and the PIN are left out.
";

/// `director support [--to PATH] [--json]`.
///
/// # Errors
/// Wrong use, or the file cannot be written.
pub fn run(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    use lexopt::Arg::Long;
    let (mut run_dir, mut to, mut json) = (ask::run_dir(), PathBuf::from("."), false);
    while let Some(arg) = args.next()? {
        match arg {
            Long("run-dir") => run_dir = RunDir::new(PathBuf::from(args.value()?)),
            Long("to") => to = PathBuf::from(args.value()?),
            Long("json") => json = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let bundle = support::bundle(&run_dir).map_err(Error::failed)?;
    let path = if to.is_dir() { to.join(&bundle.name) } else { to };
    write(&path, &bundle.bytes)?;
    if json {
        return print(&ask::json(&json!({
            "file": path, "bytes": bundle.bytes.len(), "parts": bundle.parts, "failed": bundle.failed,
        }))?);
    }
    print(&format!("{}: {}\n", path.display(), bundle.summary()))
}

/// Readable by its owner alone: what is in it is nobody else's business.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let place = Path::new(".").join(path);
    crate::store::files::replace(&place, bytes)
        .map_err(|error| Error::Failed(format!("cannot write: {}: {error}", path.display())))
}
