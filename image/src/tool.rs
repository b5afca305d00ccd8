//! Other programs: run, with an error that says what was run and what it complained of.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use crate::project;

/// How much of a failed program's output an error repeats, in lines.
const LINES_SHOWN: usize = 15;

/// A program that takes the C locale and a fixed time zone, so that its output does not depend on the user's machine.
///
/// It is also looked for where Debian keeps what only root is supposed to need: veritysetup, mkfs.vfat, mke2fs.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command.env("LC_ALL", "C").env("TZ", "UTC").stdin(Stdio::null());
    command
}

/// Cargo in the root of the workspace, the one that runs us.
///
/// What it tells us of our own package stays with us: ring's build script watches these variables, so that whoever came next, started from a
/// shell or by us, would build everything above it anew.
pub fn cargo(words: &[&str]) -> Command {
    let mut command = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(&name);
        }
    }
    command.current_dir(project::root()).args(words);
    command
}

/// Runs `command` and returns what it wrote to its standard output.
///
/// # Errors
/// The program is missing, or ended with another status than 0; the error repeats the end of its output.
pub fn output(command: &mut Command) -> Result<String> {
    let line = describe(command);
    let result = command.output().with_context(|| format!("cannot run {line}"))?;
    check(&line, &result)?;
    Ok(String::from_utf8_lossy(&result.stdout).into_owned())
}

/// Runs `command` for its effect.
///
/// # Errors
/// As [`output`].
pub fn run(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// The command line as a person would type it.
pub fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The last lines of `text` that are worth showing.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.get(lines.len().saturating_sub(LINES_SHOWN)..).unwrap_or_default().join("\n")
}

fn check(line: &str, result: &Output) -> Result<()> {
    if result.status.success() {
        return Ok(());
    }
    let said = [&result.stdout[..], &result.stderr[..]].concat();
    bail!("{line} failed: {}\n{}", result.status, tail(&String::from_utf8_lossy(&said)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_repeats_what_the_program_said() {
        let error = run(command("sh").args(["-c", "echo no room >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("no room"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut command("no-such-program-here")).unwrap_err().to_string();
        assert_eq!(error, "cannot run no-such-program-here");
    }

    #[test]
    fn the_tail_skips_blank_lines() {
        let text = (0..40).map(|n| format!("{n}\n\n")).collect::<String>();
        assert_eq!(tail(&text).lines().next(), Some("25"));
    }

    #[test]
    fn cargo_hears_nothing_of_the_package_that_started_it() {
        let told: Vec<_> = std::env::vars_os().filter(|(name, _)| name == "CARGO_PKG_NAME").collect();
        assert_eq!(told.len(), 1, "cargo test says it to us");
        let cargo = cargo(&["build"]);
        for name in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR"] {
            assert!(cargo.get_envs().any(|(it, value)| it == name && value.is_none()), "{name}");
        }
    }
}
