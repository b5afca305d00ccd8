//! The loop: configuration, checks, dumps and calls in; commands, events and answers out.

mod calls;
mod words;

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use log::{error, info, warn};
use tokio::sync::mpsc;

use super::core::{Core, Plan};
use super::desired::local_pages;
use super::kernel::Kernel;
use super::memory::Memory;
use super::sorry::Sorry;
use super::state::State;
use super::surroundings::Surroundings;
use super::ways;
use crate::check::plan::Verdict;
use crate::check::runner::{Runner, probes_allowed};
use crate::config::{self, Watcher, model};
use crate::ipc::message::{Event, Reply};
use crate::ipc::server::{self, Answer, Call, Subscribers};
use crate::ipvs::client::batch;
use crate::ipvs::{Command, ServiceEntry};
use crate::paths::RunDir;
use crate::role::Role;
use crate::worker::WorkerArgs;
use words::{is_good, log_changes, log_event};

/// How often the kernel's table is compared with what it should be: what others did is undone within five seconds.
const PERIOD: Duration = Duration::from_secs(4);
/// How soon what failed is tried again, the first time: as long as no address is set, at boot, no server can be entered.
const RETRY: Duration = Duration::from_millis(100);
/// How many changes by others, and how much good news at one time, are logged line by line.
const LOGGED: usize = 20;
/// How long a change of quorum may stay unwritten: at a cold start a thousand come one after the other. Orders are written at once.
const UNWRITTEN: Duration = Duration::from_millis(200);
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
        worker.obey().await;
        let compare = tokio::time::sleep_until(worker.next.into());
        let woken = sleep_until(worker.core.deadline());
        let kept = sleep_until(worker.keep);
        tokio::select! {
            biased;
            Some(call) = worker.calls.recv() => worker.answer(call),
            changed = watcher.changed() => {
                changed?;
                worker.load().await;
            }
            () = compare => worker.reconcile().await,
            () = woken => worker.wake().await,
            () = kept => worker.keep(),
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
    surroundings: Surroundings,
    core: Core,
    memory: Memory,
    /// When it is written next, if something in it has changed.
    keep: Option<Instant>,
    /// Orders of the operator that are not in the table yet, and what to answer when they are.
    ordered: Vec<(Answer, Reply)>,
    configured: bool,
    /// Of the configuration in force.
    generation: u64,
    /// How large it wants the table of connections.
    table_bits: Option<u8>,
    /// Commands that the kernel was sent in this life.
    sent: usize,
    table: Vec<ServiceEntry>,
    read: Option<Instant>,
    /// Why the kernel does not agree; logged when it changes.
    problem: Option<String>,
    /// When the table is compared next, and how long after a failure.
    next: Instant,
    pause: Duration,
}

