//! `director top`: the live view on the terminal of whoever calls.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{Error, ask};
use crate::console::run::watch;
use crate::ipc::message::Request;
use crate::paths::RunDir;
use crate::role::Role;

pub const USAGE: &str = "[--plain]";

pub const DETAILS: &str = "\
Shows NICs, virtual routers, services, real servers and alarms, anew every second,
until `q`. `?` there explains the keys.

  --plain    line by line, without escape codes; so it is too where TERM is `dumb`,
             and where the terminal does not answer when it is asked for its size
";

/// `director top [--plain]`.
pub fn run(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    use lexopt::Arg::Long;
    let (mut run_dir, mut plain) = (ask::run_dir(), false);
    while let Some(arg) = args.next()? {
        match arg {
            Long("run-dir") => run_dir = RunDir::new(PathBuf::from(args.value()?)),
            Long("plain") => plain = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if !std::io::stdout().is_terminal() {
        let why = "top: standard output is no terminal: `director status` prints the same once";
        return Err(Error::Failed(why.to_owned()));
    }
    ask::from(&run_dir, Role::Init, &Request::Status)?;
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    watch(&run_dir, !plain && !dumb).map_err(|error| Error::Failed(format!("top: terminal: {error}")))?;
    Ok(ExitCode::SUCCESS)
}
