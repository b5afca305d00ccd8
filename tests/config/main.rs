//! `tests/config/ok/*.toml` have no fault; `tests/config/bad/*.toml` have exactly those of the `.err` file beside each.
//!
//! `UPDATE=1` rewrites the reports; the diff is reviewed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod checks;
mod examples;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use director::config::model::{
    CheckKind, Config, Dialogue, Ipvs, Listen, Login, MailTls, Method, Need, OnFail, PersistenceEngine,
    ProbeRoute, Protocol, Quorum, Sorry, Start, Tls, Tunnel, TunnelChecksum,
};
use director::config::{NodeFacts, Report, check};

fn files(dir: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(dir);
    let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "toml"));
    files.sort();
    assert!(!files.is_empty());
    files
}

fn report(path: &Path) -> Option<Report> {
    let name = path.file_name().unwrap().to_str().unwrap();
    check(fs::read(path).unwrap(), name, &NodeFacts::default()).err()
}

#[test]
fn good_files_have_no_fault() {
    for path in files("ok") {
        if let Some(report) = report(&path) {
            panic!("{}:\n{report}", path.display());
        }
    }
}

#[test]
fn each_fault_is_reported_as_recorded() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut different = Vec::new();
    for path in files("bad") {
        let found = report(&path).map(|report| report.to_string()).unwrap_or_default();
        assert!(!found.is_empty(), "{} has no fault", path.display());
        let golden = path.with_extension("err");
        if update {
            fs::write(&golden, &found).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != found {
            different.push(format!("{}:\n{found}", path.display()));
        }
    }
    assert!(different.is_empty(), "reports differ, UPDATE=1 records them:\n{}", different.join("\n"));
}

fn model(file: &str, node: Option<&str>) -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/ok").join(file);
    let facts = NodeFacts { node: node.map(str::to_owned), ..NodeFacts::default() };
    let checked = check(fs::read(path).unwrap(), file, &facts).unwrap();
    assert_eq!(checked.node.as_deref(), node);
    checked.config
}

#[test]
fn a_node_replaces_what_it_names_and_keeps_the_rest() {
    let (base, node) = (model("everything.toml", None), model("everything.toml", Some("lb2")));
    assert_eq!(node.system.hostname.as_deref(), Some("lb2.example.com"));
    assert_eq!(node.system.ntp, base.system.ntp);
    assert_eq!(node.interfaces[0].addresses.len(), 1);
    assert_eq!(node.interfaces[0].mtu, Some(9000));
    assert_eq!(node.interfaces[1..], base.interfaces[1..]);
    assert_eq!((base.routes[2].metric, node.routes[2].metric), (0, 5));
    assert_eq!(node.routes[2].interface, base.routes[2].interface);
    assert_eq!((base.vrrp[0].priority.get(), node.vrrp[0].priority.get()), (255, 50));
    assert_eq!(node.vrrp[0].addresses, base.vrrp[0].addresses);
    assert_eq!(node.vrrp[1].interval, Duration::from_secs(1));
    assert_eq!(node.services[0].servers[0], base.services[0].servers[0]);
    assert_eq!(node.services[0].servers[1].weight.get(), 7);
    assert_eq!(node.services[0].servers[1].method, Method::Tun);
    // The box says its name to mail servers, so that differs.
    let others = |config: &Config| {
        let services = config.services[1..].iter().filter(|service| service.name != "kinds");
        services.cloned().collect::<Vec<_>>()
    };
    assert_eq!(others(&node), others(&base));
}

