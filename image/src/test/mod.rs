//! `cargo image test`: everything that must pass, in layers, each step timed.
//!
//! | layer | where it runs |
//! |---|---|
//! | `style` | here: format, clippy, licences and advisories |
//! | `host` | here: unit and golden tests; scenarios, and what needs network namespaces or other programs |
//! | `kernel` | test binaries inside a QEMU guest with the shipped kernel |
//! | `image` | whole boxes in QEMU on a segment of the lab |
//!
//! doc/testing.md maps what the project claims to the test that shows it.

mod boxes;
mod cargo;
mod kernel;
mod onlookers;
mod ourselves;
mod outcome;
pub(crate) mod rootfs;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::{WrongUse, build, setup};
use director_lab::preflight;
use outcome::Outcome;

pub(crate) use kernel::executables;

/// What to test.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this layer, or this test of it; may be given several times. `kernel/TEXT` runs the kernel tests with TEXT in their name
    #[arg(long, value_name = "LAYER[/NAME]")]
    only: Vec<String>,
    /// List the steps instead of running them
    #[arg(long)]
    list: bool,
}

/// One step: its layer, its name, and what it does with the rest of `--only`.
struct Step {
    layer: &'static str,
    name: &'static str,
    run: fn(filter: &str) -> Result<Outcome>,
}

const STEPS: &[Step] = &[
    Step { layer: "style", name: "format", run: |_| cargo::format() },
    Step { layer: "style", name: "clippy", run: |_| cargo::clippy() },
    Step { layer: "style", name: "deny", run: |_| cargo::deny() },
    Step { layer: "host", name: "unit", run: |_| cargo::unit() },
    Step { layer: "host", name: "integration", run: |_| cargo::integration() },
    Step { layer: "kernel", name: "", run: kernel::run },
    Step { layer: "image", name: "build", run: |_| ourselves::build() },
    Step { layer: "image", name: "onlookers", run: |_| onlookers::onlookers() },
    Step { layer: "image", name: "wrong-use", run: |_| ourselves::wrong_use() },
    Step { layer: "image", name: "bios", run: |_| boxes::bios() },
    Step { layer: "image", name: "uefi", run: |_| boxes::uefi() },
    Step { layer: "image", name: "faults", run: |_| boxes::faults() },
    Step { layer: "image", name: "console", run: |_| boxes::console() },
    Step { layer: "image", name: "manual", run: |_| boxes::by_manual() },
    Step { layer: "image", name: "entries", run: |_| boxes::entries() },
    Step { layer: "image", name: "sticks", run: |_| boxes::sticks() },
    Step { layer: "image", name: "secrets", run: |_| boxes::secrets() },
    Step { layer: "image", name: "power", run: |_| boxes::power() },
    Step { layer: "image", name: "page", run: |_| boxes::page() },
    Step { layer: "image", name: "cuts", run: |_| boxes::cuts() },
    Step { layer: "image", name: "reset", run: |_| boxes::erased() },
    Step { layer: "image", name: "lost-address", run: |_| boxes::lost_address() },
    Step { layer: "image", name: "slots", run: |_| boxes::slots() },
    Step { layer: "image", name: "update", run: |_| boxes::update() },
    Step { layer: "image", name: "pair", run: |_| boxes::pair() },
];

/// Runs what was asked for, prints a table, and fails when anything did.
///
/// # Errors
/// A step failed, or `--only` names none.
pub fn run(args: &Args) -> Result<()> {
    let chosen = choose(&args.only)?;
    if args.list {
        for (step, _) in &chosen {
            println!("{}", step.title());
        }
        return Ok(());
    }
    if chosen.iter().any(|(step, _)| step.layer != "style") {
        setup::ensure()?;
    }
    if chosen.iter().any(|(step, _)| step.layer == "image" || step.name == "integration") {
        // Where that is impossible, each test says so for itself.
        let _ = preflight::become_root();
    }
    let mut table = Vec::new();
    for (step, filter) in chosen {
        let begun = Instant::now();
        eprintln!("── {}", step.title());
        let outcome = (step.run)(&filter).unwrap_or_else(|error| Outcome::failed(format!("{error:#}")));
        for failure in &outcome.failed {
            eprintln!("FAILED {}: {failure}", step.title());
        }
        table.push((step.title(), outcome, begun.elapsed()));
    }
    report(&table)
}

