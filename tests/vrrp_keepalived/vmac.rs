//! Virtual MAC addresses: neighbours learn one address for the VIP, whichever box has it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use director::ipc::message::RouterState;
use director_lab::capture::Capture;
use director_lab::frame::{Said, said};
use director_lab::segment::{Host, Segment};

use super::director::{Director, file};
use super::keepalived::Keepalived;
use super::skip;

const PATIENCE: Duration = Duration::from_secs(10);
const VIP: &str = "10.0.0.45";
const DEVICE: &str = "v4.51.eth0";
const MAC: &str = "00:00:5e:00:01:33";

fn router(vrid: u8, priority: u8, virtual_mac: &str) -> String {
    format!(
        "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = {vrid}\npriority = {priority}\ninterval = \"100ms\"\n\
         checksum = \"pseudo-header\"\naddresses = [\"{VIP}\"]\nalso = [\"2001:db8::45/128\"]\nvirtual_mac = \"{virtual_mac}\"\n"
    )
}

fn ip(host: &Host, words: &str) -> String {
    host.namespace().ip(words).unwrap()
}

fn wait(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not {what} within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Both VIPs are on the device, which is up and has the address.
fn is_carried(host: &Host, device: &str, mac: &str) -> bool {
    let addresses = host.namespace().ip(&format!("address show dev {device}")).unwrap_or_default();
    [VIP, "2001:db8::45", mac, ",UP"].iter().all(|word| addresses.contains(word))
        && !ip(host, "address show dev eth0").contains(VIP)
}

fn index(host: &Host) -> String {
    ip(host, &format!("-o link show dev {DEVICE}")).split(':').next().unwrap().to_owned()
}

#[test]
fn beside_keepalived_neighbours_learn_one_address() {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let [ours, theirs, client] = [("director", 1), ("keepalived", 2), ("client", 9)]
        .map(|(name, last)| segment.host(name, &format!("10.0.0.{last}/24")).unwrap());
    let mut director = Director::new(&ours, &file("10.0.0.1/24", &router(51, 200, "all")));
    let mut keepalived = Keepalived::new(
        &theirs,
        &format!(
            "vrrp_instance VI_1 {{\n interface eth0\n use_vmac vrrp.51\n virtual_router_id 51\n priority 100\n version 3\n \
             advert_int 0.1\n virtual_ipaddress {{\n {VIP}\n }}\n virtual_ipaddress_excluded {{\n 2001:db8::45\n }}\n}}\n"
        ),
    );
    // keepalived leaves this to the operator: else its host asks for the client in the name of the VIP, from its own address.
    theirs.namespace().sysctl("net/ipv4/conf/eth0/arp_announce", "2").unwrap();
    let vip = VIP.parse().unwrap();
    // The client asks once; what it has learnt stays right.
    let learnt = || {
        wait("answered", || client.pings(vip));
        let neighbours = ip(&client, "neighbour show");
        let entry = neighbours.lines().find(|line| line.starts_with(VIP)).unwrap_or_default().to_owned();
        assert!(entry.contains(MAC), "{neighbours}");
    };
    keepalived.start();
    keepalived.wait_for("MASTER", 0, PATIENCE);
    learnt();
    let mark = keepalived.log.mark();
    director.start();
    director.wait_for("master", 0, PATIENCE);
    keepalived.wait_for("BACKUP", mark, PATIENCE);
    wait("carried", || is_carried(&ours, DEVICE, MAC));
    learnt();
    director.assert_content();
    keepalived.assert_content();
    // What is on the wire comes from the virtual address: the switch has it at this box's port.
    let show = || director_lab::command::output("bridge", &["fdb", "show", "br", "br0"].map(str::to_owned));
    let fdb = segment.namespace().run(show).unwrap().unwrap();
    assert!(fdb.lines().any(|line| line.contains(MAC)), "{fdb}");

    let mark = keepalived.log.mark();
    director.stop();
    keepalived.wait_for("MASTER", mark, PATIENCE);
    learnt();
    assert!(!ip(&ours, "link show").contains(DEVICE), "an end leaves no device");
    director.start();
    keepalived.wait_for("BACKUP", mark, PATIENCE);
    wait("carried", || is_carried(&ours, DEVICE, MAC));
    learnt();
}

/// RFC 9568 section 7.3: IPv6 has a range of addresses of its own.
#[test]
fn beside_keepalived_neighbours_learn_one_address_over_ipv6() {
    if skip() {
        return;
    }
    const DEVICE: &str = "v6.51.eth0";
    const MAC: &str = "00:00:5e:00:02:33";
    const VIPS: [&str; 2] = ["fe80::45", "2001:db8::45"];
    let segment = Segment::new().unwrap();
    let [ours, theirs, client] = [("director", 1), ("keepalived", 2), ("client", 9)]
        .map(|(name, last)| segment.host(name, &format!("fe80::{last}/64")).unwrap());
    for (host, last) in [(&ours, 1), (&theirs, 2), (&client, 9)] {
        host.address(&format!("2001:db8::{last}/64")).unwrap();
    }
    let text = "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\npriority = 200\ninterval = \"100ms\"\n\
                addresses = [\"fe80::45\", \"2001:db8::45\"]\nvirtual_mac = \"all\"\n";
    let mut director = Director::new(&ours, &file("fe80::1/64", text));
    let mut keepalived = Keepalived::new(
        &theirs,
        &format!(
            "vrrp_instance VI_1 {{\n interface eth0\n use_vmac vrrp6.51\n virtual_router_id 51\n priority 100\n version 3\n \
             advert_int 0.1\n virtual_ipaddress {{\n {}\n }}\n}}\n",
            VIPS.join("\n ")
        ),
    );
    let vip = VIPS[1].parse().unwrap();
    let learnt = || {
        wait("answered", || client.pings(vip));
        let neighbours = ip(&client, "-6 neighbour show");
        let entry = neighbours.lines().find(|line| line.starts_with(VIPS[1])).unwrap_or_default().to_owned();
        assert!(entry.contains(MAC), "{neighbours}");
    };
    let carried = || {
        let addresses = ours.namespace().ip(&format!("address show dev {DEVICE}")).unwrap_or_default();
        VIPS.iter().chain([&MAC, &",UP"]).all(|word| addresses.contains(word))
    };
    keepalived.start();
    keepalived.wait_for("MASTER", 0, PATIENCE);
    learnt();
    let mark = keepalived.log.mark();
    let wire = Capture::start(client.namespace()).unwrap();
    director.start();
    director.wait_for("master", 0, PATIENCE);
    keepalived.wait_for("BACKUP", mark, PATIENCE);
    wait("carried", carried);
    learnt();
    // What we say comes from the virtual address, and in the name of the card's own.
    let ours = IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 1]);
    let advert = wire.wait("an advertisement", 0, PATIENCE, |frame| match said(&frame.bytes)? {
        Said::Advert { source, .. } if source == ours => Some(frame.bytes.clone()),
        _ => None,
    });
    assert_eq!(advert.unwrap()[..12], *b"\x33\x33\0\0\0\x12\0\0\x5e\0\x02\x33");
    director.assert_content();
    keepalived.assert_content();
    let mark = keepalived.log.mark();
    director.stop();
    keepalived.wait_for("MASTER", mark, PATIENCE);
    learnt();
}

