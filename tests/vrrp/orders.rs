//! What the operator wants of virtual routers, and what becomes of several of them in one engine: heartbeats, groups, refused VIPs.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use director::config::model::{
    Look, Track, TrackTarget, VirtualAddress, VirtualMac, VrrpChecksum, VrrpInstance, VrrpPeer, VrrpVersion,
};
use director::ipc::message::{PeerRouter, PeerStatus, RouterOrder, RouterState, RouterStatus};
use director::units::{Cidr, IfName, Mac, Priority, Vrid};
use director::vrrp::auth::AuthField;
use director::vrrp::effect::Effect;
use director::vrrp::engine::{Engine, Lacks, needs};
use director::vrrp::facts::{Address, Link};
use director::vrrp::instance::Entry;
use director::vrrp::packet::{Advertisement, Envelope, decode};
use director::vrrp::vips::Op;

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

pub fn config(name_: &str, vrid: i64) -> VrrpInstance {
    let vip: Cidr = format!("10.0.0.{}", 100 + vrid).parse().unwrap();
    let vips = vec![VirtualAddress::from(vip)];
    VrrpInstance {
        priority: Priority::try_from(200).unwrap(),
        ..VrrpInstance::new(name_, name("eth0"), Vrid::try_from(vrid).unwrap(), vips)
    }
}

pub struct Bench {
    pub engine: Engine,
    pub now: Instant,
}

impl Bench {
    pub fn new(configs: Vec<VrrpInstance>, services: &[&str]) -> Self {
        let now = Instant::now();
        let mut engine = Engine::new();
        engine.observe(now, |facts| {
            for (link, cidr, index) in [("eth0", "10.0.0.1/24", 2), ("eth1", "10.1.0.1/24", 3)] {
                let cidr = cidr.parse().unwrap();
                let addresses = vec![Address { cidr, ours: false, look: Look::default(), usable: true }];
                let link_ = Link { index, up: true, running: true, addresses, ..Link::default() };
                facts.links.insert(name(link), link_);
            }
        });
        if !services.is_empty() {
            engine.await_first_words(now, services.iter().map(ToString::to_string).collect());
        }
        engine.configure(now, configs, |_| Entry::Listen);
        engine.effects();
        Self { engine, now }
    }

    /// Lets time pass in steps of 10 ms.
    pub fn run(&mut self, ms: u64) {
        for _ in 0..ms / 10 {
            self.now += Duration::from_millis(10);
            self.engine.tick(self.now);
        }
    }

    pub fn routers(&self) -> Vec<RouterStatus> {
        self.engine.status(self.now, 1).instances
    }

    pub fn states(&self) -> Vec<RouterState> {
        self.routers().iter().map(|router| router.state).collect()
    }

    fn order(&mut self, order: RouterOrder, name: &str) -> Result<(), String> {
        self.engine.order(self.now, order, name)
    }

    pub fn hear(&mut self, interface: &str, vrid: u8, priority: u8) {
        let (version, interval) = (VrrpVersion::V3, Duration::from_secs(1));
        let addresses = [ip(&format!("10.0.0.{}", 100 + vrid))].into_iter().collect();
        let auth = AuthField::default();
        let advert = Advertisement { version, vrid, priority, interval, auth, addresses };
        let (source, destination) = (ip("10.0.0.2"), ip("224.0.0.18"));
        let packet = advert.encode(source, destination, VrrpChecksum::Rfc9568);
        self.engine.packet(self.now, &name(interface), Envelope::new(source, destination, 255), &packet);
    }

    /// Interface, virtual router and priority of what was sent.
    fn sent(&mut self) -> Vec<(String, u8, u8, Duration)> {
        let sent = self.engine.effects().into_iter().filter_map(|effect| match effect {
            Effect::Send { interface, source, destination, packet, .. } => {
                let advert = decode(Envelope::new(source, destination, 255), &packet).unwrap().advert;
                Some((interface.to_string(), advert.vrid, advert.priority, advert.interval))
            }
            _ => None,
        });
        sent.collect()
    }
}

use RouterState::{Backup, Fault, Master};

