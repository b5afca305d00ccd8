//! The verbs of the command line.
//!
//! A verb is a row of [`VERBS`]; the same table is the help. Exit codes: 0 done, 1 failed, 2 wrong use or a faulty file.

mod admin;
mod arping;
mod ask;
mod capture;
mod check;
mod help;
mod import;
pub mod ipvs;
pub mod life;
pub mod logs;
pub mod notify;
mod output;
pub mod peers;
mod pin;
mod ping;
pub mod power;
mod realserver;
pub mod services;
pub mod status;
mod suggest;
mod support;
mod table;
mod top;
mod traceroute;
pub mod update;
mod verbs;
pub mod vrrp;
pub mod why;

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

pub use output::complain;
pub(crate) use output::{done, gone, print, put};
pub use suggest::closest;
pub use table::{VERBS, Verb};

use table::{find, names};

/// Why a verb did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line is wrong: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The command line is right, the thing failed: exit code 1.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// What the process ends with.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) => 1,
        }
    }

    /// A failure told by its cause.
    pub fn failed(cause: impl std::fmt::Display) -> Self {
        Self::Failed(cause.to_string())
    }
}

impl From<lexopt::Error> for Error {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Runs what was asked: `called` is the name of the program, `args` what follows it.
///
/// # Errors
/// Wrong use, or the failure of the verb.
pub fn main(called: &OsStr, args: Vec<OsString>) -> Result<ExitCode, Error> {
    if let Some(verb) = called.to_str().and_then(find) {
        return (verb.run)(lexopt::Parser::from_args(args));
    }
    let mut args = args.into_iter();
    let Some(word) = args.next() else {
        return Err(Error::Usage(format!("no verb given: one of {}", names())));
    };
    let word = word.to_string_lossy();
    let verb = match word.as_ref() {
        "-h" | "--help" => find("help"),
        "-V" | "--version" => find("version"),
        word => find(word),
    };
    let verb = verb.ok_or_else(|| unknown(&word))?;
    let args: Vec<OsString> = args.collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        return print(&help::explain(verb));
    }
    (verb.run)(lexopt::Parser::from_args(args))
}

fn unknown(word: &str) -> Error {
    let near = closest(word, VERBS.iter().map(|verb| verb.name));
    let hint = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    Error::Usage(format!("unknown verb `{word}`: {hint}one of {}", names()))
}
