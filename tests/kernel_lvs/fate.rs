//! The fate of a server in the kernel: drain, restart under many connections, slow start.

use std::time::{Duration, Instant};

use director::ipc::message::Admin;

use super::common::{PATIENCE, hindrance, until};
use super::crowd::{Byte, Crowd};
use super::rig::{Rig, VIP4, web};
use super::rig_or_skip;

const PORT: u16 = 7000;

/// One service with three servers of these weights and a TCP check.
fn long(weights: [u32; 3], extra: &str) -> String {
    let mut text = format!(
        "[[service]]\nname = \"long\"\nlisten = \"{VIP4}:{PORT}\"\nmethod = \"dr\"\nscheduler = \"wrr\"\n\
         check = {{ type = \"tcp\", interval = \"1s\", timeout = \"900ms\", fall = 3, rise = 1 }}\n{extra}\n"
    );
    for (last, weight) in (21..).zip(weights) {
        text += &format!("[[service.server]]\naddress = \"10.79.0.{last}:{PORT}\"\nweight = {weight}\n");
    }
    text
}

fn weights(rig: &Rig) -> Vec<Option<u32>> {
    rig.status().map_or_else(Vec::new, |status| {
        status.services.first().map_or_else(Vec::new, |service| {
            service.servers.iter().map(|server| server.kernel_weight).collect()
        })
    })
}

fn admin(rig: &Rig, at: usize) -> Option<Admin> {
    rig.status().and_then(|status| status.services.first()?.servers.get(at)?.admin).map(|admin| admin.state)
}

#[test]
fn two_thousand_connections_outlive_everything_but_their_own_server() {
    let mut rig = rig_or_skip!();
    let bytes: Vec<Byte> =
        (1..=3).zip(&rig.hosts).map(|(number, host)| Byte::start(host, PORT, number)).collect();
    let [first, second, third] = bytes.as_slice() else { unreachable!() };
    let target = format!("{VIP4}:{PORT}");
    rig.activate(&long([10, 10, 10], ""));
    rig.start();
    until("all are in", || weights(&rig) == [Some(10); 3]);
    let begun = Instant::now();
    let mut crowd = Crowd::open(&rig.client, &target, 2_000);
    println!("2000 connections opened in {:?}", begun.elapsed());
    for byte in &bytes {
        assert!((600..=740).contains(&crowd.of(byte)), "{} of {}", crowd.of(byte), byte.number());
    }

    rig.reload(&long([10, 20, 10], ""));
    until("a weight is changed", || weights(&rig) == [Some(10), Some(20), Some(10)]);
    crowd.assert_at_home("reload", &[first, second, third]);

    rig.end("-KILL");
    crowd.assert_at_home("the worker is dead", &[first, second, third]);
    rig.start();
    until("the next worker has its verdicts", || weights(&rig) == [Some(10), Some(20), Some(10)]);
    crowd.assert_at_home("the worker is back", &[first, second, third]);

    third.stop();
    until("the third is out", || weights(&rig) == [Some(10), Some(20), None]);
    crowd.assert_at_home("another server has died", &[first, second]);
    assert!(crowd.leave(third));

    let (code, said) = rig.verb(&["drain", "long", "10.79.0.22"]);
    assert_eq!((code, said.as_str()), (Some(0), "draining: long 10.79.0.22:7000\n"));
    until("the second is drained", || weights(&rig) == [Some(10), Some(0), None]);
    let newcomers = Crowd::open(&rig.client, &target, 50);
    assert_eq!((newcomers.of(first), newcomers.of(second)), (50, 0), "no new connection");
    crowd.assert_at_home("drain", &[first, second]);

    // What the operator ordered outlives the worker and a reload.
    rig.end("-KILL");
    rig.start();
    rig.reload(&long([30, 20, 10], ""));
    until("the reload is in the table", || weights(&rig) == [Some(30), Some(0), None]);
    assert_eq!(admin(&rig, 1), Some(Admin::Draining));
    let (code, why) = rig.verb(&["why", "long", "10.79.0.22"]);
    println!("{why}");
    assert_eq!(code, Some(0));
    assert!(
        why.replace('\n', " ").contains("takes no new connections of long: the operator drains it"),
        "{why}"
    );
    crowd.assert_at_home("drain, restart and reload", &[first, second]);

    // The deadline: the server goes, and its connections end; nobody else's.
    let begun = Instant::now();
    let (code, said) = rig.verb(&["drain", "long", "10.79.0.22:7000", "--timeout", "3s", "--wait"]);
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(code == Some(0) && said.contains("removed: long 10.79.0.22:7000\n"), "{code:?} {said}");
    until("the second is out", || weights(&rig) == [Some(30), None, None]);
    assert_eq!(admin(&rig, 1), Some(Admin::Drained));
    crowd.assert_at_home("the deadline of another server", &[first]);
    assert!(crowd.leave(second), "its connections have ended");

    let (code, _) = rig.verb(&["enable", "long", "all"]);
    assert_eq!(code, Some(0));
    until("the second is back", || weights(&rig) == [Some(30), Some(20), None]);
    crowd.assert_at_home("enable", &[first]);
    assert_eq!(rig.status().unwrap().foreign_changes, 0);
}

#[test]
fn a_slow_start_shows_in_the_connections() {
    let mut rig = rig_or_skip!();
    let slow = "slow_start = \"30s\"";
    let service = super::service(
        "web",
        &web(VIP4),
        "dr",
        &format!("scheduler = \"wrr\"\n{slow}"),
        &[("10.79.0.21:80", 1), ("10.79.0.22:80", 1)],
    );
    rig.activate(&service);
    rig.start();
    until("both are in with all their weight", || weights(&rig) == [Some(10), Some(10)]);
    rig.servers[1].stop();
    until("the second is out", || weights(&rig) == [Some(10), None]);
    rig.servers[1].resume().unwrap();
    until("it begins again with little", || weights(&rig).get(1).copied().flatten().is_some());
    let share =
        |rig: &Rig| -> usize { (0..40).filter(|_| rig.ask(&web(VIP4)).as_deref() == Ok("web2")).count() };
    let before = weights(&rig);
    let early = share(&rig);
    let after = weights(&rig);
    println!("{early} of 40 connections while its weight went from {before:?} to {after:?}");
    let begun = Instant::now();
    while weights(&rig) != [Some(10), Some(10)] {
        assert!(begun.elapsed() < PATIENCE, "{:?}", weights(&rig));
        std::thread::sleep(Duration::from_millis(100));
    }
    let whole = share(&rig);
    println!("{whole} of 40 with all of it");
    assert!((19..=21).contains(&whole));
    // With all of its weight at the end of the forty it could not have half of them.
    let most = usize::try_from(after[1].unwrap()).unwrap();
    assert!(early <= 40 * most / (10 + most) + 1 && early < whole, "{early} with weights up to {most} of 10");
    let steps = rig.logged().matches("edit server tcp 10.79.0.100:80 10.79.0.22:80").count();
    assert_eq!(steps, 9, "one command for each step: {}", rig.logged());
}
