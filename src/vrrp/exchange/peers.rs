//! The boxes that were heard: who may be heard at all, what they said, and what is odd about it. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::letter::{Fault, Letter, Told};
use super::outline::{FIRMWARE, Outline, Way};
use super::pace::PATIENCE;
use crate::config::model::{HmacAuth, VrrpVersion};
use crate::ipc::message::{PeerRouter, PeerStatus, PeerWay, RouterState};
use crate::units::IfName;
use crate::vrrp::packet::{Reject, TTL};
use crate::vrrp::trailer::{self, Binding, Sequences};

/// Boxes that are remembered.
const MOST: usize = 8;
/// A box that is silent for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// An oddity counts when it lasts: a file reaches two boxes one after the other, and so does mastership.
const LASTS: Duration = Duration::from_secs(5);

/// A datagram that came in.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// Where.
    pub interface: &'a IfName,
    /// Its sender.
    pub source: IpAddr,
    /// Whether it was sent to a group.
    pub multicast: bool,
    /// TTL or hop limit.
    pub ttl: u8,
    /// What it says.
    pub bytes: &'a [u8],
}

/// Why a datagram was not heeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It cannot be taken apart.
    Malformed(Fault),
    /// Nobody here is to hear this sender: no virtual router of its way, no peer of the file, from behind a router.
    Stranger,
    /// Its signature.
    Signature(Reject),
    /// More boxes than a group has.
    Crowd,
}

impl Refusal {
    /// The names of all counters.
    pub const NAMES: [&'static str; 4] = ["malformed", "stranger", "signature", "crowd"];

    /// The name of its counter.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Stranger => "stranger",
            Self::Signature(_) => "signature",
            Self::Crowd => "crowd",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(fault) => fault.fmt(f),
            Self::Stranger => f.write_str("no virtual router here hears this sender"),
            Self::Signature(reject) => reject.fmt(f),
            Self::Crowd => write!(f, "there are {MOST} other boxes already"),
        }
    }
}

/// Everybody who was heard.
#[derive(Debug)]
pub struct Peers {
    /// Our own number.
    sender: u64,
    peers: Vec<Peer>,
    /// What was heard under each key, at each place.
    marks: Vec<Mark>,
    /// Letters of each kind; [`Refusal::NAMES`] and `letters_rcvd`.
    counters: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
struct Peer {
    letter: Letter,
    heard: Instant,
    /// At most [`MOST`], sorted.
    ways: Vec<Heard>,
    /// By name of ours.
    routers: BTreeMap<String, Told>,
    /// What is odd, and since when.
    odd: BTreeMap<String, Instant>,
    said: BTreeSet<String>,
}

#[derive(Debug)]
struct Heard {
    interface: IfName,
    address: IpAddr,
    signed: bool,
    at: Instant,
}

#[derive(Debug)]
struct Mark {
    interface: IfName,
    ipv6: bool,
    key: HmacAuth,
    heard: Sequences,
}

impl Peers {
    /// Nobody was heard; `sender` is our own number.
    #[must_use]
    pub fn new(sender: u64) -> Self {
        let counters = Refusal::NAMES.into_iter().chain(["letters_rcvd"]).map(|name| (name, 0)).collect();
        Self { sender, peers: Vec::new(), marks: Vec::new(), counters }
    }

    /// How many letters of each kind came in.
    #[must_use]
    pub const fn counters(&self) -> &BTreeMap<&'static str, u64> {
        &self.counters
    }

    /// Forgets keys that are not in use any more.
    pub fn configure(&mut self, outline: &Outline) {
        self.marks.retain(|mark| {
            outline
                .ways
                .iter()
                .any(|way| way.key.as_ref() == Some(&mark.key) && way.source(&mark.interface).is_some())
        });
    }

    /// Takes what came in; `true` when its sender was not there before. `unix` is the time since 1970.
    ///
    /// # Errors
    /// Why it was not heeded; it is counted.
    pub fn hear(
        &mut self,
        now: Instant,
        unix: Duration,
        outline: &Outline,
        arrival: Arrival<'_>,
    ) -> Result<bool, Refusal> {
        let heard = self.judge(unix, outline, arrival).and_then(|found| match found {
            Some((letter, way, signed)) => self.note(now, letter, way, signed, arrival),
            None => Ok(false),
        });
        let name = heard.as_ref().map_or_else(Refusal::name, |_| "letters_rcvd");
        *self.counters.entry(name).or_default() += 1;
        heard
    }

