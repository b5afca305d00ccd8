//! One of the other boxes: what it said, by which ways, and what is odd about it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::super::letter::{Letter, Told};
use super::super::outline::{FIRMWARE, Outline, Way};
use super::super::pace::PATIENCE;
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

    /// Takes a letter of it.
    pub(super) fn note(
        &mut self,
        now: Instant,
        letter: Letter,
        way: &Way,
        signed: bool,
        arrival: Arrival<'_>,
    ) {
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

    pub(super) fn silent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) >= PATIENCE
    }

    /// Looks for what is odd, and says it once when it lasts.
    pub(super) fn examine(&mut self, now: Instant, outline: &Outline) -> Vec<String> {
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

    /// It, for people.
    pub(super) fn status(&self, now: Instant, outline: &Outline) -> PeerStatus {
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
