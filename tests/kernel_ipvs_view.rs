//! `director ipvs` beside `ipvsadm`: both show the same kernel.
//!
//! In a guest with the shipped kernel: `cargo image test --only kernel/kernel_ipvs_view`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

mod common;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "kernel_lvs/rig.rs"]
mod rig;

use std::collections::BTreeMap;
use std::process::Output;
use std::time::{Duration, Instant};

use director_lab::client::LongLived;
use director_lab::command;
use serde_json::Value;

use common::{binary, hindrance, until};
use rig::{Rig, VIP4, VIP6, service};

/// How often the kernel sums up its counters.
const SUMMED_UP: Duration = Duration::from_secs(2);

/// By service and server (empty for the service as a whole): connections, packets in and out, bytes in and out.
type Numbers = BTreeMap<(String, String), [u64; 5]>;

/// Runs `director ipvs …` where the kernel's table is; the names come from the worker's run directory.
fn run(rig: &Rig, words: &str) -> Output {
    let mut program = command::bound(&binary());
    program.args(["ipvs"]).args(words.split_whitespace()).arg("--run-dir").arg(rig.worker.run.path());
    rig.director.namespace().run(move || program.output()).unwrap().unwrap()
}

/// What it says when all is well.
fn ipvs(rig: &Rig, words: &str) -> String {
    let out = run(rig, words);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "director ipvs {words}: {}{text}", String::from_utf8_lossy(&out.stderr));
    text
}

fn json(rig: &Rig, words: &str) -> Value {
    serde_json::from_str(&ipvs(rig, words)).unwrap()
}

fn ours(rig: &Rig) -> Numbers {
    let read = |counters: &Value| {
        ["connections", "packets_in", "packets_out", "bytes_in", "bytes_out"]
            .map(|name| counters[name].as_u64().unwrap_or(0))
    };
    let mut numbers = Numbers::new();
    for service in json(rig, "services --json")["services"].as_array().unwrap() {
        let listen = service["listen"].as_str().unwrap().to_owned();
        numbers.insert((listen.clone(), String::new()), read(&service["counters"]));
        for server in service["servers"].as_array().unwrap() {
            let address = server["address"].as_str().unwrap().to_owned();
            numbers.insert((listen.clone(), address), read(&server["counters"]));
        }
    }
    numbers
}

fn theirs(rig: &Rig) -> Numbers {
    let mut numbers = Numbers::new();
    let mut listen = String::new();
    for line in rig.ipvsadm("-L -n --stats --exact").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (server, counted) = match words.as_slice() {
            ["TCP" | "UDP", address, counted @ ..] => {
                listen = (*address).to_owned();
                (String::new(), counted)
            }
            ["->", address, counted @ ..] if counted.len() == 5 => ((*address).to_owned(), counted),
            _ => continue,
        };
        let counted: Vec<u64> = counted.iter().map(|number| number.parse().unwrap()).collect();
        numbers.insert((listen.clone(), server), counted.try_into().unwrap());
    }
    numbers
}

#[test]
fn numbers_are_those_of_ipvsadm() {
    if let Some(why) = hindrance() {
        println!("skipped: {why}");
        return;
    }
    let mut rig = Rig::new();
    let (dr, nat, dr6) = (format!("{VIP4}:80"), format!("{VIP4}:81"), format!("[{VIP6}]:80"));
    rig.activate(
        &[
            service("shop", &nat, "nat", "", &[("10.80.0.22:80", 1), ("10.80.0.21:80", 1)]),
            service("web", &dr, "dr", "persistence = \"50s\"", &[("10.79.0.21:80", 1), ("10.79.0.22:80", 2)]),
            service("six", &dr6, "dr", "", &[("[fd79::21]:80", 1)]),
        ]
        .concat(),
    );
    rig.start();
    until("every server is in the table", || rig.ipvsadm("-S -n").lines().count() == 8);

    let mut open: Vec<LongLived> = [&dr, &nat, &nat, &dr6]
        .map(|target| LongLived::open(&rig.client, target.parse().unwrap()).unwrap())
        .into();
    for connection in &mut open {
        for _ in 0..20 {
            connection.ask().unwrap();
        }
    }
    for target in [&dr, &nat, &dr6] {
        rig.ask(target).unwrap();
    }
    // A closing connection still sends packets, and the kernel sums up what its processors counted every two seconds
    // (net/netfilter/ipvs/ip_vs_est.c): what is compared has come to rest.
    let (mut numbers, mut since) = (theirs(&rig), Instant::now());
    until("the numbers have come to rest", || {
        let latest = theirs(&rig);
        if latest != numbers {
            (numbers, since) = (latest, Instant::now());
        }
        since.elapsed() > 2 * SUMMED_UP && numbers[&(nat.clone(), String::new())][0] == 3
    });
    assert_eq!(ours(&rig), numbers);
    assert_eq!(numbers.len(), 8, "{numbers:?}");
    assert_eq!(numbers[&(nat.clone(), String::new())][0], 3);
    assert!(numbers[&(nat.clone(), String::new())].iter().all(|count| *count > 0), "{numbers:?}");

    let table = json(&rig, "services --json");
    let names: Vec<&str> = table["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|service| service["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["shop", "web", "six"], "the order of the file");
    assert_eq!(table["services"][0]["servers"][0]["address"], "10.80.0.22:80", "the order of the file");
    assert!(table["services"][0]["counters"]["packets_out"].as_u64().unwrap() > 60);
    assert_eq!(table["services"][1]["counters"]["packets_out"], Value::Null, "answers take another way");
    assert_eq!(table["services"][1]["servers"][1]["method"], "dr");
    let sum = |service: usize, key: &str| -> u64 {
        let servers = table["services"][service]["servers"].as_array().unwrap();
        servers.iter().map(|server| server[key].as_u64().unwrap()).sum()
    };
    assert_eq!([sum(0, "active"), sum(1, "active"), sum(2, "active")], [2, 1, 1]);
    assert_eq!(sum(1, "persistent"), 1);

    let shown = ipvs(&rig, "services web --exact");
    assert!(shown.contains("web  tcp 10.79.0.100:80  wlc  persistent 50s by /32"), "{shown}");
    assert!(shown.contains("not seen") && !shown.contains("shop"), "{shown}");

    connections_are_those_of_ipvsadm(&rig);
    rates_and_timeouts(&rig, &mut open);

    ipvs(&rig, "zero shop");
    assert_eq!(theirs(&rig)[&(nat, String::new())][0], 0, "set to zero");
    assert!(theirs(&rig)[&(dr.clone(), String::new())][0] > 0, "the other service keeps its numbers");
    ipvs(&rig, "zero");
    assert_eq!(theirs(&rig)[&(dr, String::new())][0], 0, "set to zero");
}

