//! What the loop leaves to a thread, because disks may be slow. Blocking.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::appliance::Appliance;
use super::change::Change;
use super::disk::node_facts;
use super::grubenv::Slot;
use super::select::{Choice, Found, Offer, choose};
use crate::config::{Before, NodeFacts, check, prepared, read_file};
use crate::ipc::message::Source;
use crate::paths::RunDir;
use crate::units::Mac;

/// What is done in a thread, because disks may be slow.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// Find the sources and look at all of them.
    Start,
    /// Look at all sources.
    Look,
    /// See whether something was plugged in.
    Peek,
    /// Change the operator's file, then look.
    Manage(Box<Management>),
    /// Keep the operator's text for a boot at which theirs cannot be used.
    Keep(Vec<u8>),
    /// Take up clock and seed, and tell the boot loader that this slot came up.
    Settle,
    /// Tell the boot loader how large the table of connections is to be: as the file has it, or by the memory.
    TableBits(Option<u8>),
}

#[derive(Debug, Clone)]
pub(super) struct Management {
    pub wish: Change,
    pub source: Source,
    pub node: Option<String>,
    pub running: Vec<u8>,
}

/// What a thread brings back.
pub(super) struct Done {
    pub sources: Sources,
    /// As it was before the look.
    pub plugged: Plugged,
    /// `None`: nothing new was plugged in.
    pub choice: Option<Choice>,
    pub slot: Option<Slot>,
    pub problem: Option<String>,
}

/// Where configurations come from.
#[derive(Debug, Clone)]
pub(super) enum Sources {
    /// One file: `director run --config FILE`.
    File(PathBuf),
    /// The appliance, once it was looked for.
    Appliance(Option<Box<Appliance>>),
}

/// What is plugged in and may matter: the volumes of sticks, and the NICs, which tell this box from its twin and are those of
/// the built-in configuration.
#[derive(Debug, Clone, Default)]
pub(super) struct Plugged {
    sticks: BTreeSet<String>,
    nics: BTreeSet<Mac>,
}

impl Plugged {
    fn now(sources: &Sources) -> Self {
        match sources {
            Sources::Appliance(Some(appliance)) => {
                Self { sticks: appliance.sticks(), nics: appliance.nics() }
            }
            Sources::File(_) | Sources::Appliance(None) => Self::default(),
        }
    }
}

/// What a thread needs to know.
pub(super) struct Plan {
    pub run: RunDir,
    pub sources: Sources,
    /// As it was when the sources were last looked at; `None` if they were not.
    pub plugged: Option<Plugged>,
    /// Whether a configuration of the operator runs, which goes on when no other can be used.
    pub settled: bool,
    /// The configuration that runs.
    pub running: Option<Arc<Before>>,
}

impl Plan {
    /// Does it.
    pub(super) fn execute(mut self, work: &Work) -> Done {
        self.find_appliance(work);
        let plugged = Plugged::now(&self.sources);
        let (mut choice, mut slot) = (None, None);
        let problem = match work {
            Work::Start => {
                choice = Some(self.first_choice());
                None
            }
            Work::Look => {
                choice = Some(self.choose());
                None
            }
            Work::Peek => {
                choice = self.is_new(&plugged).then(|| self.choose());
                None
            }
            Work::Manage(management) => {
                let problem = self.manage(management).err();
                choice = problem.is_none().then(|| self.choose());
                problem
            }
            Work::Keep(text) => {
                self.on_appliance(|appliance| appliance.keep(text));
                None
            }
            Work::Settle => {
                slot = self.on_appliance(Appliance::settle).flatten();
                None
            }
            Work::TableBits(bits) => {
                self.on_appliance(|appliance| appliance.set_table_bits(*bits));
                None
            }
        };
        Done { sources: self.sources, plugged, choice, slot, problem }
    }

    fn find_appliance(&mut self, work: &Work) {
        let Sources::Appliance(known @ None) = &mut self.sources else { return };
        let appliance = known.insert(Box::new(Appliance::new(self.run.clone())));
        if let Work::Start = work {
            appliance.wait_for_sticks();
        }
    }

    fn on_appliance<T>(&mut self, work: impl FnOnce(&mut Appliance) -> Result<T, String>) -> Option<T> {
        let Sources::Appliance(Some(appliance)) = &mut self.sources else { return None };
        work(appliance).map_err(|why| log::warn!("{why}")).ok()
    }

