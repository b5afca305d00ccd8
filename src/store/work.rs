//! What the loop leaves to a thread, because disks may be slow. Blocking.

mod secrets;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::appliance::Appliance;
use super::change::Change as Edit;
use super::disk::node_facts;
use super::grubenv::Slot;
use super::hooks;
use super::pending::Pending;
use super::select::{Choice, Found, Offer, choose};
use super::trial::{Outcome, Wish};
use crate::config::{Before, NodeFacts, check, prepared, read_file};
use crate::ipc::message::{Change, Source, StickStatus};
use crate::paths::RunDir;
use crate::units::Mac;

/// What is done in a thread, because disks may be slow.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// Find the sources and look at all of them.
    Start,
    /// Look at all sources; who wants it, for the history.
    Look(&'static str),
    /// See whether something was plugged in.
    Peek,
    /// See whether the operator's file was changed.
    Watch,
    /// Change the operator's file, then look.
    Manage(Box<Management>),
    /// Keep the operator's text for a boot at which theirs cannot be used.
    Keep(Vec<u8>),
    /// Write what was taken from a stick to the box.
    Adopt(Vec<u8>),
    /// Take up clock and seed, and tell the boot loader that this slot came up.
    Settle,
    /// See whether all is well with this configuration, while the slot is on trial.
    Observe(u64),
    /// Start again, because this slot has not proven itself: why not.
    GiveUp(String),
    /// Tell the boot loader that this slot has proven itself.
    Prove,
    /// Tell the boot loader how large the table of connections is to be: as the file has it, or by the memory.
    TableBits(Option<u8>),
    /// Put programs of the operator's where they may run, if they may.
    Hooks(bool),
    /// Look for a change that an earlier life of this worker, or of the box, left unconfirmed.
    Resume,
    /// What a change would change.
    Diff(Change),
    /// Check a change and keep it, so that it can be taken back.
    Apply(Box<Wish>),
    /// The same with what ran before.
    GoBack(Box<Wish>),
    /// Make a change that runs final.
    Confirm(Box<Pending>),
    /// Clean up behind a change that was taken back.
    Conclude(Box<Pending>),
    /// Keep a configuration that runs: text and origin.
    Record(Vec<u8>, String),
    /// What ran before.
    History,
    /// The text of a configuration.
    Text(Option<u64>),
    /// Write the running one to the stick.
    Export,
    /// Back to the state of delivery.
    Reset,
}

impl Work {
    /// Whether it may lead to another configuration, and so has to wait while a change is on trial.
    pub(super) const fn is_change(&self) -> bool {
        matches!(
            self,
            Self::Look(_) | Self::Manage(_) | Self::Apply(_) | Self::GoBack(_) | Self::Reset | Self::Watch
        )
    }
}

#[derive(Debug, Clone)]
pub(super) struct Management {
    pub wish: Edit,
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
    pub outcome: Outcome,
    /// What is on the stick; `None`: nobody looked.
    pub stick: Option<Option<StickStatus>>,
    /// Whether the operator's file is that of the delivery.
    pub factory: Option<bool>,
    /// A digest of the operator's file as it is now.
    pub seen: Option<String>,
    /// A factory reset that was cut short was ended: what waits to be kept must not be.
    pub erased: bool,
    /// A secret that the configuration has in a file of its own is another one than before.
    pub secrets: bool,
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
    pub sticks: BTreeSet<String>,
    pub nics: BTreeSet<Mac>,
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
    /// Where `director run` keeps what outlives it.
    pub state: Option<PathBuf>,
    /// As it was when the sources were last looked at; `None` if they were not.
    pub plugged: Option<Plugged>,
    /// The sticks that were last told of.
    pub told: Option<BTreeSet<String>>,
    /// Whether a configuration of the operator runs, which goes on when no other can be used.
    pub settled: bool,
    /// The configuration that runs.
    pub running: Option<Arc<Before>>,
}

impl Plan {
    /// Does it.
    pub(super) fn execute(mut self, work: &Work) -> Done {
        self.find_appliance();
        let plugged = Plugged::now(&self.sources);
        let mut done = Done {
            sources: self.sources.clone(),
            plugged,
            choice: None,
            slot: None,
            problem: None,
            outcome: Outcome::Nothing,
            stick: None,
            factory: None,
            seen: None,
            erased: false,
            secrets: false,
        };
        match self.perform(work, &mut done) {
            Ok(outcome) => done.outcome = outcome,
            Err(problem) => done.problem = Some(problem),
        }
        if let Sources::Appliance(Some(appliance)) = &mut self.sources
            && appliance.has_ended_reset()
        {
            self.settled = false;
            done.choice = Some(self.choose());
            done.erased = true;
        }
        done.secrets = self.bring_secrets(work, &done);
        if let Sources::Appliance(Some(appliance)) = &self.sources {
            done.factory = appliance.factory();
        }
        done.sources = self.sources;
        done
    }

