//! Very many virtual routers in one process: whether each speaks on time, and what that costs, beside keepalived. On this host.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::failover::pair::PUNCTUAL;
use super::table::{Measurement, OURS};
use director_lab::capture::{Capture, Frame};
use director_lab::crowd::quantile;
use director_lab::frame::{Said, said};
use director_lab::preflight;
use director_lab::process::{family, memory, processor_time, was_called_with};
use director_lab::router::{Program, Router};
use director_lab::segment::Segment;

/// As many numbers as there are.
const ROUTERS: u8 = 255;
/// The first so many have two VIPs.
const WITH_TWO: u8 = 245;
const INTERVAL: Duration = Duration::from_secs(1);
/// How long everybody is watched.
const WATCH: Duration = Duration::from_secs(60);
/// From the start until all have taken over and told the segment twice.
const SETTLE: Duration = Duration::from_secs(20);
/// "On time", for us: so late at most are all but one of a thousand advertisements. A machine that others use as well may be later, and
/// then says so.
const ON_TIME: Duration = Duration::from_millis(20);
/// Later than that a backup with the least skew there is at a second would count one advertisement as missed.
const TOO_LATE: Duration = Duration::from_millis(1000);
/// By then every VIP has been announced once, counted from the first one.
const ANNOUNCED: Duration = Duration::from_secs(1);
/// Upper ends of the classes of the histogram.
const CLASSES: [(&str, Duration); 6] = [
    ("100us", Duration::from_micros(100)),
    ("500us", Duration::from_micros(500)),
    ("1ms", Duration::from_millis(1)),
    ("5ms", Duration::from_millis(5)),
    ("20ms", Duration::from_millis(20)),
    ("100ms", Duration::from_millis(100)),
];

/// Watches `director` and keepalived in turns.
///
/// # Errors
/// Namespaces cannot be made, or somebody does not advertise.
pub fn run(director: &Path, rounds: u8) -> Result<Vec<Measurement>> {
    preflight::namespaces()?;
    let mut found = Vec::new();
    for round in 0..rounds {
        for (who, program) in
            [(OURS, Program::Director(director.to_owned())), ("keepalived", Program::Keepalived)]
        {
            eprintln!("   {who}: round {} of {rounds}", round + 1);
            for (what, value, unit) in watch(&program)? {
                found.push(Measurement { what, who: who.to_owned(), value, unit: unit.to_owned() });
            }
        }
    }
    Ok(found)
}