#[test]
fn a_failover_lasts_until_the_other_one_fails() {
    let mut bench = Bench::new(vec![config("VI_1", 1)], &[]);
    let early = bench.order(RouterOrder::Failover, "VI_1").unwrap_err();
    assert_eq!(early, "VI_1 is not master here, it is backup: started");
    bench.run(5000);
    assert_eq!(bench.states(), [Master]);
    bench.sent();
    bench.order(RouterOrder::Failover, "VI_1").unwrap();
    let hurry = Duration::from_millis(10);
    let expected = [200, 0].map(|priority| ("eth0".to_owned(), 1, priority, hurry));
    assert_eq!(bench.sent(), expected, "the short interval twice, in case that one is lost");
    let router = &bench.routers()[0];
    assert_eq!((router.state, router.order.as_deref()), (Backup, Some("yields")));
    assert!(!bench.engine.desired().is_empty(), "answers until the other one has the VIP");
    bench.run(10);
    bench.hear("eth0", 1, 100);
    assert!(!bench.engine.desired().is_empty(), "answers those whom its announcement has not reached yet");
    bench.run(20);
    assert!(bench.engine.desired().is_empty(), "lets go soon after the other one was heard");
    for _ in 0..20 {
        bench.run(1000);
        bench.hear("eth0", 1, 100);
    }
    assert_eq!(bench.states(), [Backup], "a lower one is left alone");
    bench.run(5000);
    let router = &bench.routers()[0];
    assert_eq!((router.state, router.order.as_deref()), (Master, None), "silence is a failure");
}

#[test]
fn a_release_ends_what_a_failover_has_left() {
    let mut bench = Bench::new(vec![config("VI_1", 1)], &[]);
    bench.run(5000);
    bench.order(RouterOrder::Failover, "VI_1").unwrap();
    bench.run(200);
    assert!(bench.engine.desired().is_empty(), "the VIP does not linger for long where nobody takes over");
    bench.hear("eth0", 1, 100);
    bench.order(RouterOrder::Release, "VI_1").unwrap();
    for _ in 0..4 {
        bench.run(1000);
        bench.hear("eth0", 1, 100);
    }
    assert_eq!(bench.states(), [Master]);
    let error = bench.order(RouterOrder::Release, "VI_1").unwrap_err();
    assert_eq!(error, "VI_1 is neither held nor has it handed over: nothing to release");
}

#[test]
fn who_resigns_stands_again() {
    let mut bench = Bench::new(vec![config("VI_1", 1)], &[]);
    bench.run(5000);
    bench.order(RouterOrder::Resign, "VI_1").unwrap();
    assert_eq!(bench.states(), [Backup]);
    assert_eq!(bench.routers()[0].reason, "resigned, as the operator wanted");
    for _ in 0..4 {
        bench.hear("eth0", 1, 100);
        bench.run(1000);
    }
    assert_eq!(bench.states(), [Master], "preempts as ever");
}

#[test]
fn what_is_handed_over_goes_at_once_when_the_router_is_held_meanwhile() {
    let mut bench = Bench::new(vec![config("VI_1", 1)], &[]);
    bench.run(5000);
    bench.order(RouterOrder::Resign, "VI_1").unwrap();
    assert_eq!((bench.states(), bench.engine.desired().len()), (vec![Backup], 1), "it stays for a moment");
    bench.engine.effects();
    bench.order(RouterOrder::Hold, "VI_1").unwrap();
    assert_eq!((bench.states(), bench.engine.desired().len()), (vec![Fault], 0));
    assert!(bench.engine.effects().iter().any(|effect| matches!(effect, Effect::Addresses)));
}

#[test]
fn a_group_is_held_and_released_as_one() {
    let member = |name: &str, vrid| VrrpInstance { group: Some("g".to_owned()), ..config(name, vrid) };
    let mut bench = Bench::new(vec![member("a", 1), member("b", 2), config("c", 3)], &[]);
    bench.run(5000);
    assert_eq!(bench.states(), [Master; 3]);
    bench.sent();
    bench.order(RouterOrder::Hold, "b").unwrap();
    assert_eq!(bench.states(), [Fault, Fault, Master]);
    assert_eq!(bench.routers()[1].reason, "held by the operator");
    assert_eq!(bench.sent().iter().filter(|(_, _, priority, _)| *priority == 0).count(), 2);
    bench.run(10_000);
    assert_eq!(bench.states(), [Fault, Fault, Master]);
    bench.order(RouterOrder::Release, "a").unwrap();
    bench.run(5000);
    assert_eq!(bench.states(), [Master; 3]);
    let error = bench.order(RouterOrder::Hold, "d").unwrap_err();
    assert_eq!(error, "no virtual router is named d: there are: a, b, c");
}

