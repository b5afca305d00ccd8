//! The loop: configuration, calls, and a sample of the history now and then.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::{error, info, warn};

use super::collect::{Collector, Depth};
use super::history::{History, PERIOD};
use super::http::{Listeners, Shared};
use crate::config::model::Api;
use crate::config::{self, Watcher};
use crate::ipc::message::{ApiStatus, Reply, Request, Status};
use crate::ipc::server::{self, Call, Subscribers};
use crate::role::Role;
use crate::worker::WorkerArgs;

/// How soon a listener that could not be opened is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Runs the role until the process is ended.
///
/// # Errors
/// The run directory cannot be used.
pub fn run(args: &WorkerArgs) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(args))
}

async fn serve(args: &WorkerArgs) -> Result<(), Box<dyn Error>> {
    let run = &args.run_dir;
    let path = run.socket(Role::Api);
    let mut calls = server::listen(&path).map_err(|error| format!("listen: {}: {error}", path.display()))?;
    let watcher = Watcher::new(run).map_err(|error| format!("watch: {}: {error}", run.path().display()))?;
    let mut worker = Worker::new(args);
    worker.load();
    let mut sample = Instant::now();
    loop {
        let retry = worker.retry.unwrap_or_else(|| Instant::now() + PERIOD);
        tokio::select! {
            Some(call) = calls.recv() => worker.answer(call),
            changed = watcher.changed() => {
                changed?;
                worker.load();
            }
            () = tokio::time::sleep_until(retry.into()), if worker.retry.is_some() => worker.open(),
            () = tokio::time::sleep_until(sample.into()), if worker.listens() => {
                // The others may take their time: this loop does not wait for them.
                let shared = Arc::clone(&worker.shared);
                let period = shared.history.lock().unwrap_or_else(PoisonError::into_inner).period();
                let since = worker.sampled.map_or(period, |at| at.elapsed());
                worker.sampled = Some(Instant::now());
                sample = Instant::now() + period;
                tokio::spawn(async move {
                    let everything = shared.collector.everything(Depth::Overview(None)).await;
                    shared.history.lock().unwrap_or_else(PoisonError::into_inner).sample(&everything, since);
                });
            }
        }
    }
}

struct Worker {
    run: crate::paths::RunDir,
    shared: Arc<Shared>,
    listeners: Listeners,
    subscribers: Subscribers,
    wanted: Api,
    generation: u64,
    problems: Vec<String>,
    retry: Option<Instant>,
    sampled: Option<Instant>,
}

impl Worker {
    fn new(args: &WorkerArgs) -> Self {
        let shared = Arc::new(Shared {
            collector: Collector::new(args.run_dir.clone()),
            history: Mutex::new(History::default()),
            requests: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        Self {
            run: args.run_dir.clone(),
            listeners: Listeners::new(Arc::clone(&shared)),
            shared,
            subscribers: Subscribers::default(),
            wanted: Api::default(),
            generation: 0,
            problems: Vec::new(),
            retry: None,
            sampled: None,
        }
    }

    fn listens(&self) -> bool {
        self.listeners.addresses().next().is_some()
    }

    /// Takes the configuration in force; a faulty one changes nothing.
    fn load(&mut self) {
        let active = match config::active_without_services(&self.run) {
            Ok(Some(active)) => active,
            Ok(None) => return,
            Err(error) => return error!("configuration is not taken: {error}"),
        };
        self.generation = active.generation;
        if active.checked.config.api != self.wanted {
            self.wanted = active.checked.config.api;
            let places: Vec<String> = self.wanted.listen.iter().map(SocketAddr::to_string).collect();
            info!("configuration taken: generation={} listen={}", self.generation, places.join(" "));
            self.open();
        }
    }

    fn open(&mut self) {
        let failures = self.listeners.set(&self.wanted.listen, &self.wanted.allow);
        self.retry = (!failures.is_empty()).then(|| Instant::now() + RETRY);
        let problems: Vec<String> =
            failures.iter().map(|(address, error)| format!("cannot listen: {address}: {error}")).collect();
        if problems != self.problems {
            problems.iter().for_each(|problem| warn!("{problem}"));
            self.problems = problems;
        }
    }

    fn answer(&mut self, call: Call) {
        match call.request {
            Request::Hello => call.answer.reply(&server::hello(Role::Api)),
            Request::Status => {
                let status = Status::Api(ApiStatus {
                    listening: self.listeners.addresses().collect(),
                    problems: self.problems.clone(),
                    requests: self.shared.requests.load(Ordering::Relaxed),
                    refused: self.shared.refused.load(Ordering::Relaxed),
                    generation: self.generation,
                });
                call.answer.reply(&Reply::Status { status: Box::new(status) });
            }
            Request::Subscribe => self.subscribers.add(call.answer, &[]),
            other => call.answer.reply(&server::not_mine(Role::Api, &other)),
        }
    }
}
