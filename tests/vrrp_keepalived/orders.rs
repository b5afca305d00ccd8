//! What the operator wants of a pair: mastership handed over without a lost request, given up, held, released; what trackers
//! say; and a second way for heartbeats.

use std::time::{Duration, Instant};

use director::ipc::client::ask;
use director::ipc::message::{Reply, Request, RouterOrder, RouterState};
use director::role::Role;
use director_lab::asker::{Asker, Tally};
use director_lab::capture::{Capture, Frame};
use director_lab::frame::{Said, said};
use director_lab::segment::{Host, Segment};

use super::director::{Director, file};
use super::keepalived::Keepalived;
use super::skip;

const PATIENCE: Duration = Duration::from_secs(10);
/// Above what a timer promises, for a process without real-time.
const SLACK: Duration = Duration::from_millis(20);

fn router(priority: u8, more: &str) -> String {
    format!(
        "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\n\
         interval = \"1s\"\naddresses = [\"10.0.0.45\"]\n{more}"
    )
}

fn try_order(director: &Director, order: RouterOrder, force: bool) -> Result<Reply, String> {
    let request = Request::Router { order, name: "VI_1".to_owned(), force };
    ask(&director.run_dir(), Role::Vrrp, &request, Duration::from_secs(5)).map_err(|error| error.to_string())
}

fn order(director: &Director, order: RouterOrder) {
    let answer = try_order(director, order, false);
    assert!(matches!(answer, Ok(Reply::Ok)), "{answer:?}\n{}", director.log.text());
}

/// From the last resignation on the wire to the first word of whoever followed.
fn gap(frames: &[Frame]) -> Duration {
    let adverts = frames.iter().filter_map(|frame| match said(&frame.bytes)? {
        Said::Advert { source, priority, .. } => Some((frame.at, source, priority)),
        _ => None,
    });
    let adverts: Vec<_> = adverts.collect();
    let resigned = adverts.iter().rposition(|(.., priority)| *priority == 0).unwrap();
    let (at, source, _) = adverts[resigned];
    let next = adverts[resigned..].iter().find(|(_, from, priority)| *from != source && *priority > 0);
    next.unwrap().0.saturating_sub(at)
}

/// A pair that has settled: the first is master, the second knows it.
fn pair(segment: &Segment) -> (Director, Director) {
    let make = |name: &str, address: &str, priority| {
        let host = segment.host(name, address).unwrap();
        let mut director = Director::new(&host, &file(address, &router(priority, "")));
        director.start();
        director
    };
    let first = make("lb1", "10.0.0.1/24", 200);
    first.wait_for("master", 0, PATIENCE);
    let second = make("lb2", "10.0.0.2/24", 100);
    second.wait_until("listening", PATIENCE, |status| status.master_priority == Some(200));
    (first, second)
}

#[test]
fn mastership_is_handed_over_without_a_lost_request() {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let (first, second) = pair(&segment);
    let client = segment.host("client", "10.0.0.9/24").unwrap();
    let wire = Capture::start(client.namespace()).unwrap();
    let asker = Asker::start(&client, [10, 0, 0, 45].into(), Duration::from_millis(5)).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let (mark, asked) = (second.log.mark(), Instant::now());
    order(&first, RouterOrder::Failover);
    let took = second.wait_for("master", mark, PATIENCE) - asked;
    std::thread::sleep(Duration::from_millis(500));
    let mut gaps = vec![gap(&wire.frames(0))];
    // Back, and once more: what a busy machine does to one of three says nothing of the protocol.
    for _ in 0..2 {
        for (from, to) in [(&second, &first), (&first, &second)] {
            let (mark, frames) = (to.log.mark(), wire.mark());
            order(from, RouterOrder::Failover);
            to.wait_for("master", mark, PATIENCE);
            std::thread::sleep(Duration::from_millis(300));
            gaps.push(gap(&wire.frames(frames)));
        }
    }
    drop(asker);
    std::thread::sleep(Duration::from_millis(200));
    let tally = Tally::of(&wire.frames(0));
    eprintln!(
        "planned failover: the other one is master after {took:?}, gaps {gaps:?}, every 5 ms a question: {tally:?}"
    );
    gaps.sort();
    assert!(gaps[gaps.len() / 2] <= Duration::from_millis(10), "on the wire, the median: {gaps:?}");
    assert!(tally.asked > 50 && tally.lost == 0, "{tally:?}");
    // It stays there, though the first is the better one.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!((first.state(), second.state()), (RouterState::Backup, RouterState::Master));
    assert_eq!(first.status()[0].order.as_deref(), Some("yields"));
    first.holds(&[], &["10.0.0.45"]);
    let mark = first.log.mark();
    order(&first, RouterOrder::Release);
    first.wait_for("master", mark, PATIENCE);
    second.wait_until("listening", PATIENCE, |status| status.state == RouterState::Backup);
    first.assert_content();
}