#[test]
fn many_addresses_are_one_service() {
    let config = model("everything.toml", None);
    let service = |name: &str| config.services.iter().find(|service| service.name == name).unwrap();
    let many = service("many");
    let keys: Vec<String> = std::iter::once(&many.key)
        .chain(&many.also)
        .map(|key| match key.listen {
            Listen::Address(address) => address.to_string(),
            Listen::Fwmark { mark, .. } => format!("mark {mark}"),
        })
        .collect();
    let expected = [
        "10.3.0.1:80",
        "10.3.0.2:80",
        "10.3.0.3:80",
        "10.3.1.0:80",
        "10.3.1.1:80",
        "10.3.1.2:80",
        "10.3.1.3:80",
        "192.168.61.45:8080",
        "192.168.61.45:8081",
        "192.168.61.45:8090",
    ];
    assert_eq!(keys, expected);
    let servers: Vec<_> = many.servers.iter().map(|s| (s.address.to_string(), s.weight.get())).collect();
    let server = |address: &str, weight| (address.to_owned(), weight);
    assert_eq!(
        servers,
        [
            server("192.168.61.70:0", 10),
            server("192.168.61.71:0", 10),
            server("192.168.61.72:0", 10),
            server("192.168.61.80:0", 5)
        ]
    );
    assert_eq!((many.servers[0].upper, many.servers[0].lower, many.servers[3].enabled), (1000, 800, false));
    assert_eq!((many.servers[2].checks[0].port, many.servers[3].checks.len()), (Some(80), 0));
    assert_eq!(many.quorum, Quorum { need: Need::Servers(2), hysteresis: 1 });
    assert_eq!((many.start, many.drain), (Start::Down, Some(Duration::from_secs(600))));
    let sources: Vec<String> = many.sources.iter().map(ToString::to_string).collect();
    assert_eq!(sources, ["192.168.61.45", "10.3.2.10-10.3.2.19"]);

    let marked = service("marked");
    let marking = marked.marking.as_ref().unwrap();
    let addresses: Vec<String> = marking.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.3.128.0-10.3.255.255", "10.3.64.0-10.3.127.255"]);
    assert_eq!((marking.protocol, marking.ports.as_slice()), (Protocol::Tcp, &[(80, 80), (8000, 8099)][..]));
    assert!(matches!(marked.key.listen, Listen::Fwmark { mark, ipv6: false } if mark >> 16 == 0x4449));
    assert_eq!((marked.key.protocol, marked.servers[0].address.port()), (None, 0));
    assert_eq!(marked.servers[0].checks[0].port, Some(80), "the first port that clients talk to");
    assert_eq!(marked.servers[0].tunnel, Tunnel::Gue { port: 6081, checksum: TunnelChecksum::Remote });
    assert_eq!(marked.servers[1].tunnel, Tunnel::Gre { checksum: TunnelChecksum::Full });

    let sip = service("sip");
    assert_eq!(sip.key.listen, Listen::Fwmark { mark: 17, ipv6: true });
    assert_eq!(sip.persistence.unwrap().engine, Some(PersistenceEngine::Sip));
    assert!(sip.one_packet);
    let flags = service("signalling").flags;
    assert_eq!((flags.flag1, flags.flag2, flags.flag3), (true, true, false));
}

#[test]
fn sorry_servers_may_need_what_real_ones_do_not() {
    let config = model("everything.toml", None);
    let service = config.services.iter().find(|service| service.name == "sorry-by-other-ways").unwrap();
    let Sorry::Servers(servers) = &service.sorry else { panic!("{:?}", service.sorry) };
    assert_eq!(service.sources.len(), 1);
    assert_eq!((servers[0].method, servers[1].method), (Method::FullNat, Method::Tun));
    assert_eq!(servers[1].tunnel, Tunnel::Gre { checksum: TunnelChecksum::None });
}

/// A host that is gone is known after three seconds, so who takes silence for good waits longer.
#[test]
fn a_chosen_mark_stays() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/ok/everything.toml");
    let mark = |text: &str| {
        let config = check(text, "marks", &NodeFacts::default()).unwrap().config;
        config.services.iter().find(|service| service.name == "marked").unwrap().key
    };
    let text = fs::read_to_string(path).unwrap();
    let more = "[[service]]\nname = \"first\"\nlisten = \"10.3.3.0/24\"\nmark = true\n\
                [[service.server]]\naddress = \"192.168.61.22\"\n\n";
    assert_eq!(mark(&text), mark(&text.replacen("[[service]]", &format!("{more}[[service]]"), 1)));
}

#[test]
fn settings_of_the_kernel_are_merged_one_by_one() {
    let ipvs = |node| model("everything.toml", node).ipvs;
    let (base, node) = (ipvs(None), ipvs(Some("lb2")));
    assert_eq!((base.table_bits, node.table_bits), (Some(20), Some(22)));
    assert_eq!((base.tcp, node.tcp), (Some(Duration::from_secs(3600)), Some(Duration::from_secs(3600))));
    let setting = |ipvs: &Ipvs, name: &str| ipvs.sysctls.get(name).cloned();
    assert_eq!(setting(&base, "drop_entry").as_deref(), Some("1"));
    assert_eq!(setting(&node, "drop_entry").as_deref(), Some("0"));
    assert_eq!(setting(&node, "expire_nodest_conn").as_deref(), Some("1"));
    assert_eq!(setting(&node, "sync_threshold").as_deref(), Some("3 50"));
}

