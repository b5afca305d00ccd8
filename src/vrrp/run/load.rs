//! What decides from outside: the configuration, services, trackers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::config;
use crate::config::model::{TrackTarget, VrrpInstance};
use crate::config::{ActiveRest, LoadError};
use crate::ipc::client::{Heard, subscribe};
use crate::ipc::message::Event;
use crate::paths::RunDir;
use crate::role::Role;
use crate::vrrp::event::master_down;
use crate::vrrp::facts::{Facts, FileWord};
use crate::vrrp::instance::Entry;
use crate::vrrp::keys;
use crate::vrrp::memory::{Record, monotonic};
use crate::vrrp::packet::wire_interval;
use crate::vrrp::socket::{Place, places};
use crate::vrrp::watcher::{self, News, Subject};

use super::{TOGETHER, UNWRITTEN, Worker};

/// What `store` has activated, if anything, or why it cannot be read.
pub(super) type Read = Result<Option<Fresh>, LoadError>;

/// A configuration with the keys that lie in files of their own.
pub(super) struct Fresh {
    active: ActiveRest,
    /// Virtual routers that lack a key, and why.
    keyless: BTreeMap<String, String>,
}

fn read(run: &RunDir) -> Read {
    let with_keys = |mut active: ActiveRest| {
        let keyless = keys::read(run, &mut active.checked.config.vrrp);
        Fresh { active, keyless }
    };
    config::active_without_services(run).map(|active| active.map(with_keys))
}

impl Worker {
    /// Takes the configuration that `store` has activated, at the start.
    pub(super) fn load(&mut self) {
        let read = read(&self.run);
        self.take(read);
    }

    /// Has the configuration read by a thread: what a large one takes is more than an advertisement can wait.
    pub(super) fn read(&mut self) {
        if self.reading {
            self.read_again = true;
            return;
        }
        let (run, tell) = (self.run.clone(), self.tell_read.clone());
        let reader = std::thread::Builder::new().name("reader".to_owned());
        match reader.spawn(move || drop(tell.send(read(&run)))) {
            Ok(_) => self.reading = true,
            Err(error) => {
                log::warn!("configuration read without a thread: {error}");
                self.load();
            }
        }
    }

    /// The thread has read it; perhaps there is another one by now.
    pub(super) fn has_read(&mut self, read: Read) {
        self.reading = false;
        self.take(read);
        if std::mem::take(&mut self.read_again) {
            self.read();
        }
    }

    /// Goes on under another configuration; a faulty one changes nothing.
    fn take(&mut self, read: Read) {
        // Whoever goes on as master waits for no services.
        let cold = self.generation == 0 && self.previous.is_empty();
        let Fresh { active, keyless } = match read {
            Ok(Some(fresh)) => fresh,
            Ok(None) => return,
            Err(error) => return log::error!("configuration not taken: {error}"),
        };
        if active.generation == self.generation {
            return;
        }
        let services: BTreeSet<String> = active.gist.names.into_iter().collect();
        let configs = active.checked.config.vrrp;
        log::info!("configuration taken: generation={} instances={}", active.generation, configs.len());
        let first = std::mem::replace(&mut self.generation, active.generation) == 0;
        self.marks = active.marks;
        self.news_for_peers = true;
        if first && !configs.is_empty() {
            let awaited = if cold { services.clone() } else { BTreeSet::new() };
            self.engine.await_first_words(Instant::now(), awaited);
        }
        self.listen_to_services(&configs);
        self.watch(&configs);
        self.sync.config = active.checked.config.sync;
        // Sockets of those that come before, of those that go after: they have yet to resign.
        let mut needed: BTreeSet<Place> = configs.iter().flat_map(places).collect();
        needed.extend(self.engine.instances().iter().flat_map(|instance| places(instance.config())));
        let closed = self.wire.sync(&needed, &self.engine.facts().links);
        let previous = std::mem::take(&mut self.previous);
        let now = Instant::now();
        self.engine.observe(now, |facts| (facts.closed, facts.keyless) = (closed, keyless));
        let facts = self.engine.facts().clone();
        self.engine.configure(now, configs, |config| entry(config, &facts, &previous));
        // Not before: until now they counted for the routers of the former file.
        self.engine.keep_services(now, &services);
        self.carry_out();
        self.remember();
        self.open_sockets();
        self.agree_on_daemons();
    }

