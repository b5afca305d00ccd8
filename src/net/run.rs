//! The worker: observes, compares, applies; at start, when the configuration or the kernel changes, and every few seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::backoff::Backoff;
use super::desired::{Desired, Facts, desired, early};
use super::dhcp::clients::Clients;
use super::dhcp::run::{Asker, Update, boot_time};
use super::diff::{Op, diff};
use super::journal::Journal;
use super::kernel::{Error, Kernel};
use super::memory::Memory;
use super::observe;
use super::settled::Settled;
use super::state::State;
use super::status::status;
use super::sysctl;
use super::watch::{ADDRESSES_AND_ROUTES, Watch};
use crate::config::model::{Config, Gist};
use crate::config::{self, Watcher};
use crate::ipc::message::{Reply, Request, Status};
use crate::ipc::server::{self, Call, Subscribers};
use crate::paths::RunDir;
use crate::role::Role;
use crate::units::IfName;
use crate::worker::WorkerArgs;

/// The kernel is looked at this often, whatever it says by itself.
const PERIOD: Duration = Duration::from_secs(5);
/// Least time between two looks that the kernel's events cause; a look that takes long makes it longer.
const PAUSE: Duration = Duration::from_millis(50);
/// After a failure of the connection to the kernel.
const RETRY: Duration = Duration::from_secs(1);
/// Looks and repairs in one go: names, then the rest, then proof. More means that somebody works against us.
const ROUNDS: usize = 6;

/// Runs the role until the process is ended. SIGTERM ends it at once and changes nothing: what is configured stays.
///
/// # Errors
/// When there is no runtime, no socket in the run directory or no netlink.
pub fn run(args: &WorkerArgs) -> Result<(), Box<dyn StdError>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (worker, inbox) = Worker::start(&args.run_dir)?;
        worker.forever(inbox).await
    })
}

/// Where news come from.
struct Inbox {
    calls: mpsc::Receiver<Call>,
    updates: mpsc::Receiver<Update>,
    configs: Watcher,
}

struct Worker {
    run: RunDir,
    kernel: Kernel,
    /// Without services.
    config: Option<Config>,
    /// What the services come to.
    gist: Gist,
    /// Of `config`.
    loaded: u64,
    /// Of the configuration that the kernel was last compared with.
    generation: u64,
    memory: Memory,
    clients: Clients,
    subscribers: Subscribers,
    backoff: Backoff<Op>,
    /// Whether this is the appliance, where every card is ours.
    appliance: bool,
    /// Links that were set up before there was a configuration.
    early: BTreeSet<u32>,
    observed: State,
    desired: Desired,
    pending: Vec<String>,
    journal: Journal,
    /// What was in place after the last pass.
    before: Settled,
}

/// What a pass leaves to be done.
struct Outcome {
    /// When something that failed may be tried again.
    retry: Option<Instant>,
    took: Duration,
}

impl Worker {
    fn start(run: &RunDir) -> Result<(Self, Inbox), Box<dyn StdError>> {
        let (clients, updates) = Clients::new();
        let inbox =
            Inbox { calls: server::listen(&run.socket(Role::Net))?, updates, configs: Watcher::new(run)? };
        let worker = Self {
            kernel: Kernel::open()?,
            memory: Memory::load(&run.state(Role::Net), boot_time()),
            run: run.clone(),
            config: None,
            gist: Gist::default(),
            loaded: 0,
            generation: 0,
            clients,
            subscribers: Subscribers::default(),
            backoff: Backoff::new(),
            // Elsewhere PID 1 is somebody else's, and the supervisor its descendant.
            appliance: nix::unistd::getppid().as_raw() == 1,
            early: BTreeSet::new(),
            observed: State::default(),
            desired: Desired::default(),
            pending: Vec::new(),
            journal: Journal::default(),
            before: Settled::default(),
        };
        Ok((worker, inbox))
    }

    async fn forever(mut self, mut inbox: Inbox) -> Result<(), Box<dyn StdError>> {
        let events = Watch::open(ADDRESSES_AND_ROUTES)?;
        self.load();
        let mut next = Instant::now();
        let mut earliest = next;
        loop {
            let now = Instant::now();
            if now >= next {
                let outcome = self.pass().await;
                let now = Instant::now();
                earliest = now + PAUSE.max(outcome.took);
                next = outcome.retry.map_or(now + PERIOD, |retry| retry.min(now + PERIOD));
            }
            tokio::select! {
                () = tokio::time::sleep_until(next.into()) => {}
                changed = events.changed() => {
                    changed?;
                    next = next.min(earliest.max(Instant::now()));
                }
                changed = inbox.configs.changed() => {
                    changed?;
                    self.load();
                    next = Instant::now();
                }
                Some(update) = inbox.updates.recv() => {
                    if self.clients.take(update, &mut self.memory) {
                        self.remember();
                    }
                    next = Instant::now();
                }
                call = inbox.calls.recv() => match call {
                    Some(call) => self.answer(call),
                    None => return Err("the socket of this role is closed".into()),
                },
            }
        }
    }

    /// Takes the configuration that `store` has activated; a fault keeps the present one.
    fn load(&mut self) {
        match config::active_without_services(&self.run) {
            Ok(Some(active)) => {
                if self.config.as_ref() != Some(&active.checked.config) || self.gist != active.gist {
                    self.backoff.clear();
                    self.config = Some(active.checked.config);
                    self.gist = active.gist;
                }
                self.loaded = active.generation;
            }
            Ok(None) => log::debug!("no configuration yet"),
            Err(error) => log::error!("configuration not taken: {error}"),
        }
    }