    /// A valid file of the operator makes a look at what was kept needless: that comes when the box already works.
    fn first_choice(&mut self) -> Choice {
        if let Sources::Appliance(Some(appliance)) = &self.sources {
            let before = self.running.as_deref();
            let choice = choose(appliance.look_at_operators(), &self.facts(), self.settled, before);
            if choice.chosen.is_some() {
                return choice;
            }
        }
        self.choose()
    }

    fn choose(&mut self) -> Choice {
        let facts = self.facts();
        let offers = self.look();
        let before = self.running.clone().or_else(|| self.prepared(&offers, &facts).map(Arc::new));
        choose(offers, &facts, self.settled, before.as_deref())
    }

    /// What `director run` has found when it looked at the file before it started anybody.
    fn prepared(&self, offers: &[Offer], facts: &NodeFacts) -> Option<Before> {
        let text = offers.iter().find_map(|offer| match &offer.found {
            Found::Text(text) => Some(text),
            _ => None,
        })?;
        prepared(&self.run, text, facts).map(|checked| Before { text: text.clone(), checked })
    }

    /// On the appliance the host name comes from the file, so it cannot choose a part of the file.
    fn facts(&self) -> NodeFacts {
        match &self.sources {
            Sources::File(_) => node_facts(),
            Sources::Appliance(_) => NodeFacts { hostname: None, ..node_facts() },
        }
    }

    /// A worker that begins again has seen nothing before: then what is there is not new.
    fn is_new(&self, now: &Plugged) -> bool {
        self.plugged
            .as_ref()
            .is_some_and(|before| !now.sticks.is_subset(&before.sticks) || !now.nics.is_subset(&before.nics))
    }

    fn look(&mut self) -> Vec<Offer> {
        match &mut self.sources {
            Sources::File(path) => vec![file_offer(path.clone())],
            Sources::Appliance(appliance) => appliance.as_mut().map(|a| a.look()).unwrap_or_default(),
        }
    }

    /// Changes the file of the operator that runs, or would run. Nothing is written unless the whole result is without fault.
    fn manage(&mut self, management: &Management) -> Result<(), String> {
        let what = management.wish.name();
        self.change(management).map_err(|why| format!("{what}: {why}"))
    }

    fn change(&mut self, management: &Management) -> Result<(), String> {
        let Management { wish, source, node, running } = management;
        if let Sources::Appliance(Some(appliance)) = &self.sources
            && let Some(why) = appliance.set_aside()
        {
            return Err(format!("your file is left alone: {why}; start the box normally"));
        }
        let offers = self.look();
        let wanted = if *source == Source::Usb { Source::Usb } else { Source::Partition };
        let offer = offers
            .iter()
            .find(|offer| offer.source == wanted || offer.source == Source::File)
            .ok_or("there is no file to write it to")?;
        let text = match &offer.found {
            Found::Text(text) => text.clone(),
            Found::Unreadable(why) => return Err(format!("{}: {why}", offer.place)),
            Found::Absent(_) if *source == Source::LastGood => running.clone(),
            Found::Absent(_) => b"version = 1\n".to_vec(),
        };
        let facts = self.facts();
        let present = check(&text, &offer.name, &facts)
            .map_err(|report| format!("{} has faults to be mended first:\n{report}", offer.place))?;
        let node = present.node.or_else(|| node.clone().filter(|_| *source == Source::LastGood));
        let text = std::str::from_utf8(&text).map_err(|error| error.to_string())?;
        let text = text.trim_start_matches('\u{feff}');
        let edited = wish.edit(text, node.as_deref()).map_err(|why| format!("{}: {why}", offer.place))?;
        check(&edited, &offer.name, &facts)
            .map_err(|report| format!("nothing is written, it would not fit the rest:\n{report}"))?;
        self.write(offer, edited.as_bytes())
    }

    fn write(&self, offer: &Offer, text: &[u8]) -> Result<(), String> {
        match &self.sources {
            Sources::File(path) => super::files::replace_keeping(path, text)
                .map_err(|error| format!("write configuration: {}: {error}", path.display())),
            Sources::Appliance(Some(appliance)) => appliance.write(offer, text),
            Sources::Appliance(None) => Err("write configuration: no place for it".to_owned()),
        }
    }
}

fn file_offer(path: PathBuf) -> Offer {
    let place = path.display().to_string();
    let found = match read_file(&path) {
        Ok(text) => Found::Text(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Found::Absent(format!("no file {place}"))
        }
        Err(error) => Found::Unreadable(error.to_string()),
    };
    Offer { source: Source::File, name: place.clone(), place, found }
}
