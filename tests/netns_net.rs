//! The role `net` against the kernel of this machine, in network namespaces.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "net/support.rs"]
mod support;

use support::{Box, promptly, wait};

const MAC: &str = "52:54:00:00:00:01";

const PLAIN: &str = r#"
[[interface]]
name = "eth0"
addresses = ["192.168.61.44/24", "2001:db8::44/64"]
mtu = 1400

[[route]]
to = "default"
via = "192.168.61.1"

[[route]]
to = "default"
via = "2001:db8::1"

[[route]]
to = "172.16.0.0/12"
via = "192.168.61.2"
metric = 50
"#;

fn plain(name: &str) -> Option<Box> {
    let mut host = Box::new(name)?;
    host.card("eth0", MAC);
    host.configure(PLAIN);
    host.settle();
    Some(host)
}

#[test]
fn a_file_becomes_links_addresses_and_routes() {
    let Some(host) = plain("plain") else { return };
    let status = host.settled();
    let link = &status.links[&"eth0".parse().unwrap()];
    assert!(link.up && link.carrier && link.configured);
    assert_eq!((link.mtu, link.dhcp.as_str()), (1400, "off"));
    assert_eq!(
        status.gateways,
        ["192.168.61.1", "2001:db8::1"].map(|ip| ip.parse::<std::net::IpAddr>().unwrap())
    );
    assert_eq!(host.addresses(), ["eth0 192.168.61.44/24", "eth0 2001:db8::44/64"]);
    let routes = host.ns.ip("route show proto 208").unwrap();
    assert!(routes.contains("default via 192.168.61.1 dev eth0"), "{routes}");
    assert!(routes.contains("172.16.0.0/12 via 192.168.61.2 dev eth0 metric 50"), "{routes}");
    let routes = host.ns.ip("-6 route show proto 208").unwrap();
    assert!(routes.contains("default via 2001:db8::1 dev eth0"), "{routes}");
    // Usable at once: no duplicate detection.
    assert!(!host.ns.ip("-6 address show dev eth0 scope global").unwrap().contains("tentative"));
    assert_eq!(sysctl(&host, "ipv4/conf/eth0/arp_ignore"), "1");
    assert_eq!(sysctl(&host, "ipv4/conf/eth0/promote_secondaries"), "1");
    assert_eq!(sysctl(&host, "ipv6/conf/eth0/accept_ra"), "0");
    assert_eq!(sysctl(&host, "ipv4/ip_forward"), "0");
}

#[test]
fn networks_are_local_or_refused_by_route() {
    const ROUTES: &str = r#"
[[interface]]
name = "eth0"
addresses = ["192.168.61.44/24"]

[[route]]
to = "10.3.0.0/16"
type = "local"

[[route]]
to = "2001:db8:3::/64"
type = "local"

[[route]]
to = "10.0.0.0/8"
type = "blackhole"

[[route]]
to = "2001:db8:4::/64"
type = "unreachable"
"#;
    let Some(mut host) = Box::new("local") else { return };
    host.card("eth0", MAC);
    host.configure(ROUTES);
    host.settle();
    let ours = || {
        let shown = |what: &str| host.ns.ip(what).unwrap();
        shown("route show table all proto 208") + &shown("-6 route show table all proto 208")
    };
    let all = [
        "local 10.3.0.0/16 dev lo",
        "local 2001:db8:3::/64 dev lo",
        "blackhole 10.0.0.0/8",
        "unreachable 2001:db8:4::/64",
    ];
    for wanted in all {
        assert!(ours().contains(wanted), "{wanted}: {}", ours());
    }
    let recorder = host.record();
    host.ns.ip("route del local 10.3.0.0/16").unwrap();
    host.shows("route show table local", "local 10.3.0.0/16 dev lo");
    // The link-local address comes when the kernel has found nobody else with it.
    let foreign = |change: &&String| !change.contains("10.3.0.0/16") && !change.contains("fe80::");
    assert_eq!(recorder.changes().iter().filter(foreign).count(), 0, "{:?}", recorder.changes());
    host.configure(&ROUTES.replace("blackhole", "unreachable"));
    host.settled();
    assert!(ours().contains("unreachable 10.0.0.0/8"), "{}", ours());
    host.configure("[[interface]]\nname = \"eth0\"\naddresses = [\"192.168.61.44/24\"]");
    host.settled();
    assert_eq!(ours(), "");
}

