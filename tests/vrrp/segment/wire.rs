//! Routers, what is on the wires between them, and time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use director::config::model::{Look, VrrpInstance};
use director::ipc::message::RouterOrder;
use director::units::{Cidr, IfName};
use director::vrrp::effect::Effect;
use director::vrrp::engine::Engine;
use director::vrrp::facts::{Address, Link};
use director::vrrp::instance::{Entry, Instance, Left};
use director::vrrp::packet::{Envelope, split_ipv4};
use director::vrrp::seal::{Form, Wall};
use director::vrrp::vips;

use super::dice::Dice;

/// On any segment.
const LEAST_DELAY: Duration = Duration::from_micros(50);
/// What comes to that at most, by chance, on a healthy segment.
pub const QUICK: Duration = Duration::from_micros(200);
/// What the calendar says when a run begins.
const CALENDAR: Duration = Duration::from_secs(1_800_000_000);

pub struct Node {
    /// One for each wire; two are a group.
    pub configs: Vec<VrrpInstance>,
    pub addresses: Vec<Cidr>,
    pub engine: Option<Engine>,
    /// Which part of each broken segment it is in.
    pub part: [u64; 2],
    /// The process does not run before this.
    pub asleep: Option<Instant>,
    /// What waits in its socket meanwhile.
    pub waiting: Vec<(usize, Envelope, Vec<u8>)>,
    pub holds: bool,
}

impl Node {
    /// Whether what it has goes together.
    pub fn is_whole(&self) -> bool {
        self.configs.len() == 1 || self.configs.iter().all(|config| config.group.is_some())
    }
}

pub struct Segment {
    pub nodes: Vec<Node>,
    pub plain: bool,
    /// Tells what happens, for who has to find out why.
    pub aloud: bool,
    pub start: Instant,
    pub now: Instant,
    pub wire: BinaryHeap<Reverse<(Instant, u64, usize, Letter)>>,
    pub sent: u64,
    pub dice: Dice,
    pub loss: u64,
    pub doubled: u64,
    pub delay: Duration,
    pub became: u64,
    /// Boxes whose routers have become a group, until they go together.
    pub joins: Vec<bool>,
    /// Masters that hear each other, and since when.
    pub rivals: BTreeMap<(usize, usize), Instant>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Letter {
    pub wire: usize,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub form: Form,
    pub bytes: Vec<u8>,
}

impl Segment {
    pub fn tell(&self, what: fmt::Arguments<'_>) {
        if self.aloud {
            eprintln!("{:>12.3?} {what}", self.now - self.start);
        }
    }

    fn tell_of(&self, at: usize, effect: &Effect) {
        match effect {
            Effect::Send { interface, packet, .. } => {
                let words: String = packet.iter().take(8).map(|byte| format!("{byte:02x} ")).collect();
                self.tell(format_args!("{at} sends {words}by {interface}"));
            }
            Effect::State(event) => self.tell(format_args!("{at} {event:?}")),
            Effect::Addresses | Effect::Announce { .. } | Effect::Remember => {}
        }
    }

    pub fn longest(&self) -> Duration {
        self.nodes.iter().map(|node| node.configs[0].interval).max().unwrap()
    }

