//! Real packets by every way that IPVS forwards them, as the worker `lvs` sets it up from a file.
//!
//! In a guest with the shipped kernel: `cargo image test --only kernel/kernel_traffic`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "../common/mod.rs"]
mod common;
mod rig;
mod talk;
mod wide;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use director::ipc::message::Health;
use director::ipvs::{ServiceId, Stats};
use director::lvs::ways::is_way;
use director_lab::segment::Host;

use common::hindrance;
use rig::{Rig, VIP4, VIP6, at, unwrap_tunnels};
use talk::{By, ask, open, serve};

macro_rules! rig_or_skip {
    () => {
        match hindrance() {
            Some(why) => {
                println!("skipped: {why}");
                return;
            }
            None => Rig::new(),
        }
    };
}

use rig_or_skip;

const EVERY: [By; 3] = [By::Tcp, By::Udp, By::Sctp];

/// A way from the director to a real server.
struct Way {
    name: &'static str,
    /// Lines of `[[service]]`.
    file: &'static str,
    /// RIPs: IPv4, IPv6.
    servers: [&'static str; 2],
    /// Whose address the real server sees; `None` = the client's own.
    sources: Option<[&'static [&'static str]; 2]>,
    /// DR and TUN: the packet is for the VIP still, and its answer goes past the director.
    one_way: bool,
}

const fn one_way(name: &'static str, file: &'static str, servers: [&'static str; 2]) -> Way {
    Way { name, file, servers, sources: None, one_way: true }
}

const WEB: [&str; 2] = ["10.79.0.21", "fd79::21"];
/// `web` takes checksums in GRE under these.
const WEB_SUM: [&str; 2] = ["10.79.0.22", "fd79::22"];
const FULL: [&str; 2] = ["10.80.0.22", "fd80::22"];

const WAYS: [Way; 11] = [
    one_way("dr", "method = \"dr\"", WEB),
    one_way("ipip", "method = \"tun\"", WEB),
    one_way("gue", "method = \"tun\"\ntunnel = \"gue\"", WEB),
    one_way("gue-sum", "method = \"tun\"\ntunnel = { type = \"gue\", checksum = \"full\" }", WEB),
    one_way("gue-remote", "method = \"tun\"\ntunnel = { type = \"gue\", checksum = \"remote\" }", WEB),
    one_way("gre", "method = \"tun\"\ntunnel = \"gre\"", WEB),
    one_way("gre-sum", "method = \"tun\"\ntunnel = { type = \"gre\", checksum = \"full\" }", WEB_SUM),
    Way {
        name: "nat",
        file: "method = \"nat\"",
        servers: ["10.80.0.21", "fd80::21"],
        sources: None,
        one_way: false,
    },
    Way {
        name: "fullnat",
        file: "method = \"fullnat\"",
        servers: FULL,
        sources: Some([&["10.80.0.1"], &["fd80::1"]]),
        one_way: false,
    },
    Way {
        name: "fullnat-one",
        file: "method = \"fullnat\"\nsource = [\"10.80.0.200\"]",
        servers: FULL,
        sources: Some([&["10.80.0.200"], &["fd80::200"]]),
        one_way: false,
    },
    Way {
        name: "fullnat-pool",
        file: "method = \"fullnat\"\nsource = [\"10.80.0.200-201\", \"10.80.0.210\"]",
        servers: FULL,
        sources: Some([&["10.80.0.200", "10.80.0.201", "10.80.0.210"], &[]]),
        one_way: false,
    },
];

/// One service with one server.
struct Case {
    way: &'static Way,
    by: By,
    vip: &'static str,
    client: &'static str,
    server: &'static str,
    sources: Option<&'static [&'static str]>,
    port: u16,
}

/// Families as they are, and for tunnels each in the other. With each protocol.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for way in &WAYS {
        for (outer, inner) in [(0, 0), (1, 1), (0, 1), (1, 0)] {
            let tunnel = way.one_way && way.name != "dr";
            let sources = way.sources.map(|sources| sources[outer]);
            if outer != inner && !tunnel || sources.is_some_and(<[_]>::is_empty) {
                continue;
            }
            for by in EVERY {
                let (vip, client) = [(VIP4, "10.79.0.1"), (VIP6, "fd79::1")][inner];
                let port = 1000 + u16::try_from(cases.len()).unwrap();
                cases.push(Case { way, by, vip, client, server: way.servers[outer], sources, port });
            }
        }
    }
    cases
}

impl Case {
    fn name(&self) -> String {
        format!("{} {} {} -> {}", self.way.name, self.by.word(), self.vip, self.server)
    }

    /// Where the real server listens: DR and TUN change nothing, NAT the port too.
    fn listens(&self) -> SocketAddr {
        if self.way.one_way { at(self.vip, self.port) } else { at(self.server, self.port + 5000) }
    }

