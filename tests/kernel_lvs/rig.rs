//! A director, a client and real servers in namespaces of one kernel that has IPVS; the worker `lvs` alone, without supervisor.
//!
//! ```text
//! client ──┬── director ──┬── nat1, nat2        back: 10.80.0.0/24, fd80::/64, director is the gateway
//!          ├── web1…web3  │
//!        front: 10.79.0.0/24, fd79::/64; web1…web3 accept the VIPs, as DR and TUN want it
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use director::ipc::message::{LvsStatus, ServerStatus};
use director_lab::command;
use director_lab::segment::{Host, Segment};
use director_lab::server::RealServer;

use super::common::segment::{host, second_card};
use super::common::worker::Worker;
use super::common::{PATIENCE, binary, until};

/// The VIPs.
pub const VIP4: &str = "10.79.0.100";
pub const VIP6: &str = "fd79::100";
pub const TUN4: &str = "10.79.0.101";

/// The whole.
pub struct Rig {
    pub director: Host,
    pub client: Host,
    /// `web1` to `web3` in front, then `nat1` and `nat2` behind the director.
    pub servers: Vec<RealServer>,
    pub worker: Worker,
    pub front: Segment,
    // Last, because they must outlive the cables of the others.
    pub hosts: Vec<Host>,
    _back: Segment,
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
        second_card(&director, &back, &["10.80.0.1/24", "fd80::1/64"]);
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
        Rig { director, client, servers, worker: Worker::new(), front, hosts, _back: back }
    }

    /// Activates a configuration, and returns its generation.
    pub fn activate(&mut self, services: &str) -> u64 {
        self.worker.activate(&format!(
            "version = 1\n[[interface]]\nname = \"eth0\"\naddresses = [\"10.79.0.10/24\", \"{VIP4}/32\", \"{TUN4}/32\", \
             \"fd79::10/64\", \"{VIP6}/128\"]\n{services}"
        ))
    }

    /// Activates a configuration and waits until the worker has it.
    pub fn reload(&mut self, services: &str) {
        let wanted = self.activate(services);
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
        self.worker.spawn(&self.director);
    }

    /// Ends the worker by `signal`, and waits until it is gone.
    pub fn end(&mut self, signal: &str) {
        self.worker.end(signal);
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
        self.worker.status()
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
        let output = std::process::Command::new(binary())
            .args(words)
            .arg("--run-dir")
            .arg(self.worker.run.path())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Everything that the worker has logged.
    pub fn logged(&self) -> String {
        self.worker.logged()
    }

    /// Asks once from the client, and returns the first line of the answer, or why there is none.
    pub fn ask(&self, target: &str) -> Result<String, String> {
        let target: SocketAddr = target.parse().unwrap();
        let ask = move || director_lab::client::ask(target, "/", Duration::from_secs(5)).answer;
        self.client.namespace().run(ask).unwrap()
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