#[test]
fn what_somebody_removes_comes_back() {
    let Some(host) = plain("removes") else { return };
    for (removal, show, needle) in [
        ("address del 192.168.61.44/24 dev eth0", "address show dev eth0", "192.168.61.44/24"),
        ("-6 address del 2001:db8::44/64 dev eth0", "address show dev eth0", "2001:db8::44/64"),
        ("route del default", "route", "default via 192.168.61.1"),
        ("-6 route del default", "-6 route", "default via 2001:db8::1"),
        ("link set eth0 mtu 1500", "link show dev eth0", "mtu 1400"),
        ("link set eth0 down", "link show dev eth0", ",UP"),
    ] {
        host.ns.ip(removal).unwrap();
        let took = host.shows(show, needle);
        assert!(took < promptly(), "{removal}: {took:?}");
    }
    host.shows("route", "172.16.0.0/12 via 192.168.61.2");
    let log = host.log();
    let told = "<4>put back: add address 192.168.61.44/24 to eth0 reason=changed by somebody else";
    assert_eq!(log.matches(told).count(), 1, "{log}");
}

#[test]
fn a_killed_worker_takes_up_what_is_there() {
    let Some(mut host) = plain("killed") else { return };
    let recorder = host.record();
    host.kill();
    host.settle();
    assert_eq!(recorder.changes(), Vec::<String>::new());
    // What it made in its former life it also takes away.
    host.configure("[[interface]]\nname = \"eth0\"\naddresses = [\"10.0.0.1/24\"]");
    host.settled();
    assert_eq!(host.addresses(), ["eth0 10.0.0.1/24"]);
    assert_eq!(host.ns.ip("route show proto 208").unwrap(), "");
}

#[test]
fn killed_at_any_moment_it_goes_on() {
    let Some(mut host) = Box::new("midway") else { return };
    host.card("eth0", MAC);
    host.configure(PLAIN);
    for needle in ["mtu 1400", "192.168.61.44/24", "2001:db8::44/64"] {
        host.start();
        host.shows("address show dev eth0", needle);
        host.kill();
    }
    host.settle();
    assert_eq!(host.addresses(), ["eth0 192.168.61.44/24", "eth0 2001:db8::44/64"]);
}

#[test]
fn what_others_made_stays() {
    let Some(host) = plain("foreign") else { return };
    host.ns.ip("address add 192.168.61.99/32 dev eth0").unwrap();
    host.ns.ip("address add 2001:db8::99/128 dev eth0").unwrap();
    host.ns.ip("route add 10.77.0.0/16 via 192.168.61.7").unwrap();
    host.configure(
        "[[interface]]\nname = \"eth0\"\naddresses = [\"192.168.61.44/24\", \"192.168.61.99/32\"]",
    );
    host.settled();
    assert_eq!(host.addresses(), ["eth0 192.168.61.44/24", "eth0 192.168.61.99/32", "eth0 2001:db8::99/128"]);
    assert!(host.ns.ip("route").unwrap().contains("10.77.0.0/16"));
    // The file wanted two of them, so they are ours by now.
    host.configure("[[interface]]\nname = \"eth0\"\naddresses = [\"192.168.61.44/24\"]");
    host.settled();
    assert_eq!(host.addresses(), ["eth0 192.168.61.44/24", "eth0 2001:db8::99/128"]);
}

#[test]
fn an_edit_is_an_edit() {
    let Some(host) = plain("edit") else { return };
    let recorder = host.record();
    host.configure(&PLAIN.replace("1400", "1450").replace(".44/24", ".44/25").replace("::44/64", "::44/56"));
    host.settled();
    assert_eq!(host.addresses(), ["eth0 192.168.61.44/25", "eth0 2001:db8::44/56"]);
    host.shows("link show dev eth0", "mtu 1450");
    host.shows("route", "default via 192.168.61.1");
    let changes = recorder.changes();
    assert!(!changes.iter().any(|line| line.contains("Deleted default")), "{changes:#?}");
    assert!(!changes.iter().any(|line| line.contains("state DOWN")), "{changes:#?}");
}