fn connections_are_those_of_ipvsadm(rig: &Rig) {
    let mut theirs: Vec<[String; 4]> = rig
        .ipvsadm("-L -n -c")
        .lines()
        .skip(2)
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            [words[2].to_lowercase(), words[3].to_owned(), words[4].to_owned(), words[5].to_owned()]
        })
        .collect();
    let listed = ipvs(rig, "connections --json");
    let mut ours: Vec<[String; 4]> = listed
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            ["state", "client", "listen", "server"].map(|key| line[key].as_str().unwrap().to_owned())
        })
        .collect();
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);
    assert_eq!(ours.iter().filter(|connection| connection[0] == "established").count(), 4, "{listed}");

    let web = ipvs(rig, "connections web --state established --server 10.79.0.0");
    assert_eq!(web.lines().count(), 1, "nothing but the heading: {web}");
    let client = ipvs(rig, "connections six --client fd79::/64 --state established");
    assert!(client.lines().count() == 2 && client.contains("[fd79::21]:80"), "{client}");
    let count = json(rig, "connections shop --count --json");
    assert_eq!(count["connections"], 3, "{count}");
}

fn rates_and_timeouts(rig: &Rig, open: &mut [LongLived]) {
    // The kernel renews its estimates every two seconds.
    until("traffic has a rate", || {
        open.iter_mut().for_each(|connection| drop(connection.ask().unwrap()));
        json(rig, "rates shop --json")["services"][0]["rates"]["packets_in"].as_u64().unwrap() > 0
    });
    assert_eq!(json(rig, "rates web --json")["services"][0]["rates"]["bytes_out"], Value::Null);
    let timeouts = json(rig, "timeouts --json");
    let theirs = rig.ipvsadm("-L --timeout");
    let numbers: Vec<&str> = theirs.split_whitespace().filter(|word| word.parse::<u32>().is_ok()).collect();
    let ours = ["tcp_s", "tcp_fin_s", "udp_s"].map(|key| timeouts[key].to_string());
    assert_eq!(ours.as_slice(), numbers, "{theirs}");
}

#[test]
fn clear_takes_out_what_director_left_and_nothing_else() {
    if let Some(why) = hindrance() {
        println!("skipped: {why}");
        return;
    }
    let mut rig = Rig::new();
    let (dr, full) = (format!("{VIP4}:80"), format!("{VIP4}:81"));
    rig.activate(
        &[
            service("web", &dr, "dr", "", &[("10.79.0.21:80", 1)]),
            service("shop", &full, "fullnat", "", &[("10.80.0.22:80", 1)]),
        ]
        .concat(),
    );
    rig.start();
    until("every server is in the table", || rig.ipvsadm("-S -n").lines().count() == 4);
    let rules = |rig: &Rig| {
        let list = || command::output("nft", &["list", "ruleset"]);
        rig.director.namespace().run(list).unwrap().unwrap()
    };
    until("full NAT has its rule", || rules(&rig).contains("director"));
    let clear = |rig: &Rig| {
        let out = run(rig, "clear");
        (out.status.success(), String::from_utf8([out.stdout, out.stderr].concat()).unwrap())
    };
    let (done, said) = clear(&rig);
    assert!(!done && said.contains("Director runs"), "{said}");
    assert_eq!(rig.ipvsadm("-S -n").lines().count(), 4, "nothing is half done");

    rig.end("-TERM");
    rig.ipvsadm("-A -t 10.9.9.9:80");
    assert_eq!(clear(&rig), (true, "2 services deleted; 1 of others are left alone\n".to_owned()));
    assert_eq!(rig.ipvsadm("-S -n"), "-A -t 10.9.9.9:80 -s wlc\n");
    assert_eq!(rules(&rig), "");
    assert_eq!(clear(&rig), (true, "0 services deleted; 1 of others are left alone\n".to_owned()));
}