    pub fn start(&mut self, at: usize) {
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

    /// The worker of a node dies, and is back before anybody else has noticed: what was master goes on.
    pub fn crash(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Some(old) = node.engine.take() else { return };
        let masters: Vec<String> = old.masters().map(|instance| instance.config().name.clone()).collect();
        let links = old.facts().links.clone();
        let mut engine = Engine::new();
        engine.observe(self.now, |facts| facts.links = links);
        engine.set_wall(Wall::new(self.start, CALENDAR));
        engine.configure(self.now, node.configs.clone(), |config| {
            if masters.contains(&config.name) { Entry::Resume(Left::default()) } else { Entry::Listen }
        });
        engine.set_wall(Wall::new(self.start, CALENDAR));
        node.engine = Some(engine);
        self.settle(at);
    }

    /// Another file: its two virtual routers are a group, or are none.
    pub fn reload(&mut self, at: usize, group: Option<&str>) {
        let (now, node) = (self.now, &mut self.nodes[at]);
        node.configs.iter_mut().for_each(|config| config.group = group.map(str::to_owned));
        self.joins[at] = true;
        if let Some(engine) = node.engine.as_mut() {
            engine.configure(now, node.configs.clone(), |_| Entry::Listen);
        }
        self.settle(at);
    }

    /// The operator wants something; that it cannot be is none of our business.
    pub fn order(&mut self, at: usize, order: RouterOrder) {
        let now = self.now;
        self.tell(format_args!("{at} is ordered: {order:?}"));
        if let Some(engine) = self.nodes[at].engine.as_mut() {
            let _ = engine.order(now, order, "VI_0");
        }
        self.settle(at);
    }

    /// Carries out what a node asks for.
    pub fn settle(&mut self, at: usize) {
        let Some(engine) = self.nodes[at].engine.as_mut() else { return };
        for effect in engine.effects() {
            self.tell_of(at, &effect);
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
        let half = masters > 0 && masters < node.configs.len();
        // One that a new file has just brought in waits for silence; where it hears a master the others must not be one.
        let joins = self.joins[at] && half && !engine.instances().iter().any(Instance::follows);
        self.joins[at] = joins;
        if node.is_whole() && !joins {
            assert!(masters == 0 || masters == node.configs.len(), "half a group is master");
            // What was handed over stays for a moment.
            assert!(self.lingers(at) || node.holds == (masters > 0), "VIP and mastership differ");
        }
    }

    pub fn send(&mut self, from: usize, letter: Letter) {
        for to in (0..self.nodes.len()).filter(|to| *to != from) {
            let (wire, destination) = (letter.wire, letter.destination);
            let meant = destination.is_multicast() || self.nodes[to].addresses[wire].address == destination;
            let joined = self.nodes[to].part[wire] == self.nodes[from].part[wire];
            while meant && joined && self.dice.roll(100) >= self.loss {
                let at = self.now + LEAST_DELAY + self.dice.part(self.delay);
                self.sent += 1;
                self.wire.push(Reverse((at, self.sent, to, letter.clone())));
                if self.dice.roll(100) >= self.doubled {
                    break;
                }
            }
        }
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut here = (self.now, 0);
        loop {
            let letter = self.wire.peek().map(|Reverse((at, ..))| *at);
            let timers = self.nodes.iter().enumerate().filter_map(|(i, node)| {
                let due = node.engine.as_ref()?.deadline(self.now);
                // A sleeper wakes to read its socket even with no timer due.
                node.asleep.or(due).map(|at| (at, i))
            });
            let timer = timers.min();
            let next = letter.into_iter().chain(timer.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|at| *at <= end) else { break };
            self.now = next.max(self.now);
            here = if here.0 == self.now { (here.0, here.1 + 1) } else { (self.now, 0) };
            assert!(here.1 < 10_000, "time stands still: {}", self.story());
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
            self.judge_rivals();
        }
        self.now = end;
    }

    /// Two masters that hear each other are two until the next advertisement of the better one has arrived, no longer
    /// (RFC 9568 section 6.4.3).
    fn judge_rivals(&mut self) {
        if !self.nodes.iter().all(Node::is_whole) || self.joins.contains(&true) {
            // Each wire may have a master of its own.
            self.rivals.clear();
            return;
        }
        let longest = self.longest() + LEAST_DELAY + self.delay;
        let mut rivals = BTreeMap::new();
        let masters = self.masters();
        for (place, a) in masters.iter().enumerate() {
            for b in masters.iter().skip(place + 1).filter(|b| self.hear_each_other(*a, **b)) {
                let since = self.rivals.get(&(*a, *b)).copied().unwrap_or(self.now);
                let time = self.now - since;
                assert!(time <= longest, "{a} and {b} are both master for {time:?}");
                rivals.insert((*a, *b), since);
            }
        }
        self.rivals = rivals;
    }

    fn hear_each_other(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.nodes[a], &self.nodes[b]);
        let awake = a.asleep.is_none() && b.asleep.is_none();
        awake && self.loss == 0 && (0..a.configs.len()).any(|wire| a.part[wire] == b.part[wire])
    }

    /// When nobody sleeps any more, and what was sent before has arrived.
    pub fn calm(&self) -> Instant {
        let sleepers = self.nodes.iter().filter_map(|node| node.asleep);
        let letters = self.wire.iter().map(|Reverse((at, ..))| *at);
        sleepers.chain(letters).fold(self.now, Instant::max)
    }

    /// One turn of a worker's loop: first what waits in the socket, then the timers.
    pub fn turn(&mut self, at: usize) {
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

    pub fn carrier(&mut self, at: usize, wire: usize, on: bool) {
        let now = self.now;
        if let Some(engine) = self.nodes[at].engine.as_mut() {
            engine.observe(now, |facts| facts.links.get_mut(&eth(wire)).unwrap().running = on);
        }
        self.settle(at);
    }

    pub fn masters(&self) -> Vec<usize> {
        let master = |node: &Node| node.engine.as_ref().is_some_and(|engine| engine.masters().count() > 0);
        (0..self.nodes.len()).filter(|at| master(&self.nodes[*at])).collect()
    }

    /// Boxes that have the VIP.
    pub fn holders(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|at| self.nodes[*at].holds)
    }

    /// Whether a box keeps VIPs that it has handed over.
    pub fn lingers(&self, at: usize) -> bool {
        let engine = self.nodes[at].engine.as_ref();
        engine.is_some_and(|engine| engine.instances().iter().any(|instance| instance.lingers().is_some()))
    }

    pub fn make_whole(&mut self) {
        (self.loss, self.doubled, self.delay) = (0, 0, QUICK);
        for at in 0..self.nodes.len() {
            self.nodes[at].part = [0, 0];
            if self.nodes[at].engine.is_none() {
                self.start(at);
            }
            if self.nodes[at].configs.len() == 2 {
                self.reload(at, Some("between"));
            }
            // Of the whole group, which may have been ordered when it was none.
            self.order(at, RouterOrder::Release);
            for wire in 0..self.nodes[at].configs.len() {
                self.carrier(at, wire, true);
            }
        }
    }
}

pub fn eth(wire: usize) -> IfName {
    format!("eth{wire}").parse().unwrap()
}
