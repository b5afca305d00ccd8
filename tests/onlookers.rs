//! A thousand services with ten servers each: whoever asks how they are has an answer at once, and no advertisement waits for that.
//! Without optimisation, a tenth of that; then only that there is an answer.
//!
//! `cargo image bench --only onlookers` does the same for minutes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::path::Path;
use std::time::Duration;

use director_lab::crowd::quantile;
use director_lab::onlooker::{Answers, Onlookers, SCREEN, undisturbed, watch};

#[test]
fn answers_come_at_once_and_disturb_no_advertisement() {
    if let Err(why) = director_lab::preflight::namespaces() {
        println!("skipped: {why:#}");
        return;
    }
    let services = if cfg!(debug_assertions) { 100 } else { 1_000 };
    let how = Onlookers { services, rounds: 3, watch: Duration::from_secs(4) };
    let found = watch(Path::new(env!("CARGO_BIN_EXE_director")), how).unwrap();
    let most = Duration::from_millis(if cfg!(debug_assertions) { 20_000 } else { 200 });
    for Answers { what, times, bytes, .. } in &found.answers {
        println!("{what}: {times:?}, {bytes} bytes");
        assert!(quantile(times, 0.5) < most, "{what}: {times:?}");
        // A screen has no room for all of them.
        let about = if *what == SCREEN { 1_000 } else { 100 * usize::try_from(services).unwrap() };
        assert!(*bytes > about, "{what}: {bytes} bytes are not about {services} services");
    }
    assert!(found.hurried >= 4, "{} answers", found.hurried);
    for (late, waited) in found.late.iter().zip(found.waited) {
        println!("{}", undisturbed(late, waited).unwrap());
    }
}
