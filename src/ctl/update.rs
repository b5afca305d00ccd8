//! `director update` and `director slots`: firmware in the slot that does not run, and which slot is started next.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::status::table;
use super::{Error, ask, complain, print};
use crate::paths::RunDir;
use crate::store::update::{self, Progress, Standing};

/// What may follow `director update`.
pub const USAGE: &str = "[FILE|stick] [--json]";
/// What may follow `director slots`.
pub const SLOTS_USAGE: &str = "[A|B] [--json]";

/// What `director help update` and `help slots` say below the summary.
pub const DETAILS: &str = "\
An update is checked whole, written into the slot that does not run, and read back; the next start tries it, and it is confirmed
once all is well for a minute. If it does not come up three times, the slot that ran before is started again. Without FILE it is
the only file on the USB stick whose name ends in `.update`. `slots B` lets the next start take slot B. Only the appliance has slots.
";

struct Options {
    run_dir: RunDir,
    json: bool,
    word: Option<String>,
}

fn options(args: &mut lexopt::Parser) -> Result<Options, Error> {
    use lexopt::Arg::{Long, Value};
    let mut options = Options { run_dir: ask::run_dir(), json: false, word: None };
    while let Some(arg) = args.next()? {
        match arg {
            Long("run-dir") => options.run_dir = RunDir::new(PathBuf::from(args.value()?)),
            Long("json") => options.json = true,
            Value(word) if options.word.is_none() => options.word = Some(word.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

/// `director update [FILE|stick] [--json]`.
pub fn run(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    let Options { run_dir, json, word } = options(&mut args)?;
    let bar = std::io::stderr().is_terminal() && !json;
    let mut bar = bar.then(Bar::default);
    let mut told = |progress: Progress| {
        if let Some(line) = bar.as_mut().and_then(|bar| bar.line(progress)) {
            complain(&line);
        }
    };
    let done = match word.as_deref() {
        None | Some("stick") => update::from_stick(&run_dir, &mut told),
        Some(file) => update::from_file(&run_dir, &PathBuf::from(file), &mut told),
    };
    let message = done.map_err(Error::Failed)?;
    print(&if json { ask::json(&json!({ "message": message }))? } else { format!("{message}\n") })
}

/// A line for each tenth that is done.
#[derive(Debug, Default)]
pub struct Bar(Option<Progress>);

impl Bar {
    /// How far it is, in a line; `None` where the last one still says so.
    pub fn line(&mut self, now: Progress) -> Option<String> {
        let now = Progress { percent: now.percent / 10 * 10, ..now };
        (self.0.replace(now) != Some(now)).then(|| line(now))
    }
}

fn line(Progress { what, percent }: Progress) -> String {
    let done = usize::try_from(percent / 5).unwrap_or(20).min(20);
    format!("{what:<7} [{}{}] {percent:>3} %", "#".repeat(done), ".".repeat(20 - done))
}

/// `director slots [A|B] [--json]`.
pub fn slots(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    let Options { run_dir, json, word } = options(&mut args)?;
    match word.as_deref() {
        None => {}
        Some("A" | "a") => update::start_next(&run_dir, 'A').map_err(Error::Failed)?,
        Some("B" | "b") => update::start_next(&run_dir, 'B').map_err(Error::Failed)?,
        Some(other) => return Err(Error::Usage(format!("slots: {other:?} is no slot: A or B"))),
    }
    let slots = update::slots(&run_dir).map_err(Error::Failed)?;
    print(&if json { ask::json(&slots)? } else { lines(&slots).join("\n") + "\n" })
}

/// A line for each slot.
#[must_use]
pub fn lines(slots: &[Standing]) -> Vec<String> {
    let row = |slot: &Standing| {
        let state = match slot.state.as_str() {
            "good" => "confirmed",
            "try" => "on trial",
            _ => "given up",
        };
        let mut words = Vec::new();
        words.extend(slot.running.then_some("runs"));
        words.extend(slot.next.then_some("is started next"));
        let starts = match slot.starts {
            0 => String::new(),
            1 => "1 start not confirmed".to_owned(),
            more => format!("{more} starts not confirmed"),
        };
        vec![format!("slot {}", slot.slot), state.to_owned(), words.join(", "), starts]
    };
    table(slots.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_in_lines() {
        let slot = |slot, state: &str, starts, running, next| Standing {
            slot,
            state: state.to_owned(),
            starts,
            running,
            next,
        };
        assert_eq!(
            lines(&[slot('A', "good", 0, true, false), slot('B', "try", 2, false, true)]),
            ["slot A  confirmed  runs", "slot B  on trial   is started next  2 starts not confirmed"]
        );
    }

    #[test]
    fn each_tenth_is_told_once() {
        let mut bar = Bar::default();
        let lines: Vec<_> = [39, 41, 42, 57]
            .into_iter()
            .map(|percent| bar.line(Progress { what: "written", percent }))
            .collect();
        let wanted = [
            Some("written [######..............]  30 %"),
            Some("written [########............]  40 %"),
            None,
            Some("written [##########..........]  50 %"),
        ];
        assert_eq!(lines, wanted.map(|line| line.map(str::to_owned)));
        assert!(bar.line(Progress { what: "checked", percent: 57 }).is_some());
    }
}
