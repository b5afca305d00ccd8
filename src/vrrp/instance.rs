//! One virtual router of the file: the state machine with its packets, VIPs, announcements and counters. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::config::model::{VirtualAddress, VrrpChecksum, VrrpInstance};
use crate::ipc::message::RouterState;
use crate::units::IfName;
use crate::vrrp::devices::Device;
use crate::vrrp::effect::Effect;
use crate::vrrp::event::{Event, Params, Turn, master_down};
use crate::vrrp::fsm::Router;
use crate::vrrp::garp::Pacer;
use crate::vrrp::packet::{self, Packet, Reject};
use crate::vrrp::quiet::Quiet;
use crate::vrrp::seal::{Seal, Wall};
use crate::vrrp::track::{Verdict, is_ipv6};

mod acts; // what the state machine has decided: sent, entered, announced
mod hears; // what comes in: accepted or rejected, and what is odd about it

/// Counters that are no rejects; the names are those of keepalived's statistics, but for the last.
const COUNTERS: [&str; 8] = [
    "advert_rcvd",
    "advert_sent",
    "become_master",
    "release_master",
    "pri_zero_rcvd",
    "pri_zero_sent",
    "addr_list_err",
    "second_master_rcvd",
];

/// How long VIPs stay that were handed over, unless the next master is heard before: longer than any skew after a resignation
/// in version 3, shorter than anybody's patience.
const LINGER: Duration = Duration::from_millis(100);

/// How long they stay when the next master has been heard: until its announcement has reached those who still send to us.
const OVERLAP: Duration = Duration::from_millis(20);

/// Who was heard within this time counts as there, though backups only listen.
const ACQUAINTANCE: Duration = Duration::from_secs(86_400);

/// How an instance that is allowed to take part begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Listens first; an election is not won before the start-up delay has passed.
    Listen,
    /// Was master until the worker died a moment ago.
    Resume(Left),
}

/// What a master left for its next life, besides that it was master.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Left {
    /// How its peer sums version 3 over IPv4, if it knew.
    pub peer_checksum: Option<VrrpChecksum>,
    /// Last sequence number of its authentication headers; 0 = it sent none.
    pub sequence: u32,
}

/// One virtual router.
#[derive(Debug)]
pub struct Instance {
    pub(super) config: VrrpInstance,
    pub(super) router: Router,
    pub(super) pacer: Pacer,
    pub(super) seal: Seal,
    pub(super) counters: BTreeMap<&'static str, u64>,
    pub(super) since: Instant,
    pub(super) reason: String,
    pub(super) theirs: Option<VrrpChecksum>,
    pub(super) odd_list: bool,
    /// Claims of others heard since we are master.
    pub(super) rivals: u32,
    pub(super) quiet: Quiet,
    /// The greatest lateness of an advertisement since we are master.
    pub(super) late: Duration,
    /// Until when the VIPs stay after they were handed over: the other one is about to claim them.
    lingers: Option<Instant>,
    /// What was heard last with heartbeats: the same comes again by another way. Two, for who resigns says two things at once.
    last: heapless::Deque<(Instant, IfName, IpAddr, Packet), 2>,
    /// When another router was last heard.
    met: Option<Instant>,
    /// Until when silence makes it no master, though it runs.
    doubt: Option<Instant>,
    /// The interface was out when it last could not take part: its switch may have to learn the way anew.
    cut_off: bool,
}

impl Instance {
    /// An instance that has not begun.
    #[must_use]
    pub fn new(now: Instant, config: VrrpInstance) -> Self {
        let any = if is_ipv6(&config) { IpAddr::from([0_u8; 16]) } else { IpAddr::from([0_u8; 4]) };
        Self {
            router: Router::new(params(&config, config.priority.get(), any)),
            pacer: Pacer::new(config.garp),
            seal: Seal::new(now),
            counters: COUNTERS.into_iter().chain(Reject::NAMES).map(|name| (name, 0)).collect(),
            since: now,
            reason: "not started".to_owned(),
            theirs: None,
            odd_list: false,
            rivals: 0,
            quiet: Quiet::default(),
            late: Duration::ZERO,
            lingers: None,
            last: heapless::Deque::new(),
            met: None,
            doubt: None,
            cut_off: true,
            config,
        }
    }

    /// Its section of the file.
    #[must_use]
    pub const fn config(&self) -> &VrrpInstance {
        &self.config
    }

    /// Its state.
    #[must_use]
    pub const fn state(&self) -> RouterState {
        self.router.state()
    }

