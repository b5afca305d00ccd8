//! The loop: configuration, questions, and what their answers do to the clock.

use std::error::Error;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use log::{error, info, warn};
use tokio::sync::mpsc;

use super::ask::{Failure, ask};
use super::choose::{Sample, choose, seconds};
use super::clock::Clock;
use super::discipline::{Discipline, Order, STEP_US};
use super::servers::Servers;
use crate::config::model::Host;
use crate::config::{self, Watcher};
use crate::init::release::Release;
use crate::ipc::client::question;
use crate::ipc::message::{Reply, Request, Status, TimeStatus};
use crate::ipc::server::{self, Call, Subscribers};
use crate::names::book::Book;
use crate::paths::RunDir;
use crate::role::Role;
use crate::worker::WorkerArgs;

/// How often `net` is asked which servers a lease names, where the file names none.
const LEASES: Duration = Duration::from_secs(30);
/// The same after a change, doubled each time.
const LEASES_SOON: Duration = Duration::from_secs(1);
/// How often names of time servers are looked up.
const NAMES: Duration = Duration::from_secs(300);
/// The same where one is not found, or does not answer.
const NAMES_SOON: Duration = Duration::from_secs(5);
/// How long `net` may take.
const WAIT: Duration = Duration::from_secs(3);
/// How often the clock is written to the RTC while it is right.
const KEEP: Duration = Duration::from_secs(3600);

/// Runs the role until the process is ended.
///
/// # Errors
/// The run directory cannot be used.
pub fn run(args: &WorkerArgs) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(&args.run_dir, Clock::new(args.set_clock)))
}

/// With the round of questions that they belong to.
type Answers = (u64, Vec<(IpAddr, Result<Sample, Failure>)>);

async fn serve(run: &RunDir, clock: Clock) -> Result<(), Box<dyn Error>> {
    let path = run.socket(Role::Time);
    let mut calls = server::listen(&path).map_err(|error| format!("listen: {}: {error}", path.display()))?;
    let watcher = Watcher::new(run).map_err(|error| format!("watch: {}: {error}", run.path().display()))?;
    let mut worker = Worker::new(run.clone(), clock);
    worker.load();
    let (answered, mut answers) = mpsc::channel::<Answers>(1);
    let (named, mut names) = mpsc::channel::<Vec<(Host, Result<IpAddr, String>)>>(1);
    let (leased, mut leases) = mpsc::channel::<Vec<IpAddr>>(1);
    loop {
        let due = tokio::time::Instant::from_std(worker.next);
        tokio::select! {
            Some(call) = calls.recv() => worker.answer(call),
            changed = watcher.changed() => {
                changed?;
                worker.load();
            }
            () = tokio::time::sleep_until(due), if !worker.asking && !worker.servers.addresses().is_empty() => {
                worker.asking = true;
                let (servers, round, answered) = (worker.servers.due(Instant::now()), worker.round, answered.clone());
                tokio::spawn(async move {
                    let one = async |server| (server, ask(server).await);
                    let answers = futures_util::future::join_all(servers.into_iter().map(one)).await;
                    let _ = answered.send((round, answers)).await;
                });
            }
            Some((round, answers)) = answers.recv() => {
                // Servers that were replaced meanwhile have no say.
                if round == worker.round {
                    worker.take(answers, Instant::now());
                }
            }
            () = tokio::time::sleep_until(worker.lease_at.into()), if worker.file.is_empty() => {
                worker.lease_at = Instant::now() + worker.lease_pause;
                worker.lease_pause = (worker.lease_pause * 2).min(LEASES);
                let (run, leased) = (run.clone(), leased.clone());
                tokio::spawn(async move {
                    if let Some(servers) = lease(&run).await {
                        let _ = leased.send(servers).await;
                    }
                });
            }
            Some(servers) = leases.recv() => worker.lease(servers),
            () = tokio::time::sleep_until(worker.names_at.into()), if worker.has_names() && !worker.looking => {
                worker.looking = true;
                let (book, file, named) = (Arc::clone(&worker.book), worker.file.clone(), named.clone());
                tokio::spawn(async move {
                    let one = async |host: Host| (host.clone(), book.address(&host).await);
                    let found = futures_util::future::join_all(file.into_iter().map(one)).await;
                    let _ = named.send(found).await;
                });
            }
            Some(found) = names.recv() => worker.resolved(found, Instant::now()),
        }
    }
}

/// The time servers of leases; `None` while `net` does not answer.
async fn lease(run: &RunDir) -> Option<Vec<IpAddr>> {
    let Ok(Reply::Status { status }) = question(run, Role::Net, &Request::Status, WAIT).await else {
        return None;
    };
    if let Status::Net(status) = *status { Some(status.ntp) } else { None }
}

