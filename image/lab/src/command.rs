//! Running other programs: with their own words in the error, and never outliving us.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a program to its end and returns its standard output.
///
/// # Errors
/// When it cannot be started or fails: what was run, its exit status, and what it wrote to standard error.
pub fn output<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Result<String> {
    let shown = arguments.iter().map(|a| a.as_ref().to_string_lossy()).collect::<Vec<_>>().join(" ");
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C").stdin(Stdio::null());
    let out = command.output().with_context(|| format!("cannot run {program} {shown}"))?;
    if !out.status.success() {
        bail!("{program} {shown}: {}: {}", out.status, String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// A command that the kernel kills when the *thread* that started it ends, however that happens.
///
/// By util-linux's `setpriv`, because asking in the child before exec would need unsafe code here.
pub fn bound(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}
