//! The file check: a file of this box whose first line says how a server is.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use nix::libc;

use super::{Outcome, Reason, agent, reason};

/// Reads the first line of `path`, with the words of [`agent::judge`]. A file that is not there is down.
#[must_use]
pub fn probe(path: &str) -> Outcome {
    match head(path) {
        Ok(Some(said)) => agent::judge(&said),
        Ok(None) => Outcome::Failure(Reason::Owned(format!("{path} is not a file"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Outcome::Failure(Reason::Owned(format!("{path} is missing")))
        }
        Err(error) => {
            Outcome::Inconclusive(Reason::Owned(format!("cannot read {path}: {}", reason::words(&error))))
        }
    }
}

/// The beginning of a regular file, a line at most; nothing else is read, because that could block.
fn head(path: &str) -> io::Result<Option<Vec<u8>>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut said = Vec::new();
    file.take(agent::LONGEST as u64 + 1).read_to_end(&mut said)?;
    Ok(Some(said))
}

#[cfg(test)]
mod tests {
    use super::super::Feedback;
    use super::*;

    #[test]
    fn the_first_line_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weight");
        let path = file.to_str().unwrap();
        assert_eq!(probe(path), Outcome::Failure(format!("{path} is missing").into()));
        std::fs::write(&file, "50%\ndown\n").unwrap();
        assert_eq!(probe(path), Outcome::Feedback(Feedback::Percent(50), "says \"50%\"".into()));
        std::fs::write(&file, "").unwrap();
        assert_eq!(probe(path), Outcome::Failure("says \"\", no words of an agent".into()));
        let folder = folder.path().to_str().unwrap();
        assert_eq!(probe(folder), Outcome::Failure(format!("{folder} is not a file").into()));
        nix::unistd::mkfifo(&file.with_extension("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(probe(&format!("{folder}/weight.fifo")), Outcome::Failure(_)), "does not block");
    }
}
