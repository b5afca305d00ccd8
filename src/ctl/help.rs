//! `director help`: all verbs in a line each, or one of them in full.

use std::process::ExitCode;

use super::table::{VERBS, Verb, find};
use super::{
    Error, admin, arping, ask, capture, import, ipvs, life, notify, pin, ping, power, print, realserver,
    support, top, traceroute, unknown, update, vrrp,
};

/// `director help [VERB]`.
///
/// # Errors
/// There is no such verb.
pub(super) fn run(mut args: lexopt::Parser) -> Result<ExitCode, Error> {
    match args.next()? {
        None => print(&overview()),
        Some(lexopt::Arg::Value(word)) => {
            let word = word.to_string_lossy();
            print(&explain(find(&word).ok_or_else(|| unknown(&word))?))
        }
        Some(other) => Err(other.unexpected().into()),
    }
}

fn overview() -> String {
    let mut text = String::from("Director: a dedicated LVS director.\n\nusage: director VERB …\n\n");
    for verb in VERBS {
        text.push_str(&format!("  {:<10} {}\n", verb.name, verb.summary));
    }
    text.push_str(
        "\nVerbs that ask a running Director take --run-dir DIR (default /run/director, or $DIRECTOR_RUN).\n",
    );
    text
}

/// Usage, summary and details of a verb.
pub(super) fn explain(verb: &Verb) -> String {
    let details = match verb.name {
        "arping" => format!("\n{}", arping::DETAILS),
        "capture" => format!("\n{}", capture::DETAILS),
        "pin" => format!("\n{}", pin::DETAILS),
        "ping" => format!("\n{}", ping::DETAILS),
        "support" => format!("\n{}", support::DETAILS),
        "top" => format!("\n{}", top::DETAILS),
        "traceroute" => format!("\n{}", traceroute::DETAILS),
        "import" => format!("\n{}", import::DETAILS),
        "ipvs" => format!("\n{}", ipvs::DETAILS),
        "why" | "drain" | "disable" | "enable" => format!("\n{}", admin::DETAILS),
        "notify" => format!("\n{}", notify::DETAILS),
        "realserver" => format!("\n{}", realserver::DETAILS),
        "safe-mode" => format!("\n{}", power::DETAILS),
        "update" | "slots" => format!("\n{}", update::DETAILS),
        "vrrp" => format!("\n{}", vrrp::DETAILS),
        "logs" => format!("\n{}", ask::LOGS_DETAILS),
        "diff" | "apply" | "confirm" | "rollback" | "history" | "show" => format!("\n{}", life::DETAILS),
        _ => String::new(),
    };
    format!("usage: director {} {}\n\n{}\n{details}", verb.name, verb.usage, verb.summary)
        .replace(" \n", "\n")
}