#[test]
fn a_device_outlives_the_worker_and_what_is_left_over_goes() {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let host = segment.host("lb1", "10.0.0.1/24").unwrap();
    let mut director = Director::new(&host, &file("10.0.0.1/24", &router(51, 200, "vips")));
    director.start();
    director.wait_for("master", 0, PATIENCE);
    wait("carried", || is_carried(&host, DEVICE, MAC));
    for (path, value) in [
        (format!("ipv4/conf/{DEVICE}/arp_ignore"), "1"),
        (format!("ipv4/conf/{DEVICE}/accept_local"), "1"),
        (format!("ipv4/conf/{DEVICE}/rp_filter"), "0"),
        (format!("ipv4/conf/{DEVICE}/promote_secondaries"), "1"),
        (format!("ipv6/conf/{DEVICE}/addr_gen_mode"), "1"),
        ("ipv4/conf/eth0/arp_ignore".to_owned(), "1"),
        ("ipv4/conf/eth0/arp_filter".to_owned(), "1"),
        ("ipv4/conf/eth0/arp_announce".to_owned(), "2"),
    ] {
        let read = move || std::fs::read_to_string(format!("/proc/sys/net/{path}"));
        let found = host.namespace().run(read).unwrap();
        assert_eq!(found.unwrap().trim(), value);
    }
    let before = index(&host);
    director.kill();
    director.start();
    wait("carried", || is_carried(&host, DEVICE, MAC));
    assert_eq!(index(&host), before, "the same device");
    // Somebody removes it.
    ip(&host, &format!("link delete {DEVICE}"));
    wait("carried again", || is_carried(&host, DEVICE, MAC));
    // The file does not want it any more.
    director.configure(&file("10.0.0.1/24", &router(51, 200, "off")));
    director.holds(&[VIP], &[]);
    wait("removed", || !ip(&host, "link show").contains(DEVICE));
    // A life that ends badly, and another file for the next.
    director.configure(&file("10.0.0.1/24", &router(51, 200, "all")));
    wait("carried", || is_carried(&host, DEVICE, MAC));
    director.kill();
    director.configure(&file("10.0.0.1/24", &router(52, 200, "all")));
    director.start();
    wait("replaced", || is_carried(&host, "v4.52.eth0", "00:00:5e:00:01:34"));
    wait("removed", || !ip(&host, "link show").contains(DEVICE));
    director.stop();
    assert!(!ip(&host, "link show").contains("v4."), "{}", ip(&host, "link show"));
}

