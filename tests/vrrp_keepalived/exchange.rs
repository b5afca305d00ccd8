//! Two boxes tell each other of themselves beside the advertisements.

use std::net::UdpSocket;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use director::ipc::client::ask;
use director::ipc::message::{LvsSummary, PeerStatus, Reply, Request, RouterState, Status, VrrpStatus};
use director::role::Role;
use director::vrrp::exchange::letter::PORT;
use director_lab::segment::Segment;

use super::director::{Director, file};
use super::skip;

const PATIENCE: Duration = Duration::from_secs(20);
const KEY: &str = "auth = { type = \"hmac\", key = \"as many characters as it takes: 32 at least\" }\n";
/// One server of two has a check, and nobody answers it.
const WEB: &str = "[[service]]\nname = \"web\"\nlisten = \"10.0.0.45:80\"\n\
                   [[service.server]]\naddress = \"10.0.0.201\"\ncheck = { type = \"none\" }\n\
                   [[service.server]]\naddress = \"10.0.0.202\"\ncheck = { type = \"tcp\", interval = \"1s\", fall = 1 }\n";

fn router(priority: u8, interval: &str, more: &str) -> String {
    format!(
        "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\nstart_wait = \"0s\"\n\
         interval = \"{interval}\"\naddresses = [\"10.0.0.45\"]\n{more}"
    )
}

fn status(director: &Director) -> VrrpStatus {
    match ask(&director.run_dir(), Role::Vrrp, &Request::Status, Duration::from_secs(5)) {
        Ok(Reply::Status { status }) => match *status {
            Status::Vrrp(status) => status,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}\n{}", director.log.text()),
    }
}

/// Waits until what `director` knows of the others is so.
fn wait(what: &str, director: &Director, done: impl Fn(&VrrpStatus) -> bool) -> VrrpStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = status(director);
        if done(&now) {
            return now;
        }
        assert!(Instant::now() < deadline, "not {what}: {now:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn sees(status: &VrrpStatus, so: impl Fn(&PeerStatus) -> bool) -> bool {
    matches!(status.peers.as_slice(), [peer] if so(peer))
}

/// The `lvs` of a box, which has no IPVS here and yet knows its servers.
struct Lvs(Child);

impl Lvs {
    fn start(director: &Director) -> Self {
        let mut command = director_lab::command::bound(env!("CARGO_BIN_EXE_director"));
        command.args(["worker", "lvs", "--run-dir"]).arg(director.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(director.host.namespace().run(move || command.spawn()).unwrap().unwrap())
    }
}

impl Drop for Lvs {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn two_boxes_show_each_other() {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let make = |name: &str, address: &str, priority| {
        let host = segment.host(name, address).unwrap();
        Director::new(&host, &file(address, &format!("{}{WEB}", router(priority, "100ms", KEY))))
    };
    let (mut first, mut second) = (make("lb1", "10.0.0.1/24", 200), make("lb2", "10.0.0.2/24", 100));
    first.start();
    second.start();
    let _lvs = Lvs::start(&second);
    first.wait_until("master", PATIENCE, |status| status.state == RouterState::Master);
    // Without IPVS nobody judges a quorum.
    let so = |table: LvsSummary| (table.services, table.servers, table.servers_up) == (1, 2, 1);
    let seen = wait("the backup and what it has", &first, |status| {
        sees(status, |peer| {
            peer.routers.iter().all(|r| r.state == RouterState::Backup) && peer.table.is_some_and(so)
        })
    });
    let peer = &seen.peers[0];
    assert_eq!((peer.routers[0].name.as_str(), peer.routers[0].priority), ("VI_1", 100));
    assert_eq!((peer.same_configuration, peer.warnings.len()), (Some(true), 0), "{peer:?}");
    assert!(peer.ways.iter().all(|way| way.signed && way.address.to_string() == "10.0.0.2"), "{peer:?}");
    let seen = wait("the master", &second, |status| {
        sees(status, |peer| peer.routers.iter().any(|r| r.state == RouterState::Master && r.priority == 200))
    });
    assert_eq!(seen.peers[0].table, None, "no lvs there");

