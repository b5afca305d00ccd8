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
    let key = HmacAuth {
        keys: vec![HmacKey::new(1, (0..32).collect())],
        active: 1,
        replay: Replay::Time(5),
        mode: HmacMode::Enforce,
    };
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
