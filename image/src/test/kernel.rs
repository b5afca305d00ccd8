//! Kernel tests: every test of `tests/kernel_*.rs`, one by one, inside a guest with the shipped kernel.
//!
//! The guest's first process is `image/guest`; its header says what a test finds there and how results come back.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::outcome::Outcome;
use super::{cargo, rootfs};
use crate::{build, setup, tool};
use director_lab::guest::Guest;
use director_lab::machine::{Boot, Machine};
use director_lab::scratch;
use director_lab::serial::Serial;

/// How long one test may take inside the guest, unless DIRECTOR_PATIENCE says it, in seconds.
const PATIENCE: Duration = Duration::from_secs(180);

/// What long runs say to a test by its environment.
const TOLD: [&str; 1] = ["DIRECTOR_PROBES"];

/// How long the guest may take to begin.
const BOOT: Duration = Duration::from_secs(60);

/// Runs the tests with `filter` in `BINARY/TEST`.
///
/// # Errors
/// When nothing can be built or the guest does not run; a failing test is no error.
pub fn run(filter: &str) -> Result<Outcome> {
    let names: Vec<String> = cargo::names()?.into_iter().filter(|name| name.starts_with("kernel_")).collect();
    let names = wanted(names, filter);
    if names.is_empty() {
        return Ok(Outcome { notes: vec!["there is no tests/kernel_*.rs".into()], ..Outcome::default() });
    }
    let kernel = kernel()?;
    let built = compile(&names)?;
    let folder = scratch::folder("kernel")?;
    let root = rootfs::make(&folder.path().join("root"), &built.init, &built.director, &built.tests)?;
    let patience = patience()?;
    let mut append = format!(
        "init=/sbin/init quiet loglevel=4 no_timer_check director.filter={filter} director.patience={}",
        patience.as_secs()
    );
    for name in TOLD {
        append.extend(std::env::var(name).map(|value| format!(" {name}={value}")));
    }
    let mut machine = Machine::new("kernel", Boot::Kernel { kernel, root, append });
    machine.memory = 768;
    machine.second_serial = true;
    let guest = Guest::start(&machine, None)?;
    let reports = guest.second().context("the guest has no second serial line")?;
    follow(reports, patience)
        .with_context(|| format!("kernel guest: its console said last:\n{}", guest.serial().tail(15)))
}

fn patience() -> Result<Duration> {
    let Ok(said) = std::env::var("DIRECTOR_PATIENCE") else { return Ok(PATIENCE) };
    said.parse()
        .map(Duration::from_secs)
        .with_context(|| format!("DIRECTOR_PATIENCE: {said:?}: not a number of seconds"))
}

/// Leaves out the binaries that `filter`, if it begins with the name of one, does not mean: linking them takes minutes.
fn wanted(mut names: Vec<String>, filter: &str) -> Vec<String> {
    let binary = filter.split('/').next().unwrap_or_default();
    if names.iter().any(|name| name == binary) {
        names.retain(|name| name.starts_with(binary));
    }
    names
}

/// What runs in the guest.
struct Built {
    init: PathBuf,
    director: PathBuf,
    tests: Vec<(String, PathBuf)>,
}

/// Builds static binaries: the guest needs no library of theirs.
fn compile(names: &[String]) -> Result<Built> {
    let target = ["--target", setup::TARGET, "--message-format=json-render-diagnostics"];
    let mut guest = tool::cargo(&["build", "--quiet", "--package", "director-guest"]);
    let init = executables(guest.args(target))?;
    let mut tests = tool::cargo(&["test", "--quiet", "--no-run", "--package", "director"]);
    let mut binaries = executables(tests.args(names.iter().flat_map(|name| ["--test", name])).args(target))?;
    let take = |name: &str, from: &mut Vec<(String, PathBuf)>| {
        let at = from.iter().position(|(other, _)| other == name);
        at.map(|at| from.swap_remove(at).1).with_context(|| format!("cargo built no {name}"))
    };
    let director = take("director", &mut binaries)?;
    Ok(Built { init: take("director-guest", &mut { init })?, director, tests: binaries })
}

/// Runs cargo and returns the executables that it made, by the names of their targets.
pub(crate) fn executables(cargo: &mut std::process::Command) -> Result<Vec<(String, PathBuf)>> {
    let out = cargo.stderr(std::process::Stdio::inherit()).output().context("running cargo")?;
    if !out.status.success() {
        bail!("{}: {}", tool::describe(cargo), out.status);
    }
    let text = String::from_utf8_lossy(&out.stdout);
    let artefact = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        let name = message.pointer("/target/name")?.as_str()?.to_owned();
        Some((name, PathBuf::from(message.get("executable")?.as_str()?)))
    };
    Ok(text.lines().filter_map(artefact).collect())
}

