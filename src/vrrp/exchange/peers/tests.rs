//! Whom one hears, and what is said of it.

use super::peer::LASTS;
use super::*;
use crate::config::Marks;
use crate::config::model::{HmacKey, HmacMode, Replay, VrrpPeer};
use crate::ipc::message::RouterState;
use crate::vrrp::exchange::letter::Told;
use crate::vrrp::exchange::pace::PATIENCE;

const THEN: Duration = Duration::from_secs(1_700_000_000);

fn told(state: RouterState) -> Told {
    Told { vrid: 51, ipv6: false, state, priority: 100 }
}

fn outline(key: Option<HmacAuth>, peers: &[&str]) -> Outline {
    let way = Way {
        ends: vec![("eth0".parse().unwrap(), "10.0.0.1".parse().unwrap())],
        peers: peers.iter().map(|peer| VrrpPeer::new(peer.parse().unwrap())).collect(),
        ttl: 255,
        key,
        routers: vec![("VI_1".to_owned(), told(RouterState::Master))],
    };
    Outline { generation: 1, marks: Marks { text: 1, common: 2 }, ways: vec![way], ..Outline::default() }
}

fn letter(sender: u64, state: RouterState) -> Letter {
    let mut theirs = outline(None, &[]);
    theirs.ways[0].routers[0].1 = told(state);
    theirs.letter(&theirs.ways[0], sender, "lb2", None)
}

struct Box {
    peers: Peers,
    eth0: IfName,
}

impl Box {
    fn new() -> Self {
        Self { peers: Peers::new(1), eth0: "eth0".parse().unwrap() }
    }

    fn hear(&mut self, now: Instant, outline: &Outline, source: &str, bytes: &[u8]) -> Result<bool, Refusal> {
        let source = source.parse().unwrap();
        let arrival = Arrival {
            interface: &self.eth0,
            source,
            multicast: outline.ways[0].peers.is_empty(),
            ttl: 255,
            bytes,
        };
        self.peers.hear(now, THEN, outline, arrival)
    }
}

#[test]
fn what_is_odd_is_said_once_when_it_lasts() {
    let (mut lb1, ours, start) = (Box::new(), outline(None, &[]), Instant::now());
    let other = Letter { marks: Marks { text: 7, common: 8 }, ..letter(2, RouterState::Master) };
    let hear =
        |lb1: &mut Box, at: Instant, letter: &Letter| lb1.hear(at, &ours, "10.0.0.2", &letter.encode());
    assert_eq!(hear(&mut lb1, start, &other), Ok(true), "somebody new");
    assert_eq!(lb1.peers.examine(start, &ours), [""; 0], "it may be about to change");
    let later = start + LASTS;
    assert_eq!(hear(&mut lb1, later, &other), Ok(false));
    let said = [
        "peer lb2: VI_1 is master there and here: advertisements are lost between us",
        "peer lb2: its configuration is not the same as ours",
    ];
    assert_eq!(lb1.peers.examine(later, &ours), said);
    assert_eq!(lb1.peers.examine(later, &ours), [""; 0], "once");
    let status = lb1.peers.status(later, &ours);
    assert_eq!((status[0].warnings.len(), status[0].same_configuration), (2, Some(false)));
    assert_eq!(hear(&mut lb1, later, &letter(2, RouterState::Backup)), Ok(false));
    lb1.peers.examine(later, &ours);
    let status = lb1.peers.status(later, &ours);
    assert_eq!((status[0].warnings.len(), status[0].same_configuration), (0, Some(true)));
    assert_eq!(status[0].routers[0].state, RouterState::Backup);
    let silence = later + PATIENCE;
    lb1.peers.examine(silence, &ours);
    assert_eq!(lb1.peers.examine(silence + LASTS, &ours), ["peer lb2: it is not heard any more"]);
    // Its next life takes the place of this one.
    assert_eq!(hear(&mut lb1, silence, &letter(3, RouterState::Backup)), Ok(true));
    assert_eq!(lb1.peers.status(silence, &ours).len(), 1);
}

#[test]
fn another_firmware_is_not_compared() {
    let (mut lb1, ours, now) = (Box::new(), outline(None, &[]), Instant::now());
    let other = Letter {
        firmware: "9.9".try_into().unwrap(),
        marks: Marks::default(),
        ..letter(2, RouterState::Backup)
    };
    lb1.hear(now, &ours, "10.0.0.2", &other.encode()).unwrap();
    assert_eq!(lb1.peers.status(now, &ours)[0].same_configuration, None);
}

