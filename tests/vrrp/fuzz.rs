//! The corpora of `fuzz/`, and messages made from them by chance: nothing that comes in makes anything fall over.

use std::path::Path;
use std::time::{Duration, Instant};

#[path = "../../fuzz/fuzz_targets/vrrp_feed.rs"]
mod vrrp_feed;

#[path = "../../fuzz/fuzz_targets/letter_feed.rs"]
mod letter_feed;

#[path = "../../fuzz/fuzz_targets/neighbour_feed.rs"]
mod neighbour_feed;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let seeds: Vec<_> = files.map(|path| std::fs::read(path).unwrap()).collect();
    assert!(seeds.len() >= 5);
    seeds
}

#[test]
fn advertisements_harm_nobody() {
    replay(&corpus("vrrp_packet"), vrrp_feed::feed);
}

/// Everybody hears the same things twenty times over, and knows no more than after the first time.
#[test]
fn what_is_heard_leaves_nothing_behind() {
    let seeds = corpus("vrrp_packet");
    let once = || {
        for seed in &seeds {
            (0..=seed.len()).for_each(|length| vrrp_feed::feed(&seed[..length]));
        }
        vrrp_feed::extent()
    };
    let first = once();
    (1..20).for_each(|_| _ = once());
    let last = once();
    assert!(last < first + 1000, "{first} characters after the first time, {last} after twenty more");
}

#[test]
fn letters_harm_nobody() {
    replay(&corpus("exchange_letter"), letter_feed::feed);
}

#[test]
fn neighbours_harm_nobody() {
    replay(&corpus("neighbour"), neighbour_feed::feed);
}

/// Each seed, each cut at each length, then changes by chance: 2000 of them, or for FUZZ_SECONDS.
fn replay(seeds: &[Vec<u8>], feed: fn(&[u8])) {
    seeds.iter().for_each(|seed| feed(seed));
    for seed in seeds {
        (0..seed.len()).for_each(|length| feed(&seed[..length]));
    }
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut dice = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below.max(1) as u64).unwrap()
    };
    let mut rounds = 0_u64;
    while end.map_or(rounds < 2000, |end| Instant::now() < end) {
        let mut bytes = seeds[dice(seeds.len())].clone();
        for _ in 0..=dice(4) {
            let place = dice(bytes.len());
            match dice(4) {
                0 => bytes[place] ^= 1 << dice(8),
                1 => bytes[place] = u8::try_from(dice(256)).unwrap(),
                2 => bytes.truncate(place.max(1)),
                _ => bytes.extend((0..dice(40)).map(|at| u8::try_from(at).unwrap())),
            }
        }
        feed(&bytes);
        rounds += 1;
    }
    if seconds.is_some() {
        eprintln!("{rounds} messages");
    }
}
