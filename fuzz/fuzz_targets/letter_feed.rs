//! What is done with letters that came in, by the fuzz target and by the test that replays the corpus.

use std::time::{Duration, Instant};

use director::config::model::{HmacAuth, HmacKey, HmacMode, Replay};
use director::ipc::message::RouterState;
use director::vrrp::exchange::letter::{LONGEST, Letter, Told};
use director::vrrp::exchange::outline::{Outline, Way};
use director::vrrp::exchange::peers::{Arrival, Peers};

/// One datagram, heard by a box without key and by one with.
pub fn feed(bytes: &[u8]) {
    if let Ok((letter, length)) = Letter::decode(bytes) {
        assert!(length <= LONGEST);
        assert_eq!(letter.encode().as_slice(), &bytes[..length], "nothing is read twice or not at all");
    }
    let key = |mode| HmacAuth {
        keys: vec![HmacKey::new(1, (0..32).collect())],
        active: 1,
        replay: Replay::Monotonic,
        mode,
    };
    let interface = "eth0".parse().unwrap();
    let now = Instant::now();
    for key in [None, Some(key(HmacMode::Permissive)), Some(key(HmacMode::Enforce))] {
        let told = Told { vrid: 51, ipv6: false, state: RouterState::Master, priority: 100 };
        let way = Way {
            ends: vec![("eth0".parse().unwrap(), "10.0.0.1".parse().unwrap())],
            peers: Vec::new(),
            ttl: 255,
            key,
            routers: vec![("VI_1".to_owned(), told)],
        };
        let outline = Outline { ways: vec![way], ..Outline::default() };
        let mut peers = Peers::new(1);
        let source = "10.0.0.2".parse().unwrap();
        let arrival = Arrival { interface: &interface, source, multicast: true, ttl: 255, bytes };
        let heard = peers.hear(now, Duration::from_secs(1_700_000_000), &outline, arrival);
        let later = now + Duration::from_secs(60);
        assert!(peers.examine(later, &outline).len() <= 4);
        let status = peers.status(later, &outline);
        assert!(status.len() <= usize::from(heard.is_ok()));
        let shown = format!("{status:?}");
        assert!(!shown.contains('\u{1b}'), "nothing that a terminal obeys");
    }
}
