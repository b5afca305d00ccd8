//! The thread that tells and hears, and the loop's end of it.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc;

use super::outline::Outline;
use super::pace::Pace;
use super::peers::{Peers, Refusal, binding};
use super::socket::Post;
use crate::ipc::client::ask;
use crate::ipc::message::{LvsSummary, PeerStatus, Reply, Request, VrrpStatus};
use crate::paths::RunDir;
use crate::role::Role;
use crate::units::IfName;
use crate::vrrp::packet::{GROUP_V4, GROUP_V6, TTL};
use crate::vrrp::quiet::Quiet;
use crate::vrrp::trailer::Sequences;

const STACK: usize = 512 * 1024;
/// How often the rest is seen to: sockets, groups, what is shown.
const PERIOD: Duration = Duration::from_secs(1);
/// How often `lvs` is asked how much there is, in periods, and how long it may take.
const ASK: u32 = 2;
const WAIT: Duration = Duration::from_millis(300);
/// Letters heard in a tenth of a second: more is a flood, and is left to the kernel to drop.
const BUDGET: usize = 32;
const WINDOW: Duration = Duration::from_millis(100);

/// What is shown of the others.
#[derive(Debug, Clone)]
pub struct Sighting {
    at: Instant,
    peers: Vec<PeerStatus>,
    letters: BTreeMap<&'static str, u64>,
    problem: Option<String>,
}

impl Sighting {
    /// The others, as long ago as it is by now.
    fn peers_at(&self, now: Instant) -> impl Iterator<Item = PeerStatus> + '_ {
        let older = u64::try_from(now.saturating_duration_since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.peers.iter().cloned().map(move |mut peer| {
            let ages = std::iter::once(&mut peer.heard_ms)
                .chain(peer.ways.iter_mut().map(|way| &mut way.heard_ms))
                .chain(peer.routers.iter_mut().map(|router| &mut router.heard_ms));
            ages.for_each(|age| *age = age.saturating_add(older));
            peer
        })
    }
}

/// The loop's end: it says what may be told, and keeps what is shown.
#[derive(Debug, Default)]
pub struct Desk {
    ends: Option<(mpsc::UnboundedSender<Outline>, mpsc::Receiver<Sighting>)>,
    told: Outline,
    seen: Option<Sighting>,
}

impl Desk {
    /// Has the others told, if it is not what they were told last. The thread starts when there is anybody to tell.
    pub fn tell(&mut self, run: &RunDir, outline: Outline) {
        if self.ends.is_none() && !outline.ways.is_empty() {
            match start(run) {
                Ok(ends) => self.ends = Some(ends),
                Err(error) => return log::error!("cannot exchange state with other boxes: {error}"),
            }
        }
        if outline != self.told
            && let Some((tell, _)) = &self.ends
        {
            self.told = outline.clone();
            // A thread that has ended has left its last word, which grows old visibly.
            let _ = tell.send(outline);
        }
    }

    /// Waits for something to show; for ever, where nobody is told. Cancel safe.
    pub async fn sees(&mut self) {
        let seen = match &mut self.ends {
            Some((_, sightings)) => sightings.recv().await,
            None => None,
        };
        match seen {
            Some(seen) => self.seen = Some(seen),
            None => std::future::pending().await,
        }
    }

    /// The boxes that were heard within the last hour, and what they say of our virtual routers.
    #[must_use]
    pub fn known(&self, now: Instant) -> Vec<PeerStatus> {
        self.seen.iter().flat_map(|seen| seen.peers_at(now)).collect()
    }

    /// Puts what is known of the others into the status.
    pub fn show(&self, now: Instant, status: &mut VrrpStatus) {
        let Some(seen) = &self.seen else { return };
        status.peers = seen.peers_at(now).collect();
        let Sighting { letters, problem, .. } = seen;
        status.letters = letters.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        status.letters_problem.clone_from(problem);
    }
}

