//! DHCP against the servers of Debian: dnsmasq and BusyBox's udhcpd.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "net/support.rs"]
mod support;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use director_lab::command::bound;
use director_lab::namespace::Namespace;
use support::{Box, PATIENCE, wait};

const MAC: &str = "52:54:00:00:00:01";
const ASK: &str = "[system]\nhostname = \"lb1\"\n[[interface]]\nname = \"eth0\"\ndhcp = true";

/// A box with one card, and the namespace with the servers on the other end of its cable.
fn pair(name: &str) -> Option<(Box, Namespace)> {
    for program in ["dnsmasq", "udhcpd"] {
        let found = Command::new(program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if found.is_err() {
            eprintln!("skipped: {program} is not installed (Debian packages dnsmasq-base and udhcpd)");
            return None;
        }
    }
    let mut host = Box::new(name)?;
    let far = Namespace::new("servers").unwrap();
    host.ns
        .ip(&format!("link add eth0 address {MAC} type veth peer name srv0 netns {}", far.path()))
        .unwrap();
    far.ip("address add 10.7.0.1/24 dev srv0").unwrap();
    far.ip("address add 10.8.0.1/24 dev srv0").unwrap();
    far.ip("link set srv0 up").unwrap();
    host.configure(ASK);
    host.start();
    Some((host, far))
}

/// A running server and its log.
struct Server {
    child: Child,
    dir: tempfile::TempDir,
}

impl Server {
    fn start(far: &Namespace, dir: tempfile::TempDir, mut command: Command) -> Self {
        let log = File::create(dir.path().join("log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = far.run(move || command.spawn()).unwrap().unwrap();
        Self { child, dir }
    }

    /// Serves `NET.100` to `NET.110` for two minutes, its shortest, and refuses what it does not know.
    fn dnsmasq(far: &Namespace, net: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = bound("dnsmasq");
        command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=srv0"]);
        command.args([
            "--dhcp-authoritative",
            "--log-dhcp",
            "--log-facility=-",
            "--user=root",
            "--pid-file=",
        ]);
        command.arg(format!("--dhcp-range={net}.100,{net}.110,255.255.255.0,120"));
        command.arg(format!("--dhcp-option=option:router,{net}.1"));
        command.arg(format!("--dhcp-option=option:dns-server,{net}.53,{net}.54"));
        command.arg(format!("--dhcp-option=option:ntp-server,{net}.123"));
        command.arg(format!("--dhcp-leasefile={}", dir.path().join("leases").display()));
        Self::start(far, dir, command)
    }

    /// Serves 10.7.0.100 alone, for `seconds`.
    fn udhcpd(far: &Namespace, seconds: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name).display().to_string();
        let config = format!(
            "start 10.7.0.100\nend 10.7.0.100\ninterface srv0\nmin_lease 1\npidfile {}\nlease_file {}\n\
             option lease {seconds}\noption subnet 255.255.255.0\noption router 10.7.0.1\n",
            file("pid"),
            file("leases")
        );
        fs::write(file("config"), config).unwrap();
        fs::write(file("leases"), "").unwrap();
        let mut command = bound("udhcpd");
        command.arg("-f").arg(file("config"));
        Self::start(far, dir, command)
    }

    fn log(&self) -> String {
        read(&self.dir.path().join("log"))
    }

    fn says(&self, needle: &str, times: usize) {
        let begin = Instant::now();
        while self.log().matches(needle).count() < times {
            assert!(begin.elapsed() < PATIENCE, "not {times} times {needle:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        wait(&mut self.child);
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_lease_gives_address_route_and_name_servers_and_outlives_the_worker() {
    let Some((mut host, far)) = pair("lease") else { return };
    let server = Server::dnsmasq(&far, "10.7.0");
    let status = host.until("bound", |status| !status.gateways.is_empty());
    let link = &status.links[&"eth0".parse().unwrap()];
    let address = link.addresses.first().unwrap().to_string();
    assert!(address.starts_with("10.7.0.1") && address.ends_with("/24"), "{address}");
    assert!(link.dhcp.starts_with("bound by 10.7.0.1 for "), "{}", link.dhcp);
    assert_eq!(status.gateways, ["10.7.0.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(status.dns, ["10.7.0.53", "10.7.0.54"].map(|ip| ip.parse::<std::net::IpAddr>().unwrap()));
    assert_eq!(status.ntp, ["10.7.0.123".parse::<std::net::IpAddr>().unwrap()]);
    assert!(host.ns.ip("route").unwrap().contains("default via 10.7.0.1 dev eth0 proto 208 metric 100"));
    server.says("client provides name: lb1", 1);

    let asked = server.log().matches("DHCPREQUEST").count();
    let recorder = host.record();
    host.kill();
    host.settle();
    let again = host.until("bound", |status| !status.gateways.is_empty());
    assert_eq!(again.links[&"eth0".parse().unwrap()].addresses, link.addresses);
    assert_eq!(recorder.changes(), Vec::<String>::new());
    assert_eq!(server.log().matches("DHCPREQUEST").count(), asked, "it asked again:\n{}", server.log());

    // Another network may be at the end of a cable that was pulled: it asks, and keeps the address meanwhile.
    far.ip("link set srv0 down").unwrap();
    host.until("unplugged", |status| !status.links[&"eth0".parse().unwrap()].carrier);
    far.ip("link set srv0 up").unwrap();
    server.says("DHCPREQUEST", asked + 1);
    assert_eq!(host.addresses(), [format!("eth0 {address}")]);

    host.configure("[[interface]]\nname = \"eth0\"\naddresses = [\"10.7.0.2/24\"]");
    host.settled();
    assert_eq!(host.addresses(), ["eth0 10.7.0.2/24"]);
}

#[test]
fn a_lease_is_renewed_and_a_refusal_leads_to_another() {
    let Some((host, far)) = pair("renew") else { return };
    let server = Server::udhcpd(&far, 4);
    host.shows("address show dev eth0", "10.7.0.100/24");
    let recorder = host.record();
    server.says("sending ACK to 10.7.0.100", 4);
    assert_eq!(recorder.changes(), Vec::<String>::new(), "renewals are silent");
    drop(server);
    // Nobody answers the renewal; the other server refuses when everybody is asked.
    let other = Server::dnsmasq(&far, "10.8.0");
    host.shows("address show dev eth0", "10.8.0.1");
    other.says("DHCPNAK", 1);
    assert!(host.log().contains("dhcp lease lost: link=eth0 reason=the server refuses it"), "{}", host.log());
    assert_eq!(host.addresses().len(), 1);
    assert!(host.ns.ip("route").unwrap().contains("default via 10.8.0.1 dev eth0"));
}

#[test]
fn a_lease_that_nobody_extends_ends() {
    let Some((host, far)) = pair("expire") else { return };
    let server = Server::udhcpd(&far, 3);
    host.shows("address show dev eth0", "10.7.0.100/24");
    drop(server);
    let status = host.until("expired", |status| status.gateways.is_empty());
    assert_eq!(status.links[&"eth0".parse().unwrap()].dhcp, "asking");
    assert_eq!(host.addresses(), Vec::<String>::new());
    assert!(host.log().contains("dhcp lease lost: link=eth0 reason=it has expired"), "{}", host.log());
}
