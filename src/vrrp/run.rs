//! The worker: real-time, locked in memory; one loop that waits for nothing but its descriptors, and a thread beside it for
//! what the kernel may let wait.

use std::error::Error as StdError;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::config::{Marks, Watcher};
use crate::ipc::client::Heard;
use crate::ipc::server::{self, Call, Subscribers};
use crate::net::watch::{ADDRESSES, Watch};
use crate::paths::RunDir;
use crate::role::Role;
use crate::vrrp::alarm::Alarm;
use crate::vrrp::apply::{self, Done, Job};
use crate::vrrp::engine::Engine;
use crate::vrrp::exchange::run::Desk;
use crate::vrrp::kernel::Kernel;
use crate::vrrp::memory::{Memory, Record};
use crate::vrrp::punctual::{be_punctual, ended, never_wait_for_the_log};
use crate::vrrp::quiet::Quiet;
use crate::vrrp::seal::Wall;
use crate::vrrp::socket::Wire;
use crate::vrrp::vips::Op;
use crate::vrrp::watcher::{News, Wanted};
use crate::worker::WorkerArgs;

use load::Read;
use question::{Question, Refused};
use ways_and_daemons::{Daemons, Roads};

mod calls; // what is asked of the worker, and its end
mod effects; // what the virtual routers ask for, done in their order
mod load; // what decides from outside: the configuration, services, trackers
mod question; // what the thread beside the loop was asked for, and what the kernel has refused it
mod tables; // the tables of links and addresses: looked at, compared, made so by the thread beside the loop
mod ways_and_daemons; // routes, rules and synchronisation daemons, made so by the thread beside the loop
mod withdraw; // what a dead worker has left is taken off

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
    if args.withdraw {
        return Ok(withdraw::withdraw()?);
    }
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
    read: mpsc::UnboundedReceiver<Read>,
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
    /// It is changing VIPs and their devices.
    vips: Question,
    /// It has made a device, or removed one, since it looked last.
    made: bool,
    memory: Memory,
    /// Masters of the previous life, until the first configuration.
    previous: Vec<Record>,
    /// 0 = no configuration yet: nothing is touched.
    generation: u64,
    /// A thread reads another configuration, and tells here when it has; whether that was followed by yet another.
    reading: bool,
    read_again: bool,
    tell_read: mpsc::UnboundedSender<Read>,
    marks: Marks,
    services: Option<mpsc::Receiver<Heard>>,
    /// When what they said is written down: together, a thousand speak at once when a box starts.
    remember_at: Option<Instant>,
    /// Who is master has changed in this turn.
    unwritten: bool,
    /// The thread that asks what trackers want to know, once there is anything to ask.
    watcher: Option<mpsc::UnboundedSender<Wanted>>,
    news: Option<mpsc::UnboundedReceiver<News>>,
    sync: Daemons,
    ways: Roads,
    /// What the other boxes are told and tell, and whether there may be something new to tell.
    desk: Desk,
    news_for_peers: bool,
    subscribers: Subscribers,
    /// Changes of VIPs and their devices that the kernel refuses.
    refused: Refused<Op>,
    quiet: Quiet,
}

impl Worker {
    fn start(run: &RunDir) -> Result<(Self, Inbox), Box<dyn StdError>> {
        let path = run.socket(Role::Vrrp);
        let mut kernel = Kernel::open().map_err(|error| format!("open netlink socket: {error}"))?;
        let events = Watch::open(ADDRESSES).map_err(|error| format!("open netlink socket: {error}"))?;
        let links = kernel.links().map_err(|error| format!("look at the network: {error}"))?;
        let (jobs, done) = apply::start(kernel)?;
        let (tell_read, read) = mpsc::unbounded_channel();
        let inbox = Inbox {
            read,
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
            vips: Question::default(),
            made: false,
            memory,
            previous: life.masters,
            generation: 0,
            reading: false,
            read_again: false,
            tell_read,
            services: None,
            remember_at: None,
            unwritten: false,
            watcher: None,
            news: None,
            sync: Daemons::default(),
            ways: Roads::default(),
            desk: Desk::default(),
            news_for_peers: false,
            marks: Marks::default(),
            subscribers: Subscribers::default(),
            refused: Refused::new(),
            quiet: Quiet::default(),
        };
        Ok((worker, inbox))
    }

    async fn forever(&mut self, mut inbox: Inbox, end: UnixStream) -> Result<(), Box<dyn StdError>> {
        let mut period = tokio::time::interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        period.reset();
        self.set_wall();
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
            if self.ways.retry_at.take_if(|at| *at <= now).is_some() {
                self.agree_on_ways();
            }
            let look_at = self.look_at.filter(|_| !self.looking);
            let timers = [self.engine.deadline(now), look_at, self.remember_at, self.ways.retry_at];
            self.alarm.set(timers.into_iter().flatten().min())?;
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
                    self.read();
                }
                Some(read) = inbox.read.recv() => self.has_read(read),
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

    /// Signatures carry the time of the calendar.
    fn set_wall(&mut self) {
        let unix = clock_gettime(ClockId::CLOCK_REALTIME).map_or(Duration::ZERO, Duration::from);
        self.engine.set_wall(Wall::new(Instant::now(), unix));
    }

    /// Takes what has come in, or a share of it.
    fn hear(&mut self) {
        let Self { wire, engine, .. } = self;
        let unread = wire.receive(|interface, arrival| {
            let now = Instant::now();
            match arrival {
                Ok((envelope, payload)) => engine.packet(now, interface, envelope, payload),
                Err((source, reject)) => engine.unclaimed(now, interface, source, reject),
            }
        });
        engine.set_unread(unread);
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
