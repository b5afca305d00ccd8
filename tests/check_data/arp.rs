//! ARP and neighbour discovery on a segment of our own; SCTP where the kernel has it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use director::check::runner::Runner;
use director::check::tls::Clients;
use director::check::{Outcome, Target, probe};
use director::config::model::{Check, CheckKind};
use director::ipc::message::Health;
use director_lab::preflight;
use director_lab::segment::Segment;

use crate::ask::{ask, bad, block_on, free_port, good, local};
use crate::residue::{Asked, asks_alone, leave_nothing};

#[test]
fn a_neighbour_answers_and_nobody_else() {
    if asks_alone() {
        return;
    }
    if let Err(why) = preflight::namespaces() {
        eprintln!("skipped: {why:#}");
        return;
    }
    let segment = Segment::new().unwrap();
    let [box_, server] = [("box", 1), ("server", 2)].map(|(name, n)| {
        let host = segment.host(name, &format!("10.7.0.{n}/24")).unwrap();
        host.address(&format!("2001:db8:7::{n}/64")).unwrap();
        host
    });
    box_.gateway("10.7.0.2".parse().unwrap()).unwrap();
    let ask_in_box = |address: &str, timeout_ms: u64| {
        let address = format!("{address}:0").parse().unwrap();
        box_.namespace()
            .run(move || {
                let target = Target::new(address, Arc::new(Check::new(CheckKind::Arp)));
                let clients = Clients::default();
                block_on(async {
                    let patience = Duration::from_millis(timeout_ms);
                    tokio::time::timeout(patience, probe::probe(&target, &clients)).await.ok()
                })
            })
            .unwrap()
    };
    let mac = server.namespace().ip("-br link show up type veth").unwrap();
    let mac = mac.split_whitespace().find(|word| word.contains(':')).unwrap().to_owned();
    assert_eq!(ask_in_box("10.7.0.2", 20_000), Some(good(format!("{mac} answers"))));
    assert_eq!(ask_in_box("[2001:db8:7::2]", 20_000), Some(good("answers")));
    assert_eq!(ask_in_box("10.7.0.1", 20_000), Some(good("an address of this box")));
    assert_eq!(ask_in_box("10.7.0.3", 300), None);
    assert_eq!(ask_in_box("[2001:db8:7::3]", 300), None);
    let routed = Outcome::Unreachable("not on a network of this box: packets go by a router".into());
    assert_eq!(ask_in_box("192.0.2.1", 20_000), Some(routed));
    let nowhere = Outcome::Unreachable("network unreachable".into());
    assert_eq!(ask_in_box("[2001:db8:8::1]", 20_000), Some(nowhere));

    let asked = ["10.7.0.2:0", "[2001:db8:7::2]:0"].map(|address| address.parse().unwrap());
    let asked = asked.map(|address| Asked::good(address, CheckKind::Arp));
    let test = "arp::a_neighbour_answers_and_nobody_else";
    box_.namespace().run(move || leave_nothing(test, &asked, 1_000)).unwrap();
}

/// The kernel has who closes a packet socket wait for a grace period; the loop of all checks must not.
#[test]
fn no_check_waits_for_the_sockets_of_neighbours() {
    if let Err(why) = preflight::namespaces() {
        eprintln!("skipped: {why:#}");
        return;
    }
    let segment = Segment::new().unwrap();
    let [box_, _server] =
        [("box", 1), ("server", 2)].map(|(name, n)| segment.host(name, &format!("10.7.0.{n}/24")).unwrap());
    let (meanwhile, afterwards) = box_
        .namespace()
        .run(|| {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().max_blocking_threads(1).build().unwrap();
            // The only other thread is busy.
            let (release, wait) = std::sync::mpsc::channel::<()>();
            let busy = runtime.spawn_blocking(move || wait.recv());
            let target = Target::new("10.7.0.2:0".parse().unwrap(), Arc::new(Check::new(CheckKind::Arp)));
            let clients = Clients::default();
            let outcome = runtime.block_on(probe::probe(&target, &clients));
            assert!(matches!(outcome, Outcome::Success(_)), "{outcome:?}");
            let meanwhile = packet_sockets();
            drop(release);
            runtime.block_on(busy).unwrap().unwrap_err();
            // Waits for what that thread still has to do.
            drop(runtime);
            (meanwhile, packet_sockets())
        })
        .unwrap();
    assert_eq!((meanwhile, afterwards), (1, 0));
}

/// Those of the namespace of this thread.
fn packet_sockets() -> usize {
    std::fs::read_to_string("/proc/thread-self/net/packet").unwrap().lines().count() - 1
}

/// The defaults of `check = "udp"`, with which a server that was switched off must be down.
#[test]
fn a_host_that_is_gone_is_down_by_udp_and_by_ping() {
    if let Err(why) = preflight::namespaces() {
        eprintln!("skipped: {why:#}");
        return;
    }
    let segment = Segment::new().unwrap();
    let box_ = segment.host("box", "10.7.0.1/24").unwrap();
    box_.address("2001:db8:7::1/64").unwrap();
    let verdicts = box_.namespace().run(|| {
        let [udp, patient, short] = [
            (CheckKind::Udp { send: b"ping".to_vec(), reply: None }, 4000),
            (CheckKind::Ping, 4000),
            (CheckKind::Ping, 500),
        ]
        .map(|(kind, timeout)| {
            let (interval, timeout) = (Duration::from_secs(5), Duration::from_millis(timeout));
            Arc::new(Check { interval, fast: interval, timeout, ..Check::new(kind) })
        });
        let absent = ["10.7.0.3:53", "[2001:db8:7::3]:53"].map(|address| address.parse().unwrap());
        let targets: BTreeSet<Target> = absent
            .into_iter()
            .flat_map(|address| [&udp, &patient, &short].map(|check| Target::new(address, Arc::clone(check))))
            .collect();
        block_on(async {
            let mut runner = Runner::new(16);
            runner.set(Instant::now(), &targets);
            let mut verdicts = Vec::new();
            while verdicts.len() < targets.len() {
                verdicts.push(tokio::time::timeout(Duration::from_secs(30), runner.next()).await.unwrap());
            }
            verdicts
        })
    });
    for verdict in verdicts.unwrap() {
        assert_eq!(verdict.health, Health::Down, "{:?}: {}", verdict.target, verdict.reason);
        let short = verdict.target.check.timeout < Duration::from_secs(1);
        let wanted = if short { "no answer within 500ms" } else { "no route to host" };
        assert_eq!(verdict.reason, wanted, "{:?}", verdict.target);
    }
}

#[test]
fn sctp_says_where_the_kernel_has_it_not() {
    let outcome = ask(local(free_port()), CheckKind::Sctp);
    let missing = Outcome::Inconclusive("cannot ask: SCTP: not in this kernel".into());
    assert!(outcome == missing || outcome == bad("connection refused"), "{outcome:?}");
}
