//! One virtual router of the file: the state machine with its packets, VIPs, announcements and counters. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::config::model::{VirtualAddress, VrrpChecksum, VrrpInstance};
use crate::ipc::message::RouterState;
use crate::units::IfName;

use super::accept::accept;
use super::auth::AuthField;
use super::devices::Device;
use super::effect::Effect;
use super::event::{Action, Announce, Event, Params, Peer, Reason};
use super::fsm::Router;
use super::garp::Pacer;
use super::packet::{self, Addresses, Advertisement, Envelope, GROUP_V4, GROUP_V6, Packet, Reject, TTL};
use super::quiet::Quiet;
use super::seal::{Form, Seal, Wall};
use super::status::word;
use super::track::{Verdict, is_ipv6};

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

/// How an instance that is allowed to take part begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Listens first; an election is not won before the start-up delay has passed.
    Listen,
    /// Was master until the worker died a moment ago, and knew how its peer sums.
    Resume(Option<VrrpChecksum>),
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
    /// What was heard last with heartbeats: the same comes again by another way.
    last: Option<(Instant, IfName, IpAddr, Packet)>,
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
            last: None,
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
    /// `unready`: the services have yet to be heard of.
    pub fn assess(
        &mut self,
        now: Instant,
        verdict: Verdict,
        entry: Entry,
        unready: bool,
        out: &mut Vec<Effect>,
    ) {
        match verdict {
            Verdict::Ready { priority, source, yields } => {
                let wanted = Params { yields, ..params(&self.config, priority, source) };
                if wanted != *self.router.params() {
                    self.step(now, Event::Params(wanted), out);
                }
                if matches!(self.state(), RouterState::Initialize | RouterState::Fault) {
                    let event = match entry {
                        // An owner does not wait by itself: any hold makes it listen first.
                        Entry::Listen => Event::Ready {
                            hold: self.config.start_delay.max(Duration::from_nanos(unready.into())),
                        },
                        Entry::Resume(theirs) => {
                            self.theirs = theirs;
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
        let old: BTreeSet<VirtualAddress> = old.vips().cloned().collect();
        self.pacer.configure(now, self.config.garp);
        if self.state() == RouterState::Master {
            out.push(Effect::Addresses);
            let new = self.config.vips().filter(|vip| !old.contains(vip)).cloned().collect::<Vec<_>>();
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
    /// them is still answered.
    pub fn resign(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.lingers = Some(now + LINGER);
        self.step(now, Event::Resign, out);
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

    /// Another member of the group has given way.
    pub fn give_way(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.step(now, Event::Yield, out);
    }

    /// Some of the VIPs had vanished from the kernel and are back: the segment may have learnt otherwise.
    pub fn announce_again(&mut self, now: Instant) {
        if self.state() == RouterState::Master {
            self.pacer.once(now, self.vips());
        }
    }

    /// A message for this virtual router's interface and number.
    pub fn receive(
        &mut self,
        now: Instant,
        interface: &IfName,
        envelope: Envelope,
        payload: &[u8],
        out: &mut Vec<Effect>,
    ) {
        if !self.config.heartbeat.is_empty() && self.came_before(now, interface, envelope.source, payload) {
            return;
        }
        let accepted = packet::decode(envelope, payload).and_then(|decoded| {
            accept(&self.config, self.router.params(), &envelope, &decoded)?;
            self.seal.verify(now, &self.config, &envelope, &decoded, payload).map(|()| decoded)
        });
        match accepted {
            Ok(decoded) => {
                let advert = &decoded.advert;
                self.count("advert_rcvd");
                if advert.priority == 0 {
                    self.count("pri_zero_rcvd");
                } else if self.state() == RouterState::Master {
                    self.second_master(now, envelope.source, advert.priority);
                } else if let Some(until) = &mut self.lingers {
                    *until = (*until).min(now + OVERLAP);
                }
                self.compare_list(envelope.source, &advert.addresses);
                self.learn(envelope.source, decoded.checksum, out);
                let peer = Peer { address: envelope.source, priority: advert.priority };
                self.step(now, Event::Advert { peer, interval: advert.interval }, out);
            }
            Err(reject) => self.reject(now, envelope.source, reject),
        }
    }

    /// Whether this is what another interface has just brought.
    fn came_before(&mut self, now: Instant, interface: &IfName, source: IpAddr, payload: &[u8]) -> bool {
        let recent = self.router.interval() / 2;
        if let Some((at, from, whose, said)) = &self.last
            && from != interface
            && *whose == source
            && now.saturating_duration_since(*at) < recent
            && said.as_slice() == payload
        {
            return true;
        }
        let said = payload.iter().copied().take(packet::MAX_LENGTH).collect();
        self.last = Some((now, interface.clone(), source, said));
        false
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

    /// Counts a message that another part of the worker rejected on this instance's behalf.
    pub fn reject(&mut self, now: Instant, source: IpAddr, reject: Reject) {
        self.count(reject.name());
        if self.quiet.may_say(now, reject.name()) {
            let kind = reject.name();
            log::warn!(
                "advertisement rejected: name={} from={source} kind={kind} reason={reject}",
                self.config.name
            );
        }
    }

    /// Two masters: ordinary once at a take-over, where the loser says a last word; a fault of the network when it goes on.
    fn second_master(&mut self, now: Instant, source: IpAddr, priority: u8) {
        self.count("second_master_rcvd");
        self.rivals = self.rivals.saturating_add(1);
        if self.rivals > 1 && self.quiet.may_say(now, "second_master_rcvd") {
            let own = self.router.params().priority;
            log::warn!(
                "second master: name={} from={source} priority={priority} ours={own}",
                self.config.name
            );
        }
    }

    /// Notes how the others sum, and does the same unless the file says otherwise.
    fn learn(&mut self, source: IpAddr, theirs: Option<VrrpChecksum>, out: &mut Vec<Effect>) {
        let before = self.theirs;
        self.theirs = theirs.or(before);
        if self.theirs != before {
            out.push(Effect::Remember);
        }
        let ours = self.config.checksum.or(before).unwrap_or_default();
        if let Some(theirs) = self.theirs.filter(|theirs| *theirs != ours)
            && self.config.checksum.is_none()
        {
            log::info!(
                "checksum as the peer's: name={} from={source} checksum={}",
                self.config.name,
                word(theirs)
            );
        }
    }

    /// Another list of addresses is said once, and never a reason to drop: two masters would be the result of every
    /// change of the list (RFC 9568 section 7.1: MAY verify).
    fn compare_list(&mut self, source: IpAddr, theirs: &Addresses) {
        let ours = self.advertised();
        let same = ours.len() == theirs.len() && ours.iter().all(|address| theirs.contains(address));
        if !same {
            self.count("addr_list_err");
            if !self.odd_list {
                log::warn!(
                    "addresses differ: name={} from={source} theirs={theirs:?} ours={ours:?}",
                    self.config.name
                );
            }
        }
        self.odd_list = !same;
    }

    fn step(&mut self, now: Instant, event: Event, out: &mut Vec<Effect>) {
        let before = self.state();
        for action in self.router.step(now, event) {
            match action {
                Action::Send { priority, interval } => self.send(now, priority, interval, out),
                Action::Claim => out.push(Effect::Addresses),
                Action::Release => {
                    self.pacer.stop();
                    out.push(Effect::Addresses);
                }
                Action::Announce(Announce::Burst) => self.pacer.begin(now, self.vips()),
                Action::Announce(Announce::Once) => self.pacer.once(now, self.vips()),
                Action::Enter { state, reason } => self.enter(now, before, state, reason, out),
            }
        }
    }

    fn enter(
        &mut self,
        now: Instant,
        before: RouterState,
        state: RouterState,
        reason: Reason,
        out: &mut Vec<Effect>,
    ) {
        self.since = now;
        self.rivals = 0;
        if state != RouterState::Backup {
            self.lingers = None;
        }
        if before == RouterState::Master {
            self.count("release_master");
        }
        if state == RouterState::Master {
            self.late = Duration::ZERO;
            self.count("become_master");
        }
        if reason == Reason::Resumed {
            self.pacer.resume(now);
        }
        // The reason of a fault is known to the caller, who says it.
        if reason != Reason::Failed {
            self.explain(reason.to_string(), out);
        }
    }

    fn explain(&mut self, reason: String, out: &mut Vec<Effect>) {
        self.reason = reason;
        out.push(Effect::State(self.event()));
    }

    fn send(&mut self, now: Instant, priority: u8, interval: Duration, out: &mut Vec<Effect>) {
        self.count("advert_sent");
        if priority == 0 {
            self.count("pri_zero_sent");
        }
        let advert = Advertisement {
            version: self.config.version,
            vrid: self.config.vrid.get(),
            priority,
            interval,
            auth: AuthField::for_config(self.config.auth.as_ref()),
            addresses: self.advertised(),
        };
        let source = self.router.params().source;
        let checksum = self.config.checksum.or(self.theirs).unwrap_or_default();
        let made = self.seal.make(now, &self.config, &advert, source, checksum);
        let virtual_mac = self.config.virtual_mac.as_ref().filter(|virtual_mac| virtual_mac.advertises);
        let mut send = |interface: &IfName, destination: IpAddr, ttl: u8| {
            let (form, packet) = made.to(destination, ttl);
            // On the other interfaces nobody looks for the VIPs.
            let mac = virtual_mac.filter(|_| *interface == self.config.interface).map(|found| found.mac);
            // The kernel sends a link-local source on its own link only.
            let form =
                if source.is_ipv6() && *interface != self.config.interface { Form::Frame } else { form };
            out.push(Effect::Send {
                instance: self.config.name.clone(),
                interface: interface.clone(),
                source,
                destination,
                ttl,
                form,
                mac,
                packet: Box::new(packet),
            });
        };
        if self.config.peers.is_empty() {
            let group: IpAddr = if source.is_ipv4() { GROUP_V4.into() } else { GROUP_V6.into() };
            for interface in std::iter::once(&self.config.interface).chain(&self.config.heartbeat) {
                send(interface, group, TTL);
            }
        } else {
            let interface = &self.config.interface;
            self.config.peers.iter().for_each(|peer| send(interface, peer.address, self.config.ttl));
        }
    }

    fn vips(&self) -> Vec<VirtualAddress> {
        self.config.vips().cloned().collect()
    }

    /// The VIPs in the order of the wire: link-local first (RFC 9568 section 5.2.9), as many as fit.
    fn advertised(&self) -> Addresses {
        let local = |address: &IpAddr| match address {
            IpAddr::V4(_) => false,
            IpAddr::V6(a) => a.is_unicast_link_local(),
        };
        let all = || self.config.addresses.iter().map(|vip| vip.cidr.address);
        all().filter(local).chain(all().filter(|a| !local(a))).take(packet::MAX_ADDRESSES).collect()
    }

    fn count(&mut self, name: &'static str) {
        *self.counters.entry(name).or_default() += 1;
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
