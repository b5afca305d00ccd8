//! What `net` would do, by folders of plain text: `director.toml` and `observed.txt` in, `ops.txt` out.
//!
//! `UPDATE=1 cargo test --test net` writes what it would do now; the difference is for review.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use director::config::model::{Gist, RouteKind};
use director::config::{NodeFacts, check};
use director::net::desired::{Facts, desired};
use director::net::dhcp::lease::Lease;
use director::net::diff::diff;
use director::net::memory::Leased;
use director::net::state::{Address, Link, Route, State};
use director::net::sysctl::Forwarding;
use director::owner;
use director::units::{Cidr, IfName, Mac};

#[test]
fn each_folder_gives_its_operations() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/net");
    let mut cases: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.join("director.toml").exists());
    cases.sort();
    assert!(!cases.is_empty());
    let mut wrong = Vec::new();
    for case in cases {
        let got = operations(&case);
        let file = case.join("ops.txt");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&file, &got).unwrap();
        }
        let want = fs::read_to_string(&file).unwrap_or_default();
        if got != want {
            wrong.push(format!("{}:\n--- wanted\n{want}--- got\n{got}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn operations(case: &Path) -> String {
    let text = fs::read_to_string(case.join("director.toml")).unwrap();
    let config =
        check(&text, "director.toml", &NodeFacts::default()).unwrap_or_else(|report| panic!("{report}"));
    let world = World::read(&fs::read_to_string(case.join("observed.txt")).unwrap());
    let facts =
        Facts { observed: &world.state, leases: &world.leases, raised: world.raised, early: &world.early };
    let wanted = desired(&config.config, &Gist::of(&config.config.services), facts);
    let ops = diff(&world.state, &wanted.state).into_iter().map(|op| format!("{op}\n"));
    ops.chain(wanted.waiting.iter().map(|why| format!("waiting: {why}\n"))).collect()
}

/// What `observed.txt` says. Words after the first of a line are pairs; `up`, `carrier`, `stacked` and `onlink` stand alone.
#[derive(Default)]
struct World {
    state: State,
    leases: BTreeMap<IfName, Leased>,
    raised: Forwarding,
    early: BTreeSet<u32>,
}

impl World {
    fn read(text: &str) -> Self {
        let mut world = Self::default();
        let mut last: Option<IfName> = None;
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[0] {
                "link" => {
                    let name: IfName = words[1].parse().unwrap();
                    world.state.links.insert(name.clone(), link(&words));
                    last = Some(name);
                }
                "address" => {
                    let address = Address { cidr: words[1].parse().unwrap(), owner: owner_of(words.get(2)) };
                    world.state.links.get_mut(last.as_ref().unwrap()).unwrap().addresses.push(address);
                }
                "route" => assert!(world.state.routes.insert(route(&words)), "{line}: twice"),
                "sysctl" => {
                    world.state.sysctls.insert(words[1].to_owned(), words[2].to_owned());
                }
                "lease" => world.lease(&words),
                "raised" => {
                    world.raised = Forwarding { ipv4: words.contains(&"ipv4"), ipv6: words.contains(&"ipv6") }
                }
                "early" => world.early.extend(words[1..].iter().map(|index| index.parse::<u32>().unwrap())),
                other => panic!("{other}: link, address, route, sysctl, lease, raised or early"),
            }
        }
        world
    }

    /// `lease eth0 10.0.0.9/24 via 10.0.0.1 mac 52:54:00:00:00:01`
    fn lease(&mut self, words: &[&str]) {
        let server: Ipv4Addr = pair(words, "via").unwrap().parse().unwrap();
        let any = Cidr { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 0 };
        let lease = Lease {
            address: words[2].parse().unwrap(),
            server,
            routes: vec![(any, Some(server))],
            dns: Vec::new(),
            ntp: Vec::new(),
            renew_at: Duration::MAX,
            rebind_at: Duration::MAX,
            expires_at: Duration::MAX,
        };
        let mac: Mac = pair(words, "mac").unwrap().parse().unwrap();
        self.leases.insert(words[1].parse().unwrap(), Leased { mac, lease });
    }
}

fn pair<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().position(|word| *word == key).map(|at| words[at + 1])
}

fn link(words: &[&str]) -> Link {
    Link {
        index: pair(words, "index").unwrap().parse().unwrap(),
        mac: pair(words, "mac").map(|mac| mac.parse().unwrap()),
        mtu: pair(words, "mtu").map_or(1500, |mtu| mtu.parse().unwrap()),
        up: words.contains(&"up"),
        carrier: words.contains(&"carrier"),
        stacked: words.contains(&"stacked"),
        ethernet: true,
        addresses: Vec::new(),
    }
}

fn route(words: &[&str]) -> Route {
    let via: Option<IpAddr> = pair(words, "via").map(|via| via.parse().unwrap());
    let to = match (words[1], via) {
        ("default", Some(IpAddr::V6(_))) => "::/0",
        ("default", _) => "0.0.0.0/0",
        (to, _) => to,
    };
    Route {
        kind: match pair(words, "type") {
            Some("local") => RouteKind::Local,
            Some("blackhole") => RouteKind::Blackhole,
            Some("unreachable") => RouteKind::Unreachable,
            _ => RouteKind::Unicast,
        },
        to: to.parse().unwrap(),
        metric: pair(words, "metric").unwrap().parse().unwrap(),
        via,
        interface: pair(words, "dev").unwrap().parse().unwrap(),
        onlink: words.contains(&"onlink"),
        owner: owner_of(pair(words, "owner").as_ref()),
    }
}

fn owner_of(word: Option<&&str>) -> u8 {
    match word {
        Some(&"net") => owner::NET,
        Some(&"vrrp") => owner::VRRP,
        Some(&"kernel") => 3,
        Some(&"foreign") | None => 0,
        Some(other) => panic!("{other}: net, vrrp, kernel or foreign"),
    }
}
