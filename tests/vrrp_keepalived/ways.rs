//! Routes, rules and labels move with mastership.

use std::time::{Duration, Instant};

use director::ipc::client::ask;
use director::ipc::message::{Reply, Request, RouterState, Status};
use director::role::Role;
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
    assert_eq!(
        director.log.count("cannot set", 0),
        0,
        "after the VIP that is their source: {}",
        director.log.text()
    );
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

/// What `director vrrp` tells of routes and rules.
fn problems(director: &Director) -> Vec<String> {
    match ask(&director.run_dir(), Role::Vrrp, &Request::Status, PATIENCE) {
        Ok(Reply::Status { status }) => match *status {
            Status::Vrrp(status) => status.route_problems,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn wait_for_problems(director: &Director, words: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = problems(director);
        if found.len() == words.len() && found.iter().zip(words).all(|(one, words)| one.starts_with(words)) {
            return;
        }
        assert!(Instant::now() < deadline, "{found:?} in place of {words:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_route_that_the_kernel_refuses_is_a_fault_that_is_told() {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let host = segment.host("lb1", "10.0.0.1/24").unwrap();
    let text = "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\ninterval = \"100ms\"\naddresses = [\"10.0.0.45/32\"]\n\
                routes = [{ to = \"10.9.0.0/16\", via = \"10.77.0.254\" }]\n";
    let mut director = Director::new(&host, &file("10.0.0.1/24", text));
    director.start();
    let refused = "cannot set route 10.9.0.0/16 via 10.77.0.254 dev eth0 metric 0 table 254: ";
    director.log.wait(&format!("state=fault reason={refused}"), 0, PATIENCE);
    director.holds(&[], &["10.0.0.45"]);
    wait_for_problems(&director, &[]);
    // Nobody else is there: it stands again, and serves with what it has.
    let mark = director.log.mark();
    director.wait_for("master", mark, PATIENCE);
    director.holds(&["10.0.0.45"], &[]);
    wait_for_problems(&director, &[refused]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(director.state(), RouterState::Master, "it does not go back and forth");
    host.namespace().ip("address add 10.77.0.1/24 dev eth0").unwrap();
    wait(&host, true, &["10.9.0.0/16 via 10.77.0.254"]);
    wait_for_problems(&director, &[]);
    assert_eq!(director.log.count("router state", mark), 2, "backup, master: {}", director.log.text());
}

/// The kernel takes them away with the link, and tells only of the link.
#[test]
fn routes_are_back_soon_after_a_link_that_flapped() {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let host = segment.host("lb1", "10.0.0.1/24").unwrap();
    let ip = |words: &str| host.namespace().ip(words).unwrap();
    ip("link add eth1 type veth peer name far");
    ip("link set far up");
    ip("link set eth1 up");
    let text = "[[interface]]\nname = \"eth1\"\naddresses = [\"10.1.0.1/24\"]\n[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\n\
                interval = \"100ms\"\naddresses = [\"10.0.0.45/32\"]\nroutes = [{ to = \"10.9.0.0/16\", interface = \"eth1\" }]\n";
    let mut director = Director::new(&host, &file("10.0.0.1/24", text));
    director.start();
    director.wait_for("master", 0, PATIENCE);
    wait(&host, true, &["10.9.0.0/16 dev eth1"]);
    let mark = director.log.mark();
    // Of what the worker does every 5 s anyway, not all can come at the right time.
    for _ in 0..4 {
        ip("link set eth1 down");
        ip("link set eth1 up");
        let up = Instant::now();
        wait(&host, true, &["10.9.0.0/16 dev eth1"]);
        // A flap that this machine has drawn out is a fault for 5 s.
        let faults = director.log.count("state=fault", mark);
        assert!(faults > 0 || up.elapsed() < Duration::from_secs(2), "{:?}", up.elapsed());
        if faults > 0 {
            eprintln!("not judged: the link was down for long");
            return;
        }
    }
}
