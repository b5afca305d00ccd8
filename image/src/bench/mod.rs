//! `cargo image bench`: Director and its peers on the same work, in turns, in one run.
//!
//! Most cases run in a guest ([`guest`]; the driver in it is `benches/guest`), because IPVS is there: with the shipped kernel in QEMU,
//! emulated, so a number says little and a ratio much, or with User-Mode Linux. Those without IPVS run here, in namespaces of their own:
//! [`checks`], [`failover`], [`instances`], [`onlookers`].
//! [`table`] turns measurements into medians and ratios. doc/benchmarks.md says how to read them.

mod checks;
mod failover;
mod guest;
mod instances;
mod onlookers;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::build::binary;
use crate::{WrongUse, setup};
use director_lab::preflight;
use table::{Goal, Measurement};

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this case; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// List the cases instead of running them
    #[arg(long)]
    list: bool,
    /// How often each case is repeated; the median counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=99))]
    rounds: u8,
    /// The kernel under the cases that need IPVS
    #[arg(long, value_enum, default_value_t = guest::Kernel::Shipped)]
    kernel: guest::Kernel,
    /// How long `checks` watches
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=120))]
    minutes: u8,
    /// Measure this binary instead of building one; for the cases on this host
    #[arg(long, value_name = "PATH")]
    director: Option<PathBuf>,
}

/// A case: what it does, and what is hoped for.
struct Case {
    name: &'static str,
    about: &'static str,
    goals: &'static [Goal],
    place: Place,
}

/// Where a case runs.
#[derive(Debug, Clone, Copy)]
enum Place {
    Guest,
    /// Given the binary.
    Here(fn(&Path, &Args) -> Result<Vec<Measurement>>),
}

const CASES: &[Case] = &[
    Case {
        name: "first-write",
        about: "1000 services with 10 servers each, from one file into an empty kernel",
        goals: &[
            Goal::ratio("first-to-last", "keepalived", 0.1),
            Goal::ratio("file-to-table", "keepalived", 1.0),
            Goal::ratio("file-to-table", "ipvsadm-R", 1.0),
            Goal::ratio("write-alone", "raw-netlink", 1.0 / 0.7),
        ],
        place: Place::Guest,
    },
    Case {
        name: "reload-weight",
        about: "one weight of 10,000 checked servers changes: from the signal to the table",
        goals: &[
            Goal::ratio("reload-weight", "keepalived", 1.0 / 500.0),
            Goal::most("lines-changed", 1.0),
            Goal::most("commands-sent", 1.0),
        ],
        place: Place::Guest,
    },
    Case {
        name: "reload-schedulers",
        about: "the scheduler of 1000 services changes",
        goals: &[Goal::ratio("reload-schedulers", "keepalived", 1.0 / 20.0)],
        place: Place::Guest,
    },
    Case {
        name: "restart",
        about: "stop and start with 10,000 servers in the table, and a crash of the worker",
        goals: &[Goal::ratio("start-to-adopted", "keepalived", 0.1)],
        place: Place::Guest,
    },
    Case {
        name: "memory",
        about: "resident memory of all processes, with 10 and with 10,000 checked servers",
        goals: &[Goal::most("resident-idle", 12.0), Goal::most("resident-large", 40.0)],
        place: Place::Guest,
    },
    Case {
        name: "check-cost",
        about: "processor time of the programs for one TCP check of 1000 servers",
        goals: &[Goal::ratio("processor-for-a-check", "keepalived", 0.4 / 1.3)],
        place: Place::Guest,
    },
    Case {
        name: "checks",
        about: "10,000 servers checked by HTTP every 2 s, ten black holes among them; on this host",
        goals: &[
            Goal::most("late-p99.9", 0.2),
            Goal::most("processor-for-a-check", 0.0004),
            Goal::most("memory-growth", 1.0),
            Goal::most("black-holes-missed", 0.0),
            Goal::most("wrongly-down", 0.0),
            Goal::most("reload", 0.05),
        ],
        place: Place::Here(|director, args| {
            checks::run(director, Duration::from_secs(60) * u32::from(args.minutes))
        }),
    },
    Case {
        name: "failover",
        about: "a master dies or hands over, at intervals of 1 s, 100 ms and 20 ms; on this host",
        goals: &[
            Goal::most("crash-1s-late", 0.02),
            Goal::most("crash-100ms-late", 0.02),
            Goal::most("crash-20ms-late", 0.02),
            Goal::most("planned", 0.01),
            Goal::most("planned-lost", 0.0),
            Goal::most("to-keepalived", 0.02),
            Goal::ratio("planned", "keepalived", 0.02),
        ],
        place: Place::Here(|director, args| failover::run(director, args.rounds)),
    },
    Case {
        name: "instances",
        about: "255 virtual routers with 500 VIPs on one interface advertise every second for a minute; on this host",
        goals: &[
            Goal::most("late-p99.9", 0.01),
            Goal::most("advertisements-missing", 0.0),
            Goal::ratio("processor-for-an-advert", "keepalived", 1.0),
        ],
        place: Place::Here(|director, args| instances::run(director, args.rounds)),
    },
    Case {
        name: "onlookers",
        about: "1000 services with 10 servers each: metrics, status, page and console, beside advertisements every 20 ms; on this host",
        goals: &[
            Goal::most("metrics-p99", 0.2),
            Goal::most("status-p99", 0.2),
            Goal::most("page-p99", 0.2),
            Goal::most("console-p99", 0.2),
            Goal::most("late-p99.9-somebody-asks", 0.002),
            Goal::most("late-p99.9-four-ask-without-pause", 0.002),
        ],
        place: Place::Here(|director, args| onlookers::run(director, args.rounds)),
    },
];

