//! What others do to links and addresses, and what the services say.

use std::time::Duration;

use director::ipc::message::{Event, Request, RouterState};
use director::ipc::server::{self, Subscribers};
use director::role::Role;
use director_lab::segment::{Host, Segment};

use super::director::{Director, file};
use super::skip;

const PATIENCE: Duration = Duration::from_secs(10);
const ADDRESS: &str = "10.0.0.1/24";

fn router(more: &str) -> String {
    let vrrp = "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\ninterval = \"50ms\"\n\
                addresses = [\"10.0.0.45\"]\n";
    file(ADDRESS, &format!("{vrrp}{more}"))
}

fn one(more: &str) -> (Segment, Host, Director) {
    let segment = Segment::new().unwrap();
    let host = segment.host("lb1", ADDRESS).unwrap();
    let director = Director::new(&host, &router(more));
    (segment, host, director)
}

#[test]
fn a_vip_that_somebody_removes_is_put_back() {
    if skip() {
        return;
    }
    let (_segment, host, mut director) = one("");
    director.start();
    director.wait_for("master", 0, PATIENCE);
    let mark = director.log.mark();
    host.namespace().ip("address del 10.0.0.45/32 dev eth0").unwrap();
    director.log.wait("VIP put back", mark, PATIENCE);
    director.holds(&["10.0.0.45"], &[]);
    assert_eq!(director.state(), RouterState::Master);
}

/// IPv6 is off on the card of the better box: it makes way for the other one, for good, and serves with what it has when that one is gone.
#[test]
fn a_vip_that_the_kernel_refuses_goes_to_the_other_box() {
    if skip() {
        return;
    }
    let also = "priority = 200\nalso = [\"2001:db8::45/128\"]\n";
    let (segment, host, mut first) = one(also);
    let other = segment.host("lb2", "10.0.0.2/24").unwrap();
    let text = router(also).replace("priority = 200", "priority = 100").replace(ADDRESS, "10.0.0.2/24");
    let mut second = Director::new(&other, &text);
    let set = |value: &str| {
        let value = value.to_owned();
        host.namespace()
            .run(move || std::fs::write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", value))
            .unwrap()
            .unwrap();
    };
    set("1");
    first.start();
    first.log.wait("state=fault reason=cannot set VIP 2001:db8::45/128 on eth0", 0, PATIENCE);
    first.holds(&[], &["10.0.0.45"]);
    let mark = first.log.mark();
    second.start();
    second.wait_for("master", 0, PATIENCE);
    second.holds(&["10.0.0.45", "2001:db8::45"], &[]);
    first.wait_for("backup", mark, PATIENCE);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(
        (first.state(), second.state()),
        (RouterState::Backup, RouterState::Master),
        "nothing goes back"
    );
    second.stop();
    first.log.wait("state=fault reason=cannot set VIP", mark, PATIENCE);
    let mark = first.log.mark();
    first.wait_for("master", mark, PATIENCE);
    first.holds(&["10.0.0.45"], &["2001:db8::45"]);
    set("0");
    first.holds_within(&["10.0.0.45", "2001:db8::45"], &[], PATIENCE);
    assert_eq!(first.log.count("router state", mark), 2, "backup, master: {}", first.log.text());
}

#[test]
fn leftovers_of_a_former_life_go_and_foreign_addresses_stay() {
    if skip() {
        return;
    }
    let (_segment, host, mut director) = one("");
    let file = router("");
    director.configure(&file.replace("10.0.0.45", "10.0.0.99"));
    director.start();
    director.wait_for("master", 0, PATIENCE);
    director.kill();
    director.configure(&file);
    host.namespace().ip("address add 10.0.0.98/32 dev eth0").unwrap();
    let mark = director.log.mark();
    director.start();
    director.log.wait("take VIP 10.0.0.99/32 off eth0", mark, PATIENCE);
    director.holds(&["10.0.0.98"], &["10.0.0.99"]);
    director.wait_for("master", mark, PATIENCE);
    director.stop();
    assert!(!director.has("10.0.0.45") && director.has("10.0.0.98") && director.has("10.0.0.1"));
}

#[test]
fn each_fault_has_its_reason_and_ends() {
    if skip() {
        return;
    }
    let (segment, host, mut director) = one("");
    let fault = |director: &Director, reason: &str, mark| {
        director.log.wait(&format!("state=fault reason={reason}"), mark, PATIENCE);
    };
    host.namespace().ip("link set eth0 down").unwrap();
    host.namespace().ip("link set eth0 name away").unwrap();
    director.start();
    fault(&director, "interface eth0 does not exist", 0);
    let mark = director.log.mark();
    host.namespace().ip("link set away name eth0").unwrap();
    director.wait_until("told", PATIENCE, |status| status.reason == "interface eth0 is down");
    host.namespace().ip("link set eth0 up").unwrap();
    director.wait_for("master", mark, PATIENCE);

    let mark = director.log.mark();
    segment.cable(&host, false).unwrap();
    fault(&director, "interface eth0 has no carrier", mark);
    director.wait_until("without the VIP", PATIENCE, |_| !director.has("10.0.0.45"));
    segment.cable(&host, true).unwrap();
    director.wait_for("master", mark, PATIENCE);

    let mark = director.log.mark();
    host.namespace().ip("address del 10.0.0.1/24 dev eth0").unwrap();
    fault(&director, "interface eth0 has no IPv4 address of its own", mark);
    host.namespace().ip("address add 10.0.0.1/24 dev eth0").unwrap();
    director.wait_for("master", mark, PATIENCE);
    director.holds(&["10.0.0.45"], &[]);
}

/// A stand-in for `lvs` that says what it is told to.
fn publisher(director: &Director) -> std::sync::mpsc::Sender<Event> {
    let run = director.run_dir();
    let (tell, told) = std::sync::mpsc::channel::<Event>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut calls = server::listen(&run.socket(Role::Lvs)).unwrap();
            let mut subscribers = Subscribers::default();
            let (events, mut queue) = tokio::sync::mpsc::unbounded_channel();
            std::thread::spawn(move || {
                for event in told {
                    let _ = events.send(event);
                }
            });
            let mut present = Vec::new();
            loop {
                tokio::select! {
                    Some(call) = calls.recv() => if call.request == Request::Subscribe {
                        subscribers.add(call.answer, &present);
                    },
                    event = queue.recv() => {
                        let Some(event) = event else { return };
                        subscribers.emit(&event);
                        present.push(event);
                    }
                }
            }
        });
    });
    tell
}

