//! The packet filter's table against the kernel of this machine and Debian's `nft`, in network namespaces.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::net::IpAddr;

use director::config::model::{
    AddressRange, Config, Listen, Marking, Method, Protocol, Server, Service, ServiceKey,
};
use director::nft::{Done, Keeper, Ruleset, desired};
use director_lab::command;
use director_lab::namespace::Namespace;

macro_rules! namespace_or_skip {
    ($name:literal) => {
        match director_lab::preflight::namespaces() {
            Err(why) => {
                println!("skipped: {why:#}");
                return;
            }
            Ok(()) => Namespace::new($name).unwrap(),
        }
    };
}

fn range(first: &str, last: &str) -> AddressRange {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    AddressRange { first: ip(first), last: ip(last) }
}

fn tcp(listen: &str) -> ServiceKey {
    ServiceKey { listen: Listen::Address(listen.parse().unwrap()), protocol: Some(Protocol::Tcp) }
}

fn mark(mark: u32, ipv6: bool) -> ServiceKey {
    ServiceKey { listen: Listen::Fwmark { mark, ipv6 }, protocol: None }
}

fn service(key: ServiceKey, method: Method, servers: &[&str]) -> Service {
    let servers = servers.iter().map(|server| Server::new(server.parse().unwrap(), method)).collect();
    Service { servers, ..Service::new("s", key) }
}

fn marked(key: u32, protocol: Protocol, addresses: &[(&str, &str)], ports: &[(u16, u16)]) -> Service {
    let addresses: Vec<_> = addresses.iter().map(|(first, last)| range(first, last)).collect();
    let marking = Some(Marking { protocol, addresses: addresses.clone(), ports: ports.to_vec() });
    Service { marking, ..service(mark(key, addresses[0].first.is_ipv6()), Method::Dr, &[]) }
}

fn ruleset(services: Vec<Service>) -> Ruleset {
    desired(&Config { services, ..Config::default() })
}

/// Ranges that overlap, and a single address within.
fn marks() -> Vec<Service> {
    vec![
        marked(0x10, Protocol::Tcp, &[("10.0.0.0", "10.0.0.255")], &[(80, 80), (8000, 8100)]),
        marked(0x11, Protocol::Udp, &[("10.0.0.7", "10.0.1.9")], &[]),
        marked(0x12, Protocol::Tcp, &[("10.0.0.128", "10.0.1.255")], &[(80, 81)]),
        marked(0x13, Protocol::Sctp, &[("2001:db8::", "2001:db8::ffff")], &[(80, 80)]),
        service(tcp("10.0.0.9:80"), Method::Dr, &["10.9.0.1:80"]),
    ]
}

/// Pools of every size, and connections of every kind.
fn sources() -> Vec<Service> {
    let (v4, v6) = (["10.9.0.1:8080", "10.9.0.2:8080"], ["[fd00::1]:80"]);
    let pool = |service: Service, sources: &[(&str, &str)]| Service {
        sources: sources.iter().map(|(first, last)| range(first, last)).collect(),
        ..service
    };
    vec![
        service(tcp("192.0.2.1:80"), Method::FullNat, &v4),
        pool(service(tcp("192.0.2.1:0"), Method::FullNat, &v4), &[("10.8.0.1", "10.8.0.4")]),
        pool(
            Service {
                also: vec![tcp("192.0.2.2:443")],
                ..service(tcp("192.0.2.2:80"), Method::FullNat, &v4)
            },
            &[("10.8.0.1", "10.8.0.3"), ("10.8.0.9", "10.8.0.9")],
        ),
        pool(
            service(tcp("[2001:db8::1]:80"), Method::FullNat, &v6),
            &[("fd01::1", "fd01::2"), ("fd01::9", "fd01::9")],
        ),
        service(tcp("192.0.2.3:80"), Method::Dr, &v4),
    ]
}

fn keep(ns: &Namespace, ruleset: &Ruleset) -> Done {
    let ruleset = ruleset.clone();
    ns.run(move || Keeper::default().keep(&ruleset)).unwrap().unwrap()
}

fn nft(ns: &Namespace, arguments: &str) -> String {
    let words: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
    ns.run(move || command::output("nft", &words)).unwrap().unwrap()
}

/// Compares what `nft` lists with a file; `UPDATE=1` writes that.
fn listed(ns: &Namespace, name: &str) {
    let path = format!("tests/nft/{name}.nft");
    let list = nft(ns, "list ruleset");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &list).unwrap();
    }
    assert_eq!(list, std::fs::read_to_string(&path).unwrap_or_default(), "{path}");
}