    fn perform(&mut self, work: &Work, done: &mut Done) -> Result<Outcome, String> {
        match work {
            Work::Start => done.choice = Some(self.first_choice()),
            Work::Look(_) => done.choice = Some(self.choose()),
            Work::Peek => self.peek(done),
            Work::Watch => done.seen = self.seen(),
            Work::Manage(management) => {
                self.manage(management)?;
                done.choice = Some(self.choose());
            }
            Work::Keep(text) => {
                let kept = self.on_appliance(|appliance| appliance.keep(text)) == Some(true);
                return Ok(Outcome::Kept(kept));
            }
            Work::Adopt(text) => {
                self.keep_secrets()?;
                let _ = self.on_appliance(|appliance| appliance.adopt(text));
            }
            Work::Settle => {
                done.slot = self.on_appliance(Appliance::settle).flatten();
                let left = self.on_appliance(|appliance| Ok(appliance.left_slot())).flatten();
                let earlier_mode = self.on_appliance(|appliance| Ok(appliance.earlier_mode())).flatten();
                return Ok(Outcome::Settled { left, earlier_mode });
            }
            Work::GiveUp(why) => drop(self.on_appliance(|appliance| appliance.give_up(why))),
            Work::Observe(generation) => {
                return Ok(Outcome::Well(super::proof::observe(&self.run, *generation)));
            }
            Work::Prove => done.slot = self.on_appliance(Appliance::prove_slot).flatten(),
            Work::TableBits(bits) => drop(self.on_appliance(|appliance| appliance.set_table_bits(*bits))),
            Work::Hooks(allowed) => self.hooks(*allowed)?,
            Work::Resume => return Ok(self.resume()),
            Work::Diff(change) => return self.diff(change),
            Work::Apply(wish) => return self.propose(wish),
            Work::GoBack(wish) => {
                let change = Change::Generation { number: self.number_before()? };
                return self.propose(&Wish { change, ..(**wish).clone() });
            }
            Work::Confirm(pending) => return self.confirm(pending),
            Work::Conclude(pending) => return self.conclude(pending),
            Work::Record(text, origin) => return Ok(Outcome::Recorded(self.record(text, origin))),
            Work::History => return self.history(),
            Work::Text(number) => return self.text(*number),
            Work::Export => return self.export(),
            Work::Reset => return self.reset(),
        }
        Ok(Outcome::Nothing)
    }

    fn hooks(&mut self, allowed: bool) -> Result<(), String> {
        let run = self.run.clone();
        match &self.sources {
            Sources::File(file) if allowed => {
                let file = std::path::absolute(file).map_err(|error| format!("find hooks: {error}"))?;
                let folder = file.parent().unwrap_or(&file).join(hooks::FOLDER);
                hooks::link(&run, &folder)
            }
            Sources::File(_) => Ok(()),
            Sources::Appliance(_) if allowed => {
                let _ = self.on_appliance(|appliance| appliance.stage_hooks());
                Ok(())
            }
            Sources::Appliance(_) => {
                hooks::clear();
                Ok(())
            }
        }
    }

    /// What was plugged in since the last look.
    fn peek(&mut self, done: &mut Done) {
        let other_sticks = self.told.as_ref() != Some(&done.plugged.sticks);
        if self.is_new(&done.plugged) {
            done.choice = Some(self.choose());
        }
        if other_sticks {
            let facts = self.facts();
            let running = done.choice.as_ref().and_then(|choice| choice.chosen.as_ref());
            let running = running
                .map(|chosen| chosen.text.clone())
                .or_else(|| self.running.as_ref().map(|running| running.text.clone()));
            let Sources::Appliance(Some(appliance)) = &self.sources else { return };
            done.stick = Some(appliance.stick_status(&facts, running.as_deref()));
        }
    }

    /// A digest of the operator's file, if it can be read.
    fn seen(&self) -> Option<String> {
        let offer = match &self.sources {
            Sources::File(path) => file_offer(path.clone()),
            Sources::Appliance(appliance) => appliance.as_ref()?.partition(),
        };
        match offer.found {
            Found::Text(text) => Some(super::archive::checksum(&text)),
            Found::Absent(_) | Found::Unreadable(_) => None,
        }
    }

    fn export(&self) -> Result<Outcome, String> {
        let running = self.running.as_ref().ok_or("export: no configuration runs yet")?;
        let Sources::Appliance(Some(appliance)) = &self.sources else {
            return Err("export: only an appliance has USB sticks: `director show` prints it".to_owned());
        };
        appliance.export(&running.text).map(Outcome::Message)
    }

    fn reset(&mut self) -> Result<Outcome, String> {
        let Sources::Appliance(Some(appliance)) = &mut self.sources else {
            return Err("factory reset: this director is an ordinary process: its file is yours".to_owned());
        };
        appliance.erase()?;
        Ok(Outcome::Message("configuration and data are erased: start the box again".to_owned()))
    }

    fn find_appliance(&mut self) {
        if let Sources::Appliance(known @ None) = &mut self.sources {
            *known = Some(Box::new(Appliance::new(self.run.clone())));
        }
    }

    fn on_appliance<T>(&mut self, work: impl FnOnce(&mut Appliance) -> Result<T, String>) -> Option<T> {
        let Sources::Appliance(Some(appliance)) = &mut self.sources else { return None };
        work(appliance).map_err(|why| log::warn!("{why}")).ok()
    }

    /// A valid file of the operator makes a look at what was kept, and at sticks, needless: that comes when the box already works.
    fn first_choice(&mut self) -> Choice {
        if let Sources::Appliance(Some(appliance)) = &mut self.sources {
            let before = self.running.as_deref();
            let choice = choose(
                appliance.look_at_operators(true),
                &NodeFacts { hostname: None, ..node_facts() },
                self.settled,
                before,
            );
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
    pub(super) fn facts(&self) -> NodeFacts {
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
            Sources::Appliance(appliance) => {
                appliance.as_mut().map(|a| a.look(self.settled)).unwrap_or_default()
            }
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
        let offer = offers
            .iter()
            .find(|offer| matches!(offer.source, Source::Partition | Source::File))
            .ok_or("there is no file to write it to")?;
        let text = match &offer.found {
            Found::Text(text) => text.clone(),
            Found::Unreadable(why) => return Err(format!("{}: {why}", offer.place)),
            Found::Absent(_) if matches!(source, Source::LastGood | Source::Usb) => running.clone(),
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
        self.write_in_place(edited.as_bytes())
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
