//! The loop: configuration, events and calls; each receiver has a task of its own.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use log::{error, info};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::deliver::{self, Shared, now_ms, since_boot_ms};
use super::memory::{Memory, Record};
use super::observe::{Seen, observe};
use super::syslog::forward::{self, Forward, Progress};
use super::watch::News;
use super::words::Names;
use crate::config::model::{self, NotifyWay, Service, SyslogTarget};
use crate::config::{self, Watcher};
use crate::ipc::message::{Alarm, AlarmKind, NotifyStatus, Reply, Request, Status, TargetStatus};
use crate::ipc::server::{self, Call, Subscribers};
use crate::names::book::Book;
use crate::paths::RunDir;
use crate::role::Role;
use crate::worker::WorkerArgs;

/// Least time between two writings of what the next life must know.
const UNWRITTEN: Duration = Duration::from_millis(100);

/// Runs the role until the process is ended.
///
/// # Errors
/// The run directory cannot be used.
pub fn run(args: &WorkerArgs) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(&args.run_dir))
}

async fn serve(run: &RunDir) -> Result<(), Box<dyn Error>> {
    let path = run.socket(Role::Notify);
    let mut calls = server::listen(&path).map_err(|error| format!("listen: {}: {error}", path.display()))?;
    let watcher = Watcher::new(run).map_err(|error| format!("watch: {}: {error}", run.path().display()))?;
    let mut worker = Worker::new(run.clone());
    worker.load();
    let moved = Arc::clone(&worker.moved);
    let mut written = tokio::time::Instant::now();
    let mut dirty = false;
    loop {
        tokio::select! {
            Some(call) = calls.recv() => worker.answer(call),
            changed = watcher.changed() => {
                changed?;
                worker.load();
            }
            seen = next(&mut worker.seen) => {
                worker.see(seen);
                dirty = true;
            }
            () = moved.notified() => dirty = true,
            () = tokio::time::sleep_until(written + UNWRITTEN), if dirty => {
                worker.keep();
                (written, dirty) = (tokio::time::Instant::now(), false);
            }
        }
    }
}

/// What is seen next; nothing, where nobody wants to be told.
async fn next(seen: &mut Option<(mpsc::Receiver<Seen>, JoinSet<()>)>) -> Seen {
    if let Some((seen, _)) = seen
        && let Some(seen) = seen.recv().await
    {
        return seen;
    }
    std::future::pending().await
}

/// A receiver of logs at work.
struct Receiver {
    target: SyslogTarget,
    progress: Arc<Mutex<Progress>>,
    // Dropping it ends the task.
    _task: JoinSet<()>,
}

/// A receiver of alarms at work.
struct Target {
    model: model::Notify,
    shared: Shared,
    _task: JoinSet<()>,
}

struct Worker {
    run: RunDir,
    memory: Memory,
    /// Of receivers that are not in the file now, too: a file that names one again goes on.
    record: Record,
    receivers: Vec<Receiver>,
    targets: Vec<Target>,
    names: Names,
    seen: Option<(mpsc::Receiver<Seen>, JoinSet<()>)>,
    moved: Arc<Notify>,
    /// Where those are that are called by name.
    book: Arc<Book>,
    subscribers: Subscribers,
    generation: u64,
}

