//! `director ping`: is anybody there?

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Error, ask, print};
use crate::names;
use crate::net::ping::{Outcome, Plan, Target, ping};
use crate::units::parse_duration;

/// What may follow `director ping`.
pub const USAGE: &str = "ADDRESS|NAME [-c N] [-i INTERVAL] [-W TIMEOUT] [--json]";

/// What `director help ping` says below the summary.
pub const DETAILS: &str = "\
Asks by ICMP echo, 4 times, every 1s, waiting 1s each. A link-local address wants its interface: fe80::1%eth0.
Exit status 1 if nobody answers.
";

/// `director ping ADDRESS|NAME …`.
///
/// # Errors
/// Wrong use, or no raw socket.
pub fn run(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    use lexopt::Arg::{Long, Short, Value};
    let (mut target, mut plan, mut json) = (None::<Target>, Plan::default(), false);
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
            Long("json") => json = true,
            Value(word) if target.is_none() => {
                target = Some(names::target(&ask::run_dir(), &word.to_string_lossy()).map_err(usage)?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let target = target.ok_or_else(|| Error::Usage("ping: which address is missing".to_owned()))?;
    let mut probes = Vec::new();
    let each = |outcome: &Outcome| {
        if json {
            probes.push(structured(outcome));
            return ControlFlow::Continue(());
        }
        match print(&format!("{outcome}\n")) {
            Ok(_) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    let summary =
        ping(target, plan, each).map_err(|error| Error::Failed(format!("cannot ping: {target}: {error}")))?;
    if json {
        print(&ask::json(&json!({
            "target": target.address, "sent": summary.sent, "answered": summary.answered,
            "fastest_us": summary.mean().map(|_| micros(summary.fastest)),
            "mean_us": summary.mean().map(micros),
            "slowest_us": summary.mean().map(|_| micros(summary.slowest)),
            "probes": probes,
        }))?)?;
    } else {
        print(&format!("{summary}\n"))?;
    }
    Ok(if summary.answered > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// As `traceroute` has them: `us` where it was answered.
fn structured(outcome: &Outcome) -> Json {
    match outcome {
        Outcome::Answer { seq, time } => json!({ "seq": seq, "us": micros(*time) }),
        Outcome::Silence { seq, .. } => json!({ "seq": seq }),
        Outcome::Refused { seq, from, why } => json!({ "seq": seq, "from": from, "refused": why }),
        Outcome::Unsent { seq, why } => json!({ "seq": seq, "unsent": why }),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
