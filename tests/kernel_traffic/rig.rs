//! A client, a director and real servers in namespaces of one kernel; the worker `lvs` alone, without supervisor.
//!
//! ```text
//! client ──┬── director ──┬── nat         the director is its gateway
//!          ├── web, web2  └── full        knows no way to the client
//!        front: 10.79.0.0/24, fd79::/64   back: 10.80.0.0/24, fd80::/64
//! ```
//!
//! `web` and `web2` accept the VIPs, as DR and TUN want it; `web` unwraps every tunnel.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use director::ipc::message::LvsStatus;
use director::ipvs::{Client, ServiceEntry, ServiceId, Stats};
use director_lab::command;
use director_lab::namespace::Namespace;
use director_lab::segment::{Host, Segment};

use super::common::PATIENCE;
use super::common::segment::{host, second_card};
use super::common::worker::Worker;

/// The VIPs.
pub const VIP4: &str = "10.79.0.100";
pub const VIP6: &str = "fd79::100";

/// The whole.
pub struct Rig {
    pub client: Host,
    pub director: Host,
    pub web: Host,
    pub web2: Host,
    pub nat: Host,
    pub full: Host,
    pub worker: Worker,
    // Last, because they must outlive the cables of the others.
    _front: Segment,
    _back: Segment,
}

impl Rig {
    /// Sets everything up; the worker does not run yet.
    pub fn new() -> Rig {
        let (front, back) = (Segment::new().unwrap(), Segment::new().unwrap());
        let client = host(&front, "client", "10.79.0.1/24", "fd79::1/64");
        let director = host(&front, "director", "10.79.0.10/24", "fd79::10/64");
        director.address(&format!("{VIP4}/32")).unwrap();
        // A VIP is no source of the director's own packets, as vrrp sets it.
        director.address(&format!("{VIP6}/128 preferred_lft 0")).unwrap();
        second_card(&director, &back, &BEHIND);
        // What `net` sets on the interfaces of a director.
        for key in ["all/send_redirects", "eth0/send_redirects", "all/rp_filter", "eth0/rp_filter"] {
            director.namespace().sysctl(&format!("net/ipv4/conf/{key}"), "0").unwrap();
        }
        let web = host(&front, "web", "10.79.0.21/24", "fd79::21/64");
        let web2 = host(&front, "web2", "10.79.0.23/24", "fd79::23/64");
        for web in [&web, &web2] {
            for vip in [VIP4, VIP6] {
                web.accept_vip(vip.parse().unwrap()).unwrap();
            }
        }
        let nat = host(&back, "nat", "10.80.0.21/24", "fd80::21/64");
        nat.gateway("10.80.0.1".parse().unwrap()).unwrap();
        nat.namespace().ip("-6 route replace default via fd80::1").unwrap();
        let full = host(&back, "full", "10.80.0.22/24", "fd80::22/64");
        let worker = Worker::new();
        Rig { client, director, web, web2, nat, full, worker, _front: front, _back: back }
    }

    /// Gives the worker a configuration, and waits until it has carried it out without a complaint: every server is in the
    /// table.
    pub fn configure(&mut self, services: &str) {
        let wanted = self.activate(services);
        self.until("the worker has carried out the configuration", |rig| {
            rig.status().is_some_and(|status| {
                let mut there = status.services.iter().flat_map(|service| &service.servers);
                status.generation == wanted
                    && status.problem.is_none()
                    && there.all(|server| server.kernel_weight == Some(server.weight))
            })
        });
    }

    /// Gives the worker a configuration, and starts it where it does not run; returns the generation.
    pub fn activate(&mut self, services: &str) -> u64 {
        let generation = self.worker.activate(&format!("version = 1\n{INTERFACES}{services}"));
        if !self.worker.runs() {
            self.worker.spawn(&self.director);
        }
        generation
    }

    pub fn status(&self) -> Option<LvsStatus> {
        self.worker.status()
    }

    /// What the kernel counted for a service.
    pub fn counted(&self, id: ServiceId) -> Stats {
        self.table().into_iter().find(|entry| entry.id == id).unwrap_or_else(|| panic!("{id}")).stats
    }

    /// The kernel's table.
    pub fn table(&self) -> Vec<ServiceEntry> {
        self.director.namespace().run(|| Client::connect().unwrap().table().unwrap()).unwrap()
    }

    /// A program of Debian's, run on the director.
    pub fn director(&self, line: &str) -> String {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let run = move || command::output(&words[0], &words[1..]);
        self.director.namespace().run(run).unwrap().unwrap()
    }

    /// Waits until `holds`.
    pub fn until(&self, what: &str, mut holds: impl FnMut(&Rig) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}: {:#?}", self.status());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The director's addresses behind it.
const BEHIND: [&str; 6] =
    ["10.80.0.1/24", "10.80.0.200/32", "10.80.0.201/32", "10.80.0.210/32", "fd80::1/64", "fd80::200/128"];

/// What the file of every test says of the director's own addresses.
const INTERFACES: &str = r#"
[[interface]]
name = "eth0"
addresses = ["10.79.0.10/24", "10.79.0.100/32", "fd79::10/64", "fd79::100/128"]
[[interface]]
name = "eth1"
addresses = ["10.80.0.1/24", "10.80.0.200/32", "10.80.0.201/32", "10.80.0.210/32", "fd80::1/64", "fd80::200/128"]
"#;

/// `address` with `port`.
pub fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse::<IpAddr>().unwrap(), port)
}

/// Makes `web` unwrap IP in IP, GUE and GRE, by the devices that every namespace has and by some of its own where those
/// take too little: `ip6tnl0` takes IPv6 alone, and those for GRE nothing with a checksum, so that has addresses of its own,
/// 10.79.0.22 and fd79::22.
pub fn unwrap_tunnels(web: &Host) {
    web.address("10.79.0.22/24").unwrap();
    web.address("fd79::22/64").unwrap();
    let ns: &Arc<Namespace> = web.namespace();
    for line in [
        "link add any6 type ip6tnl mode any local fd79::21",
        "link add sum4 type gre local 10.79.0.22 csum",
        "link add sum6 type ip6gre local fd79::22 csum",
        "fou add port 6080 gue",
        "fou add port 6080 gue -6",
    ] {
        ns.ip(line).unwrap();
    }
    for link in ["tunl0", "sit0", "gre0", "ip6gre0", "any6", "sum4", "sum6"] {
        ns.ip(&format!("link set {link} up")).unwrap();
        let _ = ns.sysctl(&format!("net/ipv4/conf/{link}/rp_filter"), "0");
    }
    ns.sysctl("net/ipv4/conf/all/rp_filter", "0").unwrap();
}
