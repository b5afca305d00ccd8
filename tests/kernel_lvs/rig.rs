//! A director, a client and real servers in namespaces of one kernel that has IPVS; the worker `lvs` alone, without supervisor.
//!
//! ```text
//! client ──┬── director ──┬── nat1, nat2        back: 10.80.0.0/24, fd80::/64, director is the gateway
//!          ├── web1…web3  │
//!        front: 10.79.0.0/24, fd79::/64; web1…web3 accept the VIPs, as DR and TUN want it
//! ```

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use director::ipc::client;
use director::ipc::message::{LvsStatus, Reply, Request, ServerStatus, Source, Status, StoreStatus};
use director::paths::RunDir;
use director::role::Role;
use director_lab::command;
use director_lab::segment::{Host, Segment};
use director_lab::server::RealServer;

/// The VIPs.
pub const VIP4: &str = "10.79.0.100";
pub const VIP6: &str = "fd79::100";
pub const TUN4: &str = "10.79.0.101";

/// How long anything may take that is awaited: guests are emulated.
pub const PATIENCE: Duration = Duration::from_secs(40);

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
    pub director: Host,
    pub client: Host,
    /// `web1` to `web3` in front, then `nat1` and `nat2` behind the director.
    pub servers: Vec<RealServer>,
    pub run: RunDir,
    worker: Option<Child>,
    log: PathBuf,
    generation: u64,
    pub front: Segment,
    // Last, because they must outlive the cables of the others.
    pub hosts: Vec<Host>,
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
        director.address(&format!("{TUN4}/32")).unwrap();
        // A VIP is no source of the director's own packets, as vrrp sets it.
        director.address(&format!("{VIP6}/128 preferred_lft 0")).unwrap();
        second_card(&director, &back);
        director.namespace().sysctl("net/ipv4/ip_forward", "1").unwrap();
        director.namespace().sysctl("net/ipv6/conf/all/forwarding", "1").unwrap();
        let mut hosts = Vec::new();
        for last in 21..=23 {
            let web = host(
                &front,
                &format!("web{}", last - 20),
                &format!("10.79.0.{last}/24"),
                &format!("fd79::{last}/64"),
            );
            for vip in [VIP4, TUN4, VIP6] {
                web.accept_vip(vip.parse().unwrap()).unwrap();
            }
            hosts.push(web);
        }
        for last in 21..=22 {
            let nat = host(
                &back,
                &format!("nat{}", last - 20),
                &format!("10.80.0.{last}/24"),
                &format!("fd80::{last}/64"),
            );
            nat.gateway("10.80.0.1".parse().unwrap()).unwrap();
            nat.namespace().ip("-6 route replace default via fd80::1").unwrap();
            hosts.push(nat);
        }
        let everywhere: SocketAddr = "[::]:80".parse().unwrap();
        let servers = hosts.iter().map(|host| RealServer::start(host, everywhere).unwrap()).collect();
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::new(folder.path());
        let log = folder.path().join("log");
        Rig {
            director,
            client,
            servers,
            run,
            worker: None,
            log,
            generation: 0,
            front,
            hosts,
            _back: back,
            _folder: folder,
        }
    }

    /// Activates a configuration, as `store` does: two files, each replaced by rename.
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
        let text = format!(
            "version = 1\n[[interface]]\nname = \"eth0\"\naddresses = [\"10.79.0.10/24\", \"{VIP4}/32\", \"{TUN4}/32\", \
             \"fd79::10/64\", \"{VIP6}/128\"]\n{services}"
        );
        for (content, target) in
            [(serde_json::to_string(&status).unwrap(), self.run.source()), (text, self.run.active_config())]
        {
            let next = target.with_extension("next");
            std::fs::write(&next, content).unwrap();
            std::fs::rename(&next, &target).unwrap();
        }
    }

    /// Activates a configuration and waits until the worker has it.
    pub fn reload(&mut self, services: &str) {
        self.activate(services);
        let wanted = self.generation;
        until("the worker has the configuration", || {
            self.status().is_some_and(|status| status.generation == wanted)
        });
    }

    /// Starts the worker and waits until it answers.
    pub fn start(&mut self) {
        self.spawn();
        until("the worker answers", || self.status().is_some());
    }

    /// Starts the worker.
    pub fn spawn(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let binary = std::env::var("DIRECTOR_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_director").into());
        let mut command = command::bound(&binary);
        command.args(["worker", "lvs", "--run-dir"]).arg(self.run.path());
        command.stdin(Stdio::null()).stderr(log);
        let child = self.director.namespace().run(move || command.spawn()).unwrap().unwrap();
        self.worker = Some(child);
    }

    /// The worker's process.
    pub fn pid(&self) -> u32 {
        self.worker.as_ref().unwrap().id()
    }

    /// Ends the worker by `signal`, and waits until it is gone.
    pub fn end(&mut self, signal: &str) {
        let mut child = self.worker.take().unwrap();
        command::output("kill", &[signal.to_owned(), child.id().to_string()]).unwrap();
        child.wait().unwrap();
    }

    /// Pulls the cables of the front servers, or puts them back. The director knows their hardware addresses by heart, so it
    /// notices nothing but silence.
    pub fn silence(&self, silent: bool) {
        for (host, last) in self.hosts[..3].iter().zip(21..) {
            let link = host.namespace().ip("-o link show eth0").unwrap();
            let mac =
                link.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).unwrap().to_owned();
            let state = if silent { "permanent" } else { "stale" };
            let neighbour = format!("neigh replace 10.79.0.{last} lladdr {mac} dev eth0 nud {state}");
            self.director.namespace().ip(&neighbour).unwrap();
            self.front.cable(host, !silent).unwrap();
        }
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

    /// The server of this address in the first service.
    pub fn server(&self, address: &str) -> ServerStatus {
        let address: SocketAddr = address.parse().unwrap();
        let status = self.status().unwrap();
        status.services[0].servers.iter().find(|server| server.address == address).unwrap().clone()
    }

    /// The table as `ipvsadm -S` saves it, sorted.
    pub fn table(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.ipvsadm("-S -n").lines().map(|line| line.trim().to_owned()).collect();
        lines.sort();
        lines
    }

    /// Waits until the table is this, in `ipvsadm`'s words without order.
    pub fn await_table(&self, expected: &[&str]) {
        let mut expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
        expected.sort();
        let end = Instant::now() + PATIENCE;
        while self.table() != expected {
            assert!(
                Instant::now() < end,
                "table: {:#?}\nexpected: {expected:#?}\nlog:\n{}",
                self.table(),
                self.logged()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn ipvsadm(&self, arguments: &str) -> String {
        let words: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        self.director.namespace().run(move || command::output("ipvsadm", &words)).unwrap().unwrap()
    }

    /// What a verb answers: its exit status, and its output with its complaints.
    pub fn verb(&self, words: &[&str]) -> (Option<i32>, String) {
        let binary = std::env::var("DIRECTOR_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_director").into());
        let output = std::process::Command::new(binary)
            .args(words)
            .arg("--run-dir")
            .arg(self.run.path())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Everything that the worker has logged.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks once from the client, and returns the first line of the answer, or why there is none.
    pub fn ask(&self, target: &str) -> Result<String, String> {
        let target: SocketAddr = target.parse().unwrap();
        let ask = move || director_lab::client::ask(target, "/", Duration::from_secs(5)).answer;
        self.client.namespace().run(ask).unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(mut child) = self.worker.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            println!("the worker logged:\n{}", self.logged());
        }
    }
}

/// Waits until `holds`.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
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
    for address in ["10.80.0.1/24", "fd80::1/64"] {
        director.namespace().ip(&format!("address add {address} dev eth1")).unwrap();
    }
}

/// A service of the file on `VIP4` with a fast check: `port`, method, scheduler, and servers as address and weight.
pub fn service(name: &str, listen: &str, method: &str, extra: &str, servers: &[(&str, u32)]) -> String {
    let mut text = format!(
        "[[service]]\nname = \"{name}\"\nlisten = \"{listen}\"\nmethod = \"{method}\"\n\
         check = {{ type = \"tcp\", interval = \"1s\", timeout = \"900ms\", fall = 3, rise = 1 }}\n{extra}\n"
    );
    for (address, weight) in servers {
        text += &format!("[[service.server]]\naddress = \"{address}\"\nweight = {weight}\n");
    }
    text
}

/// An address with port 80.
pub fn web(address: &str) -> String {
    let ip: IpAddr = address.parse().unwrap();
    SocketAddr::new(ip, 80).to_string()
}