#[test]
fn marks_are_listed_by_nft_as_they_are_meant() {
    let ns = namespace_or_skip!("marks");
    assert_eq!(keep(&ns, &ruleset(marks())), Done::Set);
    listed(&ns, "marks");
}

#[test]
fn sources_are_listed_by_nft_as_they_are_meant() {
    let ns = namespace_or_skip!("sources");
    assert_eq!(keep(&ns, &ruleset(sources())), Done::Set);
    listed(&ns, "sources");
    // With a mark of the file's own the packets of a service are known, with somebody else's they are not.
    let own = Service {
        marking: marked(7, Protocol::Udp, &[("192.0.2.0", "192.0.2.9")], &[(53, 53)]).marking,
        ..service(mark(7, false), Method::FullNat, &["10.9.0.1:0"])
    };
    keep(&ns, &ruleset(vec![own]));
    listed(&ns, "sources-own-mark");
    keep(&ns, &ruleset(vec![service(mark(8, false), Method::FullNat, &["10.9.0.1:0"])]));
    listed(&ns, "sources-foreign-mark");
}

#[test]
fn what_nobody_needs_leaves_no_trace() {
    let ns = namespace_or_skip!("nothing");
    let plain = ruleset(vec![service(tcp("192.0.2.3:80"), Method::Dr, &["10.9.0.1:80"])]);
    assert!(plain.is_empty());
    assert_eq!(keep(&ns, &plain), Done::Nothing);
    assert_eq!(nft(&ns, "list ruleset"), "");
    keep(&ns, &ruleset(sources()));
    assert_eq!(keep(&ns, &plain), Done::Set);
    assert_eq!(nft(&ns, "list ruleset"), "");
}

#[test]
fn foreign_changes_are_undone_and_foreign_tables_left() {
    let ns = namespace_or_skip!("foreign");
    let steps = [
        "delete table inet director",
        "flush ruleset",
        "delete chain inet director mark_in",
        "flush chain inet director mark_out",
        "add rule inet director source counter",
        "add set inet director other { type ipv4_addr; }",
    ];
    let wanted = ruleset(marks().into_iter().chain(sources()).collect());
    let (keeper, right) = (Keeper::default(), wanted.clone());
    let mut keeper = ns
        .run(move || {
            let mut keeper = keeper;
            assert_eq!(keeper.keep(&right).unwrap(), Done::Set);
            assert_eq!(keeper.keep(&right).unwrap(), Done::Nothing);
            keeper
        })
        .unwrap();
    let before = nft(&ns, "list table inet director");
    for step in steps {
        // What is in use goes with what uses it.
        if step.starts_with("delete chain") {
            nft(&ns, "flush chain inet director mark_in");
        }
        let words: Vec<String> = vec![step.to_owned()];
        ns.run(move || command::output("nft", &words)).unwrap().unwrap();
        let right = wanted.clone();
        let (done, back) = ns.run(move || (keeper.keep(&right).unwrap(), keeper)).unwrap();
        keeper = back;
        assert_eq!(done, Done::Repaired, "{step}");
        assert_eq!(nft(&ns, "list table inet director"), before, "{step}");
    }
    nft(&ns, "add table inet theirs");
    let right = wanted.clone();
    let (done, _keeper) = ns.run(move || (keeper.keep(&right).unwrap(), keeper)).unwrap();
    assert_eq!(done, Done::Nothing);
    assert!(nft(&ns, "list tables").contains("theirs"));
}

#[test]
fn ten_thousand_servers_fit_one_transaction() {
    let ns = namespace_or_skip!("many");
    let mut services = Vec::new();
    for at in 0..1000_u32 {
        let servers: Vec<String> =
            (1..=10).map(|last| format!("10.{}.{}.{last}:80", at / 250, at % 250)).collect();
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        services.push(service(tcp(&format!("192.0.2.1:{}", 1000 + at)), Method::FullNat, &servers));
    }
    let wanted = ruleset(services);
    let begun = std::time::Instant::now();
    assert_eq!(keep(&ns, &wanted), Done::Set);
    println!("1000 services x 10 servers: {:?}", begun.elapsed());
    assert_eq!(nft(&ns, "list set inet director source0_port").matches(" . tcp . ").count(), 10_000);
}
