//! Time, verdicts and company of targets.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::config::model::{Check, Dialogue};

fn check(kind: CheckKind, interval: u64, fall: u8) -> Arc<Check> {
    let interval = Duration::from_secs(interval);
    Arc::new(Check { interval, fast: interval, fall, ..Check::new(kind) })
}

fn tcp(server: &str, fall: u8) -> Target {
    Target::new(server.parse().unwrap(), check(CheckKind::Tcp(Dialogue::default()), 2, fall))
}

fn set(targets: &[&Target]) -> BTreeSet<Target> {
    targets.iter().map(|t| (*t).clone()).collect()
}

fn answer(plan: &mut Plan, now: Instant, outcome: Outcome) -> Vec<Verdict> {
    let started = plan.start(now, usize::MAX);
    started
        .into_iter()
        .filter_map(|(id, _)| plan.finish(now, id, outcome.clone(), Duration::from_millis(1)))
        .collect()
}

#[test]
fn one_lost_probe_takes_no_server_out_that_a_restarted_worker_finds_in_the_table() {
    let start = Instant::now();
    let (serves, unknown) = (tcp("10.0.0.1:80", 3), tcp("10.0.0.2:80", 3));
    let mut plan = Plan::default();
    plan.set(start, &set(&[&serves, &unknown]));
    plan.presume_up(&serves);
    let mut taken_out = Vec::new();
    for second in 1..9 {
        let now = start + Duration::from_secs(second * 10);
        for (id, _) in plan.start(now, usize::MAX) {
            let failure = Outcome::Failure(Reason::Borrowed("no answer"));
            let verdict = plan.finish(now, id, failure, Duration::ZERO);
            taken_out.extend(verdict.map(|verdict| (verdict.target, second)));
        }
    }
    let fall = u64::from(serves.check.fall);
    assert!(fall > 1);
    assert_eq!(taken_out, [(unknown, 1), (serves, fall)]);
}

#[test]
fn equal_targets_are_asked_once_and_by_the_port_of_the_check() {
    let mut other = (*check(CheckKind::Tcp(Dialogue::default()), 2, 3)).clone();
    other.port = Some(8080);
    let moved = Target::new("10.0.0.1:80".parse().unwrap(), Arc::new(other));
    assert_eq!(moved.address, "10.0.0.1:8080".parse().unwrap());
    let mut plan = Plan::default();
    plan.set(Instant::now(), &set(&[&tcp("10.0.0.1:80", 3), &tcp("10.0.0.1:80", 3), &moved]));
    assert_eq!(plan.start(Instant::now() + Duration::from_secs(2), 10).len(), 2);
}

#[test]
fn an_unchanged_target_keeps_its_standing_and_a_changed_counter_keeps_the_verdict() {
    let now = Instant::now();
    let (stays, changes) = (tcp("10.0.0.1:80", 3), tcp("10.0.0.2:80", 3));
    let mut plan = Plan::default();
    plan.set(now, &set(&[&stays, &changes]));
    let later = now + Duration::from_secs(2);
    assert_eq!(answer(&mut plan, later, Outcome::Success("connected".into())).len(), 2);
    let due = plan.deadline();
    let changed = tcp("10.0.0.2:80", 1);
    plan.set(later, &set(&[&stays, &changed]));
    assert_eq!(plan.standing(&stays, later).unwrap().health, Health::Up);
    assert_eq!(plan.standing(&changed, later).unwrap().health, Health::Up);
    assert_eq!(plan.standing(&changes, later), None);
    assert!(plan.deadline() <= due, "nothing was postponed");
}

#[test]
fn a_probe_of_a_target_that_left_says_nothing() {
    let now = Instant::now();
    let mut plan = Plan::default();
    plan.set(now, &set(&[&tcp("10.0.0.1:80", 3)]));
    let started = plan.start(now + Duration::from_secs(2), 10);
    plan.set(now, &set(&[]));
    let refused = Outcome::Failure("connection refused".into());
    assert_eq!(plan.finish(now, started[0].0, refused, Duration::ZERO), None);
    assert_eq!(plan.deadline(), None);
}

#[test]
fn none_is_up_without_being_asked() {
    let never = Target::new("10.0.0.1:0".parse().unwrap(), check(CheckKind::None, 2, 3));
    let mut plan = Plan::default();
    let now = Instant::now();
    let verdicts = plan.set(now, &set(&[&never]));
    assert_eq!(verdicts.first().map(|v| (v.health, v.reason.as_ref())), Some((Health::Up, "not checked")));
    assert_eq!(plan.deadline(), None);
    assert_eq!(plan.overdue(now + Duration::from_secs(3600)).count(), 0);
}

#[test]
fn what_cannot_be_asked_changes_nothing_and_shows_as_overdue() {
    let now = Instant::now();
    let target = tcp("10.0.0.1:80", 1);
    let mut plan = Plan::default();
    plan.set(now, &set(&[&target]));
    let second = Duration::from_secs(1);
    assert_eq!(answer(&mut plan, now + second, Outcome::Success("connected".into())).len(), 1);
    let cannot = Outcome::Inconclusive("cannot ask: too many open files".into());
    for n in 2..7 {
        assert_eq!(answer(&mut plan, now + second * n, cannot.clone()), []);
    }
    assert_eq!(plan.standing(&target, now).unwrap().health, Health::Up);
    assert_eq!(plan.overdue(now + second * 4).count(), 0);
    assert_eq!(plan.overdue(now + second * 6).collect::<Vec<_>>(), [&target]);
}