struct Worker {
    run: RunDir,
    clock: Clock,
    discipline: Discipline,
    /// Exists while the clock was right once in this boot: the next life of this worker is no boot.
    mark: PathBuf,
    file: Vec<Host>,
    /// Where those of the file are, as far as that is known.
    found: Vec<(Host, IpAddr)>,
    book: Arc<Book>,
    /// When names are looked up; the addresses of most are known until then.
    names_at: Instant,
    looking: bool,
    servers: Servers,
    chosen: Option<IpAddr>,
    offset_us: Option<i64>,
    problem: Option<String>,
    steps: u32,
    stepped_us: Option<i64>,
    asking: bool,
    /// Grows with each change of servers.
    round: u64,
    next: Instant,
    lease_at: Instant,
    lease_pause: Duration,
    /// Whether the log knows that the clock is synchronised.
    told: bool,
    kept: Option<Instant>,
    subscribers: Subscribers,
    generation: u64,
}

impl Worker {
    fn new(run: RunDir, clock: Clock) -> Self {
        let mark = run.state(Role::Time);
        Self {
            clock,
            // A clock that is only watched is never stepped, and a host's ran before us.
            discipline: Discipline::new(mark.exists() || !clock.sets()),
            mark,
            file: Vec::new(),
            found: Vec::new(),
            book: Arc::new(Book::new(run.clone())),
            names_at: Instant::now(),
            looking: false,
            run,
            servers: Servers::default(),
            chosen: None,
            offset_us: None,
            problem: None,
            steps: 0,
            stepped_us: None,
            asking: false,
            round: 0,
            next: Instant::now(),
            lease_at: Instant::now(),
            lease_pause: LEASES_SOON,
            told: false,
            kept: None,
            subscribers: Subscribers::default(),
            generation: 0,
        }
    }

    /// Takes the configuration in force; a faulty one changes nothing.
    fn load(&mut self) {
        let active = match config::active_without_services(&self.run) {
            Ok(Some(active)) => active,
            Ok(None) => return,
            Err(error) => return error!("configuration is not taken: {error}"),
        };
        self.generation = active.generation;
        let wanted = active.checked.config.system.ntp;
        if self.file != wanted {
            info!("configuration taken: generation={} time_servers={}", self.generation, wanted.len());
            // Where the file names none, those of a lease come soon.
            (self.lease_at, self.lease_pause) = (Instant::now(), LEASES_SOON);
            self.names_at = Instant::now();
            // Who is called by a name comes when that is resolved, or stays where it was.
            let before = std::mem::take(&mut self.found);
            let known = |host: &Host| match host {
                Host::Address(address) => Some(*address),
                Host::Name(_) => before.iter().find(|(name, _)| name == host).map(|(_, address)| *address),
            };
            self.found = wanted.iter().filter_map(|host| Some((host.clone(), known(host)?))).collect();
            self.file = wanted;
            self.follow(self.addresses());
        }
    }

    /// Whether some of the file's are called by names.
    fn has_names(&self) -> bool {
        self.file.iter().any(|host| host.name().is_some())
    }