    /// The letter, by which way it came and whether it is signed; `None` for one of our own.
    fn judge<'a>(
        &mut self,
        unix: Duration,
        outline: &'a Outline,
        arrival: Arrival<'_>,
    ) -> Result<Option<(Letter, &'a Way, bool)>, Refusal> {
        let (letter, length) = Letter::decode(arrival.bytes).map_err(Refusal::Malformed)?;
        if letter.sender == self.sender {
            return Ok(None);
        }
        let message = arrival.bytes.get(..length).unwrap_or_default();
        let trailer: Option<&[u8; trailer::LENGTH]> =
            arrival.bytes.get(length..).and_then(<[u8]>::first_chunk);
        let mut refusal = Refusal::Stranger;
        for way in outline.ways.iter().filter(|way| may_come(way, arrival)) {
            let Some(key) = &way.key else { return Ok(Some((letter, way, false))) };
            let heard = self.marks(arrival.interface, arrival.source.is_ipv6(), key);
            match heard.verify(key, binding(arrival.source), unix, message, trailer) {
                Ok(()) => return Ok(Some((letter, way, trailer.is_some()))),
                Err(reject) => refusal = Refusal::Signature(reject),
            }
        }
        Err(refusal)
    }

    fn marks(&mut self, interface: &IfName, ipv6: bool, key: &HmacAuth) -> &mut Sequences {
        let same = |mark: &Mark| mark.interface == *interface && mark.ipv6 == ipv6 && mark.key == *key;
        let at = self.marks.iter().position(same).unwrap_or_else(|| {
            let heard = Sequences::default();
            self.marks.push(Mark { interface: interface.clone(), ipv6, key: key.clone(), heard });
            self.marks.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "its place was just found")]
        &mut self.marks[at].heard
    }

    fn note(
        &mut self,
        now: Instant,
        letter: Letter,
        way: &Way,
        signed: bool,
        arrival: Arrival<'_>,
    ) -> Result<bool, Refusal> {
        self.peers.retain(|peer| now.saturating_duration_since(peer.heard) < FORGOTTEN);
        let known = self.peers.iter().position(|peer| peer.letter.sender == letter.sender);
        if known.is_none() {
            // Another life of the same box.
            let same = |peer: &Peer| peer.ways.iter().any(|heard| heard.address == arrival.source);
            self.peers.retain(|peer| !same(peer));
            if self.peers.len() >= MOST {
                let silent = self.peers.iter().position(|peer| peer.silent(now)).ok_or(Refusal::Crowd)?;
                self.peers.remove(silent);
            }
            self.peers.push(Peer {
                letter: letter.clone(),
                heard: now,
                ways: Vec::new(),
                routers: BTreeMap::new(),
                odd: BTreeMap::new(),
                said: BTreeSet::new(),
            });
        }
        let new = known.is_none();
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.letter.sender == letter.sender) {
            peer.note(now, letter, way, signed, arrival);
        }
        Ok(new)
    }

    /// Looks for what is odd, and says it once when it lasts. Returns what is to be said of each.
    pub fn examine(&mut self, now: Instant, outline: &Outline) -> Vec<String> {
        self.peers.iter_mut().flat_map(|peer| peer.examine(now, outline)).collect()
    }

    /// Everybody, for people.
    #[must_use]
    pub fn status(&self, now: Instant, outline: &Outline) -> Vec<PeerStatus> {
        self.peers.iter().map(|peer| peer.status(now, outline)).collect()
    }
}

/// The rules of advertisements: from the segment to the group, or from a peer of the file.
fn may_come(way: &Way, arrival: Arrival<'_>) -> bool {
    let Some(ours) = way.source(arrival.interface) else { return false };
    let other = ours != arrival.source && ours.is_ipv6() == arrival.source.is_ipv6();
    let allowed = if way.peers.is_empty() {
        arrival.multicast && arrival.ttl == TTL
    } else {
        let peer = way.peers.iter().find(|peer| peer.address == arrival.source);
        !arrival.multicast && peer.is_some_and(|peer| (peer.min_ttl..=peer.max_ttl).contains(&arrival.ttl))
    };
    other && allowed
}

/// What a signature binds a letter to: no virtual router has the number 0.
#[must_use]
pub const fn binding(source: IpAddr) -> Binding {
    Binding { version: VrrpVersion::V3, vrid: 0, source }
}