#[test]
fn strangers_are_counted_and_not_heard() {
    let (mut lb1, ours, now) = (Box::new(), outline(None, &["10.0.0.2"]), Instant::now());
    let bytes = letter(2, RouterState::Backup).encode();
    assert_eq!(lb1.hear(now, &ours, "10.0.0.3", &bytes), Err(Refusal::Stranger));
    assert_eq!(lb1.hear(now, &ours, "10.0.0.2", &bytes[1..]), Err(Refusal::Malformed(Fault::Magic)));
    assert_eq!(lb1.hear(now, &ours, "10.0.0.2", &bytes), Ok(true));
    let own = letter(1, RouterState::Backup).encode();
    assert_eq!(lb1.hear(now, &ours, "10.0.0.2", &own), Ok(false), "our own come back by a bridge");
    let counters = lb1.peers.counters();
    assert_eq!((counters["stranger"], counters["malformed"], counters["letters_rcvd"]), (1, 1, 2));
    // From behind a router it is none of the segment.
    let group = outline(None, &[]);
    let far = Arrival {
        interface: &lb1.eth0,
        source: "10.0.0.2".parse().unwrap(),
        multicast: true,
        ttl: 254,
        bytes: &bytes,
    };
    assert_eq!(lb1.peers.hear(now, THEN, &group, far), Err(Refusal::Stranger));
}

#[test]
fn with_a_key_only_what_it_signs_is_heard_and_only_once() {
    let key = key();
    let (mut lb1, ours, now) = (Box::new(), outline(Some(key.clone()), &[]), Instant::now());
    let mut bytes = letter(2, RouterState::Backup).encode();
    let unsigned = lb1.hear(now, &ours, "10.0.0.2", &bytes);
    assert_eq!(unsigned, Err(Refusal::Signature(Reject::TrailerMissing)));
    let from = binding("10.0.0.2".parse().unwrap());
    let trailer = Sequences::default().sign(&key, from, THEN, &bytes).unwrap();
    bytes.extend_from_slice(&trailer).unwrap();
    assert_eq!(lb1.hear(now, &ours, "10.0.0.9", &bytes), Err(Refusal::Signature(Reject::Signature)));
    for place in 8..bytes.len() {
        let mut other = bytes.clone();
        other[place] ^= 1;
        assert!(lb1.hear(now, &ours, "10.0.0.2", &other).is_err(), "byte {place}");
    }
    assert_eq!(lb1.hear(now, &ours, "10.0.0.2", &bytes), Ok(true));
    assert_eq!(lb1.hear(now, &ours, "10.0.0.2", &bytes), Err(Refusal::Signature(Reject::Replay)));
}

#[test]
fn a_crowd_fills_no_memory() {
    let (mut lb1, ours, now) = (Box::new(), outline(None, &[]), Instant::now());
    for number in 0..=255_u8 {
        let bytes = letter(1000 + u64::from(number), RouterState::Backup).encode();
        let heard = lb1.hear(now, &ours, &format!("10.0.1.{number}"), &bytes);
        assert_eq!(heard.is_ok(), usize::from(number) < MOST, "{number}");
        // One that claims to be everywhere.
        let bytes = letter(1000, RouterState::Backup).encode();
        assert_eq!(lb1.hear(now + LASTS, &ours, &format!("10.0.2.{number}"), &bytes), Ok(false));
    }
    assert_eq!(lb1.peers.peers.len(), MOST);
    assert!(lb1.peers.status(now, &ours).iter().all(|peer| peer.ways.len() <= MOST));
    let bytes = letter(9999, RouterState::Backup).encode();
    assert_eq!(lb1.hear(now + PATIENCE, &ours, "10.0.3.1", &bytes), Ok(true), "one that is silent gives way");
}

fn key() -> HmacAuth {
    HmacAuth {
        keys: vec![HmacKey::new(1, (0..32).collect())],
        active: 1,
        replay: Replay::Time(5),
        mode: HmacMode::Enforce,
    }
}

/// The way of one virtual router, here a master, to the group.
fn way(interfaces: &[&str], name: &str, vrid: u8) -> Way {
    let end = |interface: &&str| (interface.parse().unwrap(), "10.0.0.1".parse().unwrap());
    let told = Told { vrid, ..told(RouterState::Master) };
    Way {
        ends: interfaces.iter().map(end).collect(),
        peers: Vec::new(),
        ttl: 255,
        key: None,
        routers: vec![(name.to_owned(), told)],
    }
}

fn of(ways: Vec<Way>) -> Outline {
    Outline { ways, ..outline(None, &[]) }
}

