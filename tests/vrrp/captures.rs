//! Conversations of real peers, replayed: each file of `captures/` has the configuration of our router, what the other one said
//! on a wire, and what ours makes of it.
//!
//! ```text
//! version = 1 …                    the file of our router, up to a line of dashes
//! ---
//! @1.000123 45c0 0020 …            when, and the datagram from the IP header on
//!   hears …                        what it says, and what it caused
//!   @4.612 master: …               what a timer caused afterwards
//! @9.000000 end
//! ```
//! `cargo test --test vrrp_keepalived record -- --ignored` records the keepalived of this machine anew; `UPDATE=1` rewrites the
//! indented lines, and the difference is reviewed like code.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use director::config::NodeFacts;
use director::config::model::Look;
use director::ipc::message::Event;
use director::units::{Cidr, IfName, show_duration};
use director::vrrp::effect::Effect;
use director::vrrp::engine::Engine;
use director::vrrp::facts::{Address, Link};
use director::vrrp::instance::Entry;
use director::vrrp::packet::{Envelope, Reject, decode, split_ipv4};
use director::vrrp::seal::{Form, Wall};
use director::vrrp::vips;

/// What the calendar says when a conversation begins.
const CALENDAR: Duration = Duration::from_secs(1_800_000_000);

fn eth0() -> IfName {
    "eth0".parse().unwrap()
}

/// Takes a datagram apart as the sockets do.
fn open(datagram: &[u8]) -> (Envelope, &[u8]) {
    if datagram[0] >> 4 == 4 {
        return split_ipv4(datagram).unwrap();
    }
    let address = |at: usize| {
        let bytes: [u8; 16] = datagram[at..at + 16].try_into().unwrap();
        IpAddr::from(Ipv6Addr::from(bytes))
    };
    (Envelope::new(address(8), address(24), datagram[7]), &datagram[40..])
}

fn words(envelope: Envelope, payload: &[u8]) -> String {
    match decode(envelope, payload) {
        Ok(decoded) => {
            let advert = decoded.advert;
            let mut text = format!(
                "{:?} priority={} interval={} {:?}",
                advert.version,
                advert.priority,
                show_duration(advert.interval),
                advert.addresses.as_slice()
            );
            decoded.checksum.iter().for_each(|sum| write!(text, " {sum:?}").unwrap());
            envelope.sealed.iter().for_each(|ah| write!(text, " AH {}", ah.sequence()).unwrap());
            decoded.trailer.iter().for_each(|_| text.push_str(" signed"));
            text
        }
        Err(reject) => format!("{}: {reject}", reject.name()),
    }
}

struct Player {
    engine: Engine,
    start: Instant,
    out: String,
}

impl Player {
    fn new(file: &str) -> Self {
        let start = Instant::now();
        let config = director::config::check(file, "director.toml", &NodeFacts::default()).unwrap().config;
        let mut engine = Engine::new();
        let own: Vec<Cidr> = config.interfaces[0].addresses.clone();
        engine.observe(start, |facts| {
            let set = |cidr| Address { cidr, ours: false, look: Look::default(), usable: true };
            let addresses = own.into_iter().map(set).collect();
            let link = Link { index: 2, up: true, running: true, addresses, ..Link::default() };
            facts.links.insert(eth0(), link);
        });
        engine.configure(start, config.vrrp, |_| Entry::Listen);
        engine.set_wall(Wall::new(start, CALENDAR));
        let mut player = Self { engine, start, out: String::new() };
        player.carry_out("  ");
        player
    }

    /// Writes down what is to be done, and does it.
    fn carry_out(&mut self, lead: &str) {
        let mut announced: Vec<String> = Vec::new();
        for effect in self.engine.effects() {
            let line = match effect {
                Effect::Send { source, destination, form, packet, .. } => {
                    let (envelope, payload) = match form {
                        Form::Datagram => split_ipv4(&packet).unwrap(),
                        Form::Message | Form::Frame => {
                            (Envelope::new(source, destination, 255), packet.as_slice())
                        }
                    };
                    format!("says {}", words(envelope, payload))
                }
                Effect::Addresses => {
                    for op in vips::diff(self.engine.facts(), &self.engine.desired()) {
                        self.engine.note(&op);
                        writeln!(self.out, "{lead}{op}").unwrap();
                    }
                    continue;
                }
                Effect::Announce { vip, .. } => {
                    announced.push(vip.to_string());
                    continue;
                }
                Effect::State(Event::Router { state, reason, .. }) => {
                    format!("{}: {reason}", format!("{state:?}").to_lowercase())
                }
                Effect::State(_) | Effect::Remember => continue,
            };
            writeln!(self.out, "{lead}{line}").unwrap();
        }
        if !announced.is_empty() {
            writeln!(self.out, "{lead}announces {}", announced.join(" ")).unwrap();
        }
    }

    /// Lets timers fire until `at`.
    fn run(&mut self, at: Instant) {
        while let Some(due) = self.engine.deadline(at).filter(|due| *due < at) {
            let lead = format!("  @{:.6} ", (due - self.start).as_secs_f64());
            self.turn(due, &lead);
        }
    }

    /// What is announced waits for the VIPs, which the first turn sets.
    fn turn(&mut self, at: Instant, lead: &str) {
        self.engine.tick(at);
        self.carry_out(lead);
        if self.engine.deadline(at).is_some_and(|next| next <= at) {
            self.engine.tick(at);
            self.carry_out(lead);
        }
    }

    fn hear(&mut self, at: Instant, datagram: &[u8]) {
        let (envelope, payload) = open(datagram);
        writeln!(self.out, "  hears {}", words(envelope, payload)).unwrap();
        let before = self.counters(at);
        self.engine.packet(at, &eth0(), envelope, payload);
        let after = self.counters(at);
        for kind in Reject::NAMES.into_iter().filter(|kind| after[*kind] > before[*kind]) {
            writeln!(self.out, "  drops it: {kind}").unwrap();
        }
        self.turn(at, "  ");
    }

    fn counters(&self, at: Instant) -> BTreeMap<String, u64> {
        self.engine.status(at, 1).instances[0].counters.clone()
    }

    /// What was counted in the end.
    fn count(&mut self, at: Instant) {
        let counters = self.counters(at).into_iter().filter(|(_, n)| *n > 0);
        let counters: Vec<String> = counters.map(|(name, n)| format!("{name}={n}")).collect();
        writeln!(self.out, "  counted {}", counters.join(" ")).unwrap();
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// Replays a conversation; gives it back with what really was done.
fn play(text: &str) -> String {
    let (file, lines) = text.split_once("---\n").unwrap();
    let mut player = Player::new(file);
    let mut comments = String::new();
    for line in lines.lines().filter(|line| !line.starts_with("  ")) {
        let Some((at, what)) = line.strip_prefix('@').and_then(|line| line.split_once(' ')) else {
            writeln!(comments, "{line}").unwrap();
            continue;
        };
        let at = player.start + Duration::from_secs_f64(at.parse().unwrap());
        player.run(at);
        writeln!(player.out, "{}{line}", std::mem::take(&mut comments)).unwrap();
        if what == "end" { player.count(at) } else { player.hear(at, &bytes(what)) }
    }
    format!("{file}---\n{}", player.out)
}

#[test]
fn every_conversation_goes_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vrrp/captures");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "{files:?}");
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let played = play(&text);
        if played != text {
            if std::env::var_os("UPDATE").is_some() {
                std::fs::write(&file, played).unwrap();
            } else {
                wrong.push(format!("{}:\n{played}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "these went otherwise (UPDATE=1 writes them down):\n{}", wrong.join("\n"));
}