fn start(run: &RunDir) -> io::Result<(mpsc::UnboundedSender<Outline>, mpsc::Receiver<Sighting>)> {
    let (tell, outlines) = mpsc::unbounded_channel();
    let (show, sightings) = mpsc::channel(4);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = run.clone();
    // Real-time ends with the thread that has it: nothing here is worth a late advertisement.
    let builder = std::thread::Builder::new().name("vrrp-exchange".to_owned()).stack_size(STACK);
    builder.spawn(move || runtime.block_on(Exchange::new(run, show).talk(outlines)))?;
    Ok((tell, sightings))
}

struct Exchange {
    run: RunDir,
    show: mpsc::Sender<Sighting>,
    outline: Outline,
    hostname: String,
    table: Option<LvsSummary>,
    posts: [Option<Post>; 2],
    problem: Option<String>,
    sender: u64,
    sent: u64,
    sequences: Sequences,
    pace: Pace,
    peers: Peers,
    quiet: Quiet,
}

impl Exchange {
    fn new(run: RunDir, show: mpsc::Sender<Sighting>) -> Self {
        let sender = chance();
        Self {
            run,
            show,
            outline: Outline::default(),
            hostname: String::new(),
            table: None,
            posts: [None, None],
            problem: None,
            sender,
            sent: 0,
            sequences: Sequences::default(),
            pace: Pace::new(Instant::now()),
            peers: Peers::new(sender),
            quiet: Quiet::default(),
        }
    }

    async fn talk(mut self, mut outlines: mpsc::UnboundedReceiver<Outline>) {
        let mut period = tokio::time::interval(PERIOD);
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut turn = 0_u32;
        let (mut left, mut window) = (BUDGET, Instant::now());
        loop {
            let now = Instant::now();
            if now.saturating_duration_since(window) >= WINDOW {
                (left, window) = (BUDGET, now);
            }
            let due = self.pace.due(now);
            let [v4, v6] = &self.posts;
            tokio::select! {
                outline = outlines.recv() => match outline {
                    Some(outline) => self.take(outline),
                    None => return,
                },
                () = readable(v4.as_ref()), if left > 0 => left -= self.hear(0, left),
                () = readable(v6.as_ref()), if left > 0 => left -= self.hear(1, left),
                () = tokio::time::sleep_until((window + WINDOW).into()), if left == 0 => {}
                () = tokio::time::sleep_until(due.into()) => self.send(),
                _ = period.tick() => {
                    turn = turn.wrapping_add(1);
                    self.see_to_it(turn.is_multiple_of(ASK));
                }
            }
        }
    }

    fn take(&mut self, outline: Outline) {
        self.outline = outline;
        self.peers.configure(&self.outline);
        self.open();
        self.pace.changed();
    }

    /// Opens what is needed and missing, closes what is not needed, and hears the group wherever it may be heard.
    fn open(&mut self) {
        let ends = |ipv6: bool| {
            let all = self.outline.ways.iter().flat_map(|way| &way.ends);
            all.filter(move |(_, source)| source.is_ipv6() == ipv6).map(|(interface, _)| interface)
        };
        let mut problem = None;
        for (post, ipv6) in self.posts.iter_mut().zip([false, true]) {
            if ends(ipv6).next().is_none() {
                *post = None;
                continue;
            }
            if post.is_none() {
                match Post::open(ipv6) {
                    Ok(open) => *post = Some(open),
                    Err(error) => {
                        let family = if ipv6 { "IPv6" } else { "IPv4" };
                        let port = super::letter::PORT;
                        problem = Some(format!("cannot open UDP port {port} over {family}: {error}"));
                    }
                }
            }
            if let Some(post) = post {
                ends(ipv6).for_each(|interface| post.join(interface));
            }
        }
        if let Some(problem) = problem.as_ref().filter(|problem| self.problem.as_ref() != Some(*problem)) {
            log::warn!("no exchange of state with other boxes: {problem}");
        }
        self.problem = problem;
    }

