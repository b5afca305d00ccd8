//! One router in slow motion: each file of `scenarios/` is a story, events in, actions out.
//!
//! ```text
//! router priority=100 interval=1s source=10.0.0.1 preempt=true version=3
//! @1.000 recv priority=100 from 10.0.0.2 interval=1s
//!   send priority=100 interval=1s            what the event caused
//!   @2.000 send priority=100 interval=1s     what a timer caused afterwards
//! ```
//! `UPDATE=1` rewrites the indented lines; the difference is reviewed like code.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use director::config::model::VrrpVersion;
use director::units::{parse_duration, show_duration};
use director::vrrp::event::{Action, Announce, Event, Params, Peer, Turn};
use director::vrrp::fsm::Router;
use director::vrrp::packet::wire_interval;

fn value<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn params(words: &[&str], before: Option<Params>) -> Params {
    let mut params = before.unwrap_or_else(|| Params {
        version: VrrpVersion::V3,
        priority: 100,
        interval: Duration::from_secs(1),
        missed: 3,
        preempt: true,
        yields: false,
        preempt_delay: Duration::ZERO,
        source: IpAddr::from([10, 0, 0, 1]),
    });
    if let Some(version) = value(words, "version") {
        params.version = if version == "2" { VrrpVersion::V2 } else { VrrpVersion::V3 };
    }
    if let Some(priority) = value(words, "priority") {
        params.priority = priority.parse().unwrap();
    }
    if let Some(interval) = value(words, "interval") {
        params.interval = wire_interval(params.version, parse_duration(interval).unwrap());
    }
    if let Some(missed) = value(words, "missed") {
        params.missed = missed.parse().unwrap();
    }
    if let Some(preempt) = value(words, "preempt") {
        params.preempt = preempt == "true";
    }
    if let Some(yields) = value(words, "yields") {
        params.yields = yields == "true";
    }
    if let Some(delay) = value(words, "preempt_delay") {
        params.preempt_delay = parse_duration(delay).unwrap();
    }
    if let Some(source) = value(words, "source") {
        params.source = source.parse().unwrap();
    }
    params
}

fn event(words: &[&str], router: &Router, now: Instant) -> Event {
    let interval = value(words, "interval")
        .map_or_else(|| router.params().interval, |text| parse_duration(text).unwrap());
    match words[0] {
        "ready" => {
            Event::Ready { hold: value(words, "hold").map_or(Duration::ZERO, |t| parse_duration(t).unwrap()) }
        }
        "resume" => Event::Resume,
        "fail" => Event::Fail,
        "stop" => Event::Stop,
        "yield" => Event::Yield { resigns: words.contains(&"resigns") },
        "turn" => Event::Turn {
            turn: if words.contains(&"first") { Turn::First } else { Turn::Later },
            until: now + value(words, "for").map_or(Duration::ZERO, |text| parse_duration(text).unwrap()),
        },
        "resign" => Event::Resign,
        "timer" => Event::Timer,
        "params" => Event::Params(params(words, Some(*router.params()))),
        "recv" => {
            let from = words.iter().position(|word| *word == "from").unwrap();
            let priority = value(words, "priority").unwrap().parse().unwrap();
            Event::Advert { peer: Peer { address: words[from + 1].parse().unwrap(), priority }, interval }
        }
        other => panic!("unknown event {other}"),
    }
}

fn show(action: &Action) -> String {
    match action {
        Action::Send { priority, interval } => {
            format!("send priority={priority} interval={}", show_duration(*interval))
        }
        Action::Claim => "claim".to_owned(),
        Action::Release => "release".to_owned(),
        Action::Announce(Announce::Burst) => "announce".to_owned(),
        Action::Announce(Announce::Claimed) => "announce once".to_owned(),
        Action::Enter { state, reason } => {
            format!("{}: {reason}", format!("{state:?}").to_lowercase())
        }
    }
}

/// Plays the story; gives it back with the actions that really came.
fn play(story: &str) -> String {
    let start = Instant::now();
    let mut router = Router::new(params(&[], None));
    let mut out = String::new();
    for line in story.lines().filter(|line| !line.starts_with("  ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.first() {
            Some(&"router") => router = Router::new(params(&words, None)),
            Some(first) if first.starts_with('@') => {
                let at = start + Duration::from_secs_f64(first[1..].parse().unwrap());
                // `late` keeps the timers of a process that sleeps from firing.
                while words[1] != "late"
                    && let Some(due) = router.deadline().filter(|due| *due < at)
                {
                    for action in router.step(due, Event::Timer) {
                        let seconds = (due - start).as_secs_f64();
                        writeln!(out, "  @{seconds:.6} {}", show(&action)).unwrap();
                    }
                }
                writeln!(out, "{line}").unwrap();
                let words = if words[1] == "late" { &words[2..] } else { &words[1..] };
                if words[0] != "idle" {
                    for action in router.step(at, event(words, &router, at)) {
                        writeln!(out, "  {}", show(&action)).unwrap();
                    }
                }
                continue;
            }
            Some(_) | None => {}
        }
        writeln!(out, "{line}").unwrap();
    }
    out
}

#[test]
fn every_story_goes_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vrrp/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for file in files {
        let story = std::fs::read_to_string(&file).unwrap();
        let played = play(&story);
        if played != story {
            if std::env::var_os("UPDATE").is_some() {
                std::fs::write(&file, played).unwrap();
            } else {
                wrong.push(format!("{}:\n{played}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "these went otherwise (UPDATE=1 writes them down):\n{}", wrong.join("\n"));
}
