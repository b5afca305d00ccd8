//! `director arping`: who has an address on a network of this box?

use std::ops::ControlFlow;
use std::process::ExitCode;

use serde_json::json;

use super::{Error, ask, print};
use crate::net::arping::{Outcome, arping};
use crate::net::ping::Plan;
use crate::units::{IfName, parse_duration};

/// What may follow `director arping`.
pub const USAGE: &str = "ADDRESS [-I INTERFACE] [-c N] [-i INTERVAL] [-W TIMEOUT] [--json]";

/// What `director help arping` says below the summary.
pub const DETAILS: &str = "\
Asks by ARP (4 times, every 1s, waiting 1s each) on the interface that has the network of the address, or on INTERFACE.
Every card that answers is told: two of them are an address in use twice. IPv6 has no ARP: ping asks neighbours by itself.
Exit status 1 if nobody answers.
";

/// `director arping ADDRESS …`.
///
/// # Errors
/// Wrong use, no such interface, or no packet socket.
pub fn run(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    use lexopt::Arg::{Long, Short, Value};
    let (mut target, mut interface, mut plan, mut json) = (None, None::<IfName>, Plan::default(), false);
    let usage = |error: crate::units::Refused| Error::Usage(format!("arping: {error}"));
    while let Some(arg) = args.next()? {
        match arg {
            Short('I') | Long("interface") => {
                interface = Some(args.value()?.to_string_lossy().parse().map_err(usage)?);
            }
            Short('c') | Long("count") => {
                let word = args.value()?;
                let count = word.to_str().and_then(|word| word.parse().ok()).filter(|count| *count > 0);
                let refuse =
                    || Error::Usage(format!("arping: count {word:?} is not a number from 1 to 65535"));
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
                let refuse = |_| Error::Usage(format!("arping: {word:?} is not an IPv4 address"));
                target = Some(word.to_string_lossy().parse().map_err(refuse)?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let target = target.ok_or_else(|| Error::Usage("arping: which address is missing".to_owned()))?;
    let each = |outcome: &Outcome| match json || print(&format!("{outcome}\n")).is_ok() {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    };
    let summary = arping(target, interface.as_ref(), plan, each)
        .map_err(|error| Error::Failed(format!("cannot ask by ARP: {target}: {error}")))?;
    if json {
        let macs: Vec<String> = summary.macs.iter().map(ToString::to_string).collect();
        print(&ask::json(&json!({
            "target": target, "interface": summary.interface, "sent": summary.sent,
            "answered": summary.answered, "macs": macs,
        }))?)?;
    } else {
        print(&format!("{summary}\n"))?;
    }
    Ok(if summary.answered > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
