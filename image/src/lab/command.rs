//! Running other programs: in one line, and never outliving us.

use std::ffi::OsStr;
use std::process::Command;

use anyhow::Result;

use crate::tool;

/// Runs a program to its end and returns its standard output.
///
/// # Errors
/// As [`tool::output`].
pub fn output<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Result<String> {
    tool::output(tool::command(program).args(arguments))
}

/// A command that the kernel kills when the *thread* that started it ends, however that happens.
///
/// By util-linux's `setpriv`, because asking in the child before exec would need unsafe code here.
pub fn bound(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}