impl Worker {
    fn new(run: RunDir, calls: mpsc::Receiver<Call>) -> Self {
        let memory = Memory(run.state(Role::Lvs));
        let mut core = Core::default();
        let mut recalled = memory.recall();
        let mut surroundings = Surroundings::default();
        surroundings.recall(std::mem::take(&mut recalled.settings));
        core.recall(recalled);
        let hurries = run.path().join("lvs.hurries");
        Self {
            run,
            calls,
            subscribers: Subscribers::default(),
            checks: Runner::new(probes_allowed()),
            pages: Sorry::default(),
            kernel: Kernel::new(hurries),
            surroundings,
            core,
            memory,
            keep: None,
            ordered: Vec::new(),
            configured: false,
            generation: 0,
            table_bits: None,
            sent: 0,
            table: Vec::new(),
            read: None,
            problem: None,
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
        let mut config = active.checked.config;
        self.table_bits = config.ipvs.table_bits;
        let ways = ways::lay(&mut config.services);
        let prepared = !self.surroundings.configure(&config, ways);
        let services = config.services;
        if self.configured && self.core.has(&services) {
            if !prepared {
                self.reconcile().await;
            }
            return;
        }
        info!("configuration taken: generation={} services={}", active.generation, services.len());
        let before = self.sent;
        self.take(services).await;
        match self.problem {
            None => info!(
                "configuration carried out: generation={} commands={}",
                active.generation,
                self.sent - before
            ),
            Some(_) => info!("configuration waits for the kernel: generation={}", active.generation),
        }
    }

    /// Makes `services` what the table should be, and the table that.
    async fn take(&mut self, services: Vec<model::Service>) {
        let others = self.core.configure(services, Instant::now());
        self.configured = true;
        if others {
            self.checks.set(Instant::now(), self.core.targets());
            self.checks.presume_up(self.core.serving());
        }
        if self.core.is_blind() || self.settle().is_err() {
            return self.reconcile().await;
        }
        self.open_pages();
        let plan = self.core.conclude_changed(self.checks.plan(), Instant::now());
        self.do_or_look(plan).await;
    }

    /// Carries out what the operator ordered, and answers.
    async fn obey(&mut self) {
        while !self.ordered.is_empty() {
            let answers = std::mem::take(&mut self.ordered);
            let plan = self.core.conclude_changed(self.checks.plan(), Instant::now());
            self.do_or_look(plan).await;
            answers.into_iter().for_each(|(answer, reply)| answer.reply(&reply));
        }
    }

    /// Something is due: a step of a slow start, the end of a drain.
    async fn wake(&mut self) {
        let plan = self.core.wake(self.checks.plan(), Instant::now());
        self.do_or_look(plan).await;
    }

    /// Carries out; where the kernel refuses, somebody else was here since the last comparison, perhaps: looks.
    async fn do_or_look(&mut self, plan: Plan) {
        if self.carry_out(plan).await.is_err() {
            self.reconcile().await;
        }
    }

    fn open_pages(&mut self) {
        let pages: BTreeMap<SocketAddr, String> = self
            .core
            .services()
            .iter()
            .flat_map(|watched| {
                local_pages(&watched.service).map(|page| (page, watched.service.name.clone()))
            })
            .collect();
        // What could not be opened is logged there and tried again with the next comparison.
        let _ = self.pages.set(&pages);
    }

    /// Compares the kernel's table with what it should be. Without a configuration nothing is touched.
    async fn reconcile(&mut self) {
        self.next = Instant::now() + PERIOD;
        if !self.configured {
            return;
        }
        self.open_pages();
        let first = self.read.is_none();
        let mut problem = self.observe().err();
        if first {
            self.checks.presume_up(self.core.serving());
        }
        // Before the table, so that no packet of a new service goes by the old rules. Without IPVS it is told above.
        if problem.is_none() {
            problem = self.settle().err();
        }
        let now = Instant::now();
        let plan = if self.core.is_blind() {
            // Nothing can be compared: only what another file has changed is anything new.
            self.core.conclude_changed(self.checks.plan(), now)
        } else {
            self.core.conclude(self.checks.plan(), now)
        };
        let changes = plan.commands.len();
        problem = self.carry_out(plan).await.err().or(problem);
        if first && self.read.is_some() {
            let servers: usize = self.table.iter().map(|entry| entry.servers.len()).sum();
            info!("table adopted: services={} servers={servers} changes={changes}", self.table.len());
        }
        if problem.is_some() {
            self.next = Instant::now() + self.pause;
            self.pause = PERIOD.min(self.pause * 2);
        } else {
            self.next = Instant::now() + PERIOD;
            self.pause = RETRY;
        }
        self.trouble(problem);
    }

    /// Makes the surroundings right; what settings had before the file is written down at once.
    fn settle(&mut self) -> Result<(), String> {
        let before = self.surroundings.before().clone();
        let settled = self.surroundings.settle(&mut self.kernel);
        if before != *self.surroundings.before() {
            self.keep();
        }
        settled
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
        let mut verdicts = vec![first];
        while verdicts.len() < TOGETHER
            && let Some(verdict) = self.checks.next().now_or_never()
        {
            verdicts.push(verdict);
        }
        let targets = verdicts.iter().map(|verdict| &verdict.target);
        let plan = self.core.conclude_about(targets, self.checks.plan(), Instant::now());
        self.do_or_look(plan).await;
    }

    /// Changes the kernel first, then tells; calls are answered between batches. The error is a sentence for the operator.
    async fn carry_out(&mut self, plan: Plan) -> Result<(), String> {
        let done = self.change(&plan.commands).await;
        self.tell(&plan.events);
        done
    }

    fn tell(&mut self, events: &[Event]) {
        let mut good = 0;
        for event in events {
            good += usize::from(is_good(event));
            if good <= LOGGED || !is_good(event) {
                log_event(event);
            }
            self.subscribers.emit(event);
        }
        if good > LOGGED {
            info!("services and servers up: {} more", good - LOGGED);
        }
        if events.iter().any(|event| matches!(event, Event::Admin { .. })) {
            self.keep();
        } else if events.iter().any(|event| matches!(event, Event::Service { .. })) {
            self.keep.get_or_insert_with(|| Instant::now() + UNWRITTEN);
        }
    }

    fn keep(&mut self) {
        self.keep = None;
        let kept = self.memory.keep(self.core.services(), self.core.absent(), self.surroundings.before());
        if let Err(error) = kept {
            error!("the next life will not know of orders: {}: {error}", self.memory.0.display());
        }
    }

    async fn change(&mut self, commands: &[Command]) -> Result<(), String> {
        let started = Instant::now();
        let mut refused = Vec::new();
        let mut rest = commands;
        while !rest.is_empty() {
            let (now, later) = batch(rest);
            self.sent += now.len();
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
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}
