//! `director notify`: who is told, what waits, and whether it arrives.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::Arg::{Long, Value};

use super::logs::moment;
use super::{Error, ask, print};
use crate::ipc::message::{NotifyStatus, Reply, Request, Status, TargetStatus};
use crate::paths::RunDir;
use crate::role::Role;

/// What may follow the verb.
pub const USAGE: &str = "[test [TARGET]] [--json]";

/// What the help says beside it.
pub const DETAILS: &str = "Without a word: the receivers of alarms and of logs, what waits for each, and how the last delivery went.
`test` sends an alarm of kind `test` to TARGET, or to all, and waits for what becomes of it: exit status 1 if one does not arrive.
";

/// A delivery may take as long as its time-out, and the file may give that five minutes.
const LONGEST: Duration = Duration::from_secs(310);
const LOOK: Duration = Duration::from_millis(100);

struct Options {
    run_dir: RunDir,
    json: bool,
    test: bool,
    target: Option<String>,
}

fn options(args: &mut lexopt::Parser) -> Result<Options, Error> {
    let mut options = Options { run_dir: ask::run_dir(), json: false, test: false, target: None };
    while let Some(arg) = args.next()? {
        match arg {
            Long("run-dir") => options.run_dir = RunDir::new(PathBuf::from(args.value()?)),
            Long("json") => options.json = true,
            Value(word) if !options.test && word == "test" => options.test = true,
            Value(word) if !options.test => {
                return Err(Error::Usage(format!("notify: {word:?} is unknown: did you mean `test`?")));
            }
            Value(word) if options.target.is_none() => {
                options.target = Some(word.to_string_lossy().into_owned());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

/// `director notify [test [TARGET]] [--json]`.
pub fn run(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    let options = options(&mut args)?;
    if options.test {
        return test(&options);
    }
    let status = status(&options.run_dir)?;
    print(&if options.json { ask::json(&status)? } else { lines(&status) })
}

fn status(run_dir: &RunDir) -> Result<NotifyStatus, Error> {
    let Reply::Status { status } = ask::from(run_dir, Role::Notify, &Request::Status)? else {
        return Err(Error::Failed("notify: it answered something else".to_owned()));
    };
    if let Status::Notify(status) = *status {
        Ok(status)
    } else {
        Err(Error::Failed("notify: no status".to_owned()))
    }
}

fn test(options: &Options) -> Result<ExitCode, Error> {
    let request = Request::NotifyTest { target: options.target.clone() };
    let Reply::Notified { id, targets } = ask::from(&options.run_dir, Role::Notify, &request)? else {
        return Err(Error::Failed("notify test: it answered something else".to_owned()));
    };
    let deadline = Instant::now() + LONGEST;
    let done = loop {
        let status = status(&options.run_dir)?;
        let mine: Vec<TargetStatus> =
            status.targets.into_iter().filter(|target| targets.contains(&target.name)).collect();
        if mine.iter().all(|target| settled(target, id)) || Instant::now() > deadline {
            break mine;
        }
        std::thread::sleep(LOOK);
    };
    let failed = done.iter().any(|target| target.last.as_ref().is_none_or(|last| !last.ok || last.id < id));
    print(&if options.json {
        ask::json(&done)?
    } else {
        done.iter().map(|target| format!("{}\n", tried(target, id))).collect()
    })?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Whether the alarm was taken, or an attempt that had it failed.
fn settled(target: &TargetStatus, id: u64) -> bool {
    target.last.as_ref().is_some_and(|last| last.id >= id)
}

fn tried(target: &TargetStatus, id: u64) -> String {
    match &target.last {
        Some(last) if last.id >= id && last.ok => format!("{}: delivered: {}", target.name, last.text),
        Some(last) if last.id >= id => format!("{}: not delivered: {}", target.name, last.text),
        _ => format!("{}: not delivered: it still waits", target.name),
    }
}

/// Receivers of alarms and of logs, for people.
#[must_use]
pub fn lines(status: &NotifyStatus) -> String {
    let mut out = String::new();
    for target in &status.targets {
        let TargetStatus { name, kind, waiting, delivered, dropped, failures, last } = target;
        out.push_str(&format!(
            "{name} ({kind}): {delivered} delivered, {} waiting, {dropped} dropped",
            waiting.len()
        ));
        if *failures > 0 {
            out.push_str(&format!(", ! {failures} failures in a row"));
        }
        out.push('\n');
        if let Some(last) = last {
            let word = if last.ok { "taken" } else { "failed" };
            out.push_str(&format!("  last attempt {} UTC: {word}: {}\n", moment(last.time_ms), last.text));
        }
        for alarm in waiting.iter().take(10) {
            out.push_str(&format!("  waits since {} UTC: {}\n", moment(alarm.time_ms), alarm.text));
        }
        if waiting.len() > 10 {
            out.push_str(&format!("  and {} more\n", waiting.len() - 10));
        }
    }
    for one in &status.syslog {
        let state =
            one.problem.as_ref().map_or_else(|| "in order".to_owned(), |problem| format!("! {problem}"));
        out.push_str(&format!("logs to {}: {} sent, {} lost; {state}\n", one.target, one.sent, one.lost));
    }
    if out.is_empty() {
        out.push_str("nobody is told: the file has no [[notify]] and no `syslog`\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_as_the_manual_shows_them() {
        let alarm = serde_json::json!({"id": 13, "time_ms": 1_795_170_058_000_u64, "kind": "server", "subject": "web", "state": "down",
            "severity": 4, "text": "server 192.168.61.33:80 of web is down: connection refused", "words": []});
        let attempt = |id: u64, ok: bool, text: &str| serde_json::json!({"time_ms": 1_795_170_093_000_u64, "id": id, "ok": ok, "text": text});
        let target = |last: serde_json::Value| -> TargetStatus {
            serde_json::from_value(
                serde_json::json!({"name": "operators", "kind": "mail", "waiting": [alarm], "delivered": 12,
                "dropped": 0, "failures": 3, "last": last}),
            )
            .unwrap()
        };
        let failed = target(attempt(13, false, "connection refused"));
        let status = NotifyStatus { syslog: Vec::new(), targets: vec![failed.clone()], generation: 1 };
        let taken = target(attempt(14, true, "250 OK id=1r3Xyz-000042-0a"));
        let shown = format!(
            "```\n$ director notify\n{}$ director notify test operators\n{}\n```\n",
            lines(&status),
            tried(&taken, 14)
        );
        assert!(include_str!("../../doc/manual.md").contains(&shown), "{shown}");
        assert_eq!(tried(&failed, 14), "operators: not delivered: it still waits");
        assert_eq!(tried(&failed, 13), "operators: not delivered: connection refused");
    }
}
