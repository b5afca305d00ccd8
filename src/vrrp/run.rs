//! The worker: real-time, locked in memory; one loop that waits for nothing but its descriptors, and a thread beside it for
//! what the kernel may let wait.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::alarm::Alarm;
use super::apply::{self, Done, Job};
use super::effect::Effect;
use super::engine::Engine;
use super::event::master_down;
use super::exchange::outline::{self, Outline};
use super::exchange::run::Desk;
use super::facts::{Facts, Link};
use super::instance::{Entry, Instance};
use super::kernel::Kernel;
use super::memory::{Memory, Record, monotonic};
use super::packet::wire_interval;
use super::punctual::{be_punctual, ended, never_wait_for_the_log};
use super::quiet::Quiet;
use super::seal::{self, Form, Wall};
use super::socket::{Place, Wire, places};
use super::sync::{self, Agreed};
use super::vips::{self, Op};
use super::watcher::{self, News, Subject, Wanted};
use super::ways::{self, Change};
use super::{arp, devices, nd};
use crate::config::model::{self, TrackTarget, VrrpInstance};
use crate::config::{self, Marks, Watcher};
use crate::ipc::client::{Heard, subscribe};
use crate::ipc::message::{Event, Reply, Request, RouterState, Status, VrrpStatus};
use crate::ipc::server::{self, Call, Subscribers};
use crate::ipvs::client;
use crate::ipvs::daemon::{Daemon, Duty};
use crate::net::watch::{ADDRESSES, Watch};
use crate::paths::RunDir;
use crate::role::Role;
use crate::units::{IfName, Mac};
use crate::worker::WorkerArgs;

/// The kernel is looked at this often, whatever it says by itself.
const PERIOD: Duration = Duration::from_secs(5);

/// After a look at the kernel that its events have caused, this many times its own length belongs to the rest: a storm of
/// events must not keep the timers waiting.
const REST: u32 = 4;

/// Words of services that are taken in one turn of the loop.
const TOGETHER: usize = 256;
/// How long what services say is only in memory: after a crash they say it again.
const UNWRITTEN: Duration = Duration::from_millis(100);

/// After a look that failed.
const AGAIN: Duration = Duration::from_millis(200);
/// How long an orderly end waits for the kernel: less than the supervisor waits for us.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Runs the role until SIGTERM, which makes every master resign and takes the VIPs off.
///
/// # Errors
/// When there is no runtime, no socket in the run directory, no netlink or no CAP_NET_RAW.
pub fn run(args: &WorkerArgs) -> Result<(), Box<dyn StdError>> {
    never_wait_for_the_log();
    be_punctual();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let end = ended()?;
        let (mut worker, inbox) = Worker::start(&args.run_dir)?;
        worker.forever(inbox, end).await
    })
}

/// Where news come from, besides the sockets.
struct Inbox {
    calls: mpsc::Receiver<Call>,
    configs: Watcher,
    events: Watch,
    done: mpsc::UnboundedReceiver<Done>,
}

struct Worker {
    run: RunDir,
    engine: Engine,
    wire: Wire,
    alarm: Alarm,
    /// The thread that talks to the kernel's tables.
    jobs: std::sync::mpsc::Sender<Job>,
    /// It is looking; when it has to look again, and not before when.
    looking: bool,
    look_at: Option<Instant>,
    earliest: Instant,
    /// It is changing VIPs; whether they have to be compared again when it has.
    applying: bool,
    again: bool,
    /// It has made a device, or removed one, since it looked last.
    made: bool,
    /// Announcements that wait for it: nobody is called before the VIP is there.
    withheld: Vec<(IfName, IpAddr)>,
    memory: Memory,
    /// Masters of the previous life, until the first configuration.
    previous: Vec<Record>,
    /// 0 = no configuration yet: nothing is touched.
    generation: u64,
    marks: Marks,
    services: Option<mpsc::Receiver<Heard>>,
    /// When what they said is written down: together, a thousand speak at once when a box starts.
    remember_at: Option<Instant>,
    /// The thread that asks what trackers want to know, once there is anything to ask.
    watcher: Option<mpsc::UnboundedSender<Wanted>>,
    news: Option<mpsc::UnboundedReceiver<News>>,
    sync: Daemons,
    ways: Roads,
    /// What the other boxes are told and tell, and whether there may be something new to tell.
    desk: Desk,
    news_for_peers: bool,
    subscribers: Subscribers,
    /// Changes that the kernel refused, and its words; said once.
    refused: BTreeMap<Op, String>,
    quiet: Quiet,
}

