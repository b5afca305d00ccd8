//! What a new process waits for before it may be master: services, trackers, links that have just come up.

use std::collections::BTreeSet;
use std::time::Duration;

use director::config::model::{Probe, ProbeKind, Track, TrackTarget, VrrpInstance};
use director::ipc::message::RouterState::{Backup, Fault, Master};
use director::units::Priority;
use director::vrrp::effect::Effect;
use director::vrrp::facts::FileWord;
use director::vrrp::socket::Channel;

use super::orders::{Bench, config, ip, name};

#[test]
fn a_new_process_waits_for_the_first_word_about_every_service() {
    let waits = VrrpInstance { start_wait: Duration::from_secs(30), ..config("VI_1", 1) };
    let owner = VrrpInstance { priority: Priority::OWNER, ..config("own", 2) };
    let mut bench = Bench::new(vec![waits, owner], &["web", "dns"]);
    bench.run(9_000);
    assert_eq!(bench.states(), [Backup; 2]);
    bench.run(2_000);
    assert_eq!(bench.states(), [Backup, Master], "the default is 10 s, an owner waits as well");
    let mut say = |service: &str, up: bool| {
        bench.engine.services_say(bench.now, [(service.to_owned(), up)].into());
        bench.engine.tick(bench.now);
        bench.engine.instances()[0].state()
    };
    assert_eq!(say("web", true), Backup);
    assert_eq!(say("dns", false), Master, "bad news are news");
}

/// The higher box of a pair came back with a check answered of one server, and sent everybody to that one until the next had answered.
#[test]
fn from_a_living_master_a_new_process_takes_over_with_whole_services_only() {
    let serving = || {
        let mut bench = Bench::new(vec![config("VI_1", 1)], &["web", "dns"]);
        let up = ["web", "dns"].map(|service| (service.to_owned(), true));
        bench.engine.services_say(bench.now, up.into());
        bench
    };
    let with_master = |bench: &mut Bench, ms: u64| {
        for _ in 0..ms / 500 {
            bench.hear("eth0", 1, 100);
            bench.run(500);
        }
    };
    let mut alone = serving();
    alone.run(3_500);
    assert_eq!(alone.states(), [Master], "nobody else serves");

    let mut bench = serving();
    with_master(&mut bench, 5_000);
    bench.engine.services_primed(&["web".to_owned()].into());
    bench.run(10);
    assert_eq!(bench.states(), [Backup], "dns has servers that nobody has heard of");
    let wait = bench.routers()[0].waits.clone().unwrap();
    assert_eq!((wait.lacks, wait.left_ms), (vec!["all real servers of dns".to_owned()], 4_990));
    bench.engine.services_primed(&["dns".to_owned()].into());
    bench.run(10);
    assert_eq!(bench.states(), [Master]);
    assert_eq!(bench.routers()[0].waits, None);

    let mut bench = serving();
    with_master(&mut bench, 9_500);
    assert_eq!(bench.states(), [Backup]);
    with_master(&mut bench, 1_000);
    assert_eq!(bench.states(), [Master], "start_wait is over");

    let mut bench = serving();
    with_master(&mut bench, 5_000);
    assert!(bench.engine.deadline(bench.now).is_some_and(|at| at > bench.now), "it rests meanwhile");
    bench.run(2_700);
    assert_eq!(bench.states(), [Backup], "3 s and its skew of 219 ms after the last word");
    bench.run(30);
    assert_eq!(bench.states(), [Master], "a master that fell silent serves nobody");

    let mut bench = serving();
    with_master(&mut bench, 5_000);
    bench.hear("eth0", 1, 0);
    bench.run(250);
    assert_eq!(bench.states(), [Master], "nor does one that has resigned");

    let mut bench = serving();
    with_master(&mut bench, 5_000);
    bench.engine.keep_services(bench.now, &["web".to_owned()].into());
    bench.engine.services_primed(&["web".to_owned()].into());
    bench.run(10);
    assert_eq!(bench.states(), [Master], "dns has left the file");
}

fn tracks(name_: &str, vrid: i64, target: TrackTarget) -> VrrpInstance {
    VrrpInstance { track: vec![Track { target, weight: None, reverse: false }], ..config(name_, vrid) }
}

fn gateway() -> Probe {
    let kind = ProbeKind::Ping(ip("10.0.0.254"));
    Probe {
        kind,
        interval: Duration::from_millis(100),
        timeout: Duration::from_millis(100),
        fall: 3,
        rise: 2,
    }
}

