//! Many routers on one simulated segment, or between two: loss, delay, duplicates, reordering, partitions, crashes, stalls, a
//! fake clock. Once the
//! wires are whole again there is exactly one master, the right one, and it alone has the VIPs. Between two segments the
//! virtual routers of a box are master together or not at all, at every moment.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use director::config::model::{
    HmacAuth, HmacKey, HmacMode, Look, Replay, VirtualAddress, VrrpAuth, VrrpChecksum, VrrpInstance,
    VrrpPeer, VrrpVersion,
};
use director::ipc::message::{RouterState, RouterStatus};
use director::units::{Cidr, IfName, Priority, Vrid};
use director::vrrp::effect::Effect;
use director::vrrp::engine::Engine;
use director::vrrp::facts::{Address, Link};
use director::vrrp::instance::Entry;
use director::vrrp::packet::{Envelope, split_ipv4};
use director::vrrp::seal::{Form, Wall};
use director::vrrp::vips;

const RUNS: u64 = 10_000;

/// Delay of a healthy segment.
const QUICK: Duration = Duration::from_micros(200);
/// What the calendar says when a run begins.
const CALENDAR: Duration = Duration::from_secs(1_800_000_000);

/// One of the ways to authenticate that a version has.
fn auth(kind: u64, version: VrrpVersion) -> Option<VrrpAuth> {
    let key = heapless::Vec::from_slice(b"1111").unwrap();
    match (kind, version) {
        (0, VrrpVersion::V2) => Some(VrrpAuth::Pass(key)),
        (1, VrrpVersion::V2) => Some(VrrpAuth::Ah(key)),
        (2, _) => Some(VrrpAuth::Hmac(HmacAuth {
            keys: vec![HmacKey { id: 7, secret: vec![7; 32] }],
            active: 7,
            replay: Replay::Time(5),
            mode: HmacMode::Enforce,
        })),
        _ => None,
    }
}

/// splitmix64: small, good enough, the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.roll(from.len() as u64)).unwrap()]
    }

    fn part(&mut self, of: Duration) -> Duration {
        Duration::from_nanos(self.roll(u64::try_from(of.as_nanos()).unwrap().max(1)))
    }
}

struct Node {
    /// One for each wire; two are a group.
    configs: Vec<VrrpInstance>,
    addresses: Vec<Cidr>,
    engine: Option<Engine>,
    /// Which part of each broken segment it is in.
    part: [u64; 2],
    /// The process does not run before this.
    asleep: Option<Instant>,
    /// What waits in its socket meanwhile.
    waiting: Vec<(usize, Envelope, Vec<u8>)>,
    holds: bool,
}

