//! The limits of whoever asks how a large director is, on the binary that the image has.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use director_lab::crowd::quantile;
use director_lab::onlooker::{Answers, Onlookers, SCREEN, undisturbed, watch};
use director_lab::preflight;

use super::outcome::Outcome;
use crate::build;

/// Virtual services, each with ten real servers.
const SERVICES: u32 = 1_000;
/// How often each question is asked; the worst answer counts.
const ROUNDS: u32 = 10;
/// What is claimed.
const CLAIM: Duration = Duration::from_millis(200);
/// What the worst of [`ROUNDS`] may take on a machine where others run: what the hypervisor takes away, and what the asker itself waits for,
/// is not known. The time for which Director's own processes had no processor is, and does not count.
const WORST: Duration = Duration::from_millis(400);

/// `/metrics`, `/status`, the page, `director status lvs` and the console's entry 1 of a director with a thousand services.
///
/// # Errors
/// The binary is not there, a namespace cannot be made, or Director does not answer.
pub fn onlookers() -> Result<Outcome> {
    preflight::namespaces()?;
    // Built already, with the image.
    let director =
        std::env::var_os("DIRECTOR_BINARY").map(PathBuf::from).map_or_else(build::binary::ensure, Ok)?;
    let how = Onlookers { services: SERVICES, rounds: ROUNDS, watch: Duration::from_secs(5) };
    let found = watch(&director, how)?;
    let mut outcome = Outcome::default();
    let late = found.late.iter().zip(found.waited).map(|(late, waited)| undisturbed(late, waited));
    for verdict in found.answers.iter().map(in_time).chain(late) {
        match verdict {
            Ok(words) => {
                outcome.passed += 1;
                outcome.notes.push(words);
            }
            Err(error) => outcome.failed.push(format!("{error:#}")),
        }
    }
    Ok(outcome)
}

/// Whether a question has its answers in time, in words.
fn in_time(answer: &Answers) -> Result<String> {
    let Answers { what, times, own, bytes } = answer;
    let [half, worst] = [0.5, 1.0].map(|share| quantile(times, share));
    let [own_half, own_worst] = [0.5, 1.0].map(|share| quantile(own, share));
    ensure!(
        own_half < CLAIM && own_worst < WORST,
        "{what}: half of the answers took {own_half:?}, the worst {own_worst:?}: {answer:?}"
    );
    let least = if *what == SCREEN { 1_000 } else { 100_000 };
    ensure!(*bytes > least, "{what}: {bytes} bytes are not about {SERVICES} services");
    Ok(format!(
        "{what}: {bytes} bytes in {half:.0?}, at worst {worst:.0?}; without waiting for a processor {own_half:.0?}, {own_worst:.0?}"
    ))
}
