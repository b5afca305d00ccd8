//! `director traceroute`: by which routers is an address reached?

use std::ops::ControlFlow;
use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::{Error, ask, print};
use crate::names;
use crate::net::ping::Target;
use crate::net::trace::{End, Hop, Plan, Probe, trace};
use crate::units::parse_duration;

/// What may follow `director traceroute`.
pub const USAGE: &str = "ADDRESS|NAME [-m HOPS] [-q QUERIES] [-W TIMEOUT] [--json]";

/// What `director help traceroute` says below the summary.
pub const DETAILS: &str = "\
Asks by ICMP echo: hop by hop, 30 at most, 3 times each, waiting 1s each. A `*` is a question that nobody answered.
Exit status 1 if the address is not reached.
";

/// `director traceroute ADDRESS …`.
///
/// # Errors
/// Wrong use, or no raw socket.
pub fn run(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    use lexopt::Arg::{Long, Short, Value};
    let (mut target, mut plan, mut json) = (None::<Target>, Plan::default(), false);
    let usage = |error: crate::units::Refused| Error::Usage(format!("traceroute: {error}"));
    while let Some(arg) = args.next()? {
        match arg {
            Short('m') | Long("max-hops") => plan.hops = number("hops", &args.value()?, 255)?,
            Short('q') | Long("queries") => plan.queries = number("queries", &args.value()?, 10)?,
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
    let target = target.ok_or_else(|| Error::Usage("traceroute: which address is missing".to_owned()))?;
    let mut hops = Vec::new();
    let each = |hop: &Hop| {
        if json {
            hops.push(structured(hop));
            return ControlFlow::Continue(());
        }
        match print(&format!("{hop}\n")) {
            Ok(_) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    let end = trace(target, plan, each)
        .map_err(|error| Error::Failed(format!("cannot trace: {target}: {error}")))?;
    let reached = matches!(end, End::Reached(_));
    if json {
        print(&ask::json(&json!({ "target": target.address, "reached": reached, "hops": hops }))?)?;
    } else {
        print(&format!("{end}\n"))?;
    }
    Ok(if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn number(what: &str, word: &std::ffi::OsStr, most: u8) -> Result<u8, Error> {
    let found = word.to_str().and_then(|word| word.parse().ok()).filter(|number| (1..=most).contains(number));
    found.ok_or_else(|| Error::Usage(format!("traceroute: {what} {word:?} is not a number from 1 to {most}")))
}

fn structured(hop: &Hop) -> Json {
    let probes = hop.probes.iter().map(|probe| match probe {
        Probe::Answer { from, time } => {
            json!({ "from": from, "us": u64::try_from(time.as_micros()).unwrap_or(u64::MAX) })
        }
        Probe::Silence => Json::Null,
        Probe::Refused { from, why } => json!({ "from": from, "refused": why }),
        Probe::Unsent(why) => json!({ "unsent": why }),
    });
    json!({ "hop": hop.number, "probes": probes.collect::<Vec<_>>() })
}