    /// Tells the thread that asks what there is to ask, and forgets what nobody wants to know any more.
    pub(super) fn watch(&mut self, configs: &[VrrpInstance]) {
        let wanted = watcher::wanted(configs);
        self.engine.observe(Instant::now(), |facts| {
            facts.probes.retain(|probe, _| wanted.contains_key(&Subject::Probe(probe.clone())));
            facts.keep_files(|path| wanted.contains_key(&Subject::File(path.to_owned())));
        });
        if self.watcher.is_none() && !wanted.is_empty() {
            match watcher::start() {
                Ok((ask, news)) => (self.watcher, self.news) = (Some(ask), Some(news)),
                Err(error) => log::error!("cannot watch gateways, files and programs: {error}"),
            }
        }
        if let Some(watcher) = &self.watcher {
            // A thread that has ended has left its last word, which stays.
            let _ = watcher.send(wanted);
        }
    }

    pub(super) fn found_out(&mut self, news: News) {
        match &news {
            News::Probe(probe, healthy, why) => {
                let word = if *healthy { "up" } else { "down" };
                log::info!("tracker {word}: {} reason={why}", probe.kind);
            }
            News::File(path, FileWord::Unreadable(why)) => {
                log::warn!("tracker: file {path} cannot be understood, which changes nothing: {why}");
            }
            News::File(path, word) => log::info!("tracker: file {path} says {word:?}"),
        }
        self.engine.observe(Instant::now(), |facts| match news {
            News::Probe(probe, healthy, why) => drop(facts.probes.insert(probe, (healthy, why))),
            News::File(path, word) => facts.file_says(path, word),
        });
        self.news_for_peers = true;
    }

    pub(super) fn listen_to_services(&mut self, configs: &[VrrpInstance]) {
        let tracks = configs.iter().flat_map(|config| &config.track);
        let tracked: BTreeSet<&String> = tracks
            .filter_map(|track| match &track.target {
                TrackTarget::Service(name) => Some(name),
                _ => None,
            })
            .collect();
        let wanted = !tracked.is_empty() || self.engine.awaits_services(Instant::now());
        // Said before it was in our file, or forgotten and not said again, for nothing has changed: whoever subscribes is told all.
        let unknown = tracked.iter().any(|name| !self.engine.facts().services.contains_key(*name));
        if !wanted {
            self.services = None;
        } else if self.services.is_none() || unknown {
            self.services = Some(subscribe(&self.run, Role::Lvs));
        }
    }

    /// Takes a word of the services, and those that are there already: everybody judges anew once.
    pub(super) fn service(&mut self, first: Heard) {
        let mut queue = self.services.as_mut();
        let more = std::iter::from_fn(move || queue.as_mut()?.try_recv().ok()).take(TOGETHER);
        let (mut told, mut primed) = (BTreeMap::new(), BTreeSet::new());
        for heard in std::iter::once(first).chain(more) {
            match heard {
                Heard::Event(Event::Service { service, up }) => drop(told.insert(service, up)),
                Heard::Event(Event::Primed { service }) => drop(primed.insert(service)),
                // A publisher that is gone leaves what it said last: unknown changes nothing.
                Heard::Event(_) | Heard::Lost => {}
            }
        }
        self.engine.services_primed(&primed);
        let known = &self.engine.facts().services;
        told.retain(|service, up| known.get(service) != Some(up));
        if !told.is_empty() {
            self.engine.services_say(Instant::now(), told);
            self.news_for_peers = true;
            self.remember_at.get_or_insert_with(|| Instant::now() + UNWRITTEN);
        }
    }
}

/// A master of the previous life goes on if nobody can have taken its place yet, and the kernel bears it out.
pub(super) fn entry(config: &VrrpInstance, facts: &Facts, previous: &[Record]) -> Entry {
    let interval = wire_interval(config.version, config.interval);
    let wait = master_down(config.version, config.priority.get(), interval, config.missed);
    let record = previous.iter().find(|record| record.is(config));
    let fresh = record.filter(|record| record.silent_for(monotonic()).is_some_and(|silent| silent < wait));
    let holds = config.vips().any(|vip| {
        let link = facts.links.get(config.carrier(vip));
        link.is_some_and(|link| link.addresses.iter().any(|a| a.ours && a.cidr == vip.cidr))
    });
    match fresh {
        Some(record) if holds => Entry::Resume(record.left()),
        Some(_) | None => Entry::Listen,
    }
}