#[test]
fn a_master_heard_on_any_interface_counts() {
    let config = VrrpInstance { heartbeat: vec![name("eth1")], ..config("VI_1", 1) };
    let mut bench = Bench::new(vec![config], &[]);
    bench.run(5000);
    let sent = bench.sent();
    assert!(sent.iter().filter(|(interface, ..)| interface == "eth1").count() >= 2, "{sent:?}");
    bench.hear("eth1", 1, 250);
    assert_eq!(bench.states(), [Backup], "one broken cable makes no second master");
    let heard = |bench: &Bench| bench.routers()[0].counters["advert_rcvd"];
    let before = heard(&bench);
    for _ in 0..5 {
        bench.run(1000);
        bench.hear("eth0", 1, 250);
        bench.hear("eth1", 1, 250);
    }
    assert_eq!(heard(&bench) - before, 5, "the same by two ways is one");
    for _ in 0..5 {
        bench.run(1000);
        bench.hear("eth1", 1, 250);
    }
    assert_eq!(heard(&bench) - before, 10, "one way is enough");
    let before = heard(&bench);
    // As one that resigns says two things at once, each by both ways.
    for interface in ["eth0", "eth1"] {
        bench.hear(interface, 1, 251);
        bench.hear(interface, 1, 252);
    }
    assert_eq!(heard(&bench) - before, 2, "doubles of two are none of them news");
    assert_eq!(bench.states(), [Backup]);
}

#[test]
fn half_a_group_that_a_new_file_has_made_gives_way() {
    let member = |name: &str, vrid, priority| VrrpInstance {
        group: Some("g".to_owned()),
        priority: Priority::try_from(priority).unwrap(),
        ..config(name, vrid)
    };
    let single = |config: VrrpInstance| VrrpInstance { group: None, ..config };
    for (first, second, hold) in [(200, 100, false), (100, 200, true)] {
        let (a, b) = (member("a", 1, first), member("b", 2, second));
        let mut bench = Bench::new(vec![single(a.clone()), single(b.clone())], &[]);
        let theirs = if first > second { 2 } else { 1 };
        for _ in 0..5 {
            bench.hear("eth0", theirs, 150);
            bench.run(1000);
        }
        let mut states = [Master; 2];
        states[usize::from(theirs) - 1] = Backup;
        assert_eq!(bench.states(), states, "each box has one");
        bench.sent();
        bench.engine.configure(bench.now, vec![a, b], |_| Entry::Listen);
        assert_eq!(bench.states(), [Backup; 2], "half a group is never master");
        assert_eq!(bench.sent().iter().filter(|(_, _, priority, _)| *priority == 0).count(), 1, "resigns");
        bench.run(4_000);
        let expected = if hold { [Backup; 2] } else { [Master; 2] };
        assert_eq!(bench.states(), expected, "who was behind at the first member lets the other go first");
        bench.run(4_000);
        assert_eq!(bench.states(), [Master; 2], "and does not wait for ever");
    }
}

#[test]
fn a_new_member_takes_nothing_from_its_group() {
    let member = |name: &str, vrid| VrrpInstance { group: Some("g".to_owned()), ..config(name, vrid) };
    let mut bench = Bench::new(vec![member("a", 1)], &[]);
    bench.run(5_000);
    bench.engine.configure(bench.now, vec![member("a", 1), member("b", 2)], |_| Entry::Listen);
    assert_eq!(bench.states(), [Master, Backup]);
    bench.run(5_000);
    assert_eq!(bench.states(), [Master; 2]);
}

#[test]
fn who_is_not_master_hands_nothing_over() {
    let member = |name: &str, vrid| VrrpInstance { group: Some("g".to_owned()), ..config(name, vrid) };
    let mut bench = Bench::new(vec![member("a", 1)], &[]);
    bench.run(5_000);
    bench.engine.configure(bench.now, vec![member("a", 1), member("b", 2)], |_| Entry::Listen);
    assert_eq!(bench.states(), [Master, Backup]);
    bench.order(RouterOrder::Failover, "a").unwrap();
    let held: Vec<String> =
        bench.engine.desired().values().flat_map(|vips| vips.keys()).map(|c| c.to_string()).collect();
    assert_eq!(held, ["10.0.0.101/32"], "the VIP of b is another box's");
}