#[test]
fn a_new_process_waits_for_the_first_word_of_its_trackers() {
    let configs = vec![
        tracks("gateway", 1, TrackTarget::Probe(gateway())),
        tracks("file", 2, TrackTarget::File("/data/drain".to_owned())),
        VrrpInstance {
            start_wait: Duration::from_secs(4),
            ..tracks("soon", 3, TrackTarget::Probe(gateway()))
        },
        tracks("interface", 4, TrackTarget::Interface(name("eth1"))),
        VrrpInstance { group: Some("g".to_owned()), ..tracks("a", 5, TrackTarget::Probe(gateway())) },
        VrrpInstance { group: Some("g".to_owned()), ..config("b", 6) },
    ];
    let mut bench = Bench::new(configs, &[]);
    bench.engine.await_first_words(bench.now, BTreeSet::new());
    bench.run(3_900);
    assert_eq!(bench.states(), [Backup, Backup, Backup, Master, Backup, Backup]);
    let waits = bench.routers().into_iter().map(|router| router.waits.map(|wait| wait.to_string()));
    let gateway_word = || Some("gateway 10.0.0.254".to_owned());
    let file = Some("file /data/drain".to_owned());
    let expected = [gateway_word(), file, gateway_word(), None, gateway_word(), None];
    assert_eq!(waits.collect::<Vec<_>>(), expected);
    bench.run(200);
    assert_eq!(bench.states(), [Backup, Backup, Master, Master, Backup, Backup], "start_wait is over");
    bench.engine.observe(bench.now, |facts| {
        facts.files.insert("/data/drain".to_owned(), FileWord::Number(0));
    });
    bench.run(10);
    assert_eq!(bench.states()[..2], [Backup, Master]);
    bench.engine.observe(bench.now, |facts| {
        facts.probes.insert(gateway(), (false, "no answer".to_owned()));
    });
    bench.run(10);
    assert_eq!(
        bench.states(),
        [Fault, Master, Fault, Master, Fault, Fault],
        "never master without a gateway"
    );
    bench.engine.observe(bench.now, |facts| {
        facts.probes.insert(gateway(), (true, "answers".to_owned()));
    });
    bench.run(5_000);
    assert_eq!(bench.states(), [Master; 6]);
}

#[test]
fn the_start_delay_is_for_a_link_that_has_come_up() {
    let delayed = VrrpInstance {
        start_delay: Duration::from_secs(30),
        ..tracks("VI_1", 1, TrackTarget::Probe(gateway()))
    };
    let mut bench = Bench::new(vec![delayed], &[]);
    bench.run(29_990);
    assert_eq!(bench.states(), [Backup], "after a start");
    bench.run(20);
    assert_eq!(bench.states(), [Master]);
    let probe = |bench: &mut Bench, healthy: bool| {
        let word = (healthy, String::new());
        bench.engine.observe(bench.now, |facts| drop(facts.probes.insert(gateway(), word)));
    };
    probe(&mut bench, false);
    assert_eq!(bench.states(), [Fault]);
    bench.run(1_000);
    probe(&mut bench, true);
    bench.run(3_300);
    assert_eq!(bench.states(), [Master], "a gateway that is back has moved no cable");
    let carrier = |bench: &mut Bench, running: bool| {
        bench
            .engine
            .observe(bench.now, |facts| facts.links.get_mut(&name("eth0")).unwrap().running = running);
    };
    carrier(&mut bench, false);
    probe(&mut bench, false);
    carrier(&mut bench, true);
    probe(&mut bench, true);
    bench.run(29_990);
    assert_eq!(bench.states(), [Backup], "the link was out meanwhile");
    bench.run(20);
    assert_eq!(bench.states(), [Master]);
}

#[test]
fn nobody_waits_for_ever() {
    let mut bench = Bench::new(vec![config("VI_1", 1)], &["web"]);
    bench.run(9_990);
    assert_eq!(bench.states(), [Backup]);
    bench.run(20);
    assert_eq!(bench.states(), [Master]);
}

#[test]
fn silence_counts_as_far_as_the_sockets_were_read() {
    let on = |interface: &str, vrid: i64| VrrpInstance {
        interface: name(interface),
        ..config(&format!("{interface}.{vrid}"), vrid)
    };
    let member =
        |interface: &str, vrid: i64| VrrpInstance { group: Some("g".to_owned()), ..on(interface, vrid) };
    let heartbeat = VrrpInstance { heartbeat: vec![name("eth1")], ..on("eth0", 5) };
    let routers =
        vec![on("eth0", 1), on("eth1", 2), member("eth0", 3), member("eth1", 4), heartbeat, on("eth0", 6)];
    let mut bench = Bench::new(routers, &[]);
    let start = bench.now;
    let later = |ms: u64| start + Duration::from_millis(ms);
    let v4 = |interface: &str| (name(interface), Channel::V4);
    // Asleep for 10 s; eth1 holds more than one turn has taken.
    bench.now = later(10_000);
    bench.engine.set_unread([(v4("eth1"), start)].into());
    bench.engine.tick(bench.now);
    assert_eq!(
        bench.states(),
        [Master, Backup, Backup, Backup, Backup, Master],
        "what eth1 holds may concern them"
    );
    assert!(bench.engine.deadline(bench.now).is_some_and(|at| at <= bench.now), "it does not rest meanwhile");
    // A flood: never emptied, and read up to a moment at which the time of all of them was over.
    bench.now = later(10_050);
    bench.engine.set_unread([(v4("eth1"), later(3_000))].into());
    bench.engine.tick(bench.now);
    assert_eq!(bench.states()[1..5], [Backup; 4], "the time was not over then");
    bench.engine.set_unread([(v4("eth1"), later(3_600))].into());
    bench.engine.tick(bench.now);
    assert_eq!(bench.states(), [Master; 6]);
    // Masters speak on time whatever waits.
    bench.engine.effects();
    bench.now = later(11_100);
    bench.engine.set_unread([(v4("eth0"), start), (v4("eth1"), start)].into());
    bench.engine.tick(bench.now);
    let sent = bench.engine.effects().into_iter().filter(|effect| matches!(effect, Effect::Send { .. }));
    assert_eq!(sent.count(), 7, "by one of them on two interfaces");
    assert_eq!(bench.states(), [Master; 6]);
}