    fn id(&self) -> ServiceId {
        let protocol = match self.by {
            By::Tcp => ServiceId::TCP,
            By::Udp => ServiceId::UDP,
            By::Sctp => ServiceId::SCTP,
        };
        ServiceId::Address { address: at(self.vip, self.port), protocol }
    }

    fn file(&self) -> String {
        let port = if self.way.one_way { self.port } else { self.port + 5000 };
        let way = if self.way.name == "fullnat-one" && self.server.contains(':') {
            "method = \"fullnat\"\nsource = [\"fd80::200\"]"
        } else {
            self.way.file
        };
        format!(
            "[[service]]\nname = \"s{}\"\nlisten = \"{}\"\nprotocol = \"{}\"\nscheduler = \"rr\"\n\
             check = {{ type = \"none\" }}\n{way}\n[[service.server]]\naddress = \"{}\"\n",
            self.port,
            at(self.vip, self.port),
            self.by.word(),
            at(self.server, port),
        )
    }

    /// Asks, and compares all that can be seen of it; the fault in words.
    fn check(&self, rig: &Rig) -> Result<(), String> {
        let target = at(self.vip, self.port);
        let answer = ask(rig.client.namespace(), self.by, at(self.client, 0), target)
            .map_err(|error| format!("no answer: {error}"))?;
        if answer.local != self.listens() {
            return Err(format!("the real server was asked as {}, not as {}", answer.local, self.listens()));
        }
        match self.sources {
            None if answer.peer != answer.client => {
                Err(format!("the real server saw {}, not {}", answer.peer, answer.client))
            }
            Some(pool) if !pool.iter().any(|a| a.parse::<IpAddr>().unwrap() == answer.peer.ip()) => {
                Err(format!("the real server saw {}, not one of {pool:?}", answer.peer))
            }
            _ => Ok(()),
        }
    }

    /// Whether IPVS counted one connection, and answers only where they come back by it.
    fn count(&self, stats: &Stats) -> Result<(), String> {
        let right =
            stats.connections == 1 && stats.packets_in > 0 && self.way.one_way == (stats.packets_out == 0);
        if right { Ok(()) } else { Err(format!("counted {stats:?}")) }
    }

    fn host<'a>(&self, rig: &'a Rig) -> &'a Host {
        match self.way.name {
            "nat" => &rig.nat,
            name if name.starts_with("fullnat") => &rig.full,
            _ => &rig.web,
        }
    }
}

/// Sets up all of `cases` at once, and has each asked.
fn all_answer(rig: &mut Rig, cases: &[Case]) {
    for case in cases {
        let host = case.host(rig);
        serve(host.namespace(), host.name(), case.by, case.listens());
    }
    rig.configure(&cases.iter().map(Case::file).collect::<String>());
    let mut faults: Vec<String> = Vec::new();
    for case in cases {
        let fault = case.check(rig).err();
        faults.extend(fault.map(|fault| format!("{}: {fault}", case.name())));
    }
    // The kernel sums up what its processors counted every two seconds.
    let mut counted = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        let table: BTreeMap<ServiceId, Stats> =
            rig.table().into_iter().map(|entry| (entry.id, entry.stats)).collect();
        let wrong = cases.iter().filter_map(|case| Some((case, case.count(&table[&case.id()]).err()?)));
        counted = wrong.map(|(case, fault)| format!("{}: {fault}", case.name())).collect();
        if counted.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    faults.extend(counted);
    assert!(faults.is_empty(), "{} cases:\n{}", cases.len(), faults.join("\n"));
    println!("{} cases: all as they should be", cases.len());
}

#[test]
fn dr_and_every_tunnel_carry_every_protocol_of_both_families() {
    let mut rig = rig_or_skip!();
    unwrap_tunnels(&rig.web);
    let cases: Vec<Case> = cases().into_iter().filter(|case| case.way.one_way).collect();
    all_answer(&mut rig, &cases);
}

#[test]
fn nat_and_full_nat_carry_every_protocol_of_both_families_and_leave_no_hook() {
    let mut rig = rig_or_skip!();
    let cases: Vec<Case> = cases().into_iter().filter(|case| !case.way.one_way).collect();
    let hooks = |rig: &Rig| rig.director("nft list hooks");
    let plain = cases.iter().filter(|case| case.sources.is_none());
    let without: String = plain.map(Case::file).collect();
    rig.configure(&without);
    assert!(!hooks(&rig).contains("conntrack"), "{}", hooks(&rig));
    let sysctl = |rig: &Rig| rig.director("cat /proc/sys/net/ipv4/vs/conntrack").trim().to_owned();
    assert_eq!((sysctl(&rig).as_str(), rig.director("nft list ruleset").as_str()), ("0", ""));
    all_answer(&mut rig, &cases);
    assert!(hooks(&rig).contains("conntrack_in"), "{}", hooks(&rig));
    assert_eq!(sysctl(&rig), "1");
    rig.configure(&without);
    assert!(!hooks(&rig).contains("conntrack"), "{}", hooks(&rig));
    assert_eq!((sysctl(&rig).as_str(), rig.director("nft list ruleset").as_str()), ("0", ""));
}

