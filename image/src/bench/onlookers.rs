//! Who asks how a director with a thousand services is, and whether that disturbs its advertisements; on this host.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::table::{Measurement, OURS};
use director_lab::crowd::quantile;
use director_lab::onlooker::{Onlookers, watch};
use director_lab::preflight;

/// Services, each with ten servers.
const SERVICES: u32 = 1_000;
/// How often each question is asked in a round.
const QUESTIONS: u32 = 20;
/// How long the advertisements are watched in a round while nobody asks.
const WATCH: Duration = Duration::from_secs(20);

/// Looks at `director`.
///
/// # Errors
/// Namespaces cannot be made, or Director does not answer.
pub fn run(director: &Path, rounds: u8) -> Result<Vec<Measurement>> {
    preflight::namespaces()?;
    let rounds = u32::from(rounds);
    let how = Onlookers { services: SERVICES, rounds: QUESTIONS * rounds, watch: WATCH * rounds };
    let found = watch(director, how)?;
    let measured = |what: String, value: f64, unit: &str| Measurement {
        what,
        who: OURS.to_owned(),
        value,
        unit: unit.to_owned(),
    };
    let mut all = Vec::new();
    for answer in &found.answers {
        let (times, bytes) = (&answer.times, answer.bytes);
        let name = match answer.what {
            "/" => "page",
            other => other.trim_start_matches('/'),
        };
        for (share, word) in [(0.5, "p50"), (0.99, "p99")] {
            all.push(measured(format!("{name}-{word}"), quantile(times, share).as_secs_f64(), "s"));
        }
        all.push(measured(format!("{name}-size"), bytes as f64 / 1e6, "MB"));
    }
    for (at, word) in ["nobody-asks", "somebody-asks", "four-ask-without-pause"].into_iter().enumerate() {
        let (Some(late), Some(waited)) = (found.late.get(at), found.waited.get(at)) else { continue };
        for (share, quantile_word) in [(0.5, "p50"), (0.999, "p99.9"), (1.0, "worst")] {
            all.push(measured(
                format!("late-{quantile_word}-{word}"),
                quantile(late, share).as_secs_f64(),
                "s",
            ));
        }
        all.push(measured(format!("waited-for-a-processor-{word}"), waited.as_secs_f64(), "s"));
    }
    all.push(measured("questions-without-pause".to_owned(), found.hurried as f64, "x"));
    Ok(all)
}
