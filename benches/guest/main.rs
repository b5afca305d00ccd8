//! What `cargo image bench` runs in its guest: Director and its peers on the same work, in turns.
//!
//! It looks like a test binary to the guest's first process (`--list`, `--exact NAME`), and each case gets a process and an
//! empty network namespace as a kernel test does. A measurement is a line `measured WHAT WHO VALUE UNIT`; what it means, and
//! what was hoped for, is said by `image/src/bench`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a driver ends at the first surprise"
)]

mod cases;
mod peers;
mod place;
mod raw;
mod table;

use std::process::ExitCode;

/// A case: its name, and what does it `rounds` times.
type Case = (&'static str, fn(rounds: usize));

const CASES: &[Case] = &[
    ("first-write", cases::first_write),
    ("reload-weight", cases::reload_weight),
    ("reload-schedulers", cases::reload_schedulers),
    ("restart", cases::restart),
    ("check-cost", cases::check_cost),
    ("memory", cases::memory),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--list") {
        CASES.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let wanted = words.iter().skip_while(|word| *word != "--exact").nth(1);
    let case = CASES.iter().find(|(name, _)| Some(*name) == wanted.map(String::as_str));
    if std::env::var_os("DIRECTOR_KERNEL_TEST").is_none() {
        eprintln!("guest: this runs inside a guest; `cargo image bench` starts it");
        return ExitCode::FAILURE;
    }
    match case {
        Some((_, run)) => {
            run(rounds());
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("guest: no case is called {wanted:?}");
            ExitCode::FAILURE
        }
    }
}

/// From the kernel's command line.
fn rounds() -> usize {
    let line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let given = line.split_whitespace().find_map(|word| word.strip_prefix("director.rounds="));
    given.and_then(|number| number.parse().ok()).unwrap_or(3)
}