/// The shipped kernel, or the one that DIRECTOR_KERNEL names.
fn kernel() -> Result<PathBuf> {
    match std::env::var_os("DIRECTOR_KERNEL") {
        Some(path) => Ok(path.into()),
        None => build::kernel(),
    }
}

/// Follows the reports of the guest until it is done.
fn follow(reports: &Serial, patience: Duration) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut begun = BOOT;
    let mut running = None;
    loop {
        let (line, before) = report(reports, begun)
            .inspect_err(|_| show("it hung in", running.as_deref().unwrap_or("its start"), ""))?;
        begun = patience + Duration::from_secs(30);
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("begin"), Some(binary), Some(test)) => running = Some(format!("{binary}/{test}")),
            (Some("end"), Some(binary), Some(test)) => {
                let status = words.next().unwrap_or("status=?").trim_start_matches("status=").to_owned();
                let time = words.next().unwrap_or("").trim_start_matches("ms=").parse().unwrap_or(0);
                add(&mut outcome, &format!("{binary}/{test}"), &status, &before, Duration::from_millis(time));
                running = None;
            }
            (Some("done"), ..) => return Ok(outcome),
            _ => bail!("the guest reported {line:?}"),
        }
    }
}

/// The next report, and what was printed before it.
fn report(reports: &Serial, patience: Duration) -> Result<(String, String)> {
    let end = Instant::now() + patience;
    let before = reports.expect("##", patience)?;
    let line =
        reports.expect("\n", end.saturating_duration_since(Instant::now()) + Duration::from_secs(5))?;
    Ok((line, before))
}

fn add(outcome: &mut Outcome, name: &str, status: &str, output: &str, time: Duration) {
    let skipped = output.lines().find_map(|line| line.trim_start().strip_prefix("skipped: "));
    let ignored = output.contains("1 ignored;");
    let verdict = match (status, skipped) {
        ("0", Some(why)) => {
            outcome.skipped.push(format!("{name}: {why}"));
            "skipped"
        }
        ("0", None) if ignored => {
            outcome.skipped.push(format!("{name}: marked #[ignore]"));
            "ignored"
        }
        ("0", None) => {
            outcome.passed += 1;
            "ok"
        }
        _ => {
            outcome.failed.push(format!(
                "{name}: status {status}{}",
                if status == "137" { " (killed: too slow, or by itself)" } else { "" }
            ));
            "FAILED"
        }
    };
    eprintln!("{verdict:<8} {name} ({:.1} s)", time.as_secs_f64());
    if verdict == "FAILED" {
        show("output of", name, output);
    }
}

fn show(what: &str, name: &str, output: &str) {
    eprintln!("---- {what} {name} ----\n{}", output.trim());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn reads_the_reports_of_a_guest() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, mut guest) = UnixStream::pair().unwrap();
        let serial = Serial::new(ours, &folder.path().join("log"), Instant::now()).unwrap();
        let said = "##begin kernel_ipvs a\r\nrunning 1 test\r\n\r\n##end kernel_ipvs a status=0 ms=120\r\n\
                    ##begin kernel_ipvs b\nthread panicked\n\n##end kernel_ipvs b status=101 ms=3\n\
                    ##begin kernel_ipvs c\nskipped: no IPVS\n\n##end kernel_ipvs c status=0 ms=1\n##done\n";
        guest.write_all(said.as_bytes()).unwrap();
        let outcome = follow(&serial, PATIENCE).unwrap();
        assert_eq!(outcome.passed, 1);
        assert_eq!(outcome.failed, ["kernel_ipvs/b: status 101"]);
        assert_eq!(outcome.skipped, ["kernel_ipvs/c: no IPVS"]);
    }

    #[test]
    fn only_what_is_meant_is_built() {
        let all = ["kernel_ipvs", "kernel_ipvs_view", "kernel_lvs"].map(str::to_owned);
        assert_eq!(wanted(all.to_vec(), "kernel_ipvs_view/numbers"), all[1..2]);
        assert_eq!(wanted(all.to_vec(), "kernel_ipvs"), all[..2], "its name begins another's");
        assert_eq!(wanted(all.to_vec(), "sorry"), all);
    }

    #[test]
    fn a_guest_that_ends_early_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, mut guest) = UnixStream::pair().unwrap();
        let serial = Serial::new(ours, &folder.path().join("log"), Instant::now()).unwrap();
        guest.write_all(b"##begin kernel_ipvs a\n").unwrap();
        drop(guest);
        assert!(follow(&serial, PATIENCE).is_err());
    }
}
