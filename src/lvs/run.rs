//! The loop: configuration, checks, dumps and calls in; commands, events and answers out.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use log::{error, info, warn};
use tokio::sync::mpsc;

use super::core::{Core, Plan};
use super::desired::local_page;
use super::kernel::Kernel;
use super::sorry::Sorry;
use super::state::State;
use super::status;
use crate::check::Target;
use crate::check::plan::Verdict;
use crate::check::runner::{Runner, probes_allowed};
use crate::config::model::Config;
use crate::config::{self, Watcher};
use crate::ipc::message::{Event, Health, LvsStatus, Reply, Request, Status};
use crate::ipc::server::{self, Call, Subscribers};
use crate::ipvs::client::batch;
use crate::ipvs::{Command, ServiceEntry};
use crate::paths::RunDir;
use crate::role::Role;
use crate::worker::WorkerArgs;

/// How often the kernel's table is compared with what it should be.
const PERIOD: Duration = Duration::from_secs(5);
/// How soon what failed is tried again, the first time: as long as no address is set, at boot, no server can be entered.
const RETRY: Duration = Duration::from_millis(100);
/// How old the counters in a status may be.
const FRESH: Duration = Duration::from_secs(1);
/// How many changes by others are logged one by one.
const LOGGED: usize = 20;
/// Verdicts that are taken together, so that a cold start with many servers is few sends.
const TOGETHER: usize = 4096;

/// Runs the worker until it is killed. Its death changes nothing in the kernel.
///
/// # Errors
/// The run directory cannot be used.
pub fn run(args: &WorkerArgs) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(&args.run_dir))
}

async fn serve(run: &RunDir) -> Result<(), Box<dyn Error>> {
    let path = run.socket(Role::Lvs);
    let calls = server::listen(&path).map_err(|error| format!("listen: {}: {error}", path.display()))?;
    let watcher = Watcher::new(run).map_err(|error| format!("watch: {}: {error}", run.path().display()))?;
    let mut worker = Worker::new(run.clone(), calls);
    worker.load().await;
    loop {
        let compare = tokio::time::sleep_until(worker.next.into());
        tokio::select! {
            biased;
            Some(call) = worker.calls.recv() => worker.answer(call),
            changed = watcher.changed() => {
                changed?;
                worker.load().await;
            }
            () = compare => worker.reconcile().await,
            verdict = worker.checks.next() => worker.verdicts(verdict).await,
        }
    }
}

struct Worker {
    run: RunDir,
    calls: mpsc::Receiver<Call>,
    subscribers: Subscribers,
    checks: Runner,
    pages: Sorry,
    kernel: Kernel,
    core: Core,
    config: Option<Config>,
    /// Of the configuration in force.
    generation: u64,
    table: Vec<ServiceEntry>,
    read: Option<Instant>,
    /// Why the kernel does not agree; logged when it changes.
    problem: Option<String>,
    /// Targets whose checks were late at the last comparison.
    late: usize,
    /// When the table is compared next, and how long after a failure.
    next: Instant,
    pause: Duration,
}

impl Worker {
    fn new(run: RunDir, calls: mpsc::Receiver<Call>) -> Self {
        Self {
            run,
            calls,
            subscribers: Subscribers::default(),
            checks: Runner::new(probes_allowed()),
            pages: Sorry::default(),
            kernel: Kernel::default(),
            core: Core::default(),
            config: None,
            generation: 0,
            table: Vec::new(),
            read: None,
            problem: None,
            late: 0,
            next: Instant::now() + PERIOD,
            pause: RETRY,
        }
    }

    /// Takes the configuration in force; a faulty one changes nothing.
    async fn load(&mut self) {
        let active = match config::active(&self.run) {
            Ok(Some(active)) => active,
            Ok(None) => return,
            Err(error) => return error!("configuration is not taken: {error}"),
        };
        self.generation = active.generation;
        if self.config.as_ref() == Some(&active.checked.config) {
            return;
        }
        let services = &active.checked.config.services;
        info!("configuration taken: generation={} services={}", active.generation, services.len());
        let targets = self.core.configure(&active.checked.config);
        self.config = Some(active.checked.config);
        self.checks.set(Instant::now(), &targets);
        self.open_pages();
        self.reconcile().await;
    }

    fn open_pages(&mut self) {
        let pages: BTreeMap<SocketAddr, String> = self
            .core
            .services()
            .iter()
            .filter_map(|watched| Some((local_page(&watched.service)?, watched.service.name.clone())))
            .collect();
        // What could not be opened is logged there and tried again with the next comparison.
        let _ = self.pages.set(&pages);
    }

    /// Compares the kernel's table with what it should be. Without a configuration nothing is touched.
    async fn reconcile(&mut self) {
        self.next = Instant::now() + PERIOD;
        if self.config.is_none() {
            return;
        }
        self.open_pages();
        self.look_for_late_checks();
        let mut problem = self.observe().err();
        let checks = &self.checks;
        let plan = self.core.conclude(&|target: &Target| health(checks, target));
        problem = self.carry_out(plan).await.err().or(problem);
        if problem.is_some() {
            self.next = Instant::now() + self.pause;
            self.pause = PERIOD.min(self.pause * 2);
        } else {
            self.next = Instant::now() + PERIOD;
            self.pause = RETRY;
        }
        self.trouble(problem);
    }

    /// Verdicts that are older than the file wants them: this box is too slow, not a real server.
    fn look_for_late_checks(&mut self) {
        let late = self.checks.overdue(Instant::now()).count();
        if late > 0 && self.late == 0 {
            warn!("checks are late: targets={late}");
        }
        self.late = late;
    }

