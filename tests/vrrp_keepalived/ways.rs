//! Routes, rules and labels move with mastership.

use std::time::{Duration, Instant};

use director_lab::segment::{Host, Segment};

use super::director::{Director, file};
use super::skip;

const PATIENCE: Duration = Duration::from_secs(10);

const ROUTER: &str = r#"
[[vrrp]]
name = "VI_1"
interface = "eth0"
vrid = 51
interval = "100ms"
addresses = [{ address = "10.0.0.45/32", label = "eth0:web", scope = "link" }]
also = ["2001:db8::45/128"]
routes = [
    { to = "default", via = "10.0.0.254", table = 100, source = "10.0.0.45" },
    { to = "10.9.0.0/16", metric = 7 },
    { to = "2001:db8:9::/48", type = "blackhole" },
]
rules = [{ from = "10.0.0.45/32", table = 100, preference = 1000 }, { mark = 5, to = "2001:db8:7::/48", table = 300, preference = 1001 }]
"#;

/// Waits until the host's tables have all of `words`, or none.
fn wait(host: &Host, present: bool, words: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said: String = [
            "-o address show dev eth0",
            "route show table 100",
            "route show",
            "-6 route show",
            "rule show",
            "-6 rule show",
        ]
        .into_iter()
        .filter_map(|words| host.namespace().ip(words).ok())
        .collect();
        let found = words.iter().filter(|word| said.contains(*word)).count();
        if found == if present { words.len() } else { 0 } {
            return;
        }
        assert!(Instant::now() < deadline, "{words:?} not {present}:\n{said}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn routes_and_rules_come_and_go_with_the_vip() {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let host = segment.host("lb1", "10.0.0.1/24").unwrap();
    let mut director = Director::new(&host, &file("10.0.0.1/24", ROUTER));
    director.start();
    director.wait_for("master", 0, PATIENCE);
    let words = [
        "scope link eth0:web",
        "2001:db8::45/128",
        "default via 10.0.0.254 dev eth0 proto 209 src 10.0.0.45",
        "10.9.0.0/16 dev eth0 proto 209 scope link metric 7",
        "blackhole 2001:db8:9::/48",
        "from 10.0.0.45 lookup 100",
        "to 2001:db8:7::/48 fwmark 0x5 lookup 300",
    ];
    wait(&host, true, &words);
    // What somebody removes comes back; what the file does not want any more goes.
    host.namespace().ip("route del 10.9.0.0/16 dev eth0").unwrap();
    host.namespace().ip("rule del preference 1000").unwrap();
    wait(&host, true, &words);
    let fewer = ROUTER.replace("    { to = \"10.9.0.0/16\", metric = 7 },\n", "");
    director.configure(&file("10.0.0.1/24", &fewer));
    wait(&host, false, &["10.9.0.0/16"]);
    // A new life takes them over; an orderly end takes them off.
    director.kill();
    let mark = director.log.mark();
    director.start();
    director.log.wait("state=master", mark, PATIENCE);
    wait(&host, true, &["default via 10.0.0.254", "from 10.0.0.45 lookup 100"]);
    director.stop();
    wait(&host, false, &["proto 209", "lookup 100", "lookup 300", "10.0.0.45", "2001:db8::45"]);
}
