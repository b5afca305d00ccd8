//! A table of ten thousand real servers: entered, edited and adopted, beside keepalived.

use super::*;

/// One thousand services with ten servers each, of which one may have another weight.
fn large(odd_weight: u32) -> String {
    let mut text = String::new();
    for at in 0..1_000_u32 {
        let (high, low) = (at / 250, at % 250);
        text += &format!(
            "[[service]]\nname = \"s{at}\"\nlisten = \"{VIP4}:{}\"\nscheduler = \"rr\"\nmethod = \"nat\"\ncheck = {{ type = \"none\" }}\n",
            10_000 + at
        );
        for server in 1..=10 {
            let weight = if (at, server) == (500, 5) { odd_weight } else { 1 };
            text += &format!(
                "[[service.server]]\naddress = \"10.{high}.{low}.{server}:80\"\nweight = {weight}\n"
            );
        }
    }
    text
}

/// How long keepalived takes for the same table, in a namespace of its own.
fn keepalived(rig: &Rig) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for at in 0..1_000_u32 {
        let (high, low) = (at / 250, at % 250);
        text += &format!("virtual_server {VIP4} {} {{\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n", 10_000 + at);
        for server in 1..=10 {
            text += &format!("real_server 10.{high}.{low}.{server} 80 {{\nweight 1\n}}\n");
        }
        text += "}\n";
    }
    let file = folder.path().join("keepalived.conf");
    std::fs::write(&file, text).unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    let words = ["-n", "-C", "-f", &place("keepalived.conf"), "-p", &place("pid"), "-c", &place("checkers")];
    let mut command = director_lab::command::bound("keepalived");
    command.args(words).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let host = rig.front.host("keepalived", "10.79.0.99/24").unwrap();
    let begun = Instant::now();
    let mut child = host.namespace().run(move || command.spawn()).unwrap().unwrap();
    let objects = || {
        let table = host.namespace().run(|| Client::connect().unwrap().table().unwrap()).unwrap();
        table.iter().map(|entry| 1 + entry.servers.len()).sum::<usize>()
    };
    // Looked at seldom: each look takes the mutex of the table.
    while objects() < 11_000 && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(250));
    }
    let took = begun.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    took
}

#[test]
fn ten_thousand_servers_are_entered_edited_and_adopted() {
    let mut rig = rig_or_skip!();
    rig.start();
    // The log is awaited, not the status: a status of ten thousand servers keeps an emulated box busy.
    let logged = |rig: &Rig, words: &str| until(words, || rig.logged().contains(words));
    let begun = Instant::now();
    rig.activate(&large(1));
    logged(&rig, "table changed: commands=11000 refused=0");
    let ours = begun.elapsed();
    assert_eq!(rig.table().len(), 11_000);

    let begun = Instant::now();
    rig.activate(&large(7));
    logged(&rig, "table changed: edit server tcp 10.79.0.100:10500 10.2.0.5:80 method=masq weight=7\n");
    println!("one weight of them: {:?}", begun.elapsed());
    logged(&rig, "configuration carried out: generation=2 commands=1\n");

    let before = rig.table();
    rig.end("-KILL");
    let begun = Instant::now();
    rig.spawn();
    until("it has adopted the table", || {
        rig.logged().matches("table adopted: services=1000 servers=10000 changes=0\n").count() == 1
    });
    println!("adopted: {:?}", begun.elapsed());
    assert_eq!(rig.table(), before);
    assert_eq!(rig.logged().matches("table changed").count(), 2, "the next life changed nothing");
    let theirs = keepalived(&rig);
    println!("11,000 objects from an empty table: {ours:?}, keepalived {theirs:?}");
    // A build without optimization spends its time reading the file.
    assert!(cfg!(debug_assertions) || ours * 2 <= theirs, "{ours:?}, keepalived {theirs:?}");
    let memory = std::fs::read_to_string(format!("/proc/{}/status", rig.worker.pid())).unwrap();
    let resident = memory.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    println!("resident: {resident}");
}