    /// Reads the table, and tells what others did to it.
    fn observe(&mut self) -> Result<(), String> {
        let table = self.kernel.observe().map_err(|error| {
            self.core.lost_sight();
            self.table.clear();
            error.to_string()
        })?;
        let changes = self.core.observed(State::of(&table));
        for change in changes.iter().take(LOGGED) {
            warn!("foreign change is undone: {change}");
        }
        if changes.len() > LOGGED {
            warn!("foreign changes are undone: {} more", changes.len() - LOGGED);
        }
        self.table = table;
        self.read = Some(Instant::now());
        Ok(())
    }

    /// Takes a verdict, and those that are there already.
    async fn verdicts(&mut self, first: Verdict) {
        let mut targets = BTreeSet::new();
        let mut events = Vec::new();
        let mut next = Some(first);
        while let Some(verdict) = next {
            events.extend(self.told(&verdict));
            targets.insert(verdict.target);
            next = if targets.len() < TOGETHER { self.checks.next().now_or_never() } else { None };
        }
        let checks = &self.checks;
        let plan = self.core.conclude_about(&targets, &|target: &Target| health(checks, target));
        let done = self.carry_out(plan).await;
        events.iter().for_each(|event| self.subscribers.emit(event));
        if done.is_err() {
            // Somebody else was here since the last comparison, perhaps: look.
            self.reconcile().await;
        }
    }

    /// Logs a verdict for every service that it concerns.
    fn told(&self, verdict: &Verdict) -> Vec<Event> {
        let Verdict { target, health, reason } = verdict;
        let tell = |(service, server): (&crate::config::model::Service, SocketAddr)| {
            let name = &service.name;
            match health {
                Health::Down => warn!("server down: service={name} server={server} reason={reason}"),
                Health::Up | Health::Unknown => {
                    info!("server up: service={name} server={server} reason={reason}")
                }
            }
            Event::Server { service: name.clone(), server, health: *health, reason: reason.to_string() }
        };
        self.core.concerned(target).map(tell).collect()
    }

    /// Changes the kernel first, then tells; calls are answered between batches. The error is a sentence for the operator.
    async fn carry_out(&mut self, plan: Plan) -> Result<(), String> {
        let done = self.change(&plan.commands).await;
        for event in &plan.events {
            if let Event::Service { service, up } = event {
                info!("service {}: service={service}", if *up { "up" } else { "down" });
            }
            self.subscribers.emit(event);
        }
        done
    }

    async fn change(&mut self, commands: &[Command]) -> Result<(), String> {
        let started = Instant::now();
        let mut refused = Vec::new();
        let mut rest = commands;
        while !rest.is_empty() {
            let (now, later) = batch(rest);
            let failures = self.kernel.apply(now).map_err(|error| {
                self.core.lost_sight();
                error.to_string()
            })?;
            self.core.applied(now, &failures);
            refused.extend(failures);
            rest = later;
            if !rest.is_empty() {
                tokio::task::yield_now().await;
                while let Ok(call) = self.calls.try_recv() {
                    self.answer(call);
                }
            }
        }
        log_changes(commands, refused.len(), started.elapsed());
        match refused.first() {
            Some(first) => Err(format!("{first} ({} of {} changes refused)", refused.len(), commands.len())),
            None => Ok(()),
        }
    }

    fn trouble(&mut self, problem: Option<String>) {
        if problem != self.problem {
            match &problem {
                Some(problem) => error!("the kernel's table is not as it should be: {problem}"),
                None => info!("the kernel's table can be read and changed"),
            }
            self.problem = problem;
        }
    }

    fn answer(&mut self, call: Call) {
        match call.request {
            Request::Hello => call.answer.reply(&server::hello(Role::Lvs)),
            Request::Status => {
                let status = Status::Lvs(self.status());
                call.answer.reply(&Reply::Status { status: Box::new(status) });
            }
            Request::Subscribe => {
                let present: Vec<Event> = self.present();
                self.subscribers.add(call.answer, &present);
            }
            other => call.answer.reply(&server::not_mine(Role::Lvs, &other)),
        }
    }

    /// The state of everything as events: services first, somebody waits for them.
    fn present(&self) -> Vec<Event> {
        let servers = self.core.services().iter().flat_map(|watched| {
            let both = watched.service.servers.iter().zip(&watched.targets);
            both.filter_map(|(server, target)| {
                let standing = self.checks.standing(target.as_ref()?)?;
                (standing.health != Health::Unknown).then(|| Event::Server {
                    service: watched.service.name.clone(),
                    server: server.address,
                    health: standing.health,
                    reason: standing.reason.to_string(),
                })
            })
        });
        self.core.told().chain(servers).collect()
    }

    fn status(&mut self) -> LvsStatus {
        if !self.core.is_blind() && self.read.is_none_or(|read| read.elapsed() > FRESH) {
            match self.kernel.observe() {
                Ok(table) => {
                    self.table = table;
                    self.read = Some(Instant::now());
                }
                Err(error) => {
                    self.core.lost_sight();
                    self.trouble(Some(error.to_string()));
                }
            }
        }
        let standing = |target: &Target| self.checks.standing(target);
        LvsStatus {
            services: status::services(self.core.services(), &self.table, standing, Instant::now()),
            problem: self.problem.clone(),
            foreign_changes: self.core.foreign(),
            generation: self.generation,
        }
    }
}

fn health(checks: &Runner, target: &Target) -> Health {
    checks.standing(target).map_or(Health::Unknown, |standing| standing.health)
}

fn log_changes(commands: &[Command], refused: usize, took: Duration) {
    match commands {
        _ if refused == commands.len() => {}
        [only] => info!("table changed: {only}"),
        _ => {
            info!("table changed: commands={} refused={refused} time_us={}", commands.len(), took.as_micros())
        }
    }
}
