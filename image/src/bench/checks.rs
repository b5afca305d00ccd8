//! Checks at scale, on this host's own kernel: how late they start and what they cost.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use director_lab::crowd::quantile;
use director_lab::preflight;
use director_lab::scale::{BLACK_HOLES, Scale, watch};

use super::table::{Measurement, OURS};

/// From check to check of a server.
const PERIOD: Duration = Duration::from_secs(2);
/// Servers, on a hundred addresses.
const SERVERS: u32 = 10_000;

/// Watches `director` for so long.
///
/// # Errors
/// Namespaces cannot be made, or Director does not ask everybody.
pub fn run(director: &Path, watched: Duration) -> Result<Vec<Measurement>> {
    preflight::namespaces()?;
    let found = watch(director, Scale { servers: SERVERS, period: PERIOD, watch: watched })?;
    let late = found.seen.lateness(PERIOD);
    let checks = found.seen.requests();
    let (before, after) = found.memory;
    let megabytes = |kib: u64| kib as f64 / 1024.0;
    let dead = |words: &str| found.log.lines().filter(|line| line.contains(words)).count();
    let wrongly = dead("server down: ").saturating_sub(dead("server down: service=holes "));
    let measured = |what: &str, value: f64, unit: &str| Measurement {
        what: what.to_owned(),
        who: OURS.to_owned(),
        value,
        unit: unit.to_owned(),
    };
    let reloads = found.reloads.iter().map(|took| measured("reload", took.as_secs_f64(), "s"));
    let reloads: Vec<_> = reloads.collect();
    let mut all = vec![
        measured("checks-each-second", checks as f64 / watched.as_secs_f64(), "/s"),
        measured("late-p50", quantile(&late, 0.5).as_secs_f64(), "s"),
        measured("late-p99.9", quantile(&late, 0.999).as_secs_f64(), "s"),
        measured("late-worst", quantile(&late, 1.0).as_secs_f64(), "s"),
        measured("waited-for-a-processor", found.waited.1.as_secs_f64(), "s"),
        measured("longest-wait", found.longest_wait.as_secs_f64(), "s"),
        measured("processor-for-a-check", found.processor.as_secs_f64() / checks.max(1) as f64, "s"),
        measured("memory-at-first", megabytes(before.whole), "MB"),
        measured("memory-at-last", megabytes(after.whole), "MB"),
        measured("memory-growth", megabytes(after.anonymous) - megabytes(before.anonymous), "MB"),
        measured(
            "black-holes-missed",
            f64::from(BLACK_HOLES) - dead("server down: service=holes ") as f64,
            "x",
        ),
        measured("wrongly-down", wrongly as f64, "x"),
    ];
    all.extend(reloads);
    Ok(all)
}