    fn see_to_it(&mut self, asks: bool) {
        self.open();
        if asks {
            self.table = match ask(&self.run, Role::Lvs, &Request::Summary, WAIT) {
                Ok(Reply::Summary { summary }) => Some(summary),
                Ok(_) | Err(_) => None,
            };
            let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
            self.hostname = name.unwrap_or_default().chars().filter(|c| is_plain(*c)).collect();
        }
        let now = Instant::now();
        for warning in self.peers.examine(now, &self.outline) {
            log::warn!("{warning}");
        }
        self.report(now);
    }

    /// The loop shows the latest; one that it has no time for is no loss.
    fn report(&self, at: Instant) {
        let mut letters = self.peers.counters().clone();
        letters.insert("letters_sent", self.sent);
        let peers = self.peers.status(at, &self.outline);
        let _ = self.show.try_send(Sighting { at, peers, letters, problem: self.problem.clone() });
    }

    fn hear(&mut self, which: usize, most: usize) -> usize {
        let Self { posts, peers, outline, quiet, pace, .. } = self;
        let Some(Some(post)) = posts.get(which) else { return 0 };
        let mut new = false;
        let count = post.receive(most, |arrival| {
            let (now, from) = (Instant::now(), arrival.source);
            match peers.hear(now, unix(), outline, arrival) {
                Ok(first) => {
                    pace.heard(now);
                    if first {
                        new = true;
                        log::info!("peer heard: from={from} interface={}", arrival.interface);
                    }
                }
                Err(refusal) => complain(quiet, now, from, arrival.interface, &refusal),
            }
        });
        if new {
            self.pace.changed();
            self.report(Instant::now());
        }
        count
    }

    fn send(&mut self) {
        let outline = std::mem::take(&mut self.outline);
        for way in &outline.ways {
            let letter = outline.letter(way, self.sender, &self.hostname, self.table).encode();
            for (interface, source) in &way.ends {
                let mut bytes = letter.clone();
                if let Some(key) = &way.key
                    && let Some(trailer) = self.sequences.sign(key, binding(*source), unix(), &bytes)
                {
                    // There is room for it behind the longest.
                    let _ = bytes.extend_from_slice(&trailer);
                }
                let group: IpAddr = if source.is_ipv4() { GROUP_V4.into() } else { GROUP_V6.into() };
                let all = way.peers.iter().map(|peer| (peer.address, way.ttl));
                let group = way.peers.is_empty().then_some((group, TTL));
                for (destination, ttl) in all.chain(group) {
                    self.post(interface, (*source, destination), ttl, &bytes);
                }
            }
        }
        self.outline = outline;
        self.pace.sent(Instant::now());
    }

    fn post(&mut self, interface: &IfName, ends: (IpAddr, IpAddr), ttl: u8, bytes: &[u8]) {
        let [v4, v6] = &self.posts;
        let post = if ends.0.is_ipv6() { v6 } else { v4 };
        match post.as_ref().map(|post| post.send(interface, ends, ttl, bytes)) {
            Some(Ok(())) => self.sent = self.sent.saturating_add(1),
            // A link that is down is told of elsewhere.
            Some(Err(error)) => log::debug!("letter not sent: interface={interface} to={} {error}", ends.1),
            None => {}
        }
    }
}

fn complain(quiet: &mut Quiet, now: Instant, from: IpAddr, interface: &IfName, refusal: &Refusal) {
    if quiet.may_say(now, refusal.name()) {
        let kind = refusal.name();
        log::warn!("letter not heeded: from={from} interface={interface} kind={kind} reason={refusal}");
    }
}

const fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.')
}

async fn readable(post: Option<&Post>) {
    match post {
        Some(post) if post.readable().await.is_ok() => {}
        Some(_) | None => std::future::pending().await,
    }
}

/// The time since 1970.
fn unix() -> Duration {
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(Duration::ZERO, Duration::from)
}

/// A number that no other box has, nor another life of this one.
fn chance() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
