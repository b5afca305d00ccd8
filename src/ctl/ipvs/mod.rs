//! `director ipvs`: the kernel's balancer as it is, with or without a running Director.
//!
//! [`view`]: the table with names, in the order of the file · [`book`]: those names · [`listing`]: connections, filtered and
//! counted · [`text`], [`number`]: how it is written · `show`: reading the kernel and writing to the terminal · `clear`: leaving it.

pub mod book;
mod clear;
pub mod listing;
pub mod number;
mod options;
mod show;
pub mod text;
pub mod view;

use std::process::ExitCode;

use lexopt::Arg::Value;

use super::{Error, closest};
use options::{Options, Takes};

/// What may be looked at or done.
struct Deed {
    name: &'static str,
    takes: Takes,
    run: fn(&Options) -> Result<ExitCode, Error>,
}

const DEEDS: &[Deed] = &[
    Deed { name: "services", takes: Takes { exact: true, ..Takes::TABLE }, run: show::services },
    Deed {
        name: "connections",
        takes: Takes { exact: true, filters: true, ..Takes::TABLE },
        run: show::connections,
    },
    Deed { name: "rates", takes: Takes { exact: true, watch: true, ..Takes::TABLE }, run: show::rates },
    Deed { name: "timeouts", takes: Takes { service: false, ..Takes::TABLE }, run: show::timeouts },
    Deed { name: "zero", takes: Takes { json: false, ..Takes::TABLE }, run: show::zero },
    Deed { name: "clear", takes: Takes { json: false, service: false, ..Takes::TABLE }, run: clear::clear },
];

/// What may follow `director ipvs`.
pub const USAGE: &str = "services|connections|rates|timeouts|zero|clear [--json] [--exact] [SERVICE]";

/// What `director help ipvs` says below the summary.
pub const DETAILS: &str = "\
  services     the table: methods, weights, connections, counters
  connections  one by one; --count: how many, by service, server and state
               --server ADDRESS[:PORT], --client ADDRESS[/PREFIX], --state STATE: only these
               --json: a document for each line
  rates        what comes each second; --watch[=INTERVAL]: again and again, measured (2s)
  timeouts     after what time idle connections are forgotten; size of the connection table
  zero         sets the counters to zero
  clear        takes Director's services and rules out of a kernel that it has left

SERVICE is its name in the file, 192.0.2.1:80, \"udp 192.0.2.1:53\" or \"fwmark 5\".
--exact writes every digit.
";

/// `director ipvs …`.
///
/// # Errors
/// Wrong use, or a kernel that does not answer.
pub fn run(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    let names = || DEEDS.iter().map(|deed| deed.name);
    let one_of = || names().collect::<Vec<_>>().join(", ");
    let word = match args.next()? {
        Some(Value(word)) => word.to_string_lossy().into_owned(),
        Some(other) => return Err(other.unexpected().into()),
        None => return Err(Error::Usage(format!("ipvs: what to show is missing: one of {}", one_of()))),
    };
    let Some(deed) = DEEDS.iter().find(|deed| deed.name == word) else {
        let hint = closest(&word, names()).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        return Err(Error::Usage(format!("ipvs: unknown word `{word}`: {hint}one of {}", one_of())));
    };
    (deed.run)(&options::parse(&mut args, deed.takes)?)
}