#[test]
fn a_refused_vip_makes_way_for_the_other_box_and_nothing_goes_back_and_forth() {
    let lacks = |again| [("VI_1".to_owned(), ("cannot set VIP 10.0.0.101/32".to_owned(), again))].into();
    let mut bench = Bench::new(vec![config("VI_1", 1)], &[]);
    bench.run(5_000);
    bench.engine.lacks(bench.now, &lacks(false));
    assert_eq!(bench.states(), [Master], "once is chance");
    bench.engine.lacks(bench.now, &lacks(true));
    assert_eq!(bench.states(), [Fault]);
    assert_eq!(bench.routers()[0].reason, "cannot set VIP 10.0.0.101/32");
    bench.run(4_000);
    for _ in 0..10 {
        bench.hear("eth0", 1, 100);
        bench.run(1_000);
    }
    assert_eq!(bench.states(), [Backup], "leaves the other one alone, though that is lower");
    bench.run(4_000);
    assert_eq!(bench.states(), [Master], "the other one is gone");
    bench.engine.lacks(bench.now, &lacks(false));
    bench.engine.lacks(bench.now, &lacks(true));
    assert_eq!(bench.states(), [Fault], "somebody may be there");
    bench.run(10_000);
    assert_eq!(bench.states(), [Master]);
    bench.engine.lacks(bench.now, &lacks(true));
    assert_eq!(bench.states(), [Master], "nobody was: what could be set is better than nothing");
    assert!(bench.engine.is_wary());
    bench.engine.lacks(bench.now, &Lacks::new());
    assert!(!bench.engine.is_wary(), "all VIPs are set");
}

#[test]
fn who_lacks_what_is_refused() {
    let device = VirtualMac { device: name("v4.1.eth0"), mac: Mac([0, 0, 0x5e, 0, 1, 1]), advertises: true };
    let first = VrrpInstance { virtual_mac: Some(device.clone()), ..config("VI_1", 1) };
    let mut bench = Bench::new(vec![first, config("VI_2", 2)], &[]);
    bench.run(5_000);
    let lack = |op: &Op| {
        let lack = bench.engine.masters().filter(|instance| needs(instance, op));
        lack.map(|instance| instance.config().name.clone()).collect::<Vec<_>>()
    };
    let interface = device.device;
    let create = Op::Create { interface: interface.clone(), parent: name("eth0"), mac: device.mac };
    assert_eq!(lack(&create), ["VI_1"]);
    assert_eq!(lack(&Op::Raise { interface: interface.clone(), up: true }), ["VI_1"]);
    assert_eq!(lack(&Op::Delete { interface: interface.clone() }), ["VI_1"], "another is in its way");
    assert!(lack(&Op::Raise { interface: interface.clone(), up: false }).is_empty());
    assert!(
        lack(&Op::Raise { interface: name("v4.9.eth0"), up: true }).is_empty(),
        "of a router that has left"
    );
    let add = |interface: &IfName, cidr: &str| Op::Add {
        interface: interface.clone(),
        cidr: cidr.parse().unwrap(),
        look: Look::default(),
    };
    assert_eq!(lack(&add(&interface, "10.0.0.101")), ["VI_1"]);
    assert_eq!(lack(&add(&name("eth0"), "10.0.0.102")), ["VI_2"]);
    assert!(lack(&add(&name("eth0"), "10.0.0.101")).is_empty());
}