/// A box with the same file at the other end of the wires.
struct Twin {
    outline: Outline,
    sequences: Sequences,
}

impl Twin {
    fn new(ours: &Outline) -> Self {
        Self { outline: ours.clone(), sequences: Sequences::default() }
    }

    /// Its letters of one second, in its order, on every interface but those that are `cut`: what is known of it after each.
    fn tell(&mut self, lb1: &mut Box, ours: &Outline, at: Second, cut: &[&str]) -> Vec<String> {
        let source: IpAddr = "10.0.0.2".parse().unwrap();
        let (mut known, outline) = (Vec::new(), self.outline.clone());
        for way in &outline.ways {
            for (interface, _) in way.ends.iter().filter(|(name, _)| !cut.contains(&name.as_str())) {
                let mut bytes = outline.letter(way, 2, "lb2", None).encode();
                if let Some(key) = &way.key {
                    let trailer = self.sequences.sign(key, binding(source), at.unix(), &bytes).unwrap();
                    bytes.extend_from_slice(&trailer).unwrap();
                }
                let multicast = way.peers.is_empty();
                let arrival = Arrival { interface, source, multicast, ttl: way.ttl, bytes: &bytes };
                lb1.peers.hear(at.now(), at.unix(), ours, arrival).unwrap();
                known.push(lb1.known(at.now(), ours));
            }
        }
        known
    }
}

/// So long after a beginning.
#[derive(Clone, Copy)]
struct Second(Instant, u64);

impl Second {
    fn now(self) -> Instant {
        self.0 + Duration::from_secs(self.1)
    }

    fn unix(self) -> Duration {
        THEN + Duration::from_secs(self.1)
    }
}

impl Box {
    /// The virtual routers of the only other box, as they are there: name, state and age.
    fn known(&self, now: Instant, ours: &Outline) -> String {
        let status = self.peers.status(now, ours);
        let routers = status.iter().flat_map(|peer| &peer.routers);
        let show = |router: &crate::ipc::message::PeerRouter| {
            format!("{} {:?} {}", router.name, router.state, router.heard_ms / 1000)
        };
        routers.map(show).collect::<Vec<_>>().join(", ")
    }
}

/// Ten seconds with a twin: after the first both routers are known at every moment, and so is what is odd about them.
fn both_are_known(ours: &Outline) {
    let (mut lb1, mut lb2, start) = (Box::new(), Twin::new(ours), Instant::now());
    let mut said = Vec::new();
    for second in 0..10 {
        let at = Second(start, second);
        let known = lb2.tell(&mut lb1, ours, at, &[]);
        for known in known.iter().filter(|_| second > 0) {
            let fresh = known.replace("Master 1", "Master 0");
            assert_eq!(fresh, "VI_A Master 0, VI_B Master 0", "in second {second}");
        }
        said.extend(lb1.peers.examine(at.now(), ours));
        assert_eq!(lb1.known(at.now(), ours), "VI_A Master 0, VI_B Master 0", "after second {second}");
    }
    let odd = |name| format!("peer lb2: {name} is master there and here: advertisements are lost between us");
    assert_eq!(said, ["VI_A", "VI_B"].map(odd));
    assert_eq!(
        lb1.peers.counters()["letters_rcvd"],
        10 * ours.ways.iter().map(|w| w.ends.len() as u64).sum::<u64>()
    );
}

#[test]
fn routers_that_share_a_heartbeat_alone_are_both_known() {
    both_are_known(&of(vec![way(&["eth0", "eth2"], "VI_A", 51), way(&["eth1", "eth2"], "VI_B", 52)]));
}

#[test]
fn routers_one_of_which_has_a_heartbeat_are_both_known() {
    both_are_known(&of(vec![way(&["eth0", "eth1"], "VI_A", 51), way(&["eth0"], "VI_B", 52)]));
}

#[test]
fn routers_of_two_ttls_are_both_known() {
    let peers = vec![VrrpPeer { min_ttl: 1, ..VrrpPeer::new("10.0.0.2".parse().unwrap()) }];
    let near = Way { peers: peers.clone(), ..way(&["eth0"], "VI_A", 51) };
    let far = Way { peers, ttl: 64, ..way(&["eth0"], "VI_B", 52) };
    both_are_known(&of(vec![near, far]));
}

#[test]
fn routers_under_one_key_are_both_known() {
    let keyed = |interfaces: &[&str], name, vrid| Way { key: Some(key()), ..way(interfaces, name, vrid) };
    both_are_known(&of(vec![keyed(&["eth0", "eth1"], "VI_A", 51), keyed(&["eth0"], "VI_B", 52)]));
}

