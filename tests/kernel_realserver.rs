//! `director realserver up` under traffic: before it a client gets no answer, after it every way of arrival works.
//!
//! In a guest with the shipped kernel: `cargo image test --only kernel/kernel_realserver`. The table is `ipvsadm`'s.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::SocketAddr;
use std::time::Duration;

use director_lab::command;
use director_lab::segment::{Host, Segment};
use director_lab::server::RealServer;

struct Rig {
    client: Host,
    director: Host,
    web: Host,
    _server: RealServer,
    run: tempfile::TempDir,
    _segment: Segment,
}

const VIP4: &str = "10.79.0.100";
const VIP6: &str = "fd79::100";

impl Rig {
    fn new() -> Rig {
        let segment = Segment::new().unwrap();
        let host = |name: &str, v4: &str, v6: &str| {
            let host = segment.host(name, v4).unwrap();
            host.address(v6).unwrap();
            host
        };
        let client = host("client", "10.79.0.1/24", "fd79::1/64");
        let director = host("director", "10.79.0.10/24", "fd79::10/64");
        director.address(&format!("{VIP4}/32")).unwrap();
        director.address(&format!("{VIP6}/128 preferred_lft 0")).unwrap();
        let web = host("web", "10.79.0.21/24", "fd79::21/64");
        // As some distributions have it: without care nothing that comes out of a tunnel is taken.
        for link in ["all", "default", "eth0"] {
            web.namespace().sysctl(&format!("net/ipv4/conf/{link}/rp_filter"), "1").unwrap();
        }
        let server = RealServer::start(&web, "[::]:80".parse::<SocketAddr>().unwrap()).unwrap();
        Rig { client, director, web, _server: server, run: tempfile::tempdir().unwrap(), _segment: segment }
    }

    fn realserver(&self, words: &str) -> (bool, String) {
        let binary = std::env::var("DIRECTOR_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_director").into());
        let mut program = command::bound(&binary);
        program.arg("realserver").args(words.split_whitespace()).arg("--run-dir").arg(self.run.path());
        let out = self.web.namespace().run(move || program.output()).unwrap().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        (out.status.success(), text)
    }

    /// Puts the only real server into the table, by `how`.
    fn balance(&self, how: &str) {
        let mut program = command::bound("sh");
        program.arg("-ec").arg(format!(
            "ipvsadm -C\n\
             ipvsadm -A -t {VIP4}:80 -s rr; ipvsadm -a -t {VIP4}:80 -r 10.79.0.21:80 {how}\n\
             ipvsadm -A -t [{VIP6}]:80 -s rr; ipvsadm -a -t [{VIP6}]:80 -r [fd79::21]:80 {how}"
        ));
        let out = self.director.namespace().run(move || program.output()).unwrap().unwrap();
        assert!(out.status.success(), "{how}: {}", String::from_utf8_lossy(&out.stderr));
    }

    fn ask(&self, vip: &str, patience: Duration) -> Result<String, String> {
        let target: SocketAddr = format!("{vip}:80").parse().unwrap();
        let ask = move || director_lab::client::ask(target, "/", patience).answer;
        self.client.namespace().run(ask).unwrap()
    }
}

#[test]
fn a_real_server_answers_once_it_is_up() {
    if std::env::var_os("DIRECTOR_KERNEL_TEST").is_none() {
        println!("skipped: not inside a test guest: `cargo image test --only kernel`");
        return;
    }
    let rig = Rig::new();
    let vips = [VIP4.to_owned(), format!("[{VIP6}]")];
    for (how, words) in [
        ("-g", "--method dr"),
        ("-i", "--method tun"),
        ("-i --tun-type gre", "--method tun --tunnel gre"),
        ("-i --tun-type gue --tun-port 6080", "--method tun --tunnel gue"),
        ("-i --tun-type gue --tun-port 7777", "--method tun --tunnel gue --port 7777"),
    ] {
        let words = format!("--vip {VIP4} --vip {VIP6} {words}");
        rig.balance(how);
        for vip in &vips {
            let answer = rig.ask(vip, Duration::from_secs(2));
            assert!(answer.is_err(), "{how} {vip}: it answers before `up`: {answer:?}");
        }
        assert!(
            !rig.realserver(&format!("show --check {words}")).0,
            "{words}: nothing is missing before `up`"
        );
        let (right, changed) = rig.realserver(&format!("up {words}"));
        println!("{words}:\n{changed}");
        assert!(right, "{changed}");
        for vip in &vips {
            assert_eq!(rig.ask(vip, Duration::from_secs(10)).as_deref(), Ok("web"), "{how} {vip}");
        }
        let (right, shown) = rig.realserver(&format!("show --check {words}"));
        assert!(right, "{shown}");
        assert_eq!(rig.realserver(&format!("up {words}")).1, "nothing to change\n");
        // The client still reaches the director: the real server has not answered for the VIP's hardware address.
        assert!(rig.client.pings(VIP4.parse().unwrap()));
        let (right, undone) = rig.realserver(&format!("down {words}"));
        assert!(right, "{undone}");
        let filter =
            rig.web.namespace().run(|| std::fs::read_to_string("/proc/sys/net/ipv4/conf/all/rp_filter"));
        assert_eq!(filter.unwrap().unwrap().trim(), "1", "as it was");
    }
}
