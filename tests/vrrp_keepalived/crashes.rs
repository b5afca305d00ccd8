//! A worker that is killed again and again while clients ask: nobody else becomes master, and no VIP is missing.

use std::process::Stdio;
use std::time::{Duration, Instant};

use director::vrrp::event::master_down;
use director_lab::asker::{Asker, Tally};
use director_lab::capture::Capture;
use director_lab::frame::{Said, said};
use director_lab::log::Log;
use director_lab::segment::Segment;

use super::director::{Director, file};
use super::keepalived::Keepalived;
use super::load::{Dice, Hogs};
use super::skip;

const PATIENCE: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_secs(1);
/// How often without DIRECTOR_KILLS.
const KILLS: u32 = 8;

const DIRECTOR: &str = "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\npriority = 200\ninterval = \"1s\"\n\
                        checksum = \"pseudo-header\"\naddresses = [\"10.0.0.45\", \"10.0.0.46\"]\n";
const KEEPALIVED: &str = "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n priority 100\n version 3\n \
                          advert_int 1\n virtual_ipaddress {\n 10.0.0.45\n 10.0.0.46\n }\n}\n";

/// Every second death comes early in a life: before, while or after the worker takes up where the last one was.
#[test]
fn deaths_at_random_moments_are_no_failover() {
    if skip() {
        return;
    }
    let kills = super::load::number("DIRECTOR_KILLS").unwrap_or(KILLS);
    let segment = Segment::new().unwrap();
    let (ours, theirs) = (
        segment.host("director", "10.0.0.1/24").unwrap(),
        segment.host("keepalived", "10.0.0.2/24").unwrap(),
    );
    let client = segment.host("client", "10.0.0.9/24").unwrap();
    let wire = Capture::start(client.namespace()).unwrap();
    let mut director = Director::new(&ours, &file("10.0.0.1/24", DIRECTOR));
    let mut keepalived = Keepalived::new(&theirs, KEEPALIVED);
    director.start();
    director.wait_for("master", 0, PATIENCE);
    keepalived.start();
    director.holds(&["10.0.0.45", "10.0.0.46"], &[]);

    // The kernel tells of each VIP that goes, however soon it comes back.
    let moves = Log::default();
    let mut monitor = director_lab::command::bound("ip");
    monitor.args(["-oneline", "monitor", "address"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut monitor = ours.namespace().run(move || monitor.spawn()).unwrap().unwrap();
    moves.follow(monitor.stdout.take().unwrap());
    let asker = Asker::start(&client, [10, 0, 0, 45].into(), Duration::from_millis(5)).unwrap();
    let hogs = Hogs::ordinary();

    let (mark, quiet) = (wire.mark(), keepalived.log.mark());
    let seed = u64::from(std::process::id());
    let mut dice = Dice::new(seed);
    let mut longest = Duration::ZERO;
    for kill in 0..kills {
        let life = if kill % 2 == 0 { INTERVAL } else { INTERVAL / 5 };
        std::thread::sleep(dice.part(life));
        let died = Instant::now();
        director.kill();
        if kill % 2 == 0 {
            director.spawn();
        } else {
            director.start();
            longest = longest.max(died.elapsed());
        }
    }
    director.wait_for("master", 0, PATIENCE);
    std::thread::sleep(INTERVAL * 2);
    drop(hogs);
    drop(asker);
    std::thread::sleep(INTERVAL / 2);
    monitor.kill().unwrap();
    monitor.wait().unwrap();

    let frames = wire.frames(mark);
    let spoken: Vec<_> = frames
        .iter()
        .filter_map(|frame| match said(&frame.bytes)? {
            Said::Advert { source, .. } => Some((source, frame.at)),
            _ => None,
        })
        .collect();
    let tally = Tally::of(&frames);
    let gap = spoken.windows(2).map(|two| two[1].1.saturating_sub(two[0].1)).max().unwrap();
    let wait = master_down(director::config::model::VrrpVersion::V3, 100, INTERVAL, 3);
    eprintln!(
        "{kills} deaths (seed {seed}): longest silence {gap:?} of {wait:?}, longest restart {longest:?}, \
         {tally:?}"
    );
    assert!(spoken.iter().all(|(source, _)| *source == spoken[0].0), "another master spoke");
    assert_eq!(keepalived.log.count("STATE", quiet), 0, "{}", keepalived.log.text());
    assert!(gap < wait, "{gap:?}");
    assert_eq!(moves.count("Deleted", 0), 0, "{}", moves.text());
    assert!(tally.asked > 100 && tally.lost == 0, "{tally:?}");
    assert_eq!(director.log.count("state=backup", 0), 1, "{}", director.log.text());
}
