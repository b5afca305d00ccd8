//! Every virtual router of the worker, and what they share: facts, interfaces, the pace of announcements. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use crate::config::model::VrrpInstance;
use crate::ipc::message::{Event, RouterState, RouterStatus, VrrpStatus};
use crate::units::IfName;

use super::devices::Devices;
use super::effect::Effect;
use super::facts::Facts;
use super::group::{self, Contest};
use super::instance::{Entry, Instance};
use super::packet::{self, Envelope, Reject};
use super::quiet::Quiet;
use super::seal::Wall;
use super::socket::Place;
use super::track::{is_cut_off, is_ipv6, judge_all};
use super::vips::{self, Desired, Op};

use announcements::{A_TURN, Announcements};
pub use refusals::{Lacks, needs};
use waits::FirstWords;

mod announcements;
mod orders;
mod refusals;
mod waits;

/// All virtual routers.
#[derive(Debug, Default)]
pub struct Engine {
    instances: Vec<Instance>,
    facts: Facts,
    announcements: Announcements,
    counters: BTreeMap<&'static str, u64>,
    quiet: Quiet,
    /// The calendar, for those that come: one that goes on from an earlier life signs at once.
    wall: Option<Wall>,
    effects: Vec<Effect>,
    /// Groups all of whose members were master when they were last looked at.
    leading: BTreeSet<String>,
    /// Groups that gave way a moment ago.
    contests: BTreeMap<String, Contest>,
    /// What a new process waits for.
    awaited: Option<FirstWords>,
    /// Until when routers stay in FAULT whose VIPs the kernel has refused.
    refusals: BTreeMap<String, Instant>,
    /// Sockets that hold more than was read of them, and up to when they were read.
    unread: BTreeMap<Place, Instant>,
    /// The process ends.
    ended: bool,
}