    fn answer(&mut self, call: Call) {
        match call.request {
            Request::Hello => call.answer.reply(&server::hello(Role::Net)),
            Request::Status => {
                let leases = &self.memory.leases;
                let now = boot_time();
                let mut status =
                    status(&self.observed, &self.desired, leases, now, &self.pending, self.generation);
                if let Some(named) =
                    self.config.as_ref().map(|it| &it.system.dns).filter(|dns| !dns.is_empty())
                {
                    status.dns.clone_from(named);
                }
                call.answer.reply(&Reply::Status { status: Box::new(Status::Net(status)) });
            }
            Request::Subscribe => self.subscribers.add(call.answer, &[]),
            other => call.answer.reply(&server::not_mine(Role::Net, &other)),
        }
    }

    fn remember(&self) {
        let path = self.run.state(Role::Net);
        if let Err(error) = self.memory.save(&path) {
            log::error!("cannot remember: {}: {error}", path.display());
        }
    }

    /// Makes the kernel agree as far as it can be made to.
    async fn pass(&mut self) -> Outcome {
        let started = Instant::now();
        let config = self.config.take();
        let looked = match &config {
            Some(config) => self.reconcile(config).await,
            None => self.wait().await.map(|()| None),
        };
        self.config = config;
        let retry = looked.unwrap_or_else(|error| Some(self.reconnect(&error)));
        self.generation = self.loaded;
        let took = started.elapsed();
        log::debug!("looked at the kernel: took={}us pending={}", took.as_micros(), self.pending.len());
        Outcome { retry, took }
    }

    /// Without a configuration nothing is known about what should be, so nothing is taken away; people still want to see
    /// what is there.
    async fn wait(&mut self) -> Result<(), Error> {
        self.observed = self.kernel.observe().await?;
        if !self.appliance {
            return Ok(());
        }
        let wanted = early(&self.observed);
        self.observed.sysctls = observe::sysctls(wanted.sysctls.keys());
        for op in diff(&self.observed, &wanted) {
            if let Op::SetLink { index, .. } = op {
                self.early.insert(index);
            }
            if matches!(op, Op::SetLink { .. } | Op::Sysctl { .. }) {
                match self.kernel.apply(&op).await {
                    Ok(()) => log::debug!("before the file: {op}"),
                    Err(error) => log::warn!("cannot {op}: {error}"),
                }
            }
        }
        Ok(())
    }

    fn reconnect(&mut self, error: &Error) -> Instant {
        log::error!("cannot look at the network: {error}");
        self.pending = vec![format!("cannot look at the network: {error}")];
        if let Ok(kernel) = Kernel::open() {
            self.kernel = kernel;
        }
        Instant::now() + RETRY
    }

    async fn reconcile(&mut self, config: &Config) -> Result<Option<Instant>, Error> {
        let mut failed = BTreeMap::new();
        for _ in 0..ROUNDS {
            let ops = self.look(config).await?;
            let now = Instant::now();
            let due: Vec<Op> = ops
                .into_iter()
                .filter(|op| !failed.contains_key(op) && self.backoff.due(now, op) <= now)
                .collect();
            if due.is_empty() {
                break;
            }
            for op in due {
                if let Err(error) = self.perform(&op).await {
                    failed.insert(op, error.to_string());
                }
            }
        }
        // A link that is set up by hand from now on stays up.
        self.early.clear();
        let left = diff(&self.observed, &self.desired.state);
        self.pending = self.journal.pass(&self.observed, &self.desired, &left, &failed);
        self.before = Settled::new(&self.observed, &self.desired.state);
        self.ask(config);
        let now = Instant::now();
        Ok(left.iter().map(|op| self.backoff.due(now, op)).min())
    }

    /// Observes and compares.
    async fn look(&mut self, config: &Config) -> Result<Vec<Op>, Error> {
        self.observed = self.kernel.observe().await?;
        let raised = self.memory.raised;
        let facts =
            Facts { observed: &self.observed, leases: &self.memory.leases, raised, early: &self.early };
        self.desired = desired(config, &self.gist, facts);
        self.observed.sysctls = observe::sysctls(self.desired.state.sysctls.keys());
        Ok(diff(&self.observed, &self.desired.state))
    }

    async fn perform(&mut self, op: &Op) -> Result<(), Error> {
        if let Op::Sysctl { path, value } = op
            && sysctl::note(&mut self.memory.raised, path, value)
        {
            self.remember();
        }
        self.backoff.did(Instant::now(), op);
        let done = self.kernel.apply(op).await;
        match &done {
            Ok(()) if self.before.had(op) => log::warn!("put back: {op} reason=changed by somebody else"),
            Ok(()) if matches!(op, Op::Sysctl { .. }) => log::debug!("{op}"),
            Ok(()) => log::info!("{op}"),
            Err(_) => {}
        }
        done
    }

    /// Starts, informs and ends DHCP clients.
    fn ask(&mut self, config: &Config) {
        let asker = |name: &IfName| {
            let link = self.observed.links.get(name)?;
            let hostname = config.system.hostname.clone();
            let asker = Asker { name: name.clone(), index: link.index, mac: link.mac?, hostname };
            Some((asker, link.up && link.carrier))
        };
        let wanted = self.desired.dhcp.iter().filter_map(asker).collect();
        if self.clients.set(wanted, &mut self.memory) {
            self.remember();
        }
    }
}