    // What is not signed with the key, and what is no letter at all.
    let unsigned = std::fs::read("fuzz/corpus/exchange_letter/one-router").unwrap();
    let send = move || {
        let socket = UdpSocket::bind("10.0.0.2:0").unwrap();
        socket.set_multicast_ttl_v4(255).unwrap();
        for bytes in [b"".as_slice(), b"DXCH", &unsigned] {
            socket.send_to(bytes, ("224.0.0.18", PORT)).unwrap();
        }
    };
    second.host.namespace().run(send).unwrap();
    wait("refused", &first, |status| (status.letters["malformed"], status.letters["signature"]) == (2, 1));

    // Another configuration is told on both sides, and neither cares about it in an election.
    let changes = (first.log.count("router state", 0), second.log.count("router state", 0));
    second.configure(&file("10.0.0.2/24", &format!("{}{WEB}weight = 7\n", router(100, "100ms", KEY))));
    for director in [&first, &second] {
        let warns = |peer: &PeerStatus| peer.warnings == ["its configuration is not the same as ours"];
        let seen = wait("warned", director, |status| sees(status, warns));
        assert_eq!(seen.peers[0].same_configuration, Some(false));
        director.log.wait("its configuration is not the same as ours", 0, PATIENCE);
    }
    assert_eq!((first.log.count("router state", 0), second.log.count("router state", 0)), changes);
    first.assert_content();
    second.assert_content();

    // A failover is told at once.
    first.stop();
    second.wait_until("master", PATIENCE, |status| status.state == RouterState::Master);
    first.start();
    wait("the other's next life", &second, |status| sees(status, |peer| peer.heard_ms < 2000));
}

/// Over IPv6 to the group, and to peers of the file.
#[test]
fn two_boxes_show_each_other_over_ipv6() {
    if skip() {
        return;
    }
    for unicast in [false, true] {
        let segment = Segment::new().unwrap();
        let make = |name: &str, last: u8, priority| {
            let address = format!("fe80::{last}/64");
            let host = segment.host(name, &address).unwrap();
            let peers = if unicast { format!("peers = [\"fe80::{}\"]\n", 3 - last) } else { String::new() };
            let text = router(priority, "100ms", &format!("{peers}{KEY}"));
            let text = text.replace("\"10.0.0.45\"", "\"fe80::45\", \"2001:db8::45\"");
            Director::new(&host, &file(&address, &text))
        };
        let (mut first, mut second) = (make("lb1", 1, 200), make("lb2", 2, 100));
        first.start();
        second.start();
        for (director, other, state) in
            [(&first, "fe80::2", RouterState::Backup), (&second, "fe80::1", RouterState::Master)]
        {
            let seen = wait("the other", director, |status| {
                sees(status, |peer| peer.routers.iter().any(|router| router.state == state))
            });
            let peer = &seen.peers[0];
            assert_eq!((peer.same_configuration, peer.warnings.len()), (Some(true), 0), "{peer:?}");
            assert!(peer.ways.iter().all(|way| way.signed && way.address.to_string() == other), "{peer:?}");
        }
        first.assert_content();
        second.assert_content();
    }
}

#[test]
fn who_does_not_want_it_opens_no_port() {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let host = segment.host("lb1", "10.0.0.1/24").unwrap();
    let mut director =
        Director::new(&host, &file("10.0.0.1/24", &router(200, "100ms", "exchange = false\n")));
    director.start();
    director.wait_for("master", 0, PATIENCE);
    let open = || UdpSocket::bind(("0.0.0.0", PORT)).map(drop);
    assert!(host.namespace().run(open).unwrap().is_ok());
    director.configure(&file("10.0.0.1/24", &router(200, "100ms", "")));
    let deadline = Instant::now() + PATIENCE;
    while host.namespace().run(open).unwrap().is_ok() {
        assert!(Instant::now() < deadline, "{}", director.log.text());
        std::thread::sleep(Duration::from_millis(50));
    }
    wait("letters", &director, |status| status.letters.get("letters_sent").is_some_and(|n| *n > 0));
}
