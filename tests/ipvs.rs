//! What `director ipvs` prints, as text files: the kernel's table below, `tests/ipvs/director.toml` and a list of connections as
//! the kernel writes it. `UPDATE=1` rewrites them. The same against a kernel: `tests/kernel_ipvs_view.rs`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use director::config::{NodeFacts, load_file};
use director::ctl::ipvs::book::Book;
use director::ctl::ipvs::listing::{self, Count, Filter, Owners};
use director::ctl::ipvs::number::Digits;
use director::ctl::ipvs::text;
use director::ctl::ipvs::view::Table;
use director::ctl::status;
use director::ipvs::connections::Connection;
use director::ipvs::{
    Connections, Family, Forward, Persistence, Rates, Server, ServerEntry, Service, ServiceEntry, ServiceId,
    Stats, Tunnel,
};

fn book() -> Book {
    let checked = load_file(&folder().join("director.toml"), &NodeFacts::default()).unwrap();
    Book::of(&checked.config)
}

fn stats(connections: u64, out: u64) -> Stats {
    Stats {
        connections,
        packets_in: connections * 9,
        packets_out: out * 8,
        bytes_in: connections * 1234,
        bytes_out: out * 45_678,
        rates: Rates {
            connections: connections / 1000,
            packets_in: connections / 111,
            packets_out: out / 125,
            bytes_in: connections,
            bytes_out: out * 45,
        },
    }
}

fn server(address: &str, forward: Forward, weight: u32, stats: Stats) -> ServerEntry {
    ServerEntry {
        address: address.parse().unwrap(),
        server: Server { forward, weight, upper: 0, lower: 0, tunnel: Tunnel::default() },
        stats,
        connections: Connections { active: 3 * weight, inactive: 12_345, persistent: 1 },
    }
}

fn service(scheduler: &str) -> Service {
    Service { scheduler: scheduler.try_into().unwrap(), flags: 0, persistence: None, engine: None }
}

fn address(text: &str, protocol: u8) -> ServiceId {
    ServiceId::Address { address: text.parse().unwrap(), protocol }
}

/// In another order than the file, with a service and a sorry server that the file does not know.
fn table() -> Vec<ServiceEntry> {
    let sticky = Persistence { timeout: 50, mask: 0xffff_ff00 };
    let limits = Server {
        forward: Forward::Tunnel,
        weight: 1,
        upper: 900,
        lower: 300,
        tunnel: Tunnel { kind: 1, port: 6080, flags: 0 },
    };
    vec![
        ServiceEntry {
            id: address("192.168.61.46:53", ServiceId::UDP),
            service: Service { flags: 0x14, ..service("mh") },
            stats: stats(10_000, 0),
            servers: vec![ServerEntry {
                server: limits,
                ..server("192.168.61.22:53", Forward::Tunnel, 1, stats(10_000, 0))
            }],
        },
        ServiceEntry {
            id: ServiceId::Fwmark { mark: 5, family: Family::V4 },
            service: service("rr"),
            stats: Stats::default(),
            servers: Vec::new(),
        },
        ServiceEntry {
            id: address("[2001:db8::45]:443", ServiceId::TCP),
            service: service("wlc"),
            stats: stats(987_654_321, 987_654_000),
            servers: vec![server(
                "[2001:db8:1::22]:8443",
                Forward::Masquerade,
                1,
                stats(987_654_321, 987_654_000),
            )],
        },
        ServiceEntry {
            id: address("192.168.61.45:80", ServiceId::TCP),
            service: Service { persistence: Some(sticky), ..service("wrr") },
            stats: stats(1_234, 0),
            servers: vec![
                server("127.0.0.1:80", Forward::Local, 0, Stats::default()),
                server("192.168.61.22:80", Forward::Route, 1, stats(411, 0)),
                server("192.168.61.33:80", Forward::Route, 2, stats(823, 0)),
            ],
        },
    ]
}

