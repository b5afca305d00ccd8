//! Two boxes between two switches: the path through one of them breaks, and nobody notices but the log.

use std::net::IpAddr;
use std::time::Duration;

use director::ipc::message::RouterState;
use director_lab::capture::Capture;
use director_lab::frame::{Said, said};
use director_lab::segment::{Host, Segment};

use super::director::{Director, file};
use super::skip;

const PATIENCE: Duration = Duration::from_secs(10);

/// The two switches, the two boxes, and who listens at the second switch.
struct Rig {
    outside: Segment,
    inside: Segment,
    boxes: [Director; 2],
    second: Capture,
}

/// The port of a box on the second switch.
fn port(number: u8) -> String {
    format!("in{number}")
}

impl Rig {
    fn new(ipv6: bool) -> Self {
        let (outside, inside) = (Segment::new().unwrap(), Segment::new().unwrap());
        let address =
            |number: u8| if ipv6 { format!("fe80::{number}/64") } else { format!("10.0.0.{number}/24") };
        let vips = if ipv6 { "\"fe80::45\", \"2001:db8::45\"" } else { "\"10.0.0.45\"" };
        let make = |name: &str, number: u8, priority: u8| {
            let host = outside.host(name, &address(number)).unwrap();
            host.namespace().ip("link set eth0 addrgenmode none").unwrap();
            plug(&inside, &host, number);
            let router = format!(
                "[[interface]]\nname = \"eth1\"\naddresses = [\"10.1.0.{number}/24\"]\n[[vrrp]]\nname = \"VI_1\"\n\
                 interface = \"eth0\"\nheartbeat = [\"eth1\"]\nvrid = 51\npriority = {priority}\ninterval = \"100ms\"\n\
                 addresses = [{vips}]\n"
            );
            Director::new(&host, &file(&address(number), &router))
        };
        let mut boxes = [make("lb1", 1, 200), make("lb2", 2, 100)];
        let witness = inside.host("witness", "10.1.0.9/24").unwrap();
        let second = Capture::start(witness.namespace()).unwrap();
        boxes[0].start();
        boxes[0].wait_for("master", 0, PATIENCE);
        boxes[1].start();
        boxes[1].wait_until("listening", PATIENCE, |status| status.master_priority == Some(200));
        Self { outside, inside, boxes, second }
    }

    /// Takes the box's port out of the first switch, or puts it back: its card notices nothing.
    fn path(&self, number: usize, whole: bool) {
        let to = if whole { "master br0" } else { "nomaster" };
        self.outside.namespace().ip(&format!("link set {} {to}", self.boxes[number].host.port())).unwrap();
    }

    fn cable(&self, number: u8, whole: bool) {
        let state = if whole { "up" } else { "down" };
        self.inside.namespace().ip(&format!("link set {} {state}", port(number))).unwrap();
    }

    /// Nobody changes for ten intervals, which is nearly three times as long as a backup waits.
    fn assert_peace(&self, why: &str) {
        let marks = self.boxes.each_ref().map(|one| one.log.mark());
        std::thread::sleep(Duration::from_secs(1));
        for (one, mark) in self.boxes.iter().zip(marks) {
            assert_eq!(one.log.count("router state", mark), 0, "{why}:\n{}", one.log.text());
        }
        let states = self.boxes.each_ref().map(Director::state);
        assert_eq!(states, [RouterState::Master, RouterState::Backup], "{why}");
    }
}

fn plug(inside: &Segment, host: &Host, number: u8) {
    let port = port(number);
    let lab = inside.namespace();
    lab.ip(&format!("link add {port} type veth peer name eth1 netns {}", host.namespace().path())).unwrap();
    lab.ip(&format!("link set {port} master br0 up")).unwrap();
    host.namespace().ip("link set eth1 addrgenmode none").unwrap();
    host.namespace().ip("link set eth1 up").unwrap();
    host.namespace().ip(&format!("address add 10.1.0.{number}/24 dev eth1")).unwrap();
    // As `net` sets it on every interface of the file.
    for name in ["all", "eth1"] {
        host.namespace().sysctl(&format!("net/ipv4/conf/{name}/rp_filter"), "0").unwrap();
    }
}

fn one_path_is_enough(ipv6: bool) {
    if skip() {
        return;
    }
    let rig = Rig::new(ipv6);
    rig.assert_peace("both paths are whole");
    // The second way carries the same, under the address of the first.
    let own: IpAddr = if ipv6 { "fe80::1" } else { "10.0.0.1" }.parse().unwrap();
    let mark = rig.second.mark();
    rig.second
        .wait("a heartbeat", mark, PATIENCE, |frame| match said(&frame.bytes)? {
            Said::Advert { source, vrid: 51, priority: 200, .. } if source == own => Some(()),
            _ => None,
        })
        .unwrap();

    rig.path(0, false);
    rig.assert_peace("the first path is broken, and no card has noticed");
    rig.path(0, true);
    rig.path(1, false);
    rig.assert_peace("the backup's first path is broken");
    rig.path(1, true);
    rig.cable(1, false);
    rig.assert_peace("the second cable is pulled");
    rig.boxes.iter().for_each(Director::assert_content);

    // Without the one as without the other nobody can know better; and then one gives way.
    rig.path(0, false);
    let mark = rig.boxes[1].log.mark();
    rig.boxes[1].wait_for("master", mark.saturating_sub(1), PATIENCE);
    rig.cable(1, true);
    rig.boxes[1].wait_for("backup", mark, PATIENCE);
    rig.assert_peace("the second path alone is whole again");
}

#[test]
fn a_broken_path_makes_no_second_master() {
    one_path_is_enough(false);
}

#[test]
fn a_broken_path_makes_no_second_master_over_ipv6() {
    one_path_is_enough(true);
}
