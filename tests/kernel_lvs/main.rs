//! The worker `lvs` with a kernel that has IPVS, against `ipvsadm` and under traffic.
//!
//! In a guest with the shipped kernel: `cargo image test --only kernel/kernel_lvs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "../common/mod.rs"]
mod common;
mod crowd;
mod fate;
mod flapping;
mod hurry;
mod large;
mod rig;
mod wire;
#[path = "../common/witness.rs"]
mod witness;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use director::ipc::message::{Event, Health, LvsStatus};
use director::ipvs::Client;
use director::role::Role;
use director_lab::client::LongLived;
use director_lab::prober::Prober;

use common::{PATIENCE, hindrance, until};
use rig::{Rig, TUN4, VIP4, VIP6, service, web};
use witness::Witness;

macro_rules! rig_or_skip {
    () => {
        match hindrance() {
            Some(why) => {
                println!("skipped: {why}");
                return;
            }
            None => Rig::new(),
        }
    };
}
use rig_or_skip;

const FRONT: [(&str, u32); 2] = [("10.79.0.21:80", 1), ("10.79.0.22:80", 2)];
const BACK: [(&str, u32); 2] = [("10.80.0.21:80", 1), ("10.80.0.22:80", 2)];

#[test]
fn traffic_flows_by_every_method_over_both_families() {
    let mut rig = rig_or_skip!();
    for host in &rig.hosts[..3] {
        // A real server behind a tunnel: the outer packet is for it, the inner one for the VIP on its `lo`.
        host.namespace().ip("link set tunl0 up").unwrap();
        for link in ["all", "tunl0"] {
            host.namespace().sysctl(&format!("net/ipv4/conf/{link}/rp_filter"), "0").unwrap();
        }
    }
    let at = |port: u16| format!("{VIP4}:{port}");
    // The real servers listen on port 80 alone, so DR and TUN have a VIP each.
    let tun = web(TUN4);
    rig.activate(
        &[
            service("dr", &at(80), "dr", "scheduler = \"rr\"", &FRONT),
            service("tun", &tun, "tun", "scheduler = \"rr\"", &FRONT),
            service("nat", &at(81), "nat", "scheduler = \"rr\"", &BACK),
            service(
                "dr6",
                &format!("[{VIP6}]:80"),
                "dr",
                "scheduler = \"rr\"",
                &[("[fd79::21]:80", 1), ("[fd79::22]:80", 1)],
            ),
            service(
                "nat6",
                &format!("[{VIP6}]:81"),
                "nat",
                "scheduler = \"rr\"",
                &[("[fd80::21]:80", 1), ("[fd80::22]:80", 1)],
            ),
        ]
        .concat(),
    );
    rig.start();
    rig.await_table(&[
        "-A -t 10.79.0.100:80 -s rr",
        "-a -t 10.79.0.100:80 -r 10.79.0.21:80 -g -w 1",
        "-a -t 10.79.0.100:80 -r 10.79.0.22:80 -g -w 2",
        "-A -t 10.79.0.101:80 -s rr",
        "-a -t 10.79.0.101:80 -r 10.79.0.21:80 -i -w 1 --tun-type ipip",
        "-a -t 10.79.0.101:80 -r 10.79.0.22:80 -i -w 2 --tun-type ipip",
        "-A -t 10.79.0.100:81 -s rr",
        "-a -t 10.79.0.100:81 -r 10.80.0.21:80 -m -w 1",
        "-a -t 10.79.0.100:81 -r 10.80.0.22:80 -m -w 2",
        "-A -t [fd79::100]:80 -s rr",
        "-a -t [fd79::100]:80 -r [fd79::21]:80 -g -w 1",
        "-a -t [fd79::100]:80 -r [fd79::22]:80 -g -w 1",
        "-A -t [fd79::100]:81 -s rr",
        "-a -t [fd79::100]:81 -r [fd80::21]:80 -m -w 1",
        "-a -t [fd79::100]:81 -r [fd80::22]:80 -m -w 1",
    ]);
    for (target, names) in [
        (at(80), ["web1", "web2"]),
        (tun, ["web1", "web2"]),
        (at(81), ["nat1", "nat2"]),
        (web(VIP6), ["web1", "web2"]),
        (format!("[{VIP6}]:81"), ["nat1", "nat2"]),
    ] {
        let mut answers = [rig.ask(&target), rig.ask(&target)].map(|answer| answer.unwrap_or_else(|why| why));
        answers.sort();
        assert_eq!(answers, names, "{target}");
    }
    // The counters in a status may be a second old.
    let counted =
        |status: &LvsStatus| status.services.iter().all(|service| service.up && service.connections == 2);
    until("every connection is counted", || rig.status().as_ref().is_some_and(counted));
    assert_eq!(rig.status().unwrap().problem, None);
}