/// Runs what was asked for and prints a table for each case. Numbers that miss their goal are said, but are no failure: the
/// machine decides too.
///
/// # Errors
/// A case did not come to its end, or `--only` names none.
pub fn run(args: &Args) -> Result<()> {
    let chosen = choose(&args.only)?;
    if args.list {
        chosen.iter().for_each(|case| println!("{:<20} {}", case.name, case.about));
        return Ok(());
    }
    setup::ensure()?;
    if chosen.iter().any(|case| matches!(case.place, Place::Here(_))) {
        preflight::become_root()?;
    }
    let guests = chosen.iter().any(|case| matches!(case.place, Place::Guest));
    let bench = if guests { Some(guest::Bench::prepare(args.kernel, args.rounds)?) } else { None };
    for case in chosen {
        eprintln!("── {}: {}", case.name, case.about);
        let measurements = match (case.place, &bench) {
            (Place::Here(run), _) => match &args.director {
                Some(director) => run(director, args)?,
                None => run(&binary::ensure()?, args)?,
            },
            (Place::Guest, Some(bench)) => bench.run(case.name)?,
            (Place::Guest, None) => continue,
        };
        println!("\n{}: {}\n{}", case.name, case.about, table::show(&measurements, case.goals));
    }
    Ok(())
}

fn choose(only: &[String]) -> Result<Vec<&'static Case>> {
    if only.is_empty() {
        return Ok(CASES.iter().collect());
    }
    let find = |name: &String| {
        let names = || CASES.iter().map(|case| case.name).collect::<Vec<_>>().join(", ");
        CASES
            .iter()
            .find(|case| case.name == name)
            .ok_or_else(|| WrongUse(format!("no benchmark is called {name:?}: there are {}", names())))
    };
    let mut chosen = Vec::new();
    for name in only {
        match find(name) {
            Ok(case) => chosen.push(case),
            Err(wrong) => bail!(wrong),
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_case_is_wrong_use_and_names_the_others() {
        let error = choose(&["nosuch".to_owned()]).err().unwrap();
        assert!(error.is::<WrongUse>() && error.to_string().contains("first-write"), "{error}");
        assert_eq!(choose(&[]).unwrap().len(), CASES.len());
        assert_eq!(choose(&["memory".to_owned()]).unwrap()[0].name, "memory");
    }
}