#[test]
fn a_box_whose_network_is_not_up_yet_asks_again_soon_and_then_says_so() {
    let now = Instant::now();
    let target = tcp("10.0.0.1:80", 3);
    let nowhere = Outcome::Unreachable("network unreachable".into());
    let mut plan = Plan::default();
    plan.set(now, &set(&[&target]));
    assert_eq!(answer(&mut plan, now + Duration::from_millis(1), nowhere.clone()), []);
    assert_eq!(plan.standing(&target, now).unwrap().health, Health::Unknown);
    assert!(plan.deadline().unwrap() <= now + Duration::from_millis(30));
    let up = answer(&mut plan, now + Duration::from_millis(30), Outcome::Success("connected".into()));
    assert_eq!(up[0].health, Health::Up);

    let mut plan = Plan::default();
    plan.set(now, &set(&[&target]));
    let (time, down) = loop {
        let time = plan.deadline().unwrap();
        if let [verdict] = answer(&mut plan, time, nowhere.clone()).as_slice() {
            break (time, verdict.clone());
        }
    };
    assert_eq!((down.health, down.reason.as_ref()), (Health::Down, "network unreachable"));
    assert!(time < now + Duration::from_secs(7), "{:?}", time - now);
}

/// Asks as planned for so long, a server that is up and down for a second each in turn; the verdicts and the probes.
fn flapping(rise: u8, fall: u8, seconds: u64) -> (Vec<Health>, usize) {
    let now = Instant::now();
    let check =
        Check { rise, fall, fast: Duration::from_millis(250), ..(*check(tcp_kind(), 1, fall)).clone() };
    let target = Target::new("10.0.0.1:80".parse().unwrap(), Arc::new(check));
    let mut plan = Plan::default();
    plan.set(now, &set(&[&target]));
    let (mut verdicts, mut probes) = (Vec::new(), 0);
    while let Some(time) = plan.deadline().filter(|time| *time < now + Duration::from_secs(seconds)) {
        let up = (time - now).as_secs().is_multiple_of(2);
        let outcome =
            if up { Outcome::Success("connected".into()) } else { Outcome::Failure("refused".into()) };
        verdicts.extend(answer(&mut plan, time, outcome).into_iter().map(|verdict| verdict.health));
        probes += 1;
    }
    (verdicts, probes)
}

fn tcp_kind() -> CheckKind {
    CheckKind::Tcp(Dialogue::default())
}

#[test]
fn a_flapping_server_changes_its_verdict_no_more_often_than_rise_and_fall_permit() {
    // Four answers fit into a second while they contradict the verdict: six in a row never do.
    let (verdicts, probes) = flapping(2, 6, 60);
    assert_eq!(verdicts, [Health::Up], "of {probes} probes");
    assert!(probes > 100, "{probes}");
    // Two in a row do: one change a second at most.
    let (verdicts, _) = flapping(2, 2, 60);
    assert!((20..=61).contains(&verdicts.len()), "{}", verdicts.len());
}

#[test]
fn contradicting_answers_are_asked_for_faster_until_the_verdict_has_turned() {
    let now = Instant::now();
    let fast = Duration::from_millis(250);
    let target = {
        let check = Check { fast, ..(*check(tcp_kind(), 2, 3)).clone() };
        Target::new("10.0.0.1:80".parse().unwrap(), Arc::new(check))
    };
    let mut plan = Plan::default();
    plan.set(now, &set(&[&target]));
    let step = |plan: &mut Plan, success: bool| {
        let time = plan.deadline().unwrap();
        let said = if success { Outcome::Success("yes".into()) } else { Outcome::Failure("no".into()) };
        let turned = !answer(plan, time, said).is_empty();
        (turned, plan.deadline().unwrap() - time)
    };
    step(&mut plan, true);
    let slow = Duration::from_secs(2);
    assert_eq!(step(&mut plan, true), (false, slow));
    assert_eq!(step(&mut plan, false), (false, fast));
    assert_eq!(step(&mut plan, false), (false, fast));
    assert_eq!(step(&mut plan, false), (true, slow));
    assert_eq!(step(&mut plan, true), (false, fast));
    assert_eq!(step(&mut plan, true), (true, slow));
}

#[test]
fn feedback_is_news_when_it_changes_and_only_of_a_server_that_is_up() {
    let now = Instant::now();
    let target = tcp("10.0.0.1:80", 1);
    let mut plan = Plan::default();
    plan.set(now, &set(&[&target]));
    let mut told = |outcome: Outcome| {
        let time = plan.deadline().unwrap();
        answer(&mut plan, time, outcome).first().map(|verdict| (verdict.health, verdict.feedback))
    };
    let half = |percent| Outcome::Feedback(Feedback::Percent(percent), "half".into());
    assert_eq!(told(half(50)), Some((Health::Up, Some(Feedback::Percent(50)))));
    assert_eq!(told(half(50)), None);
    assert_eq!(told(half(20)), Some((Health::Up, Some(Feedback::Percent(20)))));
    assert_eq!(told(Outcome::Failure("gone".into())).map(|told| told.0), Some(Health::Down));
    assert_eq!(told(half(90)), None, "it has to rise first");
    assert_eq!(told(half(80)), Some((Health::Up, Some(Feedback::Percent(80)))));
    assert_eq!(told(Outcome::Success("well".into())), Some((Health::Up, None)));
}

#[test]
fn no_more_start_than_there_is_room_and_the_longest_due_goes_first() {
    let now = Instant::now();
    let targets: BTreeSet<Target> = (1..=200).map(|n| tcp(&format!("10.0.0.{n}:80"), 3)).collect();
    let mut plan = Plan::default();
    plan.set(now, &targets);
    let later = now + Duration::from_secs(1);
    assert_eq!(plan.start(later, 150).len(), 150);
    assert_eq!(plan.start(later, 150).len(), 50);
    assert_eq!(plan.start(later, 150).len(), 0);
}
