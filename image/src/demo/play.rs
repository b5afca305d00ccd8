//! The acts of the demonstration, in order. Each returns what was measured beside what was expected.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::stage::{INTERVAL, Stage, WEIGHTS, Which, master_down};
use crate::progress::Step;
use director_lab::guest::Guest;
use director_lab::prober::{Prober, Report};
use director_lab::server::RealServer;

/// One line of the summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// What came out.
    pub measured: String,
    /// What should.
    pub expected: String,
    /// Whether it did.
    pub good: bool,
}

/// How long a box may take to boot and take the VIP. Software emulation on a busy machine is slow.
const BOOT: Duration = Duration::from_secs(90);

/// How long the boxes may take to notice something.
const NOTICE: Duration = Duration::from_secs(30);

/// By how much a failover may exceed the computed time: the emulated boxes share the processor with everything else here.
const SLACK: Duration = Duration::from_millis(1500);

/// How often the client asks.
const CADENCE: Duration = Duration::from_millis(20);

/// How many requests show the spread.
const REQUESTS: usize = 60;

/// Plays everything on a pair booted from `image`.
///
/// # Errors
/// When an act cannot be played to its end: what happened instead, with the consoles' last words.
pub fn play(image: &Path) -> Result<Vec<Finding>> {
    let mut stage = Stage::set(image)?;
    let mut findings = Vec::new();
    let mut act = |name: &str, result: Result<Finding>| -> Result<()> {
        findings.push(result.with_context(|| name.to_owned())?);
        Ok(())
    };

    let (second, boot) = boot(&stage, Which::Second, "alone")?;
    act("first boot", Ok(boot))?;
    let (mut first, boot) = self::boot(&stage, Which::First, "takes over by priority")?;
    act("second boot", Ok(boot))?;
    act("spread", first.explain(spread(&stage)))?;

    let prober = Prober::start(&stage.client, super::stage::VIP, CADENCE)?;
    act("a dead server", first.explain(one_stops(&mut stage, &prober)))?;
    act("a server back", first.explain(one_returns(&mut stage, &prober)))?;
    act("the sorry page", first.explain(both_stop(&mut stage, &prober)))?;
    act("both back", first.explain(both_return(&mut stage, &prober)))?;
    act("failover", second.explain(failover(&stage, &prober, &mut first)))?;
    drop(first);
    let (returned, preempted) = preemption(&stage, &prober)?;
    act("preemption", Ok(preempted))?;
    drop(prober.stop());
    drop(returned);
    Ok(findings)
}

fn boot(stage: &Stage, which: Which, how: &str) -> Result<(Guest, Finding)> {
    let step = Step::begin(&format!("boot {}", which.name()));
    let mut guest = stage.power_on(which)?;
    let answered = stage.await_vip(which, &mut guest, BOOT);
    let answered = guest.explain(answered)?;
    let time = answered.saturating_duration_since(guest.powered());
    step.done(&format!("the VIP answers through {} {} after power-on", which.name(), seconds(time)));
    let what = format!("{} from power-on to the VIP answering ({how})", which.name());
    Ok((
        guest,
        Finding {
            what,
            measured: seconds(time),
            expected: format!("≤ {}", seconds(BOOT)),
            good: time <= BOOT,
        },
    ))
}

fn spread(stage: &Stage) -> Result<Finding> {
    let step = Step::begin("spread");
    let patience = Duration::from_secs(3);
    let samples = (0..REQUESTS).map(|_| stage.ask(patience)).collect::<Result<Vec<_>>>()?;
    let report = Report { samples };
    let counts =
        stage.servers.each_ref().map(|server| report.answers().get(server.name()).copied().unwrap_or(0));
    let share = |weight| REQUESTS * weight / WEIGHTS.iter().sum::<usize>();
    let near = |(&count, weight): (&usize, usize)| count.abs_diff(share(weight)) <= REQUESTS / 20;
    let good = counts.iter().zip(WEIGHTS).all(near) && counts.iter().sum::<usize>() == REQUESTS;
    let measured = report.to_string();
    step.done(&measured);
    let [light, heavy] = WEIGHTS.map(share);
    Ok(Finding {
        what: "requests by direct routing, weights 1:2".into(),
        measured,
        expected: format!("{light} × web1, {heavy} × web2, none lost"),
        good,
    })
}