#[test]
fn edits_under_load_break_no_connection_through_dr_and_nat() {
    let mut rig = rig_or_skip!();
    let (dr, nat) = (format!("{VIP4}:80"), format!("{VIP4}:81"));
    let text = |extra: &str, front: &[(&str, u32)], back: &[(&str, u32)]| {
        [service("web", &dr, "dr", extra, front), service("shop", &nat, "nat", extra, back)].concat()
    };
    rig.activate(&text("", &FRONT, &BACK));
    rig.start();
    let both = |rig: &Rig| {
        rig.status()
            .unwrap()
            .services
            .iter()
            .all(|s| s.servers.iter().all(|s| s.kernel_weight == Some(s.weight)))
    };
    until("every server is in the table", || both(&rig));

    let mut connections: Vec<LongLived> = (0..12)
        .map(|at| {
            LongLived::open(&rig.client, if at % 2 == 0 { &dr } else { &nat }.parse().unwrap()).unwrap()
        })
        .collect();
    let homes: Vec<String> = connections.iter_mut().map(|connection| connection.ask().unwrap()).collect();
    let load: Vec<Prober> = [&dr, &nat]
        .map(|target| {
            Prober::with_patience(
                &rig.client,
                target.parse().unwrap(),
                Duration::from_millis(50),
                Duration::from_secs(5),
            )
            .unwrap()
        })
        .into();
    let wider = [FRONT[0], FRONT[1], ("10.79.0.23:80", 3)];
    let http = "scheduler = \"wrr\"";
    let edits = [
        ("a server added", text("", &wider, &BACK)),
        ("weights changed", text("", &[(FRONT[0].0, 5), wider[1], wider[2]], &[(BACK[0].0, 7), BACK[1]])),
        ("the scheduler changed", text(http, &wider, &BACK)),
        (
            "the check changed",
            text(http, &wider, &BACK).replace("type = \"tcp\"", "type = \"http\", path = \"/health\""),
        ),
        ("persistence switched on", text("persistence = \"50s\"", &wider, &BACK)),
    ];
    for (what, edited) in edits {
        let begun = Instant::now();
        rig.reload(&edited);
        until(what, || both(&rig));
        for prober in &load {
            let report = prober.wait(begun, PATIENCE, |report| report.samples.len() >= 20).unwrap();
            let spared = if what == "the scheduler changed" { 2 } else { 0 };
            assert!(report.refused_at_most(spared), "{what}: {report}");
        }
        for (connection, home) in connections.iter_mut().zip(&homes) {
            assert_eq!(&connection.ask().unwrap(), home, "{what}");
        }
    }
    for prober in load {
        let report = prober.stop();
        assert!(report.refused_at_most(2), "{report}");
        println!("{report}");
    }
    assert_eq!(rig.status().unwrap().foreign_changes, 0);
    assert!(!rig.logged().contains("delete"), "only additions and edits: {}", rig.logged());
}

