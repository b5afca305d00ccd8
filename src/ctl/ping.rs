//! `director ping`: is anybody there?

use std::ops::ControlFlow;
use std::process::ExitCode;

use super::{Error, ask, print};
use crate::names;
use crate::net::ping::{Plan, Target, ping};
use crate::units::parse_duration;

/// `director ping ADDRESS|NAME [-c N] [-i INTERVAL] [-W TIMEOUT]`: exit code 1 when nobody answers.
pub fn run(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    use lexopt::Arg::{Long, Short, Value};
    let mut target: Option<Target> = None;
    let mut plan = Plan::default();
    let usage = |error: crate::units::Refused| Error::Usage(format!("ping: {error}"));
    while let Some(arg) = args.next()? {
        match arg {
            Short('c') | Long("count") => {
                let word = args.value()?;
                let count = word.to_str().and_then(|word| word.parse().ok()).filter(|count| *count > 0);
                let refuse = || Error::Usage(format!("ping: count {word:?} is not a number from 1 to 65535"));
                plan.count = count.ok_or_else(refuse)?;
            }
            Short('i') | Long("interval") => {
                plan.interval = parse_duration(&args.value()?.to_string_lossy()).map_err(usage)?;
            }
            Short('W') | Long("timeout") => {
                plan.timeout = parse_duration(&args.value()?.to_string_lossy()).map_err(usage)?;
            }
            Value(word) if target.is_none() => {
                target = Some(names::target(&ask::run_dir(), &word.to_string_lossy()).map_err(usage)?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let target = target.ok_or_else(|| Error::Usage("ping: which address is missing".to_owned()))?;
    let each = |outcome: &_| match print(&format!("{outcome}\n")) {
        Ok(_) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    };
    let summary =
        ping(target, plan, each).map_err(|error| Error::Failed(format!("cannot ping: {target}: {error}")))?;
    print(&format!("{summary}\n"))?;
    Ok(if summary.answered > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