fn one_stops(stage: &mut Stage, prober: &Prober) -> Result<Finding> {
    let mut step = Step::begin("a real server stops");
    let patience = stage.patience(NOTICE);
    let [web1, web2] = &mut stage.servers;
    step.note("web2 refuses connections");
    let stopped = Instant::now();
    web2.stop();
    // Out of the table: for a while nobody was sent to it any more, and it had its chance.
    let settled = |report: &Report| report.lost().count() > 0 && calm(report) >= 100;
    let report = prober.wait(stopped, patience, settled).context("web2 did not leave the table")?;
    let (out, lost) = last_loss(&report, stopped);
    let after = report.since(stopped + out + Duration::from_nanos(1));
    let good = after.lost().count() == 0 && after.answers().keys().all(|name| name == web1.name());
    step.done(&format!(
        "out of the table after {}, {lost} requests lost until then, {} answered by web1 since",
        seconds(out),
        after.samples.len()
    ));
    Ok(Finding {
        what: "web2 stopped: out of the table after".into(),
        measured: format!(
            "{}, {lost} lost until then, {} of {} since",
            seconds(out),
            after.lost().count(),
            after.samples.len()
        ),
        expected: "none lost after that".into(),
        good,
    })
}

fn one_returns(stage: &mut Stage, prober: &Prober) -> Result<Finding> {
    let step = Step::begin("it returns");
    let resumed = Instant::now();
    let patience = stage.patience(NOTICE);
    let [_, web2] = &mut stage.servers;
    web2.resume()?;
    let name = web2.name();
    let report = prober
        .wait(resumed, patience, |report| report.answers().contains_key(name))
        .context("web2 gets no requests")?;
    let back = first_answer(&report, resumed, |answer| answer == name)?;
    step.done(&format!("gets requests again after {}", seconds(back)));
    let lost = report.lost().count();
    Ok(Finding {
        what: "web2 started: gets requests after".into(),
        measured: format!("{}, {lost} lost", seconds(back)),
        expected: "none lost".into(),
        good: lost == 0,
    })
}

fn both_stop(stage: &mut Stage, prober: &Prober) -> Result<Finding> {
    let step = Step::begin("both real servers stop");
    let names = stage.servers.each_ref().map(|server| server.name().to_owned());
    let stopped = Instant::now();
    stage.servers.iter_mut().for_each(RealServer::stop);
    let is_page = |answer: &String| !names.contains(answer);
    let settled = |report: &Report| calm(report) >= 50 && report.answers().keys().any(is_page);
    let report = prober.wait(stopped, stage.patience(NOTICE), settled).context("no sorry page")?;
    let time = first_answer(&report, stopped, |answer| !names.iter().any(|name| name == answer))?;
    let page = report.answers().into_keys().find(is_page).unwrap_or_default();
    step.done(&format!("the sorry page comes after {}: {page:?}", seconds(time)));
    let lost = report.since(stopped + time).lost().count();
    Ok(Finding {
        what: "both stopped: sorry page after".into(),
        measured: format!("{}: {page:?}, {lost} lost since", seconds(time)),
        expected: "a page, none lost after it".into(),
        good: lost == 0,
    })
}