fn list(filter: &Filter) -> (String, String, Count) {
    let services = table().into_iter().map(|entry| {
        let servers = match entry.id {
            ServiceId::Fwmark { .. } => vec!["192.168.61.22:0".parse().unwrap()],
            ServiceId::Address { .. } => Vec::new(),
        };
        (entry.id, servers)
    });
    let (owners, book) = (Owners::new(services), book());
    let text = std::fs::read_to_string(folder().join("ip_vs_conn")).unwrap();
    let (mut rows, mut json, mut count) = (vec![listing::head()], String::new(), Count::default());
    for connection in text.lines().filter_map(Connection::parse) {
        let owner = owners.of(&connection);
        if filter.takes(&connection, owner) {
            rows.push(listing::cells(&connection, owner, &book));
            json.push_str(&listing::json_line(&connection, owner, &book));
            count.add(&connection, owner);
        }
    }
    (status::table(rows).join("\n") + "\n", json, count)
}

#[test]
fn what_is_printed() {
    let (table, book) = (Table::of(table(), &book()), book());
    let (connections, json, count) = list(&Filter::default());
    let update = std::env::var_os("UPDATE").is_some();
    for (name, shown) in [
        ("services.txt", text::services(&table, Digits::Short)),
        ("services-exact.txt", text::services(&table, Digits::Exact)),
        ("services.json", serde_json::to_string_pretty(&table).unwrap() + "\n"),
        ("rates.txt", text::rates(&table, Digits::Short)),
        ("connections.txt", connections),
        ("connections.json", json),
        ("count.txt", count.text(&book, Digits::Short)),
        ("count.json", count.json(&book)),
    ] {
        let path = folder().join(name);
        if update {
            std::fs::write(&path, &shown).unwrap();
        }
        assert_eq!(shown, std::fs::read_to_string(&path).unwrap_or_default(), "{name}: UPDATE=1 rewrites it");
    }
}

#[test]
fn connections_are_filtered_by_all_that_is_given() {
    let clients = |filter: Filter| {
        let lines = list(&filter).1;
        let ports = lines.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["client"].as_str().unwrap().rsplit(':').next().unwrap().parse::<u16>().unwrap()
        });
        ports.collect::<Vec<_>>()
    };
    let by_book = |word: &str| {
        let ids: Vec<ServiceId> = table().iter().map(|entry| entry.id).collect();
        Filter { services: Some(book().select(word, &ids).unwrap()), ..Filter::default() }
    };
    assert_eq!(clients(by_book("web")), [50000, 50001, 0, 50002]);
    assert_eq!(clients(by_book("[2001:db8::45]:443")), [54321]);
    assert_eq!(clients(by_book("udp 192.168.61.46:53")), [5000]);
    assert_eq!(clients(by_book("mark")), [0]);
    let server = Some(("192.168.61.22".parse().unwrap(), None));
    assert_eq!(clients(Filter { server, ..Filter::default() }), [50002, 5000, 0]);
    assert_eq!(clients(Filter { server, ..by_book("web") }), [50002]);
    let client = Some("192.168.10.8/31".parse().unwrap());
    assert_eq!(clients(Filter { client, ..Filter::default() }), [50002, 5000]);
    assert_eq!(clients(Filter { state: Some("established".into()), ..Filter::default() }), [50000, 54321]);
}

#[test]
fn a_service_that_is_not_there_is_told_apart_from_one_that_nobody_knows() {
    let select = |word: &str| book().select(word, &[]).unwrap_err();
    assert_eq!(select("web"), "service web: it is in the file, but not in the kernel's table");
    assert_eq!(select("wbe"), "service wbe: there is none of this name or address; did you mean `web`?");
    assert_eq!(select("192.0.2.1:80"), "service 192.0.2.1:80: there is none of this name or address");
}

#[test]
fn an_empty_table() {
    let table = Table::of(Vec::new(), &Book::default());
    assert_eq!(text::services(&table, Digits::Short), "the table has no service\n");
    assert_eq!(serde_json::to_string(&table).unwrap(), r#"{"version":1,"services":[]}"#);
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ipvs")
}
