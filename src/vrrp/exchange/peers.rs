//! The boxes that were heard: who may be heard at all, what they said, and what is odd about it. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::letter::{Fault, Letter};
use super::outline::{Outline, Way};
use crate::config::model::{HmacAuth, VrrpVersion};
use crate::ipc::message::PeerStatus;
use crate::units::IfName;
use crate::vrrp::packet::{Reject, TTL};
use crate::vrrp::trailer::{self, Binding, Sequences};

use peer::Peer;

mod peer;

/// Boxes that are remembered.
const MOST: usize = 8;

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
struct Mark {
    interface: IfName,
    ipv6: bool,
    key: HmacAuth,
    heard: Sequences,
}

/// A letter, the ways by which it may have come, and whether it is signed.
type Judged<'a> = (Letter, Vec<&'a Way>, bool);

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
            Some((letter, ways, signed)) => self.note(now, letter, &ways, signed, arrival),
            None => Ok(false),
        });
        let name = heard.as_ref().map_or_else(Refusal::name, |_| "letters_rcvd");
        *self.counters.entry(name).or_default() += 1;
        heard
    }

    /// What a datagram says; `None` for one of our own. Routers that share an interface but not the whole way have a letter each, and
    /// only the routers in it tell which.
    fn judge<'a>(
        &mut self,
        unix: Duration,
        outline: &'a Outline,
        arrival: Arrival<'_>,
    ) -> Result<Option<Judged<'a>>, Refusal> {
        let (letter, length) = Letter::decode(arrival.bytes).map_err(Refusal::Malformed)?;
        if letter.sender == self.sender {
            return Ok(None);
        }
        let message = arrival.bytes.get(..length).unwrap_or_default();
        let trailer: Option<&[u8; trailer::LENGTH]> =
            arrival.bytes.get(length..).and_then(<[u8]>::first_chunk);
        let (mut ways, mut signed, mut refusal) = (Vec::new(), false, Refusal::Stranger);
        // Once for each key: the second time it would be a replay.
        let mut judged: Vec<(&HmacAuth, bool)> = Vec::new();
        for way in outline.ways.iter().filter(|way| may_come(way, arrival)) {
            let Some(key) = &way.key else {
                ways.push(way);
                continue;
            };
            let known = judged.iter().find(|(known, _)| *known == key).map(|(_, right)| *right);
            let right = known.unwrap_or_else(|| {
                let heard = self.marks(arrival.interface, arrival.source.is_ipv6(), key);
                let verdict = heard.verify(key, binding(arrival.source), unix, message, trailer);
                let right = verdict.is_ok();
                refusal = verdict.map_or_else(Refusal::Signature, |()| refusal.clone());
                judged.push((key, right));
                right
            });
            if right {
                signed |= trailer.is_some();
                ways.push(way);
            }
        }
        if ways.is_empty() { Err(refusal) } else { Ok(Some((letter, ways, signed))) }
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
        ways: &[&Way],
        signed: bool,
        arrival: Arrival<'_>,
    ) -> Result<bool, Refusal> {
        self.peers.retain(|peer| !peer.forgotten(now));
        let known = self.peers.iter().position(|peer| peer.sender() == letter.sender);
        if known.is_none() {
            // Another life of the same box.
            self.peers.retain(|peer| !peer.came_from(arrival.source));
            if self.peers.len() >= MOST {
                let silent = self.peers.iter().position(|peer| peer.silent(now)).ok_or(Refusal::Crowd)?;
                self.peers.remove(silent);
            }
            self.peers.push(Peer::new(now, letter.clone()));
        }
        let new = known.is_none();
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.sender() == letter.sender) {
            peer.note(now, letter, ways, signed, arrival);
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

#[cfg(test)]
mod tests;