#[test]
fn foreign_changes_are_undone_and_told() {
    let mut rig = rig_or_skip!();
    rig.activate(&service("web", &web(VIP4), "dr", "", &FRONT));
    rig.start();
    let right = [
        "-A -t 10.79.0.100:80 -s wlc",
        "-a -t 10.79.0.100:80 -r 10.79.0.21:80 -g -w 1",
        "-a -t 10.79.0.100:80 -r 10.79.0.22:80 -g -w 2",
    ];
    rig.await_table(&right);
    let mut witness = Witness::start(PATIENCE);
    for (foreign, told, count) in [
        ("-C", "delete service tcp 10.79.0.100:80", 1),
        ("-A -t 10.9.9.9:80 -s rr", "add service tcp 10.9.9.9:80 scheduler=rr", 2),
        ("-e -t 10.79.0.100:80 -r 10.79.0.21:80 -g -w 9", "method=route weight=9", 3),
        ("-d -t 10.79.0.100:80 -r 10.79.0.22:80", "delete server tcp 10.79.0.100:80 10.79.0.22:80", 4),
        ("-E -t 10.79.0.100:80 -s sh", "edit service tcp 10.79.0.100:80 scheduler=sh", 5),
    ] {
        let begun = Instant::now();
        rig.ipvsadm(foreign);
        rig.await_table(&right);
        let took = begun.elapsed();
        // A processor that the host keeps for itself stands still in the guest.
        let stood_still = witness.worst();
        println!("ipvsadm {foreign}: undone after {took:?}, processors stood still for {stood_still:?}");
        assert!(took <= Duration::from_secs(5) + stood_still, "ipvsadm {foreign}: {took:?}");
        let log = rig.logged();
        let mut undone = log.lines().filter(|line| line.contains("foreign change is undone: "));
        assert!(undone.any(|line| line.contains(told)), "{told}: {log}");
        until("it is counted", || rig.status().is_some_and(|status| status.foreign_changes == count));
    }
    assert_eq!(rig.ask(&web(VIP4)).map(|name| name.starts_with("web")), Ok(true));
}

#[test]
fn without_a_configuration_nothing_is_touched() {
    let mut rig = rig_or_skip!();
    rig.ipvsadm("-A -t 10.9.9.9:80 -s rr");
    rig.start();
    // Longer than the period of comparison.
    std::thread::sleep(Duration::from_millis(5_500));
    assert_eq!(rig.table(), ["-A -t 10.9.9.9:80 -s rr"]);
    assert_eq!(rig.status().unwrap().services, []);
    rig.reload(&service("web", &web(VIP4), "dr", "", &FRONT[..1]));
    rig.await_table(&["-A -t 10.79.0.100:80 -s wlc", "-a -t 10.79.0.100:80 -r 10.79.0.21:80 -g -w 1"]);
    assert!(
        rig.logged().contains("foreign change is undone: add service tcp 10.9.9.9:80"),
        "{}",
        rig.logged()
    );
    assert_eq!(rig.status().unwrap().foreign_changes, 1);
}

#[test]
fn a_killed_worker_leaves_the_table_and_the_next_one_adopts_it() {
    let mut rig = rig_or_skip!();
    let three = [FRONT[0], FRONT[1], ("10.79.0.23:80", 3)];
    rig.servers[2].stop();
    rig.activate(&service("web", &web(VIP4), "dr", "", &three));
    rig.start();
    let two = [
        "-A -t 10.79.0.100:80 -s wlc",
        "-a -t 10.79.0.100:80 -r 10.79.0.21:80 -g -w 1",
        "-a -t 10.79.0.100:80 -r 10.79.0.22:80 -g -w 2",
    ];
    rig.await_table(&two);
    until("the third is down", || rig.server("10.79.0.23:80").health == Health::Down);
    let mut connection = LongLived::open(&rig.client, web(VIP4).parse().unwrap()).unwrap();
    let home = connection.ask().unwrap();

    for signal in ["-KILL", "-TERM"] {
        rig.end(signal);
        rig.await_table(&two);
        assert_eq!(connection.ask().unwrap(), home, "nobody is missed");
        // Nobody answers the next worker's checks for longer than this test takes.
        let slow = service("web", &web(VIP4), "dr", "", &three)
            .replace("interval = \"1s\", timeout = \"900ms\"", "interval = \"60s\", timeout = \"60s\"");
        rig.activate(&slow);
        rig.silence(true);
        rig.start();
        until("it has compared the table", || rig.status().is_some_and(|status| !status.services.is_empty()));
        std::thread::sleep(Duration::from_millis(5_500));
        let status = rig.status().unwrap();
        assert!(
            status.services[0].servers.iter().all(|server| server.health == Health::Unknown),
            "{status:#?}"
        );
        assert!(status.services[0].up, "as the table says");
        rig.await_table(&two);
        assert_eq!(status.foreign_changes, 0);
        rig.silence(false);
        assert_eq!(connection.ask().unwrap(), home);
    }
}

