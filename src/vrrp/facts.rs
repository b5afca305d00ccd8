//! What the kernel and the other workers say: everything about the outside that decides something here.

use std::collections::{BTreeMap, BTreeSet};

use super::socket::Place;
use crate::config::model::{Look, Probe};
use crate::units::{Cidr, IfName, Mac};

/// The outside as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Links by name.
    pub links: BTreeMap<IfName, Link>,
    /// Services that `lvs` has spoken of: whether they have quorum. Who is not here is unknown, and changes nothing.
    pub services: BTreeMap<String, bool>,
    /// Verdicts on what is asked, with the answer that decided. Who is not here is unknown, and changes nothing.
    pub probes: BTreeMap<Probe, (bool, String)>,
    /// What files say, or said last that could be understood.
    pub files: BTreeMap<String, FileWord>,
    /// Why what a file says now cannot be understood, where what it said before counts on.
    pub garbled: BTreeMap<String, String>,
    /// Virtual routers that the operator keeps from taking part.
    pub held: BTreeSet<String>,
    /// Virtual routers that leave a living master alone, because the operator has handed mastership over.
    pub yielding: BTreeSet<String>,
    /// Virtual routers some of whose VIPs the kernel has refused, and why.
    pub refused: BTreeMap<String, String>,
    /// Virtual routers that leave a living master alone, because they could not set all their VIPs the last time.
    pub wary: BTreeSet<String>,
    /// Interfaces on which no socket could be opened, and why.
    pub closed: BTreeMap<Place, String>,
    /// Virtual routers that lack a key, and why.
    pub keyless: BTreeMap<String, String>,
}

impl Facts {
    /// A virtual router has another name from now on.
    pub fn rename(&mut self, old: &str, new: &str) {
        for names in [&mut self.held, &mut self.yielding, &mut self.wary] {
            if old != new && names.remove(old) {
                names.insert(new.to_owned());
            }
        }
    }

    /// A tracked file says something else. What cannot be understood changes nothing: what it said before counts on.
    pub fn file_says(&mut self, path: String, word: FileWord) {
        match (word, self.files.get(&path)) {
            (FileWord::Unreadable(why), Some(FileWord::Number(_) | FileWord::Down)) => {
                self.garbled.insert(path, why);
            }
            (word, _) => {
                self.garbled.remove(&path);
                self.files.insert(path, word);
            }
        }
    }

    /// Forgets files that nobody tracks any more.
    pub fn keep_files(&mut self, tracked: impl Fn(&str) -> bool) {
        self.files.retain(|path, _| tracked(path));
        self.garbled.retain(|path, _| tracked(path));
    }

    /// Forgets services that are not in the file any more: their names would be written down from life to life.
    pub fn keep_services(&mut self, names: &BTreeSet<String>) {
        self.services.retain(|name, _| names.contains(name));
    }

    /// The link with this kernel index.
    pub fn link_by_index(&mut self, index: u32) -> Option<&mut Link> {
        self.links.values_mut().find(|link| link.index == index)
    }
}

/// What a tracked file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileWord {
    /// A number; 0 is what a missing and an empty file mean, and `up`.
    Number(i32),
    /// `down`: a failure whatever the weight.
    Down,
    /// Nothing that can be understood, and why: it changes nothing ([`Facts::file_says`]), and is no failure where nothing was said before.
    Unreadable(String),
}

impl FileWord {
    /// Understands the contents of a file.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let word = text.trim();
        match word.to_ascii_lowercase().as_str() {
            "" | "up" | "ok" => Self::Number(0),
            "down" | "fail" | "fault" => Self::Down,
            _ => word.parse().map_or_else(
                |_| Self::Unreadable(format!("it says {word:?}, neither a number nor up or down")),
                Self::Number,
            ),
        }
    }
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// Kernel index.
    pub index: u32,
    /// Administratively up (IFF_UP).
    pub up: bool,
    /// Has carrier and passes frames (IFF_RUNNING, RFC 2863 operational state up).
    pub running: bool,
    /// Hardware address of an Ethernet-like link.
    pub mac: Option<Mac>,
    /// Forwards IPv6: its neighbour advertisements say that it is a router.
    pub forwards_ipv6: bool,
    /// A macvlan that carries our mark.
    pub ours: bool,
    /// Kernel index of the link below it.
    pub parent: Option<u32>,
    /// Addresses in the kernel's order.
    pub addresses: Vec<Address>,
}

/// An address of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Address and prefix.
    pub cidr: Cidr,
    /// Whether it carries the mark of this worker.
    pub ours: bool,
    /// Its label and its scope.
    pub look: Look,
    /// Not tentative and not found to be a duplicate (IPv6).
    pub usable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_understood_changes_nothing() {
        let mut facts = Facts::default();
        let path = || "/data/drain".to_owned();
        let garbled = || FileWord::Unreadable("input/output error".to_owned());
        let mut says = |word: FileWord| {
            facts.file_says(path(), word);
            (facts.files[&path()].clone(), facts.garbled.contains_key(&path()))
        };
        assert_eq!(says(garbled()), (garbled(), false), "nothing was said before");
        assert_eq!(says(FileWord::Down), (FileWord::Down, false));
        assert_eq!(says(garbled()), (FileWord::Down, true));
        assert_eq!(says(FileWord::Number(7)), (FileWord::Number(7), false));
        assert_eq!(says(garbled()), (FileWord::Number(7), true));
        facts.keep_files(|_| false);
        assert!(facts.files.is_empty() && facts.garbled.is_empty());
    }

    #[test]
    fn services_that_have_left_the_file_are_forgotten() {
        let services = ["old", "web"].map(|name| (name.to_owned(), true));
        let mut facts = Facts { services: services.into(), ..Facts::default() };
        facts.keep_services(&["web", "dns"].map(str::to_owned).into());
        assert_eq!(facts.services, [("web".to_owned(), true)].into());
    }
}