fn both_return(stage: &mut Stage, prober: &Prober) -> Result<Finding> {
    let step = Step::begin("both return");
    let resumed = Instant::now();
    for server in &mut stage.servers {
        server.resume()?;
    }
    let names = stage.servers.each_ref().map(|server| server.name().to_owned());
    let settled = |report: &Report| {
        let latest = report.samples.iter().rev().take(20);
        report.samples.len() >= 20
            && latest.clone().all(|sample| sample.answer.as_ref().is_ok_and(|answer| names.contains(answer)))
    };
    let report = prober
        .wait(resumed, stage.patience(NOTICE), settled)
        .context("the real servers do not take over from the sorry page")?;
    let time = first_answer(&report, resumed, |answer| names.iter().any(|name| name == answer))?;
    step.done(&format!("real servers answer again after {}", seconds(time)));
    let lost = report.lost().count();
    Ok(Finding {
        what: "both started: real servers after".into(),
        measured: format!("{}, {lost} lost", seconds(time)),
        expected: "none lost".into(),
        good: lost == 0,
    })
}

fn failover(stage: &Stage, prober: &Prober, master: &mut Guest) -> Result<Finding> {
    let step = Step::begin("the master loses its power");
    let before = Instant::now();
    prober
        .wait(before, stage.patience(NOTICE), |report| calm(report) >= 10)
        .context("requests are lost before the power cut")?;
    master.cut_power()?;
    let cut = Instant::now();
    let settled = |report: &Report| report.lost().count() > 0 && calm(report) >= 50;
    prober.wait(cut, stage.patience(NOTICE), settled).context("the backup did not take over")?;
    let gap = prober.report().since(before).longest_gap().context("no gap was seen")?;
    let computed = master_down(Which::Second);
    step.done(&format!(
        "gap {} for a client that asks every {} ms, {} requests lost",
        seconds(gap.length()),
        CADENCE.as_millis(),
        gap.lost
    ));
    let taken = stage.master()?;
    Ok(Finding {
        what: "master's power cut: gap seen by a client".into(),
        measured: format!("{}, {} requests lost", seconds(gap.length()), gap.lost),
        expected: format!("3 × {} ms + skew = {}", INTERVAL.as_millis(), seconds(computed)),
        good: taken == Some(Which::Second) && gap.length() <= computed + SLACK,
    })
}

fn preemption(stage: &Stage, prober: &Prober) -> Result<(Guest, Finding)> {
    let step = Step::begin("the master returns");
    let mut guest = stage.power_on(Which::First)?;
    let taken = stage.await_vip(Which::First, &mut guest, BOOT);
    let taken = guest.explain(taken)?;
    let settled = |report: &Report| calm(report) >= 25;
    guest.explain(
        prober.wait(taken, stage.patience(NOTICE), settled).context("requests are lost after the preemption"),
    )?;
    let time = taken.saturating_duration_since(guest.powered());
    let report = prober.report().since(guest.powered());
    let lost = report.lost().count();
    let gap = report
        .longest_gap()
        .map_or_else(|| "no gap".to_owned(), |gap| format!("gap {}", seconds(gap.length())));
    step.done(&format!("master again {} after power-on, {lost} requests lost ({gap})", seconds(time)));
    let measured = format!("{}, {lost} lost ({gap})", seconds(time));
    Ok((
        guest,
        Finding {
            what: "lb1 back: master again after".into(),
            measured,
            expected: "preempts".into(),
            good: true,
        },
    ))
}

/// How many of the latest requests were answered in a row.
fn calm(report: &Report) -> usize {
    report.samples.iter().rev().take_while(|sample| sample.answer.is_ok()).count()
}

/// How long after `from` the last request was lost, and how many were.
fn last_loss(report: &Report, from: Instant) -> (Duration, usize) {
    let time =
        report.lost().last().map_or(Duration::ZERO, |sample| sample.asked.saturating_duration_since(from));
    (time, report.lost().count())
}

fn first_answer(report: &Report, from: Instant, wanted: impl Fn(&str) -> bool) -> Result<Duration> {
    let found =
        report.samples.iter().find(|sample| sample.answer.as_ref().is_ok_and(|answer| wanted(answer)));
    match found {
        Some(sample) => Ok(sample.done.saturating_duration_since(from)),
        None => bail!("no such answer: {report}"),
    }
}

fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(2) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