fn web(up: bool) -> Event {
    Event::Service { service: "web".to_owned(), up }
}

const SERVICE: &str = "[[service]]\nname = \"web\"\nlisten = \"10.0.0.45:80\"\nprotocol = \"tcp\"\nscheduler = \"rr\"\n\
                       method = \"dr\"\n[[service.server]]\naddress = \"10.0.0.7:80\"\n";

#[test]
fn a_service_without_quorum_gives_up_mastership() {
    if skip() {
        return;
    }
    let (_segment, _host, mut director) =
        one(&format!("start_wait = \"0s\"\ntrack = [{{ service = \"web\" }}]\n{SERVICE}"));
    director.start();
    // Nobody has spoken of the service: that changes nothing.
    director.wait_for("master", 0, PATIENCE);
    let lvs = publisher(&director);
    let mark = director.log.mark();
    lvs.send(web(false)).unwrap();
    director.log.wait("state=fault reason=tracked service web has lost its quorum", mark, PATIENCE);
    director.wait_until("without the VIP", PATIENCE, |_| !director.has("10.0.0.45"));
    // A new life knows no less than the old one, even while nobody speaks.
    director.kill();
    let mark = director.log.mark();
    director.start();
    director.log.wait("state=fault reason=tracked service web has lost its quorum", mark, PATIENCE);
    lvs.send(web(true)).unwrap();
    director.wait_for("master", mark, PATIENCE);
    // The publisher goes: what it said last stays.
    drop(lvs);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(director.state(), RouterState::Master);
}

#[test]
fn weights_change_the_priority() {
    if skip() {
        return;
    }
    let track = "start_wait = \"0s\"\ntrack = [{ service = \"web\", weight = -60 }, { interface = \"eth0\", weight = 20 }]\n";
    let (_segment, _host, mut director) = one(&format!("{track}{SERVICE}"));
    director.start();
    director.wait_for("master", 0, PATIENCE);
    assert_eq!(director.status()[0].priority, 120);
    let lvs = publisher(&director);
    lvs.send(web(false)).unwrap();
    director.wait_until("lowered", PATIENCE, |status| status.priority == 60);
    assert_eq!(director.state(), RouterState::Master);
    lvs.send(web(true)).unwrap();
    director.wait_until("raised", PATIENCE, |status| status.priority == 120);
}

/// The box that comes back is not the master of one server of many while its twin serves with all of them.
#[test]
fn a_box_that_starts_takes_over_with_whole_services() {
    if skip() {
        return;
    }
    let (segment, _host, mut first) = one(&format!("priority = 200\n{SERVICE}"));
    let other = segment.host("lb2", "10.0.0.2/24").unwrap();
    let text = router(&format!("priority = 100\nstart_wait = \"0s\"\n{SERVICE}"));
    let mut second = Director::new(&other, &text.replace(ADDRESS, "10.0.0.2/24"));
    second.start();
    second.wait_for("master", 0, PATIENCE);
    let lvs = publisher(&first);
    lvs.send(web(true)).unwrap();
    first.start();
    first.wait_until("hears the twin", PATIENCE, |status| status.master.is_some());
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(first.state(), RouterState::Backup, "ten intervals, and not all servers have a verdict");
    assert_eq!(second.state(), RouterState::Master);
    lvs.send(Event::Primed { service: "web".to_owned() }).unwrap();
    first.wait_for("master", 0, PATIENCE);
    second.wait_for("backup", 0, PATIENCE);
}

/// What clients notice: the VIP answers under the new master's MAC as soon as it is master.
#[test]
fn the_segment_learns_who_is_master() {
    if skip() {
        return;
    }
    let (segment, host, mut director) = one("");
    let client = segment.host("client", "10.0.0.9/24").unwrap();
    // The client knows somebody else under the VIP, as after the death of another master.
    client.namespace().ip("neigh replace 10.0.0.45 lladdr 02:00:00:00:00:99 dev eth0 nud reachable").unwrap();
    director.start();
    director.wait_for("master", 0, PATIENCE);
    let mac = host.namespace().ip("-o link show dev eth0").unwrap();
    let mac = mac.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    director.wait_until("known", PATIENCE, |_| {
        client.namespace().ip("neigh show 10.0.0.45").unwrap().contains(&mac)
    });
    assert!(client.pings("10.0.0.45".parse().unwrap()));
}