#[test]
fn nobody_hands_over_to_nobody() {
    let mut bench = Bench::new(vec![config("VI_1", 1), config("VI_2", 2)], &[]);
    bench.run(5_000);
    let ask = |bench: &Bench, order, name, living: &[PeerStatus]| {
        bench.engine.successor(bench.now, order, name, living)
    };
    let nobody = ask(&bench, RouterOrder::Failover, "VI_1", &[]).unwrap_err();
    assert_eq!(nobody, "no other box is known that would take VI_1 over");
    assert_eq!(ask(&bench, RouterOrder::Hold, "VI_1", &[]), Ok(()), "who holds knows why");
    assert_eq!(ask(&bench, RouterOrder::Resign, "VI_7", &[]), Ok(()), "another complaint");
    bench.hear("eth0", 1, 100);
    assert_eq!(ask(&bench, RouterOrder::Resign, "VI_1", &[]), Ok(()));
    assert!(ask(&bench, RouterOrder::Resign, "VI_2", &[]).is_err());
    let peer = |state| PeerStatus {
        hostname: "b".to_owned(),
        firmware: String::new(),
        heard_ms: 0,
        ways: Vec::new(),
        generation: 1,
        same_configuration: None,
        table: None,
        sends_connections: false,
        hears_connections: false,
        routers: vec![PeerRouter { name: "VI_2".to_owned(), state, priority: 100, heard_ms: 0 }],
        warnings: Vec::new(),
    };
    assert_eq!(ask(&bench, RouterOrder::Failover, "VI_2", &[peer(Backup)]), Ok(()));
    // Its box is heard, by the ways of others.
    let mut dead = peer(Backup);
    dead.routers[0].heard_ms = 60_000;
    let silent = ask(&bench, RouterOrder::Failover, "VI_2", &[dead]).unwrap_err();
    assert_eq!(silent, "the other box that would take VI_2 over was last heard 60 s ago");
    let broken = ask(&bench, RouterOrder::Failover, "VI_2", &[peer(Fault)]).unwrap_err();
    assert_eq!(broken, "the other box cannot take VI_2 over, it is in fault");
}

#[test]
fn counters_begin_at_zero_when_the_operator_wants_it() {
    let mut bench = Bench::new(vec![config("a", 1), config("b", 2)], &[]);
    bench.run(5_000);
    bench.hear("eth0", 77, 100);
    bench.order(RouterOrder::Clear, "a").unwrap();
    let status = bench.engine.status(bench.now, 1);
    assert!(status.counters.values().chain(status.instances[0].counters.values()).all(|n| *n == 0));
    assert_eq!(status.instances[1].counters["become_master"], 1, "of another group");
    assert_eq!(bench.states(), [Master; 2]);
}

#[test]
fn another_name_is_the_same_virtual_router() {
    let mut bench = Bench::new(vec![config("a", 1), config("b", 2)], &[]);
    bench.run(5_000);
    bench.order(RouterOrder::Hold, "b").unwrap();
    bench.sent();
    bench.engine.configure(bench.now, vec![config("c", 1), config("d", 2)], |_| Entry::Listen);
    assert_eq!(bench.states(), [Master, Fault]);
    assert_eq!(bench.routers()[1].reason, "held by the operator");
    assert_eq!(bench.sent(), [], "nobody resigns");
    // Two change places: each goes on under its own name.
    bench.engine.configure(bench.now, vec![config("d", 1), config("c", 2)], |_| Entry::Listen);
    assert_eq!(bench.states(), [Fault, Backup]);
}

#[test]
fn peers_tell_two_routers_of_one_number_apart() {
    let to =
        |name: &str, peer: &str| VrrpInstance { peers: vec![VrrpPeer::new(ip(peer))], ..config(name, 1) };
    let mut bench = Bench::new(vec![to("a", "10.0.0.3"), to("b", "10.0.0.2")], &[]);
    bench.run(5_000);
    bench.hear("eth0", 1, 250);
    assert_eq!(bench.states(), [Master, Backup], "10.0.0.2 has spoken");
}

#[test]
fn what_is_up_counts_as_failed_when_reversed() {
    let reversed = |weight| {
        let target = TrackTarget::Interface(name("eth1"));
        VrrpInstance { track: vec![Track { target, weight, reverse: true }], ..config("VI_1", 1) }
    };
    let eth1 = |bench: &mut Bench, up: bool| {
        bench.engine.observe(bench.now, |facts| facts.links.get_mut(&name("eth1")).unwrap().up = up);
    };
    let mut bench = Bench::new(vec![reversed(None)], &[]);
    assert_eq!(
        (bench.states(), bench.routers()[0].reason.as_str()),
        (vec![Fault], "tracked interface eth1 is up")
    );
    eth1(&mut bench, false);
    assert_eq!(bench.states(), [Backup]);
    for (weight, up, down) in [(-30, 170, 200), (30, 200, 230)] {
        let mut bench = Bench::new(vec![reversed(Some(weight))], &[]);
        assert_eq!(bench.routers()[0].priority, up, "{weight}");
        eth1(&mut bench, false);
        assert_eq!(bench.routers()[0].priority, down, "{weight}");
    }
}