#[test]
fn a_router_with_a_key_beside_one_without_is_known_by_signed_letters_alone() {
    let signed = Way { key: Some(key()), ..way(&["eth0"], "VI_A", 51) };
    let ours = of(vec![signed, way(&["eth0"], "VI_B", 52)]);
    both_are_known(&ours);
    let (mut mixed, start) = (Box::new(), Instant::now());
    for outline in [&ours, &of(vec![ours.ways[1].clone(), ours.ways[0].clone()])] {
        let mut twin = Twin::new(outline);
        twin.tell(&mut mixed, &ours, Second(start, if outline == &ours { 0 } else { 1 }), &[]);
        assert!(
            !mixed.peers.status(start, &ours)[0].ways[0].signed,
            "one of them is not, whichever came last"
        );
    }
    both_are_known(&of(ours.ways.iter().rev().cloned().map(swap_names).collect()));
    let (mut lb1, start) = (Box::new(), Instant::now());
    // An unsigned letter that tells of both.
    let both = ours.ways.iter().flat_map(|way| way.routers.clone()).collect();
    let forged = ours.letter(&Way { routers: both, ..ours.ways[1].clone() }, 2, "lb2", None).encode();
    assert_eq!(lb1.hear(start, &ours, "10.0.0.2", &forged), Ok(true));
    assert_eq!(lb1.known(start, &ours), "VI_B Master 0");
    // One that is signed under another key, and one that was changed on the way.
    let other = HmacAuth { keys: vec![HmacKey::new(1, vec![7; 32])], ..key() };
    for (key, change) in [(other, 0), (key(), 1)] {
        let mut bytes = forged.clone();
        let trailer = Sequences::default().sign(&key, binding("10.0.0.2".parse().unwrap()), THEN, &bytes);
        bytes.extend_from_slice(&trailer.unwrap()).unwrap();
        *bytes.last_mut().unwrap() ^= change;
        assert_eq!(lb1.hear(start, &ours, "10.0.0.2", &bytes), Ok(false));
        assert_eq!(lb1.known(start, &ours), "VI_B Master 0");
    }
}

/// The first of the ways is that of VI_A.
fn swap_names(way: Way) -> Way {
    let other = |name: &str| if name == "VI_A" { "VI_B" } else { "VI_A" }.to_owned();
    Way { routers: way.routers.iter().map(|(name, told)| (other(name), *told)).collect(), ..way }
}

#[test]
fn a_router_that_has_left_the_other_box_is_forgotten_and_one_whose_cable_is_out_grows_old() {
    let ours =
        of(vec![way(&["eth0"], "VI_A", 51), way(&["eth1", "eth2"], "VI_B", 52), way(&["eth2"], "VI_C", 53)]);
    let (mut lb1, mut lb2, start) = (Box::new(), Twin::new(&ours), Instant::now());
    lb2.tell(&mut lb1, &ours, Second(start, 0), &[]);
    assert_eq!(lb1.known(start, &ours), "VI_A Master 0, VI_B Master 0, VI_C Master 0");
    lb2.outline.ways.pop();
    for second in 1..=60 {
        lb2.tell(&mut lb1, &ours, Second(start, second), &["eth0"]);
    }
    let end = Second(start, 60).now();
    assert_eq!(lb1.known(end, &ours), "VI_A Master 60, VI_B Master 0");
    // Under another number it is another one; and the name goes with our file.
    let renumbered = of(vec![way(&["eth0"], "VI_A", 99), way(&["eth1", "eth2"], "VI_B", 52)]);
    assert_eq!(lb1.known(end, &renumbered), "VI_B Master 0");
    lb1.peers.examine(end, &of(vec![way(&["eth2"], "VI_B", 52)]));
    assert_eq!(lb1.known(end, &ours), "VI_B Master 0");
}

#[test]
fn what_a_master_said_before_it_died_is_not_odd() {
    let (mut lb1, start) = (Box::new(), Instant::now());
    let ours = |state| {
        let mut ours = outline(None, &[]);
        ours.ways[0].routers[0].1 = told(state);
        ours
    };
    let last = letter(2, RouterState::Master).encode();
    lb1.hear(start, &ours(RouterState::Backup), "10.0.0.2", &last).unwrap();
    let mut said = Vec::new();
    for second in 0..=60 {
        let state = if second < 4 { RouterState::Backup } else { RouterState::Master };
        said.extend(lb1.peers.examine(start + Duration::from_secs(second), &ours(state)));
    }
    assert_eq!(said, ["peer lb2: it is not heard any more"]);
}