impl Step {
    fn title(&self) -> String {
        if self.name.is_empty() { self.layer.to_owned() } else { format!("{}/{}", self.layer, self.name) }
    }
}

/// The steps that `only` names, with what is left of it for the step itself.
fn choose(only: &[String]) -> Result<Vec<(&'static Step, String)>> {
    if only.is_empty() {
        return Ok(STEPS.iter().map(|step| (step, String::new())).collect());
    }
    let mut chosen = Vec::new();
    for wanted in only {
        let (layer, name) = wanted.split_once('/').unwrap_or((wanted, ""));
        let fits = |step: &&Step| {
            step.layer == layer && (name.is_empty() || step.name.is_empty() || step.name == name)
        };
        let before = chosen.len();
        chosen.extend(STEPS.iter().filter(fits).map(|step| (step, name.to_owned())));
        if chosen.len() == before {
            let titles: Vec<String> = STEPS.iter().map(Step::title).collect();
            bail!(WrongUse(format!("no test is called {wanted:?}: there are {}", titles.join(", "))));
        }
    }
    Ok(chosen)
}

/// The disk image under test: the one that DIRECTOR_IMAGE names, or what the checkout builds, once.
fn image() -> Result<&'static Path> {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = IMAGE.get() {
        return Ok(path);
    }
    let path = std::env::var_os("DIRECTOR_IMAGE").map(PathBuf::from).map_or_else(build::image, Ok)?;
    Ok(IMAGE.get_or_init(|| path))
}

/// What brings the same firmware to a box that has another: it is built beside the image.
fn update_file() -> Result<PathBuf> {
    let path = image()?.with_extension("update");
    ensure!(path.exists(), "{} is missing: it is built with the image", path.display());
    Ok(path)
}

fn report(table: &[(String, Outcome, Duration)]) -> Result<()> {
    println!("\n{:<28} {:>8} {:>8} {:>8} {:>9}", "", "passed", "failed", "skipped", "time");
    for (title, outcome, time) in table {
        let [passed, failed, skipped] = [outcome.passed, outcome.failed.len(), outcome.skipped.len()];
        println!("{title:<28} {passed:>8} {failed:>8} {skipped:>8} {:>7.1} s", time.as_secs_f64());
    }
    for (title, outcome, _) in table {
        outcome.notes.iter().for_each(|note| println!("{title}: {note}"));
        outcome.skipped.iter().for_each(|why| println!("skipped {title}: {why}"));
        outcome
            .failed
            .iter()
            .for_each(|why| println!("FAILED {title}: {}", why.lines().next().unwrap_or("")));
    }
    let failed = table.iter().filter(|(_, outcome, _)| !outcome.failed.is_empty()).count();
    let total: f64 = table.iter().map(|(_, _, time)| time.as_secs_f64()).sum();
    println!("{} of {} steps passed in {:.0} s", table.len() - failed, table.len(), total);
    if failed > 0 {
        bail!("{failed} of {} steps failed", table.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(only: &[&str]) -> Vec<String> {
        let only: Vec<String> = only.iter().map(|&text| text.to_owned()).collect();
        choose(&only).unwrap().into_iter().map(|(step, rest)| format!("{}:{rest}", step.title())).collect()
    }

    #[test]
    fn chooses_by_layer_and_name() {
        assert_eq!(titles(&["host"]), ["host/unit:", "host/integration:"]);
        assert_eq!(titles(&["style/format", "kernel/ipvs"]), ["style/format:format", "kernel:ipvs"]);
        assert_eq!(titles(&[]).len(), STEPS.len());
    }

    #[test]
    fn an_unknown_name_is_wrong_use() {
        let error = choose(&["nosuch".to_owned()]).err().unwrap();
        assert!(error.is::<WrongUse>() && error.to_string().contains("style/format"), "{error}");
    }
}
