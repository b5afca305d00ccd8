//! A server that comes and goes.

use std::time::{Duration, Instant};

use super::common::{hindrance, until};
use super::rig::{Rig, VIP4, service, web};
use super::{FRONT, rig_or_skip};

/// How long it is up, and how long down, each time.
const PHASE: Duration = Duration::from_secs(1);
/// How often it comes and goes.
const TIMES: usize = 6;
const INTERVAL: Duration = Duration::from_millis(500);

/// A service whose checks ask every [`INTERVAL`], and believe what they heard `times` in a row.
fn file(times: u32) -> String {
    let text = service("web", &web(VIP4), "dr", "scheduler = \"rr\"", &FRONT);
    let usual = "interval = \"1s\", timeout = \"900ms\", fall = 3, rise = 1";
    assert!(text.contains(usual), "{text}");
    text.replace(usual, &format!("interval = \"500ms\", timeout = \"400ms\", fall = {times}, rise = {times}"))
}

/// Stops and starts the second server; how long each phase was on this machine, and most answers against a verdict that the
/// status showed.
fn flap(rig: &mut Rig) -> (Vec<Duration>, u8) {
    let (mut phases, mut against) = (Vec::new(), 0);
    for turn in 0..2 * TIMES {
        let begun = Instant::now();
        if turn % 2 == 0 {
            rig.servers[1].stop();
        } else {
            rig.servers[1].resume().unwrap();
        }
        while begun.elapsed() < PHASE {
            let seen = rig.server(FRONT[1].0).checks.iter().map(|check| check.against).max();
            against = against.max(seen.unwrap_or(0));
            std::thread::sleep(Duration::from_millis(50));
        }
        phases.push(begun.elapsed());
    }
    (phases, against)
}

fn changes(rig: &Rig) -> usize {
    rig.logged().matches("table changed").count()
}

fn settled(rig: &Rig) -> bool {
    let Some(status) = rig.status() else { return false };
    status.services[0].servers.iter().all(|server| {
        server.kernel_weight == Some(server.weight) && server.checks.iter().all(|check| check.against == 0)
    })
}

#[test]
fn a_flapping_server_changes_the_table_no_more_often_than_fall_and_rise_permit() {
    let mut rig = rig_or_skip!();
    let patient: u32 = 6;
    rig.activate(&file(patient));
    rig.start();
    until("both are in", || settled(&rig));
    let (table, before) = (rig.table(), changes(&rig));
    let (phases, against) = flap(&mut rig);
    let made = changes(&rig) - before;
    // On a machine that is very busy a phase may be long enough for as many answers in a row.
    let permitted = phases.iter().filter(|phase| **phase >= INTERVAL * (patient - 1)).count();
    println!("{made} changes in {} phases, of which {permitted} were long enough", phases.len());
    assert!(made <= permitted, "{}", rig.logged());
    assert!(against > 0, "the checks have not noticed");
    until("it is in again", || settled(&rig));
    assert_eq!(rig.table(), table);

    rig.reload(&file(1));
    until("both are in", || settled(&rig));
    let before = changes(&rig);
    let (phases, _) = flap(&mut rig);
    let made = changes(&rig) - before;
    println!("believed at once: {made} changes in {} phases", phases.len());
    // One change for each phase, no more; most phases are noticed.
    assert!((TIMES..=phases.len()).contains(&made), "{made}: {}", rig.logged());
    assert_eq!(rig.status().unwrap().foreign_changes, 0);
}