#[test]
fn a_hold_outlives_a_crash_of_the_worker() {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let (mut first, second) = pair(&segment);
    let mark = second.log.mark();
    order(&first, RouterOrder::Hold);
    second.wait_for("master", mark, PATIENCE);
    first.kill();
    let mark = first.log.mark();
    first.start();
    first.log.wait("state=fault reason=held by the operator", mark, PATIENCE);
    let mark = first.log.mark();
    order(&first, RouterOrder::Release);
    first.wait_for("master", mark, PATIENCE);
}

/// `director hold vrrp` and `release vrrp`: the worker ends in order, and another one starts.
#[test]
fn a_hold_outlives_an_orderly_end_of_the_worker() {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let host = segment.host("lb1", "10.0.0.1/24").unwrap();
    let mut director = Director::new(&host, &file("10.0.0.1/24", &router(100, "")));
    director.start();
    director.wait_for("master", 0, PATIENCE);
    order(&director, RouterOrder::Hold);
    director.stop();
    let mark = director.log.mark();
    director.start();
    director.log.wait("state=fault reason=held by the operator", mark, PATIENCE);
    let mark = director.log.mark();
    order(&director, RouterOrder::Release);
    director.wait_for("master", mark, PATIENCE);
}

#[test]
fn keepalived_takes_over_what_is_handed_to_it() {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let ours = segment.host("director", "10.0.0.1/24").unwrap();
    let theirs = segment.host("keepalived", "10.0.0.2/24").unwrap();
    let text = router(200, "checksum = \"pseudo-header\"\n");
    let mut director = Director::new(&ours, &file("10.0.0.1/24", &text));
    // Before all that is not real-time: what counts is its protocol, not who else computes here.
    let config = "global_defs {\n vrrp_priority -20\n}\nvrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n \
                  priority 100\n version 3\n advert_int 1\n nopreempt\n virtual_ipaddress {\n 10.0.0.45\n }\n}\n";
    let mut keepalived = Keepalived::new(&theirs, config);
    director.start();
    director.wait_for("master", 0, PATIENCE);
    keepalived.start();
    std::thread::sleep(Duration::from_secs(2));
    // A backup that only listens is not known.
    let refused = try_order(&director, RouterOrder::Failover, false);
    assert!(
        format!("{refused:?}").contains("no other box is known that would take VI_1 over"),
        "{refused:?}"
    );
    assert_eq!(director.state(), RouterState::Master);
    let client = segment.host("client", "10.0.0.9/24").unwrap();
    let wire = Capture::start(client.namespace()).unwrap();
    let asker = Asker::start(&client, [10, 0, 0, 45].into(), Duration::from_millis(5)).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let mark = keepalived.log.mark();
    assert!(matches!(try_order(&director, RouterOrder::Failover, true), Ok(Reply::Ok)));
    keepalived.wait_for("MASTER", mark, PATIENCE);
    std::thread::sleep(Duration::from_millis(500));
    drop(asker);
    std::thread::sleep(Duration::from_millis(200));
    let tally = Tally::of(&wire.frames(0));
    let mut gaps = vec![gap(&wire.frames(0))];
    // Back, by the better priority, and once more.
    while gaps.len() < 5 {
        let mark = director.log.mark();
        order(&director, RouterOrder::Release);
        director.wait_for("master", mark, PATIENCE);
        let (mark, frames) = (keepalived.log.mark(), wire.mark());
        order(&director, RouterOrder::Failover);
        keepalived.wait_for("MASTER", mark, PATIENCE);
        std::thread::sleep(Duration::from_millis(200));
        gaps.push(gap(&wire.frames(frames)));
    }
    gaps.sort();
    eprintln!("planned failover to keepalived: gaps {gaps:?}, every 5 ms a question: {tally:?}");
    // Its skew at the interval that was named last, 10 ms, and not the 0.61 s at its own; the rest is a busy machine's.
    let skew = Duration::from_millis(10) * (256 - 100) / 256;
    assert!(gaps[gaps.len() / 2] <= skew + SLACK, "the median: {gaps:?}");
    assert!(tally.asked > 50 && tally.lost == 0, "{tally:?}");
    keepalived.assert_content();
}