/// A service on `VIP4` by `dr` to `web` and `web2`, in turn.
fn pair(port: u16, extra: &str, of_server: &str) -> String {
    let head = format!(
        "[[service]]\nname = \"s{port}\"\nlisten = \"{VIP4}:{port}\"\nscheduler = \"rr\"\n\
         check = {{ type = \"none\" }}\n{extra}\n"
    );
    let servers = ["10.79.0.21", "10.79.0.23"]
        .map(|server| format!("[[service.server]]\naddress = \"{server}:{port}\"\n{of_server}\n"));
    head + &servers.concat()
}

/// Sends `questions` from one socket in the client, and returns who answered each.
fn names(rig: &Rig, by: By, target: SocketAddr, questions: &[&str]) -> Vec<String> {
    let questions: Vec<String> = questions.iter().map(|text| (*text).to_owned()).collect();
    let talk = move || {
        let mut line = open(by, at("10.79.0.1", 0), target).unwrap();
        questions.iter().map(|question| line.ask(question).unwrap().name).collect()
    };
    rig.client.namespace().run(talk).unwrap()
}

#[test]
fn ranges_calls_datagrams_and_limits_choose_the_server() {
    let mut rig = rig_or_skip!();
    let range = "10.79.1.0/28";
    rig.client.namespace().ip(&format!("route add {range} via 10.79.0.10")).unwrap();
    for host in [&rig.director, &rig.web, &rig.web2] {
        host.namespace().ip(&format!("route add local {range} dev lo")).unwrap();
    }
    for web in [&rig.web, &rig.web2] {
        for port in [4001, 4002, 4003] {
            serve(web.namespace(), web.name(), By::Udp, at(VIP4, port));
        }
        serve(web.namespace(), web.name(), By::Tcp, at(VIP4, 4004));
        for (address, port) in [("10.79.1.1", 3000), ("10.79.1.9", 3002)] {
            serve(web.namespace(), web.name(), By::Tcp, at(address, port));
        }
    }
    serve(rig.director.namespace(), "director", By::Tcp, at(VIP4, 4005));
    let sip = "protocol = \"udp\"\npersistence = { timeout = \"60s\", engine = \"sip\" }";
    rig.configure(
        &[
            pair(4001, "protocol = \"udp\"\none_packet = true", ""),
            pair(4002, "protocol = \"udp\"", ""),
            pair(4003, sip, ""),
            pair(4004, "", "max_connections = 1"),
            format!(
                "[[service]]\nname = \"here\"\nlisten = \"{VIP4}:4005\"\ncheck = {{ type = \"none\" }}\n\
                 [[service.server]]\naddress = \"10.79.0.10:4005\"\n"
            ),
            format!(
                "[[route]]\nto = \"{range}\"\ntype = \"local\"\n\
                 [[service]]\nname = \"range\"\nlisten = \"10.79.1.1-9:3000-3002\"\nmark = 7\nscheduler = \"rr\"\n\
                 check = {{ type = \"none\" }}\n[[service.server]]\naddress = \"10.79.0.21\"\n\
                 [[service.server]]\naddress = \"10.79.0.23\"\n"
            ),
        ]
        .concat(),
    );

    let four = ["1", "2", "3", "4"];
    let alternating = names(&rig, By::Udp, at(VIP4, 4001), &four);
    assert!(alternating.windows(2).all(|pair| pair[0] != pair[1]), "one packet each: {alternating:?}");
    let faithful = names(&rig, By::Udp, at(VIP4, 4002), &four);
    assert!(faithful.windows(2).all(|pair| pair[0] == pair[1]), "one connection: {faithful:?}");

    let call = |id: u8| {
        let text = format!("OPTIONS sip:a@b SIP/2.0\r\nCall-ID: call-{id}@client\r\nCSeq: 1 OPTIONS\r\n\r\n");
        names(&rig, By::Udp, at(VIP4, 4003), &[&text]).remove(0)
    };
    let homes: Vec<String> = (0..4).map(call).collect();
    assert_eq!((0..4).map(call).collect::<Vec<_>>(), homes, "a call stays where it began");
    assert!(homes.iter().any(|home| *home != homes[0]), "calls of one client are spread: {homes:?}");

    let mut held = Vec::new();
    for _ in 0..2 {
        let hold = || open(By::Tcp, at("10.79.0.1", 0), at(VIP4, 4004)).unwrap();
        let mut line = rig.client.namespace().run(hold).unwrap();
        let name = line.ask("who?").unwrap().name;
        held.push((line, name));
    }
    assert_ne!(held[0].1, held[1].1);
    let full = rig.client.namespace().run(|| open(By::Tcp, at("10.79.0.1", 0), at(VIP4, 4004)).map(drop));
    assert!(full.unwrap().is_err(), "both servers have as many connections as they may");

    let here = ask(rig.client.namespace(), By::Tcp, at("10.79.0.1", 0), at(VIP4, 4005)).unwrap();
    assert_eq!(here.name, "director");

    let in_range = |rig: &Rig| {
        for target in [at("10.79.1.1", 3000), at("10.79.1.9", 3002)] {
            let answer = ask(rig.client.namespace(), By::Tcp, at("10.79.0.1", 0), target).unwrap();
            assert_eq!((answer.local, answer.peer), (target, answer.client));
        }
    };
    in_range(&rig);
    assert!(ask(rig.client.namespace(), By::Tcp, at("10.79.0.1", 0), at("10.79.1.9", 3003)).is_err());
    let mark = ServiceId::Fwmark { mark: 7, family: director::ipvs::Family::V4 };
    rig.until("both are counted", |rig| rig.counted(mark).connections == 2);
    rig.director("nft delete table inet director");
    rig.until("the rules are set again", |rig| rig.director("nft list ruleset").contains("mark_in"));
    in_range(&rig);
    rig.until("all are counted", |rig| rig.counted(mark).connections == 4);
}