impl Engine {
    /// No virtual routers yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            counters: Reject::NAMES.into_iter().map(|name| (name, 0)).collect(),
            effects: Vec::with_capacity(A_TURN),
            ..Self::default()
        }
    }

    /// Another file. Those that were there before go on under their new parameters, those that left resign, new ones begin
    /// as `entry` says.
    pub fn configure(
        &mut self,
        now: Instant,
        configs: Vec<VrrpInstance>,
        mut entry: impl FnMut(&VrrpInstance) -> Entry,
    ) {
        let mut old = std::mem::take(&mut self.instances);
        let mut new = Vec::with_capacity(configs.len());
        let mut entries = Vec::with_capacity(configs.len());
        let names: BTreeSet<String> = configs.iter().map(|config| config.name.clone()).collect();
        for config in configs {
            let renamed = |old: &Instance| old.is_renamed(&config) && !names.contains(&old.config().name);
            let before = old.iter().position(|old| old.is(&config)).or_else(|| old.iter().position(renamed));
            if let Some(at) = before {
                let mut instance = old.swap_remove(at);
                self.facts.rename(&instance.config().name, &config.name);
                if *instance.config() != config {
                    instance.reconfigure(now, config, &mut self.effects);
                }
                entries.push(Entry::Listen);
                new.push(instance);
            } else {
                entries.push(entry(&config));
                let mut instance = Instance::new(now, config);
                self.wall.into_iter().for_each(|wall| instance.set_wall(wall));
                new.push(instance);
            }
        }
        // Who leaves resigns before somebody else begins in its place.
        for mut instance in old {
            instance.stop(now, &mut self.effects);
        }
        self.instances = new;
        let entries = group::entries(&self.instances, entries);
        self.assess(now, entries);
        self.leading = group::leading(&self.instances);
        self.align(now);
        self.effects.push(Effect::Addresses);
    }

    /// The facts as they are now.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Notes what was just done to the kernel, ahead of its own notice.
    pub fn note(&mut self, op: &Op) {
        vips::note(&mut self.facts, op);
    }

    /// Other facts: everybody judges anew.
    pub fn observe(&mut self, now: Instant, change: impl FnOnce(&mut Facts)) {
        change(&mut self.facts);
        self.assess(now, vec![Entry::Listen; self.instances.len()]);
        self.align(now);
    }

    /// What services say of themselves: everybody judges anew, once for all of them.
    pub fn services_say(&mut self, now: Instant, told: BTreeMap<String, bool>) {
        if let Some(awaited) = &mut self.awaited {
            awaited.hear(&told);
        }
        self.observe(now, |facts| facts.services.extend(told));
    }

    /// VIPs had to be set again that should have been there: they are announced again.
    pub fn restored(&mut self, now: Instant, interface: &IfName) {
        for instance in &mut self.instances {
            if instance.held().any(|(name, _)| name == interface) {
                instance.announce_again(now);
            }
        }
    }

    /// What came in on a socket of `interface`.
    pub fn packet(&mut self, now: Instant, interface: &IfName, envelope: Envelope, payload: &[u8]) {
        let Some(vrid) = packet::peek_vrid(payload) else {
            return self.unclaimed(
                now,
                interface,
                envelope.source,
                Reject::Length { have: payload.len(), need: 8 },
            );
        };
        let ipv6 = envelope.source.is_ipv6();
        let fits = self.instances.iter_mut().filter(|instance| {
            let config = instance.config();
            let hears = config.interface == *interface || config.heartbeat.contains(interface);
            config.vrid.get() == vrid && hears && is_ipv6(config) == ipv6
        });
        // Those with one number have different peers.
        let stranger = |instance: &&mut Instance| {
            !instance.config().peers.iter().any(|peer| peer.address == envelope.source)
        };
        match fits.min_by_key(stranger) {
            Some(instance) => instance.receive(now, interface, envelope, payload, &mut self.effects),
            None => self.unclaimed(now, interface, envelope.source, Reject::Vrid(vrid)),
        }
        self.align(now);
    }

    /// A datagram that could not even be taken apart.
    pub fn unclaimed(&mut self, now: Instant, interface: &IfName, source: IpAddr, reject: Reject) {
        *self.counters.entry(reject.name()).or_default() += 1;
        if self.quiet.may_say(now, reject.name()) {
            let kind = reject.name();
            log::warn!(
                "advertisement for nobody: interface={interface} from={source} kind={kind} reason={reject}"
            );
        }
    }

    /// What the calendar says; said again in each turn, for it may be set at any time.
    pub fn set_wall(&mut self, wall: Wall) {
        self.wall = Some(wall);
        self.instances.iter_mut().for_each(|instance| instance.set_wall(wall));
    }

    /// Which sockets hold more than was read of them, and up to when each was read; all others were emptied just now. A backup whose master
    /// may speak there is judged as of then; said before each [`Self::tick`].
    pub fn set_unread(&mut self, unread: BTreeMap<Place, Instant>) {
        self.unread = unread;
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        self.forgive(now);
        let mut waiting = group::waiting(&self.instances, now);
        self.tell_waits(now);
        let unready: BTreeSet<String> =
            self.instances.iter().filter_map(|instance| self.unready(now, instance)).collect();
        for instance in self.instances.iter().filter(|instance| unready.contains(&instance.config().name)) {
            waiting.extend(instance.config().group.clone());
        }
        for instance in &mut self.instances {
            let held_back = instance.config().group.as_ref().is_some_and(|group| waiting.contains(group))
                || unready.contains(&instance.config().name);
            if instance.state() == RouterState::Master || !held_back {
                instance.timer(now, &mut self.effects);
            }
        }
        for instance in &mut self.instances {
            instance.let_go(now, &mut self.effects);
        }
        self.align(now);
        self.honour(now);
        self.announce(now);
    }

    /// The process ends: every master resigns.
    pub fn stop(&mut self, now: Instant) {
        self.ended = true;
        for instance in &mut self.instances {
            instance.stop(now, &mut self.effects);
        }
        self.effects.push(Effect::Addresses);
    }

    /// When [`Self::tick`] is due next.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let timers = self.instances.iter().filter_map(|instance| {
            let own = group::deadline(&self.instances, instance)?;
            let wait = self.held_until(instance);
            let wait = wait.filter(|_| instance.state() == RouterState::Backup);
            Some(wait.map_or(own, |wait| own.max(wait)))
        });
        let announcements = self.announcements_at(now);
        let lingering = self.instances.iter().filter_map(Instance::lingers);
        timers.chain(announcements).chain(lingering).chain(self.refusals.values().copied()).min()
    }

    /// What has to be done, and forgets it.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::replace(&mut self.effects, Vec::with_capacity(A_TURN))
    }

    /// The VIPs that the kernel should have.
    #[must_use]
    pub fn desired(&self) -> Desired {
        let mut desired = Desired::new();
        for (interface, vip) in self.instances.iter().flat_map(Instance::held) {
            desired.entry(interface.clone()).or_default().insert(vip.cidr, vip.look.clone());
        }
        desired
    }

    /// The devices with virtual MAC addresses that the kernel should have; none at the end.
    #[must_use]
    pub fn devices(&self) -> Devices {
        let wanted = self.instances.iter().filter(|_| !self.ended);
        wanted.filter_map(Instance::device).collect()
    }

    /// Every virtual router, in the order of the file.
    #[must_use]
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// The last number behind which a virtual router sent or heard an authentication header; 0 where there is none.
    #[must_use]
    pub fn sequence(&self, name: &str) -> u32 {
        let found = self.instances.iter().find(|instance| instance.config().name == name);
        found.map_or(0, Instance::sequence)
    }

    /// Those that are master.
    pub fn masters(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().filter(|instance| instance.state() == RouterState::Master)
    }

    /// The present state of everybody as events.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.instances.iter().map(Instance::event).collect()
    }

    /// The present state for people.
    #[must_use]
    pub fn status(&self, now: Instant, generation: u64) -> VrrpStatus {
        let status = |instance: &Instance| RouterStatus {
            waits: self.wait(now, instance),
            ..instance.status(now, &self.facts)
        };
        VrrpStatus {
            instances: self.instances.iter().map(status).collect(),
            counters: self.counters.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
            sync: Vec::new(),
            sync_problem: None,
            route_problems: Vec::new(),
            peers: Vec::new(),
            letters: BTreeMap::new(),
            letters_problem: None,
            generation,
        }
    }

    fn assess(&mut self, now: Instant, entries: Vec<Entry>) {
        let all: Vec<_> = self
            .instances
            .iter()
            .map(|instance| (instance.config(), instance.router().params().source))
            .collect();
        let verdicts = judge_all(&all, &self.facts);
        let unheard =
            self.instances.iter().any(|instance| self.waits_until(instance).is_some_and(|at| now < at));
        for ((instance, verdict), entry) in self.instances.iter_mut().zip(verdicts).zip(entries) {
            let cut_off = is_cut_off(instance.config(), &self.facts);
            instance.assess(now, verdict, entry, unheard, cut_off, &mut self.effects);
        }
    }

    /// Where one member of a leading group is master no more, the others give way with it. So they do where a file has just made a group
    /// of masters and backups; there they resign, for nobody waits for their silence.
    fn align(&mut self, now: Instant) {
        let leading = group::leading(&self.instances);
        let mut torn = group::torn(&self.instances);
        torn.extend(self.leading.difference(&leading).cloned());
        for group in torn {
            let resigns = !self.leading.contains(&group);
            let contest = if resigns {
                Contest::of_a_file(&self.instances, &group, now)
            } else {
                Some(Contest::new(&self.instances, &group, now))
            };
            let members = self.instances.iter_mut().filter(|i| i.config().group.as_ref() == Some(&group));
            members.for_each(|instance| instance.give_way(now, resigns, &mut self.effects));
            self.contests.extend(contest.map(|contest| (group, contest)));
        }
        self.take_turns(now);
        self.leading = group::leading(&self.instances);
    }

    /// Whoever is heard in a contest may change who goes first.
    fn take_turns(&mut self, now: Instant) {
        self.contests.retain(|_, contest| now <= contest.until());
        for (group, contest) in &self.contests {
            let turn = contest.turn(&self.instances, group);
            let members = self.instances.iter_mut().filter(|i| i.config().group.as_ref() == Some(group));
            members.for_each(|member| member.take_turn(now, turn, contest.until(), &mut self.effects));
        }
    }
}