#[test]
fn trackers_decide_about_mastership() {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let host = segment.host("lb1", "10.0.0.1/24").unwrap();
    let gateway = segment.host("gw", "10.0.0.254/24").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let drain = dir.path().join("drain");
    let more = format!(
        "track = [{{ gateway = \"10.0.0.254\", interval = \"100ms\", fall = 2, rise = 2 }}, \
         {{ file = \"{}\", weight = -10 }}, {{ exec = \"/bin/true\", interval = \"200ms\", weight = 5 }}]\n",
        drain.display()
    );
    let mut director = Director::new(&host, &file("10.0.0.1/24", &router(100, &more).replace("1s", "100ms")));
    director.start();
    director.wait_for("master", 0, PATIENCE);
    director.wait_until("asked", PATIENCE, |status| {
        status.priority == 105 && status.trackers.iter().all(|tracker| tracker.healthy == Some(true))
    });
    std::fs::write(&drain, "3\n").unwrap();
    director.wait_until("lower", PATIENCE, |status| status.priority == 75);
    let mark = director.log.mark();
    std::fs::write(&drain, "down\n").unwrap();
    director.log.wait("state=fault reason=tracked file", mark, PATIENCE);
    // A slip of the pen, or a disk that fails, lifts no drain.
    let slip = dir.path().join("slip");
    std::fs::write(&slip, "dwn\n").unwrap();
    std::fs::rename(&slip, &drain).unwrap();
    director.wait_until("told of the slip", PATIENCE, |status| {
        let reason = status.trackers[1].reason.as_deref().unwrap_or_default();
        reason.contains("says down; what it said last counts, for now it says \"dwn\"")
    });
    assert_eq!(director.state(), RouterState::Fault);
    std::fs::remove_file(&drain).unwrap();
    director.wait_for("master", mark, PATIENCE);
    let mark = director.log.mark();
    segment.cable(&gateway, false).unwrap();
    director.log.wait(
        "state=fault reason=tracked gateway 10.0.0.254: no answer within 100ms",
        mark,
        PATIENCE,
    );
    segment.cable(&gateway, true).unwrap();
    director.wait_for("master", mark, PATIENCE);
}

/// A gateway that drops echoes has an answer for ARP, until its cable is pulled.
#[test]
fn a_gateway_without_echoes_is_asked_by_arp() {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let host = segment.host("lb1", "10.0.0.1/24").unwrap();
    let gateway = segment.host("gw", "10.0.0.254/24").unwrap();
    gateway.namespace().sysctl("net/ipv4/icmp_echo_ignore_all", "1").unwrap();
    without_echoes(&segment, &host, &gateway, router(100, ""), "10.0.0.254");
}

/// The same by neighbour discovery (RFC 4861 section 7.2).
#[test]
fn a_gateway_without_echoes_is_asked_by_neighbour_discovery() {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let host = segment.host("lb1", "fe80::1/64").unwrap();
    host.address("2001:db8::1/64").unwrap();
    let gateway = segment.host("gw", "2001:db8::254/64").unwrap();
    gateway.namespace().sysctl("net/ipv6/icmp/echo_ignore_all", "1").unwrap();
    let text = router(100, "").replace("\"10.0.0.45\"", "\"fe80::45\", \"2001:db8::45\"");
    without_echoes(&segment, &host, &gateway, text, "2001:db8::254");
}

fn without_echoes(segment: &Segment, host: &Host, gateway: &Host, router: String, address: &str) {
    let own = if address.contains(':') { "fe80::1/64" } else { "10.0.0.1/24" };
    let track = |by: &str| {
        let more = format!(
            "track = [{{ gateway = \"{address}\", by = \"{by}\", interval = \"100ms\", fall = 2, rise = 2 }}]\n"
        );
        file(own, &format!("{}{more}", router.replace("\"1s\"", "\"100ms\"")))
    };
    let mut director = Director::new(host, &track("arp"));
    director.start();
    director.wait_for("master", 0, PATIENCE);
    director.wait_until("told of the gateway", PATIENCE, |status| status.trackers[0].healthy == Some(true));
    let no_answer = format!("state=fault reason=tracked gateway {address}: no answer");
    let mark = director.log.mark();
    segment.cable(gateway, false).unwrap();
    director.log.wait(&no_answer, mark, PATIENCE);
    segment.cable(gateway, true).unwrap();
    director.wait_for("master", mark, PATIENCE);
    let mark = director.log.mark();
    director.configure(&track("ping"));
    director.log.wait(&no_answer, mark, PATIENCE);
}