struct Segment {
    nodes: Vec<Node>,
    start: Instant,
    now: Instant,
    wire: BinaryHeap<Reverse<(Instant, u64, usize, Letter)>>,
    sent: u64,
    dice: Dice,
    loss: u64,
    doubled: u64,
    delay: Duration,
    became: u64,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Letter {
    wire: usize,
    source: IpAddr,
    destination: IpAddr,
    form: Form,
    bytes: Vec<u8>,
}

fn eth(wire: usize) -> IfName {
    format!("eth{wire}").parse().unwrap()
}

fn vip(ipv6: bool, wire: usize) -> Cidr {
    let text = if ipv6 { format!("2001:db8:{wire}::45") } else { format!("10.{wire}.0.45") };
    text.parse().unwrap()
}

impl Segment {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let ipv6 = dice.roll(4) == 0;
        let version = if !ipv6 && dice.roll(4) == 0 { VrrpVersion::V2 } else { VrrpVersion::V3 };
        let shared = dice.pick(&[10, 100, 1000]);
        let mixed = version == VrrpVersion::V3 && dice.roll(4) == 0;
        let preempt = dice.roll(3) != 0;
        let unicast = dice.roll(4) == 0;
        let equal = dice.roll(4) == 0;
        let count = 2 + dice.roll(7).min(dice.roll(7));
        let missed = dice.pick(&[3, 3, 3, 2, 5]);
        let auth = auth(dice.roll(4), version);
        let wires = if dice.roll(3) == 0 { 2 } else { 1 };
        let own = |i: u64, wire: usize| -> Cidr {
            let text = if ipv6 { format!("fe80::{wire}:{i}/64") } else { format!("10.{wire}.0.{i}/24") };
            text.parse().unwrap()
        };
        let nodes = (1..=count)
            .map(|i| {
                let ms = if version == VrrpVersion::V2 {
                    1000
                } else if mixed {
                    dice.pick(&[10, 50, 100])
                } else {
                    shared
                };
                // An owner is in no group.
                let most = if wires == 2 { 254 } else { 255 };
                let priority = if equal { 100 } else { 1 + i64::try_from(dice.roll(most)).unwrap() };
                let checksum =
                    dice.pick(&[None, Some(VrrpChecksum::Rfc9568), Some(VrrpChecksum::PseudoHeader)]);
                let millis = Duration::from_millis;
                let preempt_delay = dice.pick(&[0, 0, ms * 2]);
                let start_delay = dice.pick(&[0, 0, ms * 6]);
                let config = |wire: usize| VrrpInstance {
                    priority: Priority::try_from(priority).unwrap(),
                    interval: millis(ms),
                    version,
                    auth: auth.clone(),
                    missed,
                    checksum,
                    preempt,
                    preempt_delay: millis(preempt_delay),
                    start_delay: millis(start_delay),
                    peers: if unicast {
                        (1..=count).filter(|j| *j != i).map(|j| VrrpPeer::new(own(j, wire).address)).collect()
                    } else {
                        Vec::new()
                    },
                    group: (wires == 2).then(|| "between".to_owned()),
                    ..VrrpInstance::new(
                        &format!("VI_{wire}"),
                        eth(wire),
                        Vrid::try_from(51).unwrap(),
                        vec![VirtualAddress::from(vip(ipv6, wire))],
                    )
                };
                Node {
                    configs: (0..wires).map(config).collect(),
                    addresses: (0..wires).map(|wire| own(i, wire)).collect(),
                    engine: None,
                    part: [0, 0],
                    asleep: None,
                    waiting: Vec::new(),
                    holds: false,
                }
            })
            .collect();
        let start = Instant::now();
        Self {
            nodes,
            now: start,
            start,
            wire: BinaryHeap::new(),
            sent: 0,
            dice,
            loss: 0,
            doubled: 0,
            delay: QUICK,
            became: 0,
        }
    }

    fn longest(&self) -> Duration {
        self.nodes.iter().map(|node| node.configs[0].interval).max().unwrap()
    }

    fn start(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let mut engine = Engine::new();
        let link = |(wire, cidr): (usize, &Cidr)| {
            let addresses = vec![Address { cidr: *cidr, ours: false, look: Look::default(), usable: true }];
            let index = u32::try_from(wire).unwrap() + 2;
            (eth(wire), Link { index, up: true, running: true, addresses, ..Link::default() })
        };
        let links = node.addresses.iter().enumerate().map(link).collect();
        let wall = Wall::new(self.start, CALENDAR);
        engine.observe(self.now, |facts| facts.links = links);
        engine.configure(self.now, node.configs.clone(), |_| Entry::Listen);
        engine.set_wall(wall);
        node.engine = Some(engine);
        node.asleep = None;
        node.waiting.clear();
        self.settle(at);
    }

    /// Carries out what a node asks for.
    fn settle(&mut self, at: usize) {
        let Some(engine) = self.nodes[at].engine.as_mut() else { return };
        for effect in engine.effects() {
            match effect {
                Effect::Send { interface, source, destination, form, packet, .. } => {
                    let wire = usize::from(interface == eth(1));
                    self.send(at, Letter { wire, source, destination, form, bytes: packet.to_vec() });
                }
                Effect::Addresses => {
                    let node = &mut self.nodes[at];
                    let engine = node.engine.as_mut().unwrap();
                    for op in vips::diff(engine.facts(), &engine.desired()) {
                        engine.note(&op);
                    }
                    let mut links = engine.facts().links.values();
                    node.holds = links.all(|link| link.addresses.iter().any(|a| a.ours));
                }
                Effect::Announce { interface, .. } => {
                    let facts = self.nodes[at].engine.as_ref().unwrap().facts();
                    let has = facts.links[&interface].addresses.iter().any(|a| a.ours);
                    assert!(has, "announces a VIP that it does not have");
                }
                Effect::Remember => {}
                Effect::State(_) => self.became += 1,
            }
        }
        let node = &self.nodes[at];
        let engine = node.engine.as_ref().unwrap();
        let masters = engine.masters().count();
        assert!(masters == 0 || masters == node.configs.len(), "half a group is master");
        assert_eq!(node.holds, masters > 0, "VIP and mastership differ");
    }

