//! What verbs write: standard output for answers, standard error for complaints.

use std::io::{ErrorKind, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;

use super::{Error, ask};

/// What a verb that only acts prints: nothing, or for programs that it is done, and on what.
pub(crate) fn done(json: bool, verb: &str, on: Option<&str>) -> Result<ExitCode, Error> {
    if !json {
        return Ok(ExitCode::SUCCESS);
    }
    print(&ask::json(&serde_json::json!({ "done": verb, "on": on }))?)
}

/// Writes `text` to standard output; a reader that has gone is no failure.
pub(crate) fn print(text: &str) -> Result<ExitCode, Error> {
    put(text).map(|_| ExitCode::SUCCESS)
}

/// Writes `text` to standard output, and says whether anybody reads on.
pub(crate) fn put(text: &str) -> Result<ControlFlow<()>, Error> {
    let mut out = std::io::stdout().lock();
    gone(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// A reader of standard output that has gone is the end of the work, not a failure.
pub(crate) fn gone(written: std::io::Result<()>) -> Result<ControlFlow<()>, Error> {
    match written {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(Error::Failed(format!("cannot write: standard output: {error}"))),
    }
}

/// Writes a line to standard error.
pub fn complain(line: &str) {
    // Nobody is left to be told when this fails.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
