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
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use director::ipc::client;
use director::ipc::message::{LvsStatus, Reply, Request, Source, Status, StoreStatus};
use director::ipvs::{Client, ServiceEntry, ServiceId, Stats};
use director::paths::RunDir;
use director::role::Role;
use director_lab::command;
use director_lab::namespace::Namespace;
use director_lab::segment::{Host, Segment};

/// The VIPs.
pub const VIP4: &str = "10.79.0.100";
pub const VIP6: &str = "fd79::100";

/// How long anything may take that is awaited: guests are emulated.
const PATIENCE: Duration = Duration::from_secs(40);

/// Why these tests cannot run here, if they cannot.
pub fn hindrance() -> Option<String> {
    if let Err(why) = director_lab::preflight::namespaces() {
        return Some(format!("{why:#}"));
    }
    let has_ipvs = std::path::Path::new("/proc/net/ip_vs").exists();
    let must = std::env::var_os("DIRECTOR_KERNEL_TEST").is_some();
    (!has_ipvs && !must)
        .then(|| "this kernel has no IPVS (/proc/net/ip_vs): `cargo image test --only kernel`".into())
}

/// The whole.
pub struct Rig {
    pub client: Host,
    pub director: Host,
    pub web: Host,
    pub web2: Host,
    pub nat: Host,
    pub full: Host,
    pub run: RunDir,
    worker: Option<Child>,
    log: std::path::PathBuf,
    generation: u64,
    // Last, because they must outlive the cables of the others.
    _front: Segment,
    _back: Segment,
    _folder: tempfile::TempDir,
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
        second_card(&director, &back);
        director.namespace().sysctl("net/ipv4/ip_forward", "1").unwrap();
        director.namespace().sysctl("net/ipv6/conf/all/forwarding", "1").unwrap();
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
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::new(folder.path());
        let log = folder.path().join("log");
        Rig {
            client,
            director,
            web,
            web2,
            nat,
            full,
            run,
            worker: None,
            log,
            generation: 0,
            _front: front,
            _back: back,
            _folder: folder,
        }
    }

    /// Gives the worker a configuration, and waits until it has carried it out without a complaint: every server is in the
    /// table.
    pub fn configure(&mut self, services: &str) {
        self.activate(services);
        let wanted = self.generation;
        self.until("the worker has carried out the configuration", |rig| {
            rig.status().is_some_and(|status| {
                let mut there = status.services.iter().flat_map(|service| &service.servers);
                status.generation == wanted
                    && status.problem.is_none()
                    && there.all(|server| server.kernel_weight == Some(server.weight))
            })
        });
    }

    /// Gives the worker a configuration, and starts it where it does not run.
    pub fn activate(&mut self, services: &str) {
        self.generation += 1;
        let status = StoreStatus {
            generation: self.generation,
            source: Source::File,
            why: "a test wants it".to_owned(),
            node: None,
            candidates: Vec::new(),
            slot: "none".to_owned(),
        };
        let text = format!("version = 1\n{INTERFACES}{services}");
        for (content, target) in
            [(serde_json::to_string(&status).unwrap(), self.run.source()), (text, self.run.active_config())]
        {
            let next = target.with_extension("next");
            std::fs::write(&next, content).unwrap();
            std::fs::rename(&next, &target).unwrap();
        }
        if self.worker.is_none() {
            self.start();
        }
    }

    fn start(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let binary = std::env::var("DIRECTOR_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_director").into());
        let mut command = command::bound(&binary);
        command.args(["worker", "lvs", "--run-dir"]).arg(self.run.path());
        command.stdin(Stdio::null()).stderr(log);
        self.worker = Some(self.director.namespace().run(move || command.spawn()).unwrap().unwrap());
    }

    pub fn status(&self) -> Option<LvsStatus> {
        match client::ask(&self.run, Role::Lvs, &Request::Status, Duration::from_secs(5)).ok()? {
            Reply::Status { status } => match *status {
                Status::Lvs(status) => Some(status),
                _ => None,
            },
            _ => None,
        }
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

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(mut child) = self.worker.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            println!("the worker logged:\n{}", std::fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

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

fn host(segment: &Segment, name: &str, v4: &str, v6: &str) -> Host {
    let host = segment.host(name, v4).unwrap();
    host.address(v6).unwrap();
    host
}

/// `eth1` of the director, on the segment behind it.
fn second_card(director: &Host, back: &Segment) {
    let path = director.namespace().path();
    back.namespace().ip(&format!("link add uplink type veth peer name eth1 netns {path}")).unwrap();
    back.namespace().ip("link set uplink master br0 up").unwrap();
    director.namespace().sysctl("net/ipv6/conf/eth1/accept_dad", "0").unwrap();
    director.namespace().ip("link set eth1 up").unwrap();
    for address in ["10.80.0.1/24", "10.80.0.200/32", "10.80.0.201/32", "10.80.0.210/32"] {
        director.namespace().ip(&format!("address add {address} dev eth1")).unwrap();
    }
    director.namespace().ip("address add fd80::1/64 dev eth1").unwrap();
    director.namespace().ip("address add fd80::200/128 dev eth1 preferred_lft 0").unwrap();
}