impl Worker {
    fn start(run: &RunDir) -> Result<(Self, Inbox), Box<dyn StdError>> {
        let path = run.socket(Role::Vrrp);
        let mut kernel = Kernel::open().map_err(|error| format!("open netlink socket: {error}"))?;
        let events = Watch::open(ADDRESSES).map_err(|error| format!("open netlink socket: {error}"))?;
        let links = kernel.links().map_err(|error| format!("look at the network: {error}"))?;
        let (jobs, done) = apply::start(kernel)?;
        let inbox = Inbox {
            calls: server::listen(&path).map_err(|error| format!("listen: {}: {error}", path.display()))?,
            configs: Watcher::new(run)
                .map_err(|error| format!("watch: {}: {error}", run.path().display()))?,
            events,
            done,
        };
        let (memory, life) = Memory::recall(&run.state(Role::Vrrp));
        let mut engine = Engine::new();
        engine.observe(Instant::now(), |facts| {
            facts.links = links;
            facts.services = life.services;
            facts.held = life.held;
            facts.yielding = life.yielding;
        });
        let worker = Self {
            run: run.clone(),
            engine,
            wire: Wire::open().map_err(|error| format!("open packet socket: {error}"))?,
            alarm: Alarm::new()?,
            jobs,
            looking: false,
            look_at: None,
            earliest: Instant::now(),
            applying: false,
            again: false,
            made: false,
            withheld: Vec::new(),
            memory,
            previous: life.masters,
            generation: 0,
            services: None,
            remember_at: None,
            watcher: None,
            news: None,
            sync: Daemons::default(),
            ways: Roads::default(),
            desk: Desk::default(),
            news_for_peers: false,
            marks: Marks::default(),
            subscribers: Subscribers::default(),
            refused: BTreeMap::new(),
            quiet: Quiet::default(),
        };
        Ok((worker, inbox))
    }

    async fn forever(&mut self, mut inbox: Inbox, end: UnixStream) -> Result<(), Box<dyn StdError>> {
        let mut period = tokio::time::interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        period.reset();
        self.load();
        loop {
            // What waits on the wire counts before any timer: silence is judged by what was heard, however late we are.
            self.set_wall();
            self.hear();
            self.engine.tick(Instant::now());
            self.carry_out();
            if std::mem::take(&mut self.news_for_peers) {
                self.tell_peers();
            }
            let now = Instant::now();
            if !self.looking && self.look_at.is_some_and(|at| at <= now) {
                self.look_at = None;
                self.looking = self.jobs.send(Job::Look).is_ok();
            }
            if self.remember_at.is_some_and(|at| at <= now) {
                self.remember();
            }
            let look_at = self.look_at.filter(|_| !self.looking);
            self.alarm
                .set(self.engine.deadline(now).into_iter().chain(look_at).chain(self.remember_at).min())?;
            // In no fixed order: a flood on the wire must not keep anybody else from being heard.
            tokio::select! {
                ready = self.wire.readable() => ready?,
                rung = self.alarm.rings() => rung?,
                ended = async { end.readable().await } => {
                    ended?;
                    self.stop(&mut inbox.done).await;
                    return Ok(());
                }
                changed = inbox.events.changed() => {
                    changed?;
                    self.look_at = Some(self.earliest.max(Instant::now()));
                }
                done = inbox.done.recv() => match done {
                    Some(done) => self.done(done),
                    None => return Err("the thread that talks to the kernel has ended".into()),
                },
                () = self.desk.sees() => {}
                Some(heard) = next(&mut self.services) => {
                    // One turn for the task that reads: what is there already comes together.
                    tokio::task::yield_now().await;
                    self.service(heard);
                }
                Some(news) = found_out(&mut self.news) => self.found_out(news),
                changed = inbox.configs.changed() => {
                    changed?;
                    self.load();
                }
                call = inbox.calls.recv() => match call {
                    Some(call) => self.answer(call),
                    None => return Err("the socket of this role is closed".into()),
                },
                _ = period.tick() => {
                    self.look_at = Some(Instant::now());
                    self.agree_on_daemons();
                    self.agree_on_ways();
                    self.news_for_peers = true;
                }
            }
        }
    }

