//! A running pair under load: crashes of workers and changes of the file cost not one request and not one connection.
//!
//! In a guest with the shipped kernel: `cargo image test --only kernel/kernel_pair`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod pair;
mod sync;
mod vmac;

use std::time::{Duration, Instant};

use director::ipc::message::RouterState;
use director::role::Role;
use director_lab::client::LongLived;
use director_lab::command;

use pair::{Pair, VIP, assert_unharmed, hindrance, until};

/// A machine that is busy with other things must not take a server out here: that ends its connections.
const SERVICE: &str = r#"
[[service]]
name = "web"
listen = "10.78.0.100:80"
scheduler = "wlc"
method = "dr"
check = { type = "http", path = "/health", interval = "4s", timeout = "4s", fall = 3, rise = 1 }

[[service.server]]
address = "10.78.0.21:80"
weight = 1

[[service.server]]
address = "10.78.0.22:80"
weight = 2
"#;

#[test]
fn killed_workers_cost_no_request_and_no_mastership() {
    if let Some(why) = hindrance() {
        println!("skipped: {why}");
        return;
    }
    let pair = Pair::start(SERVICE);
    let load = pair.load();
    for role in [Role::Lvs, Role::Net, Role::Vrrp] {
        let begun = Instant::now();
        let pid = pair.master.pid(role).unwrap();
        command::output("kill", &["-KILL".to_owned(), pid.to_string()]).unwrap();
        let killed = Instant::now();
        until("it runs again", || pair.master.pid(role).is_some_and(|now| now != pid));
        let restarted = killed.elapsed();
        println!("{role}: restarted after {restarted:?}");
        assert!(restarted <= Duration::from_secs(1), "{role} was restarted only after {restarted:?}");
        pair.settle();
        // Longer than the backup would wait for a master that is gone.
        load.wait(Instant::now(), pair::PATIENCE, |report| report.samples.len() >= 120).unwrap();
        assert_unharmed(&load.report().since(begun), &format!("{role} killed"));
        let backup = pair.backup.router();
        assert_eq!(backup.state, RouterState::Backup);
        assert!(
            backup.since_ms > u64::try_from(begun.elapsed().as_millis()).unwrap(),
            "{role}: lb2 was master meanwhile: {backup:?}"
        );
    }
    assert_unharmed(&load.stop(), "all three killed in turn");
}

#[test]
fn changes_of_the_file_break_no_connection() {
    if let Some(why) = hindrance() {
        println!("skipped: {why}");
        return;
    }
    let pair = Pair::start(SERVICE);
    let mut connections: Vec<LongLived> =
        (0..12).map(|_| LongLived::open(&pair.client, VIP).unwrap()).collect();
    let homes: Vec<String> = connections.iter_mut().map(|connection| connection.ask().unwrap()).collect();
    let load = pair.load();
    type Edit = fn(&str) -> String;
    let edits: [(&str, Edit); 4] = [
        ("a server added", |text| {
            format!("{text}\n[[service.server]]\naddress = \"10.78.0.23:80\"\nweight = 3\n")
        }),
        ("a weight changed", |text| text.replacen("weight = 1", "weight = 5", 1)),
        ("the scheduler changed", |text| text.replace("\"wlc\"", "\"wrr\"")),
        ("the check changed", |text| text.replace("type = \"http\", path = \"/health\"", "type = \"tcp\"")),
    ];
    for (what, edit) in edits {
        let begun = Instant::now();
        pair.master.reload(edit);
        pair.settle();
        for (connection, home) in connections.iter_mut().zip(&homes) {
            let answer = connection.ask().unwrap_or_else(|error| {
                panic!("{what}: a connection to {home} broke: {error:#}\n{}", pair.master.table())
            });
            assert_eq!(&answer, home, "{what}: a connection moved");
        }
        load.wait(begun, pair::PATIENCE, |report| report.samples.len() >= 40).unwrap();
        let report = load.report().since(begun);
        if what == "the scheduler changed" {
            assert!(report.refused_at_most(4), "{what}: {report}");
            println!("{what}: {report}");
        } else {
            assert_unharmed(&report, what);
        }
    }
    let table = pair.master.table();
    assert!(table.contains("10.78.0.100:80 wrr") && table.contains("10.78.0.23:80"), "{table}");
    let report = load.stop();
    assert!(report.answers().contains_key("web3"), "the new server got nothing: {report}");
    assert!(pair.servers.iter().all(|server| server.requests() > 0));
}