type Found = Vec<(String, f64, &'static str)>;

fn watch(program: &Program) -> Result<Found> {
    let segment = Segment::new()?;
    let host = segment.host("lb1", "10.0.0.1/24")?;
    let client = segment.host("client", "10.0.0.9/24")?;
    let wire = Capture::start(client.namespace())?;
    let mut router = Router::new(&host, program.clone(), &file(program)?)?;
    router.start()?;
    std::thread::sleep(SETTLE);
    let Announced { within, count, never } = announced(&wire.frames(0));

    let everybody = family(router.process());
    let cost = || everybody.iter().map(|process| processor_time(*process)).sum::<Duration>();
    let (before, mark) = (cost(), wire.mark());
    std::thread::sleep(WATCH);
    let (spent, frames) = (cost().saturating_sub(before), wire.frames(mark));
    let whole = everybody.iter().map(|process| memory(*process).whole).sum::<u64>();
    let speaker = everybody.iter().filter(|process| match program {
        Program::Director(_) => was_called_with(**process, "vrrp"),
        // The child does it; the parent only watches.
        Program::Keepalived => **process != router.process(),
    });
    let speaker = speaker.map(|process| memory(*process).whole).sum::<u64>();

    let (late, sent) = lateness(&frames);
    let expected = u64::from(ROUTERS) * WATCH.as_secs();
    // Each may speak once more or less, as the watch cuts its intervals.
    let said = router.log().text();
    let last: Vec<&str> = said.lines().rev().take(10).collect();
    ensure!(
        sent > expected / 2,
        "only {sent} of {expected} advertisements; the last words, backwards: {last:#?}"
    );
    let share = |below: Duration| {
        100.0 * late.iter().filter(|late| **late < below).count() as f64 / late.len().max(1) as f64
    };
    if matches!(program, Program::Director(_)) {
        let (usual, worst) = (quantile(&late, 0.999), quantile(&late, 1.0));
        ensure!(
            usual < ON_TIME,
            "one of a thousand advertisements is {usual:?} late or more, {ON_TIME:?} are allowed"
        );
        ensure!(worst < TOO_LATE, "an advertisement is {worst:?} late, {TOO_LATE:?} are allowed");
        ensure!(missing(expected, sent) == 0.0, "{sent} of {expected} advertisements were sent");
        ensure!(never == 0, "{never} VIPs were not announced within {SETTLE:?}");
        ensure!(within < ANNOUNCED, "the last VIP was announced {within:?} after the first");
    }
    let mut found: Found =
        CLASSES.iter().map(|(name, most)| (format!("late-below-{name}"), share(*most), "%")).collect();
    found.extend([
        ("late-p50".to_owned(), quantile(&late, 0.5).as_secs_f64(), "s"),
        ("late-p99.9".to_owned(), quantile(&late, 0.999).as_secs_f64(), "s"),
        ("late-worst".to_owned(), quantile(&late, 1.0).as_secs_f64(), "s"),
        ("vips-announced-within".to_owned(), within.as_secs_f64(), "s"),
        ("vips-never-announced".to_owned(), never as f64, "x"),
        ("announcements".to_owned(), count as f64, "x"),
        ("advertisements-missing".to_owned(), missing(expected, sent), "x"),
        ("processor-for-an-advert".to_owned(), spent.as_secs_f64() / sent.max(1) as f64, "s"),
        ("memory-all".to_owned(), whole as f64 / 1024.0, "MB"),
        ("memory-of-vrrp".to_owned(), speaker as f64 / 1024.0, "MB"),
    ]);
    Ok(found)
}

/// More than one advertisement less from each router than seconds have passed.
fn missing(expected: u64, sent: u64) -> f64 {
    (expected - u64::from(ROUTERS)).saturating_sub(sent) as f64
}

/// What was heard of the VIPs.
struct Announced {
    /// How long after the first announcement the last VIP was announced for the first time.
    within: Duration,
    /// How many announcements there were.
    count: usize,
    /// How many VIPs nobody announced before the watch: keepalived takes seconds over as many, and some days longer than that.
    never: usize,
}

fn announced(frames: &[Frame]) -> Announced {
    let mut first: BTreeMap<IpAddr, Duration> = BTreeMap::new();
    let mut count = 0;
    for frame in frames {
        if let Some(Said::Announcement(vip)) = said(&frame.bytes) {
            count += 1;
            first.entry(vip).or_insert(frame.at);
        }
    }
    let all: Vec<IpAddr> = (1..=ROUTERS).flat_map(vips).collect();
    first.retain(|vip, _| all.contains(vip));
    let (began, ended) = (first.values().min(), first.values().max());
    let within = began.zip(ended).map_or(Duration::ZERO, |(began, ended)| ended.saturating_sub(*began));
    Announced { within, count, never: all.len().saturating_sub(first.len()) }
}

/// How much later than an interval after the one before advertisements came, in ascending order, and how many there were.
fn lateness(frames: &[Frame]) -> (Vec<Duration>, u64) {
    let mut last: BTreeMap<u8, Duration> = BTreeMap::new();
    let (mut late, mut sent) = (Vec::new(), 0);
    for frame in frames {
        if let Some(Said::Advert { vrid, .. }) = said(&frame.bytes) {
            sent += 1;
            if let Some(before) = last.insert(vrid, frame.at) {
                late.push(frame.at.saturating_sub(before).saturating_sub(INTERVAL));
            }
        }
    }
    late.sort_unstable();
    (late, sent)
}

fn vips(vrid: u8) -> Vec<IpAddr> {
    let count = if vrid <= WITH_TWO { 2 } else { 1 };
    (1..=count).map(|at| IpAddr::from([10, at, 0, vrid])).collect()
}

fn file(program: &Program) -> Result<String> {
    let mut text = match program {
        Program::Director(_) => {
            "version = 1\n[[interface]]\nname = \"eth0\"\naddresses = [\"10.0.0.1/24\"]\n".to_owned()
        }
        Program::Keepalived => PUNCTUAL.to_owned(),
    };
    let seconds = INTERVAL.as_secs();
    for vrid in 1..=ROUTERS {
        let vips: Vec<String> = vips(vrid).iter().map(ToString::to_string).collect();
        match program {
            Program::Director(_) => writeln!(
                text,
                "[[vrrp]]\nname = \"V{vrid}\"\ninterface = \"eth0\"\nvrid = {vrid}\ninterval = \"{seconds}s\"\n\
                 addresses = [\"{}\"]",
                vips.join("\", \"")
            )?,
            Program::Keepalived => writeln!(
                text,
                "vrrp_instance V{vrid} {{\n state BACKUP\n interface eth0\n virtual_router_id {vrid}\n priority 100\n \
                 advert_int {seconds}\n virtual_ipaddress {{\n {}\n }}\n}}",
                vips.join("\n ")
            )?,
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_500_vips_and_each_once() {
        let mut all: Vec<IpAddr> = (1..=ROUTERS).flat_map(vips).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 500);
    }
}