#[test]
fn a_probe_by_the_vip_finds_who_lacks_it() {
    let mut rig = rig_or_skip!();
    rig.web.namespace().ip("link set tunl0 up").unwrap();
    for link in ["all", "tunl0"] {
        rig.web.namespace().sysctl(&format!("net/ipv4/conf/{link}/rp_filter"), "0").unwrap();
    }
    // What `net` sets where a check wants it.
    rig.director.namespace().sysctl("net/ipv4/conf/eth0/accept_local", "1").unwrap();
    let services =
        [("dr4", VIP4, 5001, 0, "dr"), ("tun4", VIP4, 5002, 0, "tun"), ("dr6", VIP6, 5003, 1, "dr")];
    // The second has no VIP, and answers under its own address all the same.
    let servers = [["10.79.0.21", "fd79::21"], ["10.79.0.1", "fd79::1"]];
    for (_, vip, port, family, _) in services {
        serve(rig.web.namespace(), "web", By::Tcp, at(vip, port));
        serve(rig.web.namespace(), "web", By::Tcp, at(servers[0][family], port));
        serve(rig.client.namespace(), "bare", By::Tcp, at(servers[1][family], port));
    }
    let file = |probe: &str| {
        let mut text = String::new();
        for (name, vip, port, family, method) in services {
            text += &format!(
                "[[service]]\nname = \"{name}\"\nlisten = \"{}\"\nmethod = \"{method}\"\n\
                 check = {{ type = \"tcp\", probe = \"{probe}\", interval = \"1s\", timeout = \"900ms\", fall = 2, \
                 rise = 1 }}\n",
                at(vip, port)
            );
            for server in servers {
                text += &format!("[[service.server]]\naddress = \"{}\"\n", at(server[family], port));
            }
        }
        text
    };
    let health = |rig: &Rig, at: usize| -> Vec<Health> {
        let status = rig.status().unwrap();
        status.services.iter().map(|service| service.servers[at].health).collect()
    };
    let ways = |rig: &Rig| rig.table().iter().filter(|entry| is_way(&entry.id)).count();
    rig.configure(&file("server"));
    rig.until("all answer themselves", |rig| [0, 1].iter().all(|at| health(rig, *at) == [Health::Up; 3]));
    assert_eq!(ways(&rig), 0);
    rig.activate(&file("vip"));
    rig.until("those without the VIP are found", |rig| health(rig, 1) == [Health::Down; 3]);
    rig.until("the others have it", |rig| health(rig, 0) == [Health::Up; 3]);
    assert_eq!(ways(&rig), 6);
    let status = rig.status().unwrap();
    assert_eq!((status.services.len(), status.foreign_changes, status.problem), (3, 0, None));
    // A backup does not have the VIP, and finds the same.
    rig.director.namespace().ip(&format!("address delete {VIP4}/32 dev eth0")).unwrap();
    rig.web.namespace().ip(&format!("address delete {VIP4}/32 dev lo")).unwrap();
    rig.until("the VIP is missed", |rig| health(rig, 0)[..2] == [Health::Down; 2]);
    rig.web.namespace().ip(&format!("address add {VIP4}/32 dev lo")).unwrap();
    rig.until("the VIP is found", |rig| health(rig, 0) == [Health::Up; 3]);
    rig.activate(&file("server"));
    rig.until("no way is left", |rig| ways(rig) == 0);
}