/// Both take over while the path between them is broken. A device that took the other's frames for its own would let both stay master.
#[test]
fn two_masters_with_one_virtual_address_hear_each_other() {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let [first, second] =
        [1, 2].map(|last| segment.host(&format!("lb{last}"), &format!("10.0.0.{last}/24")).unwrap());
    let path = |whole: bool| {
        let to = if whole { "master br0" } else { "nomaster" };
        segment.namespace().ip(&format!("link set {} {to}", first.port())).unwrap();
    };
    let mut greater = Director::new(&first, &file("10.0.0.1/24", &router(51, 200, "all")));
    let mut lesser = Director::new(&second, &file("10.0.0.2/24", &router(51, 100, "all")));
    path(false);
    greater.start();
    lesser.start();
    for (director, host) in [(&greater, &first), (&lesser, &second)] {
        director.wait_for("master", 0, PATIENCE);
        wait("carried", || is_carried(host, DEVICE, MAC));
    }
    let (mark, quiet) = (lesser.log.mark(), greater.log.mark());
    path(true);
    lesser.wait_for("backup", mark, PATIENCE);
    wait("carried by one", || is_carried(&first, DEVICE, MAC) && !is_carried(&second, DEVICE, MAC));
    assert_eq!(greater.log.count("router state", quiet), 0, "{}", greater.log.text());
}

/// A device that the kernel does not raise, or does not make: the VIPs are nowhere, so this box makes way; alone it serves as soon as it can.
#[test]
fn a_device_that_the_kernel_refuses_is_a_fault_and_what_was_in_its_way_may_go() {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let host = segment.host("lb1", "10.0.0.1/24").unwrap();
    let mut director = Director::new(&host, &file("10.0.0.1/24", &router(51, 200, "vips")));
    let told = |director: &Director, reason: &str| {
        wait("told by a master", || {
            let router = &director.status()[0];
            router.state == RouterState::Master && router.reason.contains(reason)
        });
    };
    // What a keepalived has left over has the address: the second device with it above one card cannot be up (macvlan_open).
    ip(&host, &format!("link add vrrp.51 link eth0 address {MAC} type macvlan mode private"));
    ip(&host, "link set vrrp.51 up");
    director.start();
    director.log.wait("state=fault reason=cannot set device v4.51.eth0 up: ", 0, PATIENCE);
    wait("without the VIP", || !ip(&host, "address show").contains(VIP));
    told(&director, "; cannot set device v4.51.eth0 up: ");
    let mark = director.log.mark();
    ip(&host, "link delete vrrp.51");
    wait("carried", || is_carried(&host, DEVICE, MAC));
    assert_eq!(director.log.count("router state", mark), 0, "{}", director.log.text());
    director.stop();
    // A device that has the card for itself lets no other be made (macvlan_common_newlink).
    ip(&host, "link add alone link eth0 type macvlan mode passthru");
    let mark = director.log.mark();
    director.start();
    director.log.wait(
        &format!("state=fault reason=cannot make device {DEVICE} with {MAC} on eth0: "),
        mark,
        PATIENCE,
    );
    told(&director, "; cannot make device v4.51.eth0 with ");
    let mark = director.log.mark();
    ip(&host, "link delete alone");
    wait("carried", || is_carried(&host, DEVICE, MAC));
    assert_eq!(director.log.count("router state", mark), 0, "{}", director.log.text());
}
