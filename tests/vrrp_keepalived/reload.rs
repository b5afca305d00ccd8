//! Another file while it runs: a master stays master, and says what has changed.

use std::fmt::Write;
use std::time::Duration;

use director::ipc::message::RouterState;
use director_lab::capture::Capture;
use director_lab::frame::{Said, said};
use director_lab::segment::Segment;

use super::director::{Director, file};
use super::skip;
use super::witness::Witness;

const PATIENCE: Duration = Duration::from_secs(10);
const ADDRESS: &str = "10.0.0.1/24";

fn router(name: &str, vrid: u8, priority: u8, vips: &str) -> String {
    format!(
        "[[vrrp]]\nname = \"{name}\"\ninterface = \"eth0\"\nvrid = {vrid}\npriority = {priority}\n\
         interval = \"100ms\"\naddresses = [{vips}]\n"
    )
}

#[test]
fn a_master_stays_master_through_changes_of_the_file() {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let host = segment.host("lb1", ADDRESS).unwrap();
    let other = segment.host("lb2", "10.0.0.2/24").unwrap();
    let mut director =
        Director::new(&host, &file(ADDRESS, &router("a", 1, 150, "\"10.0.0.45\", \"10.0.0.46\"")));
    let mut backup =
        Director::new(&other, &file("10.0.0.2/24", &router("a", 1, 100, "\"10.0.0.45\", \"10.0.0.46\"")));
    director.start();
    director.wait_for("master", 0, PATIENCE);
    backup.start();
    backup.wait_until("listening", PATIENCE, |status| status.master_priority == Some(150));
    let (mark, quiet) = (director.log.mark(), backup.log.mark());

    // Other VIPs, another priority, another interval, and a second virtual router.
    let next = router("a", 1, 180, "\"10.0.0.46\", \"10.0.0.47/24\"").replace("100ms", "150ms");
    director.configure(&file(ADDRESS, &(next + &router("b", 2, 100, "\"10.0.0.50\""))));
    director.log.wait("generation=2", mark, PATIENCE);
    director.log.wait("name=b state=master", mark, PATIENCE);
    let status = director.status();
    assert_eq!(
        (status[0].state, status[0].priority, status[0].interval_us),
        (RouterState::Master, 180, 150_000)
    );
    assert_eq!(status[0].counters["become_master"], 1);
    director.holds(&["10.0.0.46", "10.0.0.47", "10.0.0.50"], &["10.0.0.45"]);
    backup.wait_until("told", PATIENCE, |status| {
        status.master_priority == Some(180) && status.interval_us == 150_000
    });
    assert_eq!(director.log.count("name=a state=", mark), 0, "{}", director.log.text());
    assert_eq!(backup.log.count("router state", quiet), 0, "{}", backup.log.text());

    // The first one leaves the file: it resigns, and its backup is quick.
    director.configure(&file(ADDRESS, &router("b", 2, 100, "\"10.0.0.50\"")));
    director.log.wait("generation=3", mark, PATIENCE);
    backup.wait_for("master", quiet, PATIENCE);
    director.holds(&["10.0.0.50"], &["10.0.0.46", "10.0.0.47"]);
    assert_eq!(director.log.count("name=b state=", mark), 2, "{}", director.log.text());

    // A file with a fault changes nothing.
    let mark = director.log.mark();
    director.configure("version = 1\n[[vrrp]]\nname = 7\n");
    director.log.wait("configuration not taken", mark, PATIENCE);
    assert_eq!(director.state(), RouterState::Master);
    assert!(director.has("10.0.0.50"));
}

/// What a busy machine needs to run a real-time thread that is due, and to stamp its frame.
const SLACK: Duration = Duration::from_millis(20);

/// The loop reads each of twenty files with a thousand services and goes on: no advertisement is later than the machine itself was.
#[test]
fn no_advertisement_is_late_when_a_large_file_comes() {
    if skip() {
        return;
    }
    const INTERVAL: Duration = Duration::from_millis(100);
    let segment = Segment::new().unwrap();
    let host = segment.host("lb1", ADDRESS).unwrap();
    let client = segment.host("client", "10.0.0.9/24").unwrap();
    let mut services = String::new();
    for i in 0..1000 {
        let (high, low) = (i / 250, i % 250 + 1);
        writeln!(
            services,
            "[[service]]\nname = \"s{i}\"\nlisten = \"10.0.0.45:{}\"\n\
             [[service.server]]\naddress = \"10.2.{high}.{low}\"\n\
             [[service.server]]\naddress = \"10.3.{high}.{low}\"",
            1000 + i
        )
        .unwrap();
    }
    let text = |vip: u8| {
        let router =
            router("a", 1, 150, &format!("\"10.0.0.45\", \"10.0.0.{vip}\"")) + "start_wait = \"0s\"\n";
        file(ADDRESS, &(router + &services))
    };
    let mut director = Director::new(&host, &text(100));
    director.start();
    director.wait_for("master", 0, PATIENCE);
    let wire = Capture::start(client.namespace()).unwrap();
    let mut witness = Witness::start(INTERVAL);
    let mark = wire.mark();
    for round in 1..=20_u8 {
        let log = director.log.mark();
        director.configure(&text(100 + round));
        director.log.wait(&format!("generation={}", round + 1), log, PATIENCE);
    }
    std::thread::sleep(INTERVAL * 3);
    let frames = wire.frames(mark);
    let spoken: Vec<Duration> = frames
        .iter()
        .filter(|frame| matches!(said(&frame.bytes), Some(Said::Advert { .. })))
        .map(|frame| frame.at)
        .collect();
    let gap = spoken.windows(2).map(|two| two[1].saturating_sub(two[0])).max().unwrap();
    let stood = witness.worst();
    eprintln!(
        "twenty reloads of a thousand services: {} advertisements, longest gap {gap:?}; processors stood still for {stood:?}",
        spoken.len()
    );
    assert!(gap <= INTERVAL + SLACK + stood, "{gap:?}");
    assert_eq!(director.status()[0].counters["become_master"], 1);
}
