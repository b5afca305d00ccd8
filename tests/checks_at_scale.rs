//! Two thousand servers and ten black holes: nobody is asked late, nobody's silence delays another, memory does not grow.
//!
//! `cargo image bench --only checks` does the same with ten thousand.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::time::Duration;

use director_lab::crowd::quantile;
use director_lab::scale::{BLACK_HOLES, Scale, watch};

#[test]
fn two_thousand_servers_are_asked_in_time_beside_ten_black_holes() {
    if let Err(why) = director_lab::preflight::namespaces() {
        println!("skipped: {why:#}");
        return;
    }
    let scale = Scale { servers: 2_000, period: Duration::from_secs(8), watch: Duration::from_secs(20) };
    let found = watch(Path::new(env!("CARGO_BIN_EXE_director")), scale).unwrap();
    let late = found.seen.lateness(scale.period);
    let (half, most) = (quantile(&late, 0.5), quantile(&late, 0.999));
    let ((before, after), (whole_wait, waited)) = (found.memory, found.waited);
    println!(
        "{} checks: late p50 {half:?} p99.9 {most:?}, longest wait {:?}, {:?} of processor for each, memory {} to {} KiB, \
         waits for a processor {:?}",
        found.seen.requests(),
        found.longest_wait,
        found.processor / u32::try_from(found.seen.requests()).unwrap(),
        before.anonymous,
        after.anonymous,
        found.waited
    );
    // 250 checks in a second.
    let few = if waited < scale.period { 4_500 } else { 1 };
    assert!((few..=5_500).contains(&found.seen.requests()), "{} checks", found.seen.requests());
    let allowed = scale.period / 10 + waited;
    assert!(most <= allowed, "p99.9 of the checks is {most:?} late, it waited {waited:?} for a processor");
    let wait = found.longest_wait;
    assert!(wait <= scale.period + allowed * 2, "somebody waits for {wait:?}, and it {waited:?}");
    assert!(after.anonymous <= before.anonymous + 1024, "memory grew: {before:?}, {after:?}");
    let down = |words: &str| found.log.lines().filter(|line| line.contains(words)).count();
    assert_eq!(down("server down: service=holes "), usize::from(BLACK_HOLES), "{}", found.log);
    // Who had no processor for as long as an answer may take may have been wrong.
    let others = down("server down: ") - usize::from(BLACK_HOLES);
    assert!(others == 0 || whole_wait > Duration::from_secs(1), "{others} others are down: {}", found.log);
}
