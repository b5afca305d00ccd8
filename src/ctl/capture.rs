//! `director capture`: packets of an interface into a file.

use std::ffi::OsString;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::{Error, ask, complain, print};
use crate::net::capture::{Plan, Summary, capture};
use crate::units::{IfName, parse_duration};

/// What may follow `director capture`.
pub const USAGE: &str = "INTERFACE -w FILE [-c N] [-s OCTETS] [--time TIME] [--size OCTETS] [--host ADDRESS] [--port PORT] \
                         [--json]";

/// What `director help capture` says below the summary.
pub const DETAILS: &str = "\
  -w FILE         pcap with nanoseconds, as every analyser reads it; `-` is standard output
  -c N            so many packets at most (1000)
  -s OCTETS       so much of each (256)
  --time TIME     for so long at most (30s)
  --size OCTETS   a file of so much at most (16777216)
  --host ADDRESS  from or to this address, or ARP about it
  --port PORT     from or to this port of TCP, UDP or SCTP

Host and port are looked for in tunnelled packets (IP in IP) as well. ^C ends it; the file is whole then. What is not for
this box, it does not see.
";

#[derive(Debug)]
struct Options {
    plan: Plan,
    file: PathBuf,
    json: bool,
}

/// `director capture INTERFACE -w FILE …`.
///
/// # Errors
/// Wrong use, no such interface, no packet socket, or the file cannot be written.
pub fn run(args: lexopt::Parser) -> Result<ExitCode, Error> {
    let Options { plan, file, json } = options(args)?;
    let told = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&told)).map_err(Error::failed)?;
    }
    let go_on = |_| match told.load(Ordering::Relaxed) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let place = file.display().to_string();
    let done = if place == "-" {
        capture(&plan, &mut std::io::stdout().lock(), go_on)
    } else {
        let out = std::fs::File::create(&file);
        let out = out.map_err(|error| Error::Failed(format!("cannot write: {place}: {error}")))?;
        capture(&plan, &mut std::io::BufWriter::new(out), go_on)
    };
    let summary =
        done.map_err(|error| Error::Failed(format!("cannot capture: {}: {error}", plan.interface)))?;
    tell(&plan, &place, &summary, json)
}

/// On standard output, unless the packets are there.
fn tell(plan: &Plan, place: &str, summary: &Summary, json: bool) -> Result<ExitCode, Error> {
    let text = if json {
        ask::json(&json!({
            "interface": plan.interface, "file": place, "packets": summary.packets, "bytes": summary.bytes,
            "dropped": summary.dropped, "end": summary.end.name(),
        }))?
    } else {
        format!("{place}: {summary}\n")
    };
    if place == "-" {
        complain(text.trim_end());
        // A reader that has gone has had enough.
        let _ = std::io::stdout().flush();
        return Ok(ExitCode::SUCCESS);
    }
    print(&text)
}

fn options(mut args: lexopt::Parser) -> Result<Options, Error> {
    use lexopt::Arg::{Long, Short, Value};
    let (mut plan, mut file, mut json) = (Plan::of("lo".parse().map_err(Error::failed)?), None, false);
    let mut interface = None::<IfName>;
    let usage = |error: crate::units::Refused| Error::Usage(format!("capture: {error}"));
    while let Some(arg) = args.next()? {
        match arg {
            Short('w') | Long("write") => file = Some(PathBuf::from(args.value()?)),
            Short('c') | Long("count") => plan.count = number("count", &args.value()?)?,
            Short('s') | Long("snaplen") => plan.longest = number("snaplen", &args.value()?)?,
            Long("size") => plan.bytes = number("size", &args.value()?)?,
            Long("time") => {
                plan.duration = parse_duration(&args.value()?.to_string_lossy()).map_err(usage)?;
            }
            Long("host") => {
                let word = args.value()?;
                let refuse = |_| Error::Usage(format!("capture: host {word:?} is not an address"));
                plan.filter.host = Some(word.to_string_lossy().parse().map_err(refuse)?);
            }
            Long("port") => plan.filter.port = Some(number("port", &args.value()?)?),
            Long("json") => json = true,
            Value(word) if interface.is_none() => {
                interface = Some(word.to_string_lossy().parse().map_err(usage)?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let missing = |what: &str| Error::Usage(format!("capture: {what} is missing"));
    plan.interface = interface.ok_or_else(|| missing("which interface"))?;
    Ok(Options { plan, file: file.ok_or_else(|| missing("-w FILE"))?, json })
}

/// A number that is not 0.
fn number<T: FromStr + PartialEq + From<u8>>(what: &str, word: &OsString) -> Result<T, Error> {
    let found = word.to_str().and_then(|word| word.parse().ok()).filter(|number| *number != T::from(0));
    found.ok_or_else(|| Error::Usage(format!("capture: {what} {word:?} is not a number that fits")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Options, String> {
        options(lexopt::Parser::from_args(words.split_whitespace())).map_err(|error| error.to_string())
    }

    #[test]
    fn everything_can_be_bounded() {
        let words = "eth0 -w x.pcap -c 5 -s 96 --time 2s --size 1000 --host 10.0.0.1 --port 80";
        let Options { plan, .. } = parsed(words).unwrap();
        assert_eq!((plan.count, plan.longest, plan.bytes, plan.filter.port), (5, 96, 1000, Some(80)));
        assert_eq!(plan.duration.as_secs(), 2);
    }

    #[test]
    fn wrong_use_is_told() {
        for (words, wanted) in [
            ("-w x", "capture: which interface is missing"),
            ("eth0", "capture: -w FILE is missing"),
            ("eth0 -w x -c 0", "capture: count \"0\" is not a number that fits"),
            ("eth0 -w x --port 99999", "capture: port \"99999\" is not a number that fits"),
            ("eth0 -w x --host web", "capture: host \"web\" is not an address"),
        ] {
            assert_eq!(parsed(words).map(drop), Err(wanted.to_owned()), "{words}");
        }
    }
}