    /// Has the other boxes told how things are here, if that is new.
    fn tell_peers(&mut self) {
        let runs = |duty| self.sync.running.iter().any(|daemon| daemon.duty == duty);
        let outline = Outline {
            generation: u32::try_from(self.generation).unwrap_or(u32::MAX),
            marks: self.marks,
            sends: runs(Duty::Send),
            hears: runs(Duty::Listen),
            ways: outline::ways(self.engine.instances(), self.engine.facts()),
        };
        self.desk.tell(&self.run, outline);
    }

    /// Signatures carry the time of the calendar.
    fn set_wall(&mut self) {
        let unix = clock_gettime(ClockId::CLOCK_REALTIME).map_or(Duration::ZERO, Duration::from);
        self.engine.set_wall(Wall::new(Instant::now(), unix));
    }

    /// Takes what has come in.
    fn hear(&mut self) {
        let Self { wire, engine, .. } = self;
        wire.receive(|interface, arrival| {
            let now = Instant::now();
            match arrival {
                Ok((envelope, payload)) => engine.packet(now, interface, envelope, payload),
                Err((source, reject)) => engine.unclaimed(now, interface, source, reject),
            }
        });
    }

    /// Takes the configuration that `store` has activated; a faulty one changes nothing.
    fn load(&mut self) {
        // Whoever goes on as master waits for no services.
        let cold = self.generation == 0 && self.previous.is_empty();
        let active = match config::active_without_services(&self.run) {
            Ok(Some(active)) => active,
            Ok(None) => return,
            Err(error) => return log::error!("configuration not taken: {error}"),
        };
        if active.generation == self.generation {
            return;
        }
        let services: BTreeSet<String> = active.gist.names.into_iter().filter(|_| cold).collect();
        let configs = active.checked.config.vrrp;
        log::info!("configuration taken: generation={} instances={}", active.generation, configs.len());
        let first = std::mem::replace(&mut self.generation, active.generation) == 0;
        self.marks = active.marks;
        self.news_for_peers = true;
        if first && !services.is_empty() {
            self.services = Some(subscribe(&self.run, Role::Lvs));
            self.engine.await_services(Instant::now(), services);
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
        self.engine.observe(now, |facts| facts.closed = closed);
        let facts = self.engine.facts().clone();
        self.engine.configure(now, configs, |config| entry(config, &facts, &previous));
        self.carry_out();
        self.remember();
        self.open_sockets();
        self.agree_on_daemons();
    }

    /// Tells the thread that asks what there is to ask, and forgets what nobody wants to know any more.
    fn watch(&mut self, configs: &[VrrpInstance]) {
        let wanted = watcher::wanted(configs);
        self.engine.observe(Instant::now(), |facts| {
            facts.probes.retain(|probe, _| wanted.contains(&Subject::Probe(probe.clone())));
            facts.files.retain(|path, _| wanted.contains(&Subject::File(path.clone())));
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

    fn found_out(&mut self, news: News) {
        match &news {
            News::Probe(probe, healthy, why) => {
                let word = if *healthy { "up" } else { "down" };
                log::info!("tracker {word}: {} reason={why}", probe.kind);
            }
            News::File(path, word) => log::info!("tracker: file {path} says {word:?}"),
        }
        self.engine.observe(Instant::now(), |facts| match news {
            News::Probe(probe, healthy, why) => drop(facts.probes.insert(probe, (healthy, why))),
            News::File(path, word) => drop(facts.files.insert(path, word)),
        });
        self.news_for_peers = true;
    }

    /// Has the synchronisation daemons made so; one question at a time.
    fn agree_on_daemons(&mut self) {
        if self.generation == 0 {
            return;
        }
        let engine = &self.engine;
        let masters = |name: &str| engine.masters().any(|instance| instance.config().name == name);
        let desired = sync::desired(self.sync.config.as_ref(), masters);
        if !self.sync.asked && (!desired.is_empty() || !self.sync.clean) {
            self.sync.clean = desired.is_empty();
            self.sync.asked = self.jobs.send(Job::Sync(desired)).is_ok();
        }
    }

    /// Has routes and rules made so, after the VIPs that they may need; once more if that changes meanwhile.
    fn agree_on_ways(&mut self) {
        if self.generation == 0 {
            return;
        }
        if self.ways.asked {
            self.ways.again = true;
            return;
        }
        let desired = ways::desired(self.engine.masters().map(Instance::config));
        // What an earlier life has left is looked for once.
        if desired.is_empty() && self.ways.clean {
            return;
        }
        self.ways.clean = desired.is_empty();
        let links = &self.engine.facts().links;
        let links = links.iter().map(|(name, link)| (name.clone(), link.index)).collect();
        self.ways.asked = self.jobs.send(Job::Ways(desired, links)).is_ok();
    }

    fn roads_made(&mut self, changes: io::Result<Vec<(Change, Option<String>)>>) {
        self.ways.asked = false;
        let mut problems = BTreeSet::new();
        match changes {
            Ok(changes) => {
                for (change, error) in changes {
                    match error {
                        None => log::debug!("{change}"),
                        Some(error) => drop(problems.insert(format!("cannot {change}: {error}"))),
                    }
                }
            }
            Err(error) => drop(problems.insert(format!("cannot look at routes and rules: {error}"))),
        }
        // What could not be removed is tried again.
        self.ways.clean &= problems.is_empty();
        problems.difference(&self.ways.problems).for_each(|problem| log::error!("{problem}"));
        self.ways.problems = problems;
        if std::mem::take(&mut self.ways.again) {
            self.agree_on_ways();
        }
    }

    fn synced(&mut self, agreed: Result<Agreed, client::Error>) {
        self.sync.asked = false;
        let wanted = self.sync.config.is_some();
        let mut problem = None;
        match agreed {
            Ok(Agreed { changes, running }) => {
                for (change, error) in changes {
                    match error {
                        None => log::info!("{change}"),
                        Some(error) => problem = Some(format!("cannot {change}: {error}")),
                    }
                }
                self.sync.running = running;
                self.news_for_peers = true;
            }
            // Without IPVS there are no daemons that might be left over.
            Err(error) if wanted => problem = Some(error.to_string()),
            Err(_) => {}
        }
        if let Some(problem) = problem.as_ref().filter(|problem| self.sync.problem.as_ref() != Some(*problem))
        {
            log::error!("{problem}");
        }
        self.sync.problem = problem;
    }

    fn listen_to_services(&mut self, configs: &[VrrpInstance]) {
        let tracks = configs.iter().flat_map(|config| &config.track);
        let tracked = tracks.into_iter().any(|track| matches!(track.target, TrackTarget::Service(_)));
        let wanted = tracked || self.engine.awaits_services(Instant::now());
        if !wanted {
            self.services = None;
        } else if self.services.is_none() {
            self.services = Some(subscribe(&self.run, Role::Lvs));
        }
    }

    /// What the thread has done.
    fn done(&mut self, done: Done) {
        match done {
            Done::Looked(links, took) => {
                self.looking = false;
                self.earliest = Instant::now() + took * REST;
                match links {
                    Ok(links) => self.see(links),
                    Err(error) => {
                        // In a storm the tables do not stand still; soon they will.
                        self.look_at = Some(Instant::now() + AGAIN);
                        if self.quiet.may_say(Instant::now(), "look") {
                            log::error!("cannot look at the network: {error}");
                        }
                    }
                }
            }
            Done::Synced(agreed) => self.synced(agreed),
            Done::Ways(changes) => self.roads_made(changes),
            Done::Applied { results, repair } => {
                self.applying = false;
                self.applied(results, repair);
                if std::mem::take(&mut self.again) {
                    self.agree(false);
                }
                if !self.applying {
                    self.release_announcements();
                }
            }
        }
    }

    /// Takes links and addresses as they are, and repairs what is not as it should be.
    fn see(&mut self, links: BTreeMap<IfName, Link>) {
        let needed = self.engine.instances().iter().flat_map(|instance| places(instance.config())).collect();
        let closed = self.wire.sync(&needed, &links);
        if links != self.engine.facts().links || closed != self.engine.facts().closed {
            self.engine.observe(Instant::now(), |facts| {
                facts.links = links;
                facts.closed = closed;
            });
            self.carry_out();
            self.news_for_peers = true;
        }
        // What is set on a device that was made just now is no repair.
        let made = std::mem::take(&mut self.made);
        self.agree(!made);
    }

    fn open_sockets(&mut self) {
        let needed = self.engine.instances().iter().flat_map(|instance| places(instance.config())).collect();
        let closed = self.wire.sync(&needed, &self.engine.facts().links);
        if closed != self.engine.facts().closed {
            self.engine.observe(Instant::now(), |facts| facts.closed = closed);
            self.carry_out();
        }
    }

    /// Takes a word of the services, and those that are there already: everybody judges anew once.
    fn service(&mut self, first: Heard) {
        let mut queue = self.services.as_mut();
        let more = std::iter::from_fn(move || queue.as_mut()?.try_recv().ok()).take(TOGETHER);
        let mut told: BTreeMap<String, bool> = BTreeMap::new();
        for heard in std::iter::once(first).chain(more) {
            match heard {
                Heard::Event(Event::Service { service, up }) => drop(told.insert(service, up)),
                // A publisher that is gone leaves what it said last: unknown changes nothing.
                Heard::Event(_) | Heard::Lost => {}
            }
        }
        let known = &self.engine.facts().services;
        told.retain(|service, up| known.get(service) != Some(up));
        if !told.is_empty() {
            self.engine.services_say(Instant::now(), told);
            self.news_for_peers = true;
            self.remember_at.get_or_insert_with(|| Instant::now() + UNWRITTEN);
        }
    }

    /// Does what the virtual routers ask for, in their order.
    fn carry_out(&mut self) {
        for effect in self.engine.effects() {
            match effect {
                Effect::Send { instance, interface, source, destination, ttl, form, mac, packet } => {
                    let sent = match (form, mac) {
                        (Form::Frame, _) | (_, Some(_)) => {
                            self.send_frame(&interface, mac, source, form, &packet)
                        }
                        (Form::Message | Form::Datagram, None) => {
                            self.wire.send(&interface, (source, destination), ttl, form, &packet)
                        }
                    };
                    match sent {
                        // A memory that cannot be written costs a failover after a crash, no more.
                        Ok(()) => drop(self.memory.spoke(&instance)),
                        // That a dead link carries no resignation needs no words.
                        Err(error) => {
                            let alive = self.engine.facts().links.get(&interface).is_some_and(|l| l.running);
                            if alive && self.quiet.may_say(Instant::now(), "send") {
                                log::warn!(
                                    "cannot advertise: name={instance} to={destination} reason={error}"
                                );
                            }
                        }
                    }
                }
                Effect::Addresses => {
                    self.agree(false);
                    self.agree_on_ways();
                }
                Effect::Announce { interface, vip } if self.applying || !self.is_there(&interface) => {
                    self.withheld.push((interface, vip));
                }
                Effect::Announce { interface, vip } => self.announce(&interface, vip),
                Effect::Remember => self.remember(),
                Effect::State(event) => self.tell(&event),
            }
        }
    }

    /// An advertisement that the kernel would not send so: on another interface under the address of the first, or from a
    /// virtual MAC address.
    fn send_frame(
        &self,
        interface: &IfName,
        mac: Option<Mac>,
        source: IpAddr,
        form: Form,
        message: &[u8],
    ) -> io::Result<()> {
        let link = self.engine.facts().links.get(interface);
        match link.and_then(|link| Some((link.index, mac.or(link.mac)?))) {
            Some((index, mac)) => self.wire.announce(index, &seal::frame(mac, source, form, message)),
            None => Err(io::Error::from_raw_os_error(libc::ENODEV)),
        }
    }

    /// Has the VIPs of the kernel made to agree with what they should be; later, if they are being changed just now.
    fn agree(&mut self, repair: bool) {
        if self.generation == 0 {
            return;
        }
        if self.applying {
            self.again = true;
            return;
        }
        let facts = self.engine.facts();
        let indexed = |op: Op| facts.links.get(op.on()).map(|link| link.index).map(|index| (op, index));
        let devices = self.engine.devices();
        let before = devices::before(facts, &devices).into_iter();
        let all =
            before.chain(vips::diff(facts, &self.engine.desired())).chain(devices::after(facts, &devices));
        let ops: Vec<(Op, u32)> = all.filter_map(indexed).collect();
        if ops.is_empty() {
            self.refused.clear();
        } else {
            self.applying = self.jobs.send(Job::Apply { ops, repair }).is_ok();
        }
    }

    /// Notes what the kernel has done, and what it has refused.
    fn applied(&mut self, results: Vec<(Op, io::Result<()>)>, repair: bool) {
        let mut refused = BTreeMap::new();
        for (op, result) in results {
            match result {
                Ok(()) => {
                    log::debug!("{op}");
                    self.engine.note(&op);
                    if matches!(op, Op::Create { .. } | Op::Delete { .. }) {
                        // What may be set on it, or made in its place, is known when its index is.
                        self.look_at = Some(Instant::now());
                        self.made = true;
                    }
                    // What was refused before is no repair of what others have done.
                    if repair && !self.refused.contains_key(&op) {
                        self.repaired(&op);
                    }
                }
                Err(error) => {
                    refused.insert(op, error.to_string());
                }
            }
        }
        for (op, error) in refused.iter().filter(|(op, error)| self.refused.get(*op) != Some(*error)) {
            log::error!("cannot {op}: {error}");
        }
        self.refused = refused;
    }

    /// Somebody else has changed the VIPs, and we have changed them back.
    fn repaired(&mut self, op: &Op) {
        let now = Instant::now();
        match op {
            Op::Add { interface, cidr, .. } => {
                if self.quiet.may_say(now, "put back") {
                    log::warn!("VIP put back: interface={interface} address={cidr} reason=it was not there");
                }
                self.engine.restored(now, interface);
            }
            Op::Remove { interface, cidr } => {
                if self.quiet.may_say(now, "taken off") {
                    log::warn!("VIP taken off: interface={interface} address={cidr} reason=not master");
                }
            }
            // A new configuration is compared after the first look: no repair of what others have done.
            Op::Create { .. } | Op::Raise { .. } | Op::Delete { .. } => log::info!("done: {op}"),
        }
    }

    /// Whether a device is there, or is none that is about to be made.
    fn is_there(&self, interface: &IfName) -> bool {
        self.engine.facts().links.contains_key(interface) || !self.engine.devices().contains_key(interface)
    }

    /// Makes the announcements that waited for their VIPs, if these are still ours.
    fn release_announcements(&mut self) {
        let desired = self.engine.desired();
        for (interface, vip) in std::mem::take(&mut self.withheld) {
            if !self.is_there(&interface) {
                // Each once, however long it takes.
                if !self.withheld.contains(&(interface.clone(), vip)) {
                    self.withheld.push((interface, vip));
                }
            } else if desired.get(&interface).is_some_and(|vips| vips.keys().any(|cidr| cidr.address == vip))
            {
                self.announce(&interface, vip);
            }
        }
    }

    fn announce(&mut self, interface: &IfName, vip: IpAddr) {
        let Some(link) = self.engine.facts().links.get(interface) else { return };
        // A link without an Ethernet address has no neighbours to tell.
        let Some(mac) = link.mac else { return };
        let sent = match vip {
            IpAddr::V4(vip) => self.wire.announce(link.index, &arp::gratuitous(mac, vip)),
            IpAddr::V6(vip) => self.wire.announce(link.index, &nd::unsolicited(mac, vip, link.forwards_ipv6)),
        };
        if let Err(error) = sent
            && self.quiet.may_say(Instant::now(), "announce")
        {
            log::warn!("cannot announce: interface={interface} address={vip} reason={error}");
        }
    }

    fn tell(&mut self, event: &Event) {
        if let Event::Router { name, state, reason } = event {
            let word = state_name(*state);
            match state {
                RouterState::Fault => log::warn!("router state: name={name} state={word} reason={reason}"),
                RouterState::Initialize | RouterState::Backup | RouterState::Master => {
                    log::info!("router state: name={name} state={word} reason={reason}");
                }
            }
        }
        self.subscribers.emit(event);
        self.remember();
        self.news_for_peers = true;
        if self.sync.config.as_ref().is_some_and(|sync| sync.follow.is_some()) {
            self.agree_on_daemons();
        }
    }

    fn remember(&mut self) {
        self.remember_at = None;
        if let Err(error) = self.memory.keep(self.engine.masters(), self.engine.facts())
            && self.quiet.may_say(Instant::now(), "remember")
        {
            log::warn!("cannot remember: {}: {error}", self.run.state(Role::Vrrp).display());
        }
    }

    fn answer(&mut self, call: Call) {
        match call.request {
            Request::Hello => call.answer.reply(&server::hello(Role::Vrrp)),
            Request::Status => {
                let status = Status::Vrrp(self.status());
                call.answer.reply(&Reply::Status { status: Box::new(status) });
            }
            Request::Router { order, name } => {
                let done = self.engine.order(Instant::now(), order, &name);
                // On the wire before the answer.
                self.carry_out();
                call.answer.reply(&done.map_or_else(|message| Reply::Error { message }, |()| Reply::Ok));
            }
            Request::Subscribe => self.subscribers.add(call.answer, &self.engine.events()),
            other => call.answer.reply(&server::not_mine(Role::Vrrp, &other)),
        }
    }

    /// The state of everybody, and what the kernel refuses a master.
    fn status(&self) -> VrrpStatus {
        let mut status = self.engine.status(Instant::now(), self.generation);
        status.sync = self.sync.running.iter().map(show_daemon).collect();
        status.sync_problem.clone_from(&self.sync.problem);
        self.desk.show(Instant::now(), &mut status);
        for router in status.instances.iter_mut().filter(|router| router.state == RouterState::Master) {
            let missing = self.refused.iter().filter_map(|(op, error)| match op {
                Op::Add { cidr, .. } if router.addresses.contains(cidr) => {
                    Some(format!("; cannot {op}: {error}"))
                }
                _ => None,
            });
            router.reason.extend(missing);
        }
        status
    }

    /// Resigns at once, and waits a little for the VIPs to go.
    async fn stop(&mut self, done: &mut mpsc::UnboundedReceiver<Done>) {
        self.engine.stop(Instant::now());
        self.carry_out();
        let gone = async {
            while (self.applying || self.ways.asked)
                && let Some(news) = done.recv().await
            {
                self.done(news);
            }
        };
        if tokio::time::timeout(PATIENCE, gone).await.is_err() {
            log::error!(
                "VIPs are left behind: the kernel does not answer within {} ms",
                PATIENCE.as_millis()
            );
        }
        self.memory.forget();
    }
}

/// Routes and rules: what was asked of the kernel, and what it refuses.
#[derive(Debug, Default)]
struct Roads {
    asked: bool,
    again: bool,
    clean: bool,
    problems: BTreeSet<String>,
}

/// The synchronisation daemons as the file wants them and as they are.
#[derive(Debug, Default)]
struct Daemons {
    config: Option<model::Sync>,
    /// The kernel has been asked and has not answered.
    asked: bool,
    /// What somebody may have left behind was looked for.
    clean: bool,
    running: Vec<Daemon>,
    problem: Option<String>,
}

fn show_daemon(daemon: &Daemon) -> String {
    let Daemon { interface, id, group, port, .. } = daemon;
    format!("{} on {interface}, id {id}, group {group} port {port}", sync::word(daemon.duty))
}

/// A master of the previous life goes on if nobody can have taken its place yet, and the kernel bears it out.
fn entry(config: &VrrpInstance, facts: &Facts, previous: &[Record]) -> Entry {
    let interval = wire_interval(config.version, config.interval);
    let wait = master_down(config.version, config.priority.get(), interval, config.missed);
    let record = previous.iter().find(|record| record.is(config));
    let fresh = record.filter(|record| record.silent_for(monotonic()).is_some_and(|silent| silent < wait));
    let holds = config.vips().any(|vip| {
        let link = facts.links.get(config.carrier(vip));
        link.is_some_and(|link| link.addresses.iter().any(|a| a.ours && a.cidr == vip.cidr))
    });
    match fresh {
        Some(record) if holds => Entry::Resume(record.peer_checksum()),
        Some(_) | None => Entry::Listen,
    }
}

const fn state_name(state: RouterState) -> &'static str {
    match state {
        RouterState::Initialize => "initialize",
        RouterState::Backup => "backup",
        RouterState::Master => "master",
        RouterState::Fault => "fault",
    }
}

/// The next news of what is asked; never, when nothing is.
async fn found_out(news: &mut Option<mpsc::UnboundedReceiver<News>>) -> Option<News> {
    match news {
        Some(news) => news.recv().await,
        None => std::future::pending().await,
    }
}

/// The next news of the services; never, when nobody tracks one.
async fn next(services: &mut Option<mpsc::Receiver<Heard>>) -> Option<Heard> {
    match services {
        Some(services) => services.recv().await,
        None => std::future::pending().await,
    }
}