#[test]
fn a_card_that_comes_later_is_waited_for() {
    let Some(mut host) = Box::new("hotplug") else { return };
    host.configure(PLAIN);
    host.start();
    let status = host.until("waiting", |status| !status.pending.is_empty());
    assert_eq!(status.pending.first().unwrap(), "interface eth0: not present");
    host.card("eth0", MAC);
    assert!(host.shows("address show dev eth0", "192.168.61.44/24") < promptly());
    host.ns.ip("link del eth0").unwrap();
    host.until("gone", |status| !status.pending.is_empty());
    host.card("eth0", MAC);
    host.settled();
}

#[test]
fn names_follow_hardware_addresses() {
    let Some(mut host) = Box::new("names") else { return };
    host.card("eth0", "52:54:00:00:00:02");
    host.card("eth1", MAC);
    host.ns.ip("link set eth0 up").unwrap();
    host.configure(
        r#"
[[interface]]
name = "eth0"
mac = "52:54:00:00:00:01"
addresses = ["192.168.61.44/24"]
[[interface]]
name = "eth1"
mac = "52:54:00:00:00:02"
addresses = ["10.0.0.1/24"]
"#,
    );
    host.settle();
    assert!(host.ns.ip("link show dev eth0").unwrap().contains(MAC));
    assert_eq!(host.addresses(), ["eth0 192.168.61.44/24", "eth1 10.0.0.1/24"]);
}

#[test]
fn what_the_kernel_refuses_is_told_and_does_not_stop_the_rest() {
    let Some(mut host) = Box::new("refused") else { return };
    host.ns.ip(&format!("link add eth0 address {MAC} type bridge")).unwrap();
    host.ns.ip("link add low type veth peer name far").unwrap();
    host.ns.ip("link set low mtu 1300").unwrap();
    host.ns.ip(&format!("link add link low name mv0 address {MAC} type macvlan mode bridge")).unwrap();
    host.configure(
        r#"
[[interface]]
name = "mv0"
mtu = 9000
addresses = ["10.0.0.1/24"]
[[interface]]
name = "eth0"
addresses = ["192.168.61.44/24"]
"#,
    );
    host.start();
    let status = host.until("told", |status| status.pending.len() == 1);
    let pending = status.pending.first().unwrap();
    assert!(pending.starts_with("set link mv0 mtu 9000: "), "{pending}");
    assert_eq!(host.addresses(), ["eth0 192.168.61.44/24", "mv0 10.0.0.1/24"]);
    assert_eq!(host.log().matches("<3>cannot set link mv0 mtu 9000").count(), 1, "{}", host.log());
}

#[test]
fn sigterm_ends_it_and_changes_nothing() {
    let Some(mut host) = plain("sigterm") else { return };
    let recorder = host.record();
    let mut child = host.take();
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let begin = std::time::Instant::now();
    wait(&mut child);
    assert!(begin.elapsed() < promptly());
    assert_eq!(recorder.changes(), Vec::<String>::new());
    assert_eq!(host.addresses(), ["eth0 192.168.61.44/24", "eth0 2001:db8::44/64"]);
}

#[test]
fn forwarding_is_on_while_a_service_uses_nat() {
    let Some(mut host) = plain("nat") else { return };
    let nat = r#"
[[service]]
name = "web"
listen = "192.168.61.44:80"
protocol = "tcp"
method = "nat"
[[service.server]]
address = "192.168.61.22:8080"
"#;
    for (toml, expected) in [(format!("{PLAIN}{nat}"), "1"), (PLAIN.to_owned(), "0")] {
        host.configure(&toml);
        host.settled();
        assert_eq!(sysctl(&host, "ipv4/ip_forward"), expected);
        assert_eq!(sysctl(&host, "ipv6/conf/all/forwarding"), "0");
        // The next life knows who switched it on.
        host.kill();
        host.settle();
    }
    write(&host, "ipv4/ip_forward", "1");
    host.configure(&PLAIN.replace("1400", "1410"));
    host.settled();
    assert_eq!(sysctl(&host, "ipv4/ip_forward"), "1", "somebody else needs it");
}

fn sysctl(host: &Box, key: &str) -> String {
    let path = format!("/proc/sys/net/{key}");
    host.ns.run(move || std::fs::read_to_string(path)).unwrap().unwrap().trim().to_owned()
}

fn write(host: &Box, key: &str, value: &str) {
    host.ns.sysctl(&format!("net/{key}"), value).unwrap();
}