impl Peer {
    fn note(&mut self, now: Instant, letter: Letter, way: &Way, signed: bool, arrival: Arrival<'_>) {
        let heard = Heard { interface: arrival.interface.clone(), address: arrival.source, signed, at: now };
        self.ways.retain(|way| (&way.interface, way.address) != (&heard.interface, heard.address));
        if self.ways.len() >= MOST {
            let oldest = self.ways.iter().map(|way| way.at).min();
            self.ways.retain(|way| Some(way.at) != oldest);
        }
        self.ways.push(heard);
        self.ways.sort_by(|a, b| (&a.interface, a.address).cmp(&(&b.interface, b.address)));
        for (name, ours) in &way.routers {
            let told = letter.routers.iter().find(|told| (told.vrid, told.ipv6) == (ours.vrid, ours.ipv6));
            match told {
                Some(told) => drop(self.routers.insert(name.clone(), *told)),
                None => drop(self.routers.remove(name)),
            }
        }
        self.letter = letter;
        self.heard = now;
    }

    /// Whether it was given the same configuration; `None` with another firmware, whose marks mean something else.
    fn agrees(&self, outline: &Outline) -> Option<bool> {
        (self.letter.firmware == FIRMWARE).then(|| self.letter.marks.agree(outline.marks))
    }

    fn silent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) >= PATIENCE
    }

    fn examine(&mut self, now: Instant, outline: &Outline) -> Vec<String> {
        let mut odd: BTreeSet<String> = BTreeSet::new();
        if self.silent(now) {
            odd.insert("it is not heard any more".to_owned());
        } else {
            if self.agrees(outline) == Some(false) {
                odd.insert("its configuration is not the same as ours".to_owned());
            }
            for (name, _) in self.ours(outline).filter(|(name, ours)| {
                let theirs = self.routers.get(*name).map(|told| told.state);
                ours.state == RouterState::Master && theirs == Some(RouterState::Master)
            }) {
                odd.insert(format!("{name} is master there and here: advertisements are lost between us"));
            }
        }
        self.odd.retain(|what, _| odd.contains(what));
        for what in odd {
            self.odd.entry(what).or_insert(now);
        }
        let lasting: BTreeSet<String> = self.lasting(now).collect();
        let new = lasting.difference(&self.said).map(|what| format!("peer {}: {what}", self.letter.hostname));
        let new = new.collect();
        self.said = lasting;
        new
    }

    fn lasting(&self, now: Instant) -> impl Iterator<Item = String> + '_ {
        let lasts = move |since: &Instant| now.saturating_duration_since(*since) >= LASTS;
        self.odd.iter().filter(move |(_, since)| lasts(since)).map(|(what, _)| what.clone())
    }

    fn ours<'a>(&self, outline: &'a Outline) -> impl Iterator<Item = (&'a String, &'a Told)> {
        outline.ways.iter().flat_map(|way| &way.routers).map(|(name, told)| (name, told))
    }

    fn status(&self, now: Instant, outline: &Outline) -> PeerStatus {
        let age =
            |at: Instant| u64::try_from(now.saturating_duration_since(at).as_millis()).unwrap_or(u64::MAX);
        let way = |heard: &Heard| PeerWay {
            interface: heard.interface.clone(),
            address: heard.address,
            signed: heard.signed,
            heard_ms: age(heard.at),
        };
        let routers = self.ours(outline).filter_map(|(name, _)| {
            let told = self.routers.get(name)?;
            Some(PeerRouter { name: name.clone(), state: told.state, priority: told.priority })
        });
        PeerStatus {
            hostname: self.letter.hostname.as_str().to_owned(),
            firmware: self.letter.firmware.as_str().to_owned(),
            heard_ms: age(self.heard),
            ways: self.ways.iter().map(way).collect(),
            generation: self.letter.generation.into(),
            same_configuration: self.agrees(outline),
            table: self.letter.table,
            sends_connections: self.letter.sends,
            hears_connections: self.letter.hears,
            routers: routers.collect(),
            warnings: self.lasting(now).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Marks;
    use crate::config::model::{HmacKey, HmacMode, Replay, VrrpPeer};

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

        fn hear(
            &mut self,
            now: Instant,
            outline: &Outline,
            source: &str,
            bytes: &[u8],
        ) -> Result<bool, Refusal> {
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
            keys: vec![HmacKey { id: 1, secret: (0..32).collect() }],
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
        assert!(lb1.peers.peers.iter().all(|peer| peer.ways.len() <= MOST));
        let bytes = letter(9999, RouterState::Backup).encode();
        assert_eq!(
            lb1.hear(now + PATIENCE, &ours, "10.0.3.1", &bytes),
            Ok(true),
            "one that is silent gives way"
        );
    }
}