    fn send(&mut self, from: usize, letter: Letter) {
        for to in (0..self.nodes.len()).filter(|to| *to != from) {
            let (wire, destination) = (letter.wire, letter.destination);
            let meant = destination.is_multicast() || self.nodes[to].addresses[wire].address == destination;
            let joined = self.nodes[to].part[wire] == self.nodes[from].part[wire];
            while meant && joined && self.dice.roll(100) >= self.loss {
                let at = self.now + Duration::from_micros(50) + self.dice.part(self.delay);
                self.sent += 1;
                self.wire.push(Reverse((at, self.sent, to, letter.clone())));
                if self.dice.roll(100) >= self.doubled {
                    break;
                }
            }
        }
    }

    /// Lets time pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let letter = self.wire.peek().map(|Reverse((at, ..))| *at);
            let timers = self.nodes.iter().enumerate().filter_map(|(i, node)| {
                let due = node.engine.as_ref()?.deadline(self.now);
                // A sleeper wakes to read its socket even with no timer due.
                match (due, node.asleep) {
                    (Some(due), Some(wake)) => Some((due.max(wake), i)),
                    (Some(due), None) => Some((due, i)),
                    (None, wake) => wake.map(|wake| (wake, i)),
                }
            });
            let timer = timers.min();
            let next = letter.into_iter().chain(timer.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|at| *at <= end) else { break };
            self.now = next.max(self.now);
            if letter == Some(next) {
                let Reverse((_, _, to, letter)) = self.wire.pop().unwrap();
                let (envelope, bytes) = match letter.form {
                    Form::Message | Form::Frame => {
                        (Envelope::new(letter.source, letter.destination, 255), letter.bytes)
                    }
                    Form::Datagram => {
                        let (envelope, payload) = split_ipv4(&letter.bytes).unwrap();
                        (envelope, payload.to_vec())
                    }
                };
                self.nodes[to].waiting.push((letter.wire, envelope, bytes));
                if self.nodes[to].asleep.is_none_or(|wake| wake <= self.now) {
                    self.turn(to);
                }
            } else if let Some((_, at)) = timer {
                self.turn(at);
            }
        }
        self.now = end;
    }

    /// One turn of a worker's loop: first what waits in the socket, then the timers.
    fn turn(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.asleep = None;
        let waiting = std::mem::take(&mut node.waiting);
        let Some(engine) = node.engine.as_mut() else { return };
        for (wire, envelope, bytes) in waiting {
            engine.packet(self.now, &eth(wire), envelope, &bytes);
        }
        engine.tick(self.now);
        self.settle(at);
    }

    fn carrier(&mut self, at: usize, wire: usize, on: bool) {
        let now = self.now;
        if let Some(engine) = self.nodes[at].engine.as_mut() {
            engine.observe(now, |facts| facts.links.get_mut(&eth(wire)).unwrap().running = on);
        }
        self.settle(at);
    }

    fn mischief(&mut self) {
        let at = usize::try_from(self.dice.roll(self.nodes.len() as u64)).unwrap();
        let wire = self.dice.pick(&[0, 1]).min(self.nodes[0].configs.len() - 1);
        match self.dice.roll(10) {
            0 => {
                for node in 0..self.nodes.len() {
                    self.nodes[node].part[wire] = self.dice.roll(2);
                }
            }
            1 => self.nodes.iter_mut().for_each(|node| node.part = [0, 0]),
            2 => {
                // Told to end.
                let now = self.now;
                if let Some(engine) = self.nodes[at].engine.as_mut() {
                    engine.stop(now);
                    self.settle(at);
                    assert!(!self.nodes[at].holds, "ended with the VIP");
                    self.nodes[at].engine = None;
                }
            }
            3 => {
                // The power goes.
                self.nodes[at].engine = None;
                self.nodes[at].holds = false;
            }
            4 if self.nodes[at].engine.is_none() => self.start(at),
            5 => {
                let on = self.dice.roll(2) == 0;
                self.carrier(at, wire, on);
            }
            6 => {
                let nap = self.dice.part(self.longest() * 8);
                self.nodes[at].asleep = Some(self.now + nap);
            }
            7 => self.doubled = self.dice.pick(&[0, 5, 30]),
            // So much delay that one advertisement overtakes another.
            8 => self.delay = self.dice.pick(&[QUICK, self.longest() * 3 / 2]),
            _ => self.loss = self.dice.pick(&[0, 0, 10, 30]),
        }
    }

    fn masters(&self) -> Vec<usize> {
        let master = |node: &Node| node.engine.as_ref().is_some_and(|engine| engine.masters().count() > 0);
        (0..self.nodes.len()).filter(|at| master(&self.nodes[*at])).collect()
    }

    fn make_whole(&mut self) {
        (self.loss, self.doubled, self.delay) = (0, 0, QUICK);
        for at in 0..self.nodes.len() {
            self.nodes[at].part = [0, 0];
            if self.nodes[at].engine.is_none() {
                self.start(at);
            }
            for wire in 0..self.nodes[at].configs.len() {
                self.carrier(at, wire, true);
            }
        }
    }
}