impl Worker {
    fn new(run: RunDir) -> Self {
        let memory = Memory(run.state(Role::Notify));
        let record = memory.recall();
        Self {
            book: Arc::new(Book::new(run.clone())),
            run,
            memory,
            record,
            receivers: Vec::new(),
            targets: Vec::new(),
            names: Names::default(),
            seen: None,
            moved: Arc::new(Notify::new()),
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
        let config = active.checked.config;
        let programs = config.notify.iter().any(|target| matches!(target.way, NotifyWay::Exec { .. }));
        // keepalived's words name addresses of services, and only programs get them.
        let services = if programs { self.services() } else { Vec::new() };
        self.names = Names::new(&config.vrrp, &services);
        self.record.known.forget_routers(|name| config.vrrp.iter().any(|router| router.name == name));
        let same = self.receivers.iter().map(|receiver| &receiver.target).eq(&config.system.syslog)
            && self.targets.iter().map(|target| &target.model).eq(&config.notify);
        if !same {
            let (logs, alarms) = (config.system.syslog.len(), config.notify.len());
            info!(
                "configuration taken: generation={} log_receivers={logs} alarm_receivers={alarms}",
                self.generation
            );
            self.note();
            self.receive(config.system.syslog);
            self.aim(config.notify);
        }
    }

    fn services(&self) -> Vec<Service> {
        match config::active(&self.run) {
            Ok(Some(active)) => active.checked.config.services.clone(),
            _ => Vec::new(),
        }
    }

    fn receive(&mut self, wanted: Vec<SyslogTarget>) {
        let mut old: BTreeMap<String, Receiver> =
            self.receivers.drain(..).map(|receiver| (forward::name(&receiver.target), receiver)).collect();
        for target in wanted {
            let name = forward::name(&target);
            let receiver = old.remove(&name).unwrap_or_else(|| {
                let progress = self.record.syslog.get(&name).cloned().unwrap_or_default();
                let progress = Arc::new(Mutex::new(progress));
                let mut task = JoinSet::new();
                let (run, book, moved) = (self.run.clone(), Arc::clone(&self.book), Arc::clone(&self.moved));
                task.spawn(Forward::new(target.clone(), run, book, Arc::clone(&progress), moved).forever());
                Receiver { target, progress, _task: task }
            });
            self.receivers.push(receiver);
        }
    }

    /// Receivers of alarms as the file has them; what waits for one that stays, waits on.
    fn aim(&mut self, wanted: Vec<model::Notify>) {
        let mut old: BTreeMap<String, Target> =
            self.targets.drain(..).map(|target| (target.model.name.clone(), target)).collect();
        for model in wanted {
            let target = match old.remove(&model.name) {
                Some(same) if same.model == model => same,
                other => {
                    let queue = self.record.queues.get(&model.name).cloned().unwrap_or_default();
                    // One task at a time: the old one ends before the new one begins.
                    drop(other);
                    let shared = Shared {
                        queue: Arc::new(Mutex::new(queue)),
                        filled: Arc::new(Notify::new()),
                        moved: Arc::clone(&self.moved),
                    };
                    let mut task = JoinSet::new();
                    task.spawn(deliver::forever(
                        model.clone(),
                        shared.clone(),
                        self.run.clone(),
                        Arc::clone(&self.book),
                    ));
                    Target { model, shared, _task: task }
                }
            };
            self.targets.push(target);
        }
        self.record.queues.retain(|name, _| self.targets.iter().any(|target| target.model.name == *name));
        if self.targets.is_empty() {
            self.seen = None;
        } else if self.seen.is_none() {
            self.seen = Some(observe(&self.run));
        }
    }

    fn see(&mut self, seen: Seen) {
        let known = &mut self.record.known;
        let news = match seen {
            Seen::Event(event, priority) => known.event(&event, priority, &self.names),
            Seen::Status(status) => match *status {
                Status::Init(status) => known.init(&status),
                Status::Store(status) => known.store(&status),
                Status::Lvs(status) => known.lvs(&status),
                Status::Time(status) => known.time(&status),
                _ => Vec::new(),
            },
        };
        for news in news {
            let alarm = self.number(news);
            self.push(&alarm, |target| target.model.events.contains(&alarm.kind));
        }
    }

    /// The number is the time where that is greater, so that it grows from boot to boot.
    fn number(&mut self, news: News) -> Alarm {
        let News { kind, subject, state, severity, text, words } = news;
        let time_ms = now_ms();
        self.record.last = time_ms.max(self.record.last + 1);
        let words = if words.is_empty() {
            vec![
                "EVENT".to_owned(),
                kind.to_string().to_uppercase(),
                subject.clone(),
                state.clone(),
                text.clone(),
            ]
        } else {
            words
        };
        Alarm { id: self.record.last, time_ms, kind, subject, state, severity, text, words }
    }

    fn push(&self, alarm: &Alarm, wanted: impl Fn(&Target) -> bool) {
        for target in self.targets.iter().filter(|target| wanted(target)) {
            target.shared.with(|queue| queue.push(alarm.clone(), since_boot_ms()));
            target.shared.filled.notify_one();
        }
        self.moved.notify_one();
    }

    fn note(&mut self) {
        for Receiver { target, progress, .. } in &self.receivers {
            let progress = progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.record.syslog.insert(forward::name(target), progress);
        }
        for target in &self.targets {
            let queue = target.shared.with(|queue| queue.clone());
            self.record.queues.insert(target.model.name.clone(), queue);
        }
    }

    fn keep(&mut self) {
        self.note();
        if let Err(error) = self.memory.keep(&self.record) {
            error!("the next life will send some of this again: {}: {error}", self.memory.0.display());
        }
    }

    fn status(&self) -> NotifyStatus {
        let shown = |receiver: &Receiver| {
            let progress = receiver.progress.lock().unwrap_or_else(PoisonError::into_inner);
            forward::status(&receiver.target, &progress)
        };
        NotifyStatus {
            syslog: self.receivers.iter().map(shown).collect(),
            targets: self.targets.iter().map(target_status).collect(),
            generation: self.generation,
        }
    }

    /// An alarm to find out whether it arrives.
    fn test(&mut self, name: Option<&str>) -> Reply {
        let asked = |target: &Target| name.is_none_or(|name| target.model.name == name);
        let targets: Vec<String> = self
            .targets
            .iter()
            .filter(|target| asked(target))
            .map(|target| target.model.name.clone())
            .collect();
        if targets.is_empty() {
            let known: Vec<&str> = self.targets.iter().map(|target| target.model.name.as_str()).collect();
            let known = if known.is_empty() {
                "the file has none".to_owned()
            } else {
                format!("one of {}", known.join(", "))
            };
            let what = name.unwrap_or("all");
            return Reply::Error {
                message: format!("notify test: {what}: no such receiver of alarms: {known}"),
            };
        }
        let alarm = self.number(News {
            kind: AlarmKind::Test,
            subject: "test".to_owned(),
            state: "test".to_owned(),
            severity: 6,
            text: "this is a test of the operator's".to_owned(),
            words: Vec::new(),
        });
        self.push(&alarm, asked);
        Reply::Notified { id: alarm.id, targets }
    }

    fn answer(&mut self, call: Call) {
        match call.request {
            Request::Hello => call.answer.reply(&server::hello(Role::Notify)),
            Request::Status => {
                let status = Status::Notify(self.status());
                call.answer.reply(&Reply::Status { status: Box::new(status) });
            }
            Request::Subscribe => self.subscribers.add(call.answer, &[]),
            Request::NotifyTest { target } => {
                let reply = self.test(target.as_deref());
                call.answer.reply(&reply);
            }
            other => call.answer.reply(&server::not_mine(Role::Notify, &other)),
        }
    }
}

fn target_status(target: &Target) -> TargetStatus {
    target.shared.with(|queue| TargetStatus {
        name: target.model.name.clone(),
        kind: target.model.kind().to_owned(),
        waiting: queue.waiting.iter().map(|it| it.alarm.clone()).collect(),
        delivered: queue.delivered,
        dropped: queue.dropped,
        failures: queue.failures,
        last: queue.last.clone(),
    })
}