#[test]
fn a_dead_server_leaves_within_its_checks_and_comes_back() {
    let mut rig = rig_or_skip!();
    rig.activate(&service("web", &web(VIP4), "dr", "", &FRONT));
    rig.start();
    let one = ["-A -t 10.79.0.100:80 -s wlc", "-a -t 10.79.0.100:80 -r 10.79.0.22:80 -g -w 2"];
    let two = [one[0], one[1], "-a -t 10.79.0.100:80 -r 10.79.0.21:80 -g -w 1"];
    rig.await_table(&two);
    rig.servers[0].stop();
    rig.await_table(&one);
    assert!(rig.logged().contains("server down: service=web server=10.79.0.21:80 reason=connection refused"));
    rig.servers[0].resume().unwrap();
    rig.await_table(&two);
    rig.reload(&service("web", &web(VIP4), "dr", "on_fail = \"quiesce\"", &FRONT));
    rig.servers[0].stop();
    rig.await_table(&[one[0], one[1], "-a -t 10.79.0.100:80 -r 10.79.0.21:80 -g -w 0"]);
}

/// The events of the worker, from the present state on.
fn events(rig: &Rig) -> impl Iterator<Item = Event> + use<> {
    let mut stream = UnixStream::connect(rig.worker.run.socket(Role::Lvs)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"{\"request\":\"subscribe\"}\n").unwrap();
    BufReader::new(stream).lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap())
}

#[test]
fn sorry_servers_answer_while_the_quorum_is_lost() {
    let mut rig = rig_or_skip!();
    let extra = "quorum = 3\nsorry = [{ address = \"10.79.0.23:80\" }]";
    rig.activate(&service("web", &web(VIP4), "dr", extra, &FRONT));
    rig.start();
    let healthy = [
        "-A -t 10.79.0.100:80 -s wlc",
        "-a -t 10.79.0.100:80 -r 10.79.0.21:80 -g -w 1",
        "-a -t 10.79.0.100:80 -r 10.79.0.22:80 -g -w 2",
    ];
    rig.await_table(&healthy);
    let mut events = events(&rig).filter(|event| matches!(event, Event::Service { .. }));
    let told = |up| Some(Event::Service { service: "web".to_owned(), up });
    assert_eq!(events.next(), told(true), "the present state comes first");
    rig.servers[0].stop();
    assert_eq!(events.next(), told(false));
    assert_eq!(
        rig.table(),
        [healthy[0], "-a -t 10.79.0.100:80 -r 10.79.0.23:80 -g -w 1"].map(str::to_owned),
        "changed before it was told"
    );
    assert_eq!(rig.ask(&web(VIP4)), Ok("web3".to_owned()));
    let status = rig.status().unwrap();
    assert_eq!(
        (status.services[0].up, status.services[0].sorry, status.services[0].live_weight),
        (false, true, 2)
    );
    // A worker that starts now keeps to the sorry server until it knows better.
    rig.end("-KILL");
    rig.start();
    rig.servers[0].resume().unwrap();
    rig.await_table(&healthy);
    assert_eq!(rig.ask(&web(VIP4)).map(|name| name != "web3"), Ok(true));
}

#[test]
fn the_built_in_page_answers_over_both_families_while_the_quorum_is_lost() {
    let mut rig = rig_or_skip!();
    let (web4, web6) = (web(VIP4), web(VIP6));
    rig.activate(
        &[
            service("web", &web4, "dr", "sorry = \"local\"", &FRONT),
            service("web6", &web6, "dr", "sorry = \"local\"", &[("[fd79::21]:80", 1), ("[fd79::22]:80", 1)]),
        ]
        .concat(),
    );
    rig.start();
    let up = |rig: &Rig| rig.status().is_some_and(|status| status.services.iter().all(|service| service.up));
    until("both are up", || up(&rig));
    for target in [&web4, &web6] {
        assert_eq!(rig.ask(target).map(|name| name.starts_with("web")), Ok(true), "{target}");
    }
    rig.servers.iter_mut().for_each(|server| server.stop());
    until("both are sorry", || {
        rig.status().is_some_and(|status| status.services.iter().all(|service| service.sorry && !service.up))
    });
    println!("{}", rig.ipvsadm("-L -n"));
    for target in [&web4, &web6] {
        assert_eq!(rig.ask(target).map(|line| line.starts_with("503 ")), Ok(true), "{target}");
    }
    rig.servers.iter_mut().for_each(|server| server.resume().unwrap());
    until("both are up again", || up(&rig));
    for target in [&web4, &web6] {
        assert_eq!(rig.ask(target).map(|name| name.starts_with("web")), Ok(true), "{target}");
    }
}