#[test]
fn the_list_of_peers_serves_every_box() {
    let peers = |node| {
        let config = model("everything.toml", node);
        config.vrrp[0].peers.iter().map(|peer| peer.address.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(peers(None), ["192.168.61.46"]);
    assert_eq!(peers(Some("lb2")), ["192.168.61.44"]);
}

#[test]
fn the_box_is_found_by_hardware_address_or_name() {
    let text =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/ok/everything.toml")).unwrap();
    let node = |mac: &str, hostname: Option<&str>| {
        let macs = [mac.parse().unwrap()].into();
        let facts = NodeFacts { macs, hostname: hostname.map(str::to_owned), node: None };
        check(&text, "everything.toml", &facts).map(|checked| checked.node)
    };
    assert_eq!(node("52:54:00:00:00:01", Some("lb1")), Ok(None));
    assert_eq!(node("52:54:00:00:00:02", None), Ok(Some("lb2".to_owned())));
    assert_eq!(node("52:54:00:00:00:09", Some("lb3")), Ok(Some("lb3".to_owned())));
    let both = node("52:54:00:00:00:02", Some("lb3")).unwrap_err().to_string();
    assert!(both.contains("nodes `lb2` and `lb3` both match this box"), "{both}");
}

#[test]
fn defaults_are_those_of_the_manual() {
    let config = model("seed-ipvsadm-save.toml", None);
    let service = &config.services[0];
    assert_eq!(
        (service.quorum, &service.sorry, service.on_fail),
        (Quorum::default(), &Sorry::None, OnFail::Remove)
    );
    assert_eq!((service.servers[0].weight.get(), service.servers[0].method), (1, Method::Dr));
    let config = model("everything.toml", None);
    let check = &config.services[1].servers[0].checks[0];
    let seconds = Duration::from_secs;
    assert_eq!((check.interval, check.timeout, check.fall, check.rise), (seconds(2), seconds(1), 3, 2));
    assert_eq!(config.services[1].scheduler, "wlc");
    assert_eq!(config.vrrp[1].priority.get(), 100);
}

/// The sample on the partition of a new disk: as delivered, and as its comments tell to change it.
#[test]
fn the_sample_is_without_fault() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("board/common/config/director.toml");
    let sample = fs::read_to_string(path).unwrap();
    assert!(check(&sample, "sample", &NodeFacts::default()).unwrap().config.services.is_empty());
    let (_, below) = sample.split_once("# Below is").unwrap();
    let pair: String =
        below.lines().skip(3).filter_map(|line| Some(format!("{}\n", line.strip_prefix("# ")?))).collect();
    let checked = check(
        format!("version = 1\n{pair}"),
        "pair",
        &NodeFacts { node: Some("lb2".to_owned()), ..NodeFacts::default() },
    );
    let config = checked.unwrap_or_else(|report| panic!("{report}")).config;
    assert_eq!((config.services[0].servers.len(), config.vrrp[0].priority.get()), (2, 50));
}

/// Broken in every way that a few thousand random edits find, a file gives a report or a configuration, never a panic.
#[test]
fn no_text_makes_it_panic() {
    const TOKENS: [&[u8]; 24] = [
        b"\"",
        b"[",
        b"]",
        b"[[",
        b"]]",
        b"{",
        b"}",
        b"=",
        b",",
        b"\n",
        b"\r",
        b"#",
        b".",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\0",
        b"-1",
        b"99999999999999999999",
        b"\"\"\"",
        b"'''",
        b"name",
        b"[node.lb2]\n",
        b"[[vrrp]]\n",
        "ä".as_bytes(),
    ];
    let mut random = Random(0x5eed);
    for path in files("ok") {
        let original = fs::read(&path).unwrap();
        for _ in 0..250 {
            let mut text = original.clone();
            for _ in 0..=random.below(6) {
                let at = random.below(text.len());
                let end = (at + random.below(40)).min(text.len());
                match random.below(5) {
                    0 => text[at] = u8::try_from(random.below(256)).unwrap(),
                    1 => drop(text.drain(at..end)),
                    2 => drop(text.splice(at..at, TOKENS[random.below(TOKENS.len())].iter().copied())),
                    3 => drop(text.splice(at..end, TOKENS[random.below(TOKENS.len())].iter().copied())),
                    _ => text.extend_from_within(at..end),
                }
                text.push(b'\n');
            }
            let facts = NodeFacts {
                node: Some("lb2".to_owned()).filter(|_| random.below(2) == 0),
                ..NodeFacts::default()
            };
            if let Err(report) = check(&text, "mutated", &facts) {
                assert!(!report.problems().is_empty());
                assert!(report.to_string().starts_with("mutated:"));
                assert!(report.located().all(|fault| fault.line > 0 && fault.column > 0));
            }
        }
    }
}

/// The generator of Numerical Recipes; the seed is fixed, so a failure repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }
}

#[test]
fn programs_get_every_fault_as_json() {
    let report = check(
        "version = 1\n[[route]]\nto = \"default\"\nvai = \"1.2.3.4\"\n",
        "f.toml",
        &NodeFacts::default(),
    );
    let json = serde_json::to_value(report.unwrap_err()).unwrap();
    let place =
        |index: usize| (json[index]["line"].as_u64().unwrap(), json[index]["column"].as_u64().unwrap());
    assert_eq!((place(0), place(1)), ((2, 1), (4, 1)));
    assert_eq!(json[1]["message"], "unknown key `vai`");
    assert_eq!(json[1]["help"], "did you mean `via`? known here: `to`, `via`, `interface`, `metric`, `type`");
    assert_eq!(json[1]["file"], "f.toml");
}