    fn addresses(&self) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for (_, address) in &self.found {
            if !addresses.contains(address) {
                addresses.push(*address);
            }
        }
        addresses
    }

    /// Where the servers of the file are.
    fn resolved(&mut self, found: Vec<(Host, Result<IpAddr, String>)>, now: Instant) {
        self.looking = false;
        // The file may have been changed meanwhile.
        if !found.iter().map(|(host, _)| host).eq(&self.file) {
            return;
        }
        let why = found.iter().find_map(|(_, address)| address.as_ref().err().cloned());
        self.names_at = now + if why.is_some() { NAMES_SOON } else { NAMES };
        self.found = found.into_iter().filter_map(|(host, address)| Some((host, address.ok()?))).collect();
        let addresses = self.addresses();
        if self.servers.addresses() != addresses {
            self.follow(addresses);
        }
        if let (true, Some(why)) = (self.found.is_empty(), why) {
            self.tell(Some(why), now);
        }
    }

    fn lease(&mut self, servers: Vec<IpAddr>) {
        if self.file.is_empty() && self.servers.addresses() != servers {
            info!("time servers of a lease: count={}", servers.len());
            self.follow(servers);
        }
    }

    fn follow(&mut self, wanted: Vec<IpAddr>) {
        self.servers.follow(wanted);
        self.discipline.forget();
        (self.chosen, self.offset_us, self.problem) = (None, None, None);
        self.round += 1;
        self.asking = false;
        self.next = Instant::now();
    }

    fn take(&mut self, answers: Vec<(IpAddr, Result<Sample, Failure>)>, now: Instant) {
        self.asking = false;
        let earliest = earliest_us();
        for (address, answer) in answers {
            if let Err(Failure::Banned(why)) = &answer {
                warn!("time server not asked any more: server={address} reason={why}");
            }
            if answer.is_err()
                && let Some((host, _)) = self.found.iter().find(|(_, known)| *known == address)
                && host.name().is_some()
            {
                self.book.failed(host);
                self.names_at = now + NAMES_SOON;
            }
            self.servers.note(address, answer, earliest, now);
        }
        let problem = match choose(&self.servers.samples()) {
            Ok(sample) => self.adjust(sample, now).err(),
            Err(why) => {
                self.discipline.missed();
                self.chosen = None;
                Some(why)
            }
        };
        self.tell(problem, now);
        self.next = now + self.discipline.interval();
    }

    /// Does what the answer asks for; the error is a sentence for the operator.
    fn adjust(&mut self, sample: &Sample, now: Instant) -> Result<(), String> {
        let Sample { server, offset_us, .. } = *sample;
        let off = seconds(offset_us);
        self.chosen = Some(server);
        self.offset_us = Some(offset_us);
        if !self.clock.sets() && offset_us.unsigned_abs() >= STEP_US {
            self.discipline.lost();
            return Err(format!("{server} says that the clock of this host is off by {off:+.3} s"));
        }
        let set = match self.discipline.take(offset_us, now) {
            Order::Wait => {
                return Err(format!("{server} says that the clock is off by {off:+.3} s: asking again"));
            }
            Order::Refuse => {
                return Err(format!(
                    "{server} says that the clock is off by {off:+.3} s, more than a running box follows: it would at its next start"
                ));
            }
            Order::Slew(interval) => self.clock.slew(offset_us, interval),
            Order::Step => self.clock.step(offset_us).inspect(|()| {
                self.steps += 1;
                self.stepped_us = Some(offset_us);
                self.kept = None;
                info!("clock stepped: server={server} seconds={off:+.6}");
            }),
        };
        if let Err(error) = set {
            self.discipline.lost();
            return Err(format!("the clock cannot be set: {error}"));
        }
        if self.kept.is_none_or(|at| now.saturating_duration_since(at) >= KEEP) {
            self.clock.keep();
            self.kept = Some(now);
        }
        if !self.mark.exists()
            && let Err(error) = fs::write(&self.mark, "{}")
        {
            warn!(
                "the next life of this worker will take itself for a boot: {}: {error}",
                self.mark.display()
            );
        }
        Ok(())
    }

    /// To the log: a new problem, and that there is none any more.
    fn tell(&mut self, problem: Option<String>, now: Instant) {
        let synchronised = self.discipline.synchronised(now);
        match (&self.problem, &problem) {
            (None, Some(problem)) if synchronised => warn!("no agreement this time: {problem}"),
            (None, Some(problem)) => warn!("clock not synchronised: {problem}"),
            _ => {}
        }
        if synchronised
            && !self.told
            && let Some(server) = self.chosen
        {
            info!(
                "clock synchronised: server={server} offset={:+.6}",
                seconds(self.offset_us.unwrap_or_default())
            );
        }
        self.told = synchronised;
        self.problem = problem;
    }

    fn status(&self, now: Instant) -> TimeStatus {
        let source = if self.file.is_empty() { "dhcp" } else { "file" };
        let mut servers = self.servers.status(source, self.chosen);
        for server in &mut servers {
            let host = self.found.iter().find(|(_, address)| *address == server.address);
            server.name = host.and_then(|(host, _)| host.name()).map(str::to_owned);
        }
        let agreed = self.discipline.agreed().map(|at| now.saturating_duration_since(at));
        TimeStatus {
            synchronised: self.discipline.synchronised(now),
            problem: self.problem.clone(),
            offset_us: self.offset_us,
            agreed_ms: agreed.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            sets: self.clock.sets(),
            steps: self.steps,
            stepped_us: self.stepped_us,
            servers,
            generation: self.generation,
        }
    }

    fn answer(&mut self, call: Call) {
        match call.request {
            Request::Hello => call.answer.reply(&server::hello(Role::Time)),
            Request::Status => {
                let status = Status::Time(self.status(Instant::now()));
                call.answer.reply(&Reply::Status { status: Box::new(status) });
            }
            Request::Subscribe => self.subscribers.add(call.answer, &[]),
            other => call.answer.reply(&server::not_mine(Role::Time, &other)),
        }
    }
}

/// How far the clock may go at most (microseconds, below zero: back). A box that was never told better starts at the time at which its
/// firmware was built; nobody is younger.
fn earliest_us() -> i128 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i128::from(Release::read().built) * 1_000_000 - i128::try_from(now.as_micros()).unwrap_or(i128::MAX)
}