    /// How the last router heard sums version 3 over IPv4.
    #[must_use]
    pub const fn peer_checksum(&self) -> Option<VrrpChecksum> {
        self.theirs
    }

    /// The last sequence number of an authentication header that was sent, or what the next one has to be above; 0 = none.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.seal.sequence()
    }

    /// Why it is in its state.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The state machine inside.
    #[must_use]
    pub const fn router(&self) -> &Router {
        &self.router
    }

    /// Whether `other` describes this virtual router, with other parameters perhaps.
    #[must_use]
    pub fn is(&self, other: &VrrpInstance) -> bool {
        let key = |c: &VrrpInstance| (c.name.clone(), c.interface.clone(), c.vrid, is_ipv6(c));
        key(&self.config) == key(other)
    }

    /// Whether `other` describes the same virtual router under another name.
    #[must_use]
    pub fn is_renamed(&self, other: &VrrpInstance) -> bool {
        let key = |c: &VrrpInstance| (c.interface.clone(), c.vrid, is_ipv6(c), c.peers.clone());
        key(&self.config) == key(other)
    }

    /// Whether another router was heard within the time that a planned change of roles may take: a day.
    #[must_use]
    pub fn met(&self, now: Instant) -> bool {
        self.met.is_some_and(|at| now.saturating_duration_since(at) < ACQUAINTANCE)
    }

    /// Until when a master that was heard lives for all that is known; `None` where none was, or it has resigned.
    #[must_use]
    pub fn led_until(&self) -> Option<Instant> {
        let led = self.router.heard().is_some_and(|peer| peer.priority > 0);
        let config = &self.config;
        let wait = master_down(config.version, config.priority.get(), self.router.interval(), config.missed);
        self.met.filter(|_| led).map(|at| at + wait)
    }

    /// All counters begin at zero.
    pub fn clear(&mut self) {
        self.counters.values_mut().for_each(|count| *count = 0);
    }

    /// The calendar may have been set.
    pub const fn set_wall(&mut self, wall: Wall) {
        self.seal.set_wall(wall);
    }

    /// The device with its virtual MAC address, as it should be now.
    #[must_use]
    pub fn device(&self) -> Option<(IfName, Device)> {
        let found = self.config.virtual_mac.as_ref()?;
        let up = self.state() == RouterState::Master || self.lingers.is_some();
        Some((found.device.clone(), Device { parent: self.config.interface.clone(), mac: found.mac, up }))
    }

    /// The VIPs that should be in the kernel now.
    pub fn held(&self) -> impl Iterator<Item = (&IfName, &VirtualAddress)> {
        let master = self.state() == RouterState::Master || self.lingers.is_some();
        self.config.vips().filter(move |_| master).map(|vip| (self.config.carrier(vip), vip))
    }

    /// Follows the judgement on the facts: takes part, changes its priority, or does not take part.
    /// `unready`: the services have yet to be heard of. `cut_off`: its interface is out.
    pub fn assess(
        &mut self,
        now: Instant,
        verdict: Verdict,
        entry: Entry,
        unready: bool,
        cut_off: bool,
        out: &mut Vec<Effect>,
    ) {
        self.cut_off |= cut_off;
        match verdict {
            Verdict::Ready { priority, source, yields } => {
                let wanted = Params { yields, ..params(&self.config, priority, source) };
                if wanted != *self.router.params() {
                    self.step(now, Event::Params(wanted), out);
                }
                if matches!(self.state(), RouterState::Initialize | RouterState::Fault) {
                    // A gateway or the operator that comes back has moved no cable.
                    let cut_off = std::mem::take(&mut self.cut_off);
                    let start_delay = if cut_off { self.config.start_delay } else { Duration::ZERO };
                    let event = match entry {
                        // An owner does not wait by itself: any hold makes it listen first.
                        Entry::Listen => {
                            Event::Ready { hold: start_delay.max(Duration::from_nanos(unready.into())) }
                        }
                        Entry::Resume(left) => {
                            self.theirs = left.peer_checksum;
                            self.seal.resume(left.sequence);
                            Event::Resume
                        }
                    };
                    self.step(now, event, out);
                }
            }
            Verdict::Fault(reason) => {
                let known = self.state() == RouterState::Fault && self.reason == reason;
                if !known {
                    self.step(now, Event::Fail, out);
                    self.explain(reason, out);
                }
            }
        }
    }

    /// Another section of the file for the same virtual router; a master stays master. [`Self::assess`] follows.
    pub fn reconfigure(&mut self, now: Instant, config: VrrpInstance, out: &mut Vec<Effect>) {
        let old = std::mem::replace(&mut self.config, config);
        // With another device the VIP has another MAC address.
        let carried = |config: &VrrpInstance| {
            let vips = config.vips().map(|vip| (vip.clone(), config.carrier(vip).clone()));
            vips.collect::<BTreeSet<_>>()
        };
        let (old, new) = (carried(&old), carried(&self.config));
        let stays: BTreeSet<&VirtualAddress> = new.intersection(&old).map(|(vip, _)| vip).collect();
        self.pacer.configure(now, self.config.garp, |vip| stays.contains(vip));
        if self.state() == RouterState::Master {
            out.push(Effect::Addresses);
            // In the order of the file.
            let new = self.vips().into_iter().filter(|vip| !stays.contains(vip)).collect::<Vec<_>>();
            if !new.is_empty() {
                self.pacer.begin(now, new);
            }
        }
    }

    /// The process ends, or the instance leaves the file: a master resigns.
    pub fn stop(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.step(now, Event::Stop, out);
    }

    /// The operator takes mastership from it. The VIPs stay for a moment: what clients send before the other one has claimed
    /// them is still answered. Who is not master has nothing to hand over.
    pub fn resign(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if self.state() == RouterState::Master {
            self.lingers = Some(now + LINGER);
            self.step(now, Event::Resign, out);
        }
    }

    /// Until when VIPs that were handed over stay.
    #[must_use]
    pub const fn lingers(&self) -> Option<Instant> {
        self.lingers
    }

    /// Lets go of VIPs that were handed over, when their time has passed.
    pub fn let_go(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if self.lingers.take_if(|until| *until <= now).is_some() {
            out.push(Effect::Addresses);
        }
    }

    /// Another member of the group has given way. `resigns`: nobody may be ready to follow.
    pub fn give_way(&mut self, now: Instant, resigns: bool, out: &mut Vec<Effect>) {
        self.step(now, Event::Yield { resigns }, out);
    }

    /// When its group stands up again among those that gave way until a moment ago.
    pub fn take_turn(&mut self, now: Instant, turn: Turn, until: Instant, out: &mut Vec<Effect>) {
        self.step(now, Event::Turn { turn, until }, out);
    }

    /// Whether it is backup of a master that it leaves alone.
    #[must_use]
    pub fn follows(&self) -> bool {
        self.router.follows()
    }

    /// Until when it does not trust the silence: it heard a master whose signature is right and whose clock is not ours.
    #[must_use]
    pub const fn doubts(&self) -> Option<Instant> {
        self.doubt
    }

    /// Some of the VIPs had vanished from the kernel and are back: the segment may have learnt otherwise.
    pub fn announce_again(&mut self, now: Instant) {
        if self.state() == RouterState::Master {
            self.pacer.claimed(now, self.vips());
        }
    }

    /// Time has passed: the state machine's timer.
    pub fn timer(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if let Some(at) = self.router.deadline().filter(|at| *at <= now) {
            if self.state() == RouterState::Master {
                self.late = self.late.max(now.saturating_duration_since(at));
            }
            self.step(now, Event::Timer, out);
        }
    }

    /// When [`Self::timer`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.router.deadline()
    }

    /// Least time between two announcements on one interface, if the file has one.
    #[must_use]
    pub const fn pace(&self) -> Option<Duration> {
        self.pacer.interval()
    }

    /// How often each VIP of a burst in progress has been announced.
    #[must_use]
    pub const fn rounds(&self) -> u8 {
        self.pacer.rounds()
    }

    /// The announcements.
    pub const fn pacer(&mut self) -> &mut Pacer {
        &mut self.pacer
    }

    /// The announcement that is due now: interface and VIP.
    pub fn announcement(&mut self, now: Instant) -> Option<(IfName, IpAddr)> {
        let vip = self.pacer.peek(now, self.config.vips())?;
        Some((self.config.carrier(vip).clone(), vip.cidr.address))
    }

    /// When there is something to announce.
    #[must_use]
    pub fn announcement_at(&self, now: Instant) -> Option<Instant> {
        self.pacer.deadline(now)
    }

    /// The interface of the next announcement of a burst in progress.
    #[must_use]
    pub fn next_announced(&self) -> Option<&IfName> {
        self.pacer.next_vip().map(|vip| self.config.carrier(vip))
    }
}

fn params(config: &VrrpInstance, priority: u8, source: IpAddr) -> Params {
    Params {
        version: config.version,
        priority,
        interval: packet::wire_interval(config.version, config.interval),
        missed: config.missed,
        preempt: config.preempt,
        yields: false,
        preempt_delay: config.preempt_delay,
        source,
    }
}
