//! `cargo image`: the one door to building, booting, demonstrating, testing and flashing Director.
//!
//! One file or folder for each subcommand; each has `Args` and `run(args)`. What several need: [`project`] (where things
//! are), [`tool`] (other programs), [`progress`] (what the person sees), [`cache`] (slow products), [`setup`] (what must
//! be installed).

mod bench;
mod build;
mod demo;
mod flash;
mod licences;
mod progress;
mod project;
mod run;
mod setup;
mod test;
mod tool;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use director_lab::cache;

/// Builds, boots, demonstrates, tests and flashes the Director firmware.
#[derive(Parser)]
#[command(name = "cargo image", bin_name = "cargo image", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the disk image and say what is in it
    Build(build::Args),
    /// Write the image to a disk or stick, and verify it
    Flash(flash::Args),
    /// Install what the other commands need: Debian packages and the Rust target
    Setup,
    /// Boot one box in QEMU, with its serial console on this terminal
    Run(run::Args),
    /// Boot a pair and show balancing, a dead server, a failover and recovery, with measured times
    Demo(demo::Args),
    /// Run everything that must pass
    Test(test::Args),
    /// Measure Director beside its peers on the same work: separate from the tests
    Bench(bench::Args),
}

/// A request that can never succeed as it was made: exit code 2, as for a wrong option.
#[derive(Debug)]
pub struct WrongUse(pub String);

impl std::fmt::Display for WrongUse {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for WrongUse {}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Build(args) => build::run(&args),
        Command::Flash(args) => flash::run(&args),
        Command::Setup => setup::run(),
        Command::Run(args) => run::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<WrongUse>() { 2 } else { 1 })
        }
    }
}