fn one_run(seed: u64) {
    let mut segment = Segment::new(seed);
    for at in 0..segment.nodes.len() {
        if segment.dice.roll(4) != 0 {
            segment.start(at);
        }
    }
    for _ in 0..segment.dice.roll(12) {
        segment.mischief();
        let time = segment.dice.part(segment.longest() * 6);
        segment.run(time);
    }
    segment.make_whole();
    // A nap of 8 intervals, delays of 6 and 2, twice the longest wait for a master: 6 intervals. The skew of version 2, which is a
    // second at any interval, is one of its intervals here.
    let settle = segment.longest() * 30;
    segment.run(settle);
    let masters = segment.masters();
    assert_eq!(masters.len(), 1, "masters: {masters:?}");
    let holders = segment.nodes.iter().filter(|node| node.holds).count();
    assert_eq!(holders, 1, "boxes with the VIP");
    if segment.nodes[0].configs[0].preempt {
        // Among equals whoever came first stays: an equal priority counts as better (RFC 9568 section 6.4.2).
        let best = segment.nodes.iter().map(|node| node.configs[0].priority).max();
        assert_eq!(Some(segment.nodes[masters[0]].configs[0].priority), best, "not the best");
    }
    let changes = segment.became;
    segment.run(segment.longest() * 10);
    assert_eq!(segment.became, changes, "no peace");
    assert_eq!(segment.masters(), masters);
    for node in &segment.nodes {
        let status = node.engine.as_ref().unwrap().status(segment.now, 1);
        for kind in director::vrrp::packet::Reject::NAMES {
            // Doubles, those that were overtaken, and those that waited for a sleeper look like replays to who authenticates.
            let replays = matches!(kind, "auth_failure" | "auth_ext_replay" | "auth_ext_stale");
            let none = |router: &RouterStatus| router.counters[kind] == 0;
            assert!(replays || status.instances.iter().all(none), "{kind}");
        }
        let expected = if node.holds { RouterState::Master } else { RouterState::Backup };
        assert!(status.instances.iter().all(|router| router.state == expected));
    }
}

#[test]
fn one_master_the_right_one() {
    // SEED=n repeats one run; SEEDS=n plays so many, FROM=m from there on.
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("SEED") {
        return one_run(seed);
    }
    let (from, runs) = (number("FROM").unwrap_or(0), number("SEEDS").unwrap_or(RUNS));
    let hands = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for hand in 0..hands {
            scope.spawn(move || {
                for seed in (from..from + runs).skip(hand).step_by(hands) {
                    if let Err(cause) = std::panic::catch_unwind(|| one_run(seed)) {
                        eprintln!("seed {seed}: repeat with SEED={seed}");
                        std::panic::resume_unwind(cause);
                    }
                }
            });
        }
    });
}

/// The gap that a client sees when the master dies silently: three intervals and the backup's skew, to the microsecond.
#[test]
fn a_dead_master_is_replaced_when_the_formula_says() {
    let mut segment = Segment::new(1);
    segment.nodes.truncate(2);
    for (node, priority) in segment.nodes.iter_mut().zip([200, 100]) {
        node.configs.truncate(1);
        node.addresses.truncate(1);
        let config = &mut node.configs[0];
        (config.version, config.auth, config.group, config.missed) = (VrrpVersion::V3, None, None, 3);
        config.peers.clear();
        (config.preempt, config.preempt_delay, config.start_delay) = (true, Duration::ZERO, Duration::ZERO);
        config.interval = Duration::from_millis(100);
        config.priority = Priority::try_from(priority).unwrap();
    }
    segment.delay = Duration::ZERO;
    segment.start(0);
    segment.start(1);
    segment.run(Duration::from_secs(2));
    assert_eq!(segment.masters(), [0]);
    segment.nodes[0].engine = None;
    segment.nodes[0].holds = false;
    let died = segment.now;
    let due = segment.nodes[1].engine.as_ref().unwrap().deadline(died).unwrap();
    assert!(due - died <= Duration::from_micros(360_938));
    assert!(due - died > Duration::from_micros(260_000));
    segment.run(due - died);
    assert_eq!(segment.masters(), [1]);
}
