//! One of the other boxes: what it said, by which ways, and what is odd about it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::super::letter::{Letter, Told};
use super::super::outline::{FIRMWARE, Outline, Way};
use super::super::pace::{LEFT, PATIENCE};
use super::{Arrival, MOST};
use crate::ipc::message::{PeerRouter, PeerStatus, PeerWay, RouterState};
use crate::units::IfName;

/// A box that is silent for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// An oddity counts when it lasts: a file reaches two boxes one after the other, and so does mastership.
pub(super) const LASTS: Duration = Duration::from_secs(5);

/// One of the other boxes.
#[derive(Debug)]
pub(super) struct Peer {
    letter: Letter,
    heard: Instant,
    /// At most [`MOST`], sorted.
    ways: Vec<Heard>,
    /// By name of ours.
    routers: BTreeMap<String, Router>,
    /// What is odd, since when, and when it was last seen to be so.
    odd: BTreeMap<String, (Instant, Instant)>,
    said: BTreeSet<String>,
}

/// What it said last of a virtual router, and how that came.
#[derive(Debug)]
struct Router {
    told: Told,
    at: Instant,
    interface: IfName,
    address: IpAddr,
}

#[derive(Debug)]
struct Heard {
    interface: IfName,
    address: IpAddr,
    /// When the last letter came here that was not signed: some may be, where virtual routers have different keys.
    unsigned: Option<Instant>,
    at: Instant,
}

impl Peer {
    /// Nothing of it is known but what it says of itself.
    pub(super) fn new(now: Instant, letter: Letter) -> Self {
        let (ways, routers) = (Vec::new(), BTreeMap::new());
        Self { letter, heard: now, ways, routers, odd: BTreeMap::new(), said: BTreeSet::new() }
    }

    /// The number of its present life.
    pub(super) const fn sender(&self) -> u64 {
        self.letter.sender
    }

    pub(super) fn forgotten(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) >= FORGOTTEN
    }

    pub(super) fn came_from(&self, source: IpAddr) -> bool {
        self.ways.iter().any(|heard| heard.address == source)
    }

    /// Takes a letter of it, which may have come by any of `ways`.
    pub(super) fn note(
        &mut self,
        now: Instant,
        letter: Letter,
        ways: &[&Way],
        signed: bool,
        arrival: Arrival<'_>,
    ) {
        let here = |way: &Heard| (&way.interface, way.address) == (arrival.interface, arrival.source);
        let before = self.ways.iter().find(|way| here(way)).and_then(|way| way.unsigned);
        let unsigned = if signed { before } else { Some(now) };
        self.ways.retain(|way| !here(way));
        if self.ways.len() >= MOST {
            let oldest = self.ways.iter().map(|way| way.at).min();
            self.ways.retain(|way| Some(way.at) != oldest);
        }
        let (interface, address) = (arrival.interface.clone(), arrival.source);
        self.ways.push(Heard { interface, address, unsigned, at: now });
        self.ways.sort_by(|a, b| (&a.interface, a.address).cmp(&(&b.interface, b.address)));
        for (name, ours) in ways.iter().flat_map(|way| &way.routers) {
            let told = letter.routers.iter().find(|told| (told.vrid, told.ipv6) == (ours.vrid, ours.ipv6));
            if let Some(told) = told {
                let (interface, address) = (arrival.interface.clone(), arrival.source);
                self.routers.insert(name.clone(), Router { told: *told, at: now, interface, address });
            }
        }
        // One that it has no more is in none of the letters that come where the last word of it came. What is not heard because a cable
        // is out stays, and grows old.
        self.routers.retain(|_, router| {
            let silent = (&router.interface, router.address) != (arrival.interface, arrival.source);
            silent || now.saturating_duration_since(router.at) < LEFT
        });
        self.letter = letter;
        self.heard = now;
    }

    /// Whether it was given the same configuration; `None` with another firmware, whose marks mean something else.
    fn agrees(&self, outline: &Outline) -> Option<bool> {
        (self.letter.firmware == FIRMWARE).then(|| self.letter.marks.agree(outline.marks))
    }

    pub(super) fn silent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) >= PATIENCE
    }

    /// Looks for what is odd, and says it once when it lasts.
    pub(super) fn examine(&mut self, now: Instant, outline: &Outline) -> Vec<String> {
        // With when it was seen to be so: what a box has said last before it died is no oddity.
        let mut odd: BTreeMap<String, Instant> = BTreeMap::new();
        let names: BTreeSet<&String> =
            outline.ways.iter().flat_map(|way| &way.routers).map(|(name, _)| name).collect();
        self.routers.retain(|name, _| names.contains(name));
        if self.silent(now) {
            odd.insert("it is not heard any more".to_owned(), now);
        } else {
            if self.agrees(outline) == Some(false) {
                odd.insert("its configuration is not the same as ours".to_owned(), self.heard);
            }
            for (name, ours, theirs) in self.shared(outline) {
                if (ours.state, theirs.told.state) == (RouterState::Master, RouterState::Master) {
                    let what = format!("{name} is master there and here: advertisements are lost between us");
                    odd.insert(what, theirs.at);
                }
            }
        }
        self.odd.retain(|what, _| odd.contains_key(what));
        for (what, seen) in odd {
            self.odd.entry(what).or_insert((now, seen)).1 = seen;
        }
        let lasting: BTreeSet<String> = self.lasting().collect();
        let new = lasting.difference(&self.said).map(|what| format!("peer {}: {what}", self.letter.hostname));
        let new = new.collect();
        self.said = lasting;
        new
    }

    fn lasting(&self) -> impl Iterator<Item = String> + '_ {
        let lasts = |(since, seen): &(Instant, Instant)| seen.saturating_duration_since(*since) >= LASTS;
        self.odd.iter().filter(move |(_, times)| lasts(times)).map(|(what, _)| what.clone())
    }

    /// Virtual routers of ours of which it has spoken: name, how they are here, how they were there.
    fn shared<'a>(
        &'a self,
        outline: &'a Outline,
    ) -> impl Iterator<Item = (&'a String, &'a Told, &'a Router)> {
        outline.ways.iter().flat_map(|way| &way.routers).filter_map(|(name, ours)| {
            let theirs = self.routers.get(name)?;
            // The name may mean another one by now.
            let same = (theirs.told.vrid, theirs.told.ipv6) == (ours.vrid, ours.ipv6);
            same.then_some((name, ours, theirs))
        })
    }

    /// It, for people.
    pub(super) fn status(&self, now: Instant, outline: &Outline) -> PeerStatus {
        let age =
            |at: Instant| u64::try_from(now.saturating_duration_since(at).as_millis()).unwrap_or(u64::MAX);
        let way = |heard: &Heard| PeerWay {
            interface: heard.interface.clone(),
            address: heard.address,
            signed: heard.unsigned.is_none_or(|at| now.saturating_duration_since(at) >= LEFT),
            heard_ms: age(heard.at),
        };
        let routers = self.shared(outline).map(|(name, _, Router { told, at, .. })| PeerRouter {
            name: name.clone(),
            state: told.state,
            priority: told.priority,
            heard_ms: age(*at),
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
            warnings: self.lasting().collect(),
        }
    }
}
