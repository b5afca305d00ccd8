//! The loop: answers at once, looks at disks in a thread, publishes what is chosen.

use std::collections::{BTreeSet, VecDeque};
use std::error::Error;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;

use self::life::Life;
use super::change::Change;
use super::grubenv::Slot;
use super::publish::{publish, published};
use super::select::{Choice, Chosen};
use super::work::{Done, Management, Plan, Plugged, Sources, Work};
use super::{keepsakes, pending};
use crate::config::Before;
use crate::ipc::message::{
    Candidate, ChangeStep, Event, LifeStatus, Reply, Request, Source, Status, StoreStatus,
};
use crate::ipc::server::{Answer, Call, Subscribers, hello, listen, not_mine};
use crate::paths::RunDir;
use crate::role::Role;
use crate::worker::WorkerArgs;

mod around; // what is looked at when there is nothing else to do
mod boots; // this boot and those before it
mod life; // changes on trial: applied after the answer, taken back when their time is over

/// How often to look whether something was plugged in.
const PEEK: Duration = Duration::from_secs(2);

/// Runs the role until SIGTERM.
///
/// # Errors
/// The socket, the run directory or the runtime cannot be used.
pub fn run(args: &WorkerArgs) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(args))?;
    Ok(())
}

async fn serve(args: &WorkerArgs) -> Result<(), Box<dyn Error>> {
    let mut ended = end_signal()?;
    let mut calls = listen(&args.run_dir.socket(Role::Store))?;
    let mut store = Store::new(args);
    let mut saving = tokio::time::interval(keepsakes::PERIOD);
    saving.reset();
    let mut peeking = tokio::time::interval(PEEK);
    loop {
        store.begin();
        let mut end = [0];
        let (idles, patience) = (store.idles(), store.patience());
        tokio::select! {
            call = calls.recv() => match call {
                Some(call) => store.called(call),
                None => return Err("its socket is closed".into()),
            },
            done = finished(&mut store.job) => store.done(done),
            _ = saving.tick() => store.save(),
            _ = peeking.tick(), if idles => store.look_around(),
            () = tokio::time::sleep(patience) => store.due(),
            _ = ended.read(&mut end) => break,
        }
    }
    if store.job.is_some() {
        let done = finished(&mut store.job).await;
        store.done(done);
    }
    store.save();
    Ok(())
}

fn end_signal() -> Result<tokio::net::UnixStream, Box<dyn Error>> {
    let (read, write) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(Signal::SIGTERM as i32, write)?;
    read.set_nonblocking(true)?;
    Ok(tokio::net::UnixStream::from_std(read)?)
}

async fn finished(job: &mut Option<Job>) -> Option<(Done, Work, Option<Answer>)> {
    let Some(running) = job else { return std::future::pending().await };
    let done = (&mut running.handle).await;
    let Job { work, answer, .. } = job.take()?;
    match done {
        Ok(done) => Some((done, work, answer)),
        Err(error) => {
            log::error!("look at the sources: {error}");
            if let Some(answer) = answer {
                answer.reply(&Reply::Error { message: "look at the sources: the look failed".to_owned() });
            }
            None
        }
    }
}

struct Job {
    handle: JoinHandle<Done>,
    work: Work,
    answer: Option<Answer>,
}

struct Store {
    run: RunDir,
    sources: Sources,
    state: Option<PathBuf>,
    status: StoreStatus,
    life: Life,
    running: Option<Arc<Before>>,
    /// As it was when the sources were last looked at.
    plugged: Option<Plugged>,
    /// The sticks that were last told of.
    told: Option<BTreeSet<String>>,
    subscribers: Subscribers,
    queue: VecDeque<(Work, Option<Answer>)>,
    job: Option<Job>,
}

impl Store {
    fn new(args: &WorkerArgs) -> Self {
        let run = args.run_dir.clone();
        let mut store = Self {
            sources: args.file.clone().map_or(Sources::Appliance(None), Sources::File),
            state: args.state.clone(),
            life: Life::default(),
            status: StoreStatus {
                generation: 0,
                source: if args.file.is_some() { Source::File } else { Source::Safe },
                why: "the sources are being looked at".to_owned(),
                node: None,
                candidates: Vec::new(),
                slot: "none".to_owned(),
                life: LifeStatus::default(),
            },
            running: None,
            plugged: None,
            told: None,
            subscribers: Subscribers::default(),
            queue: VecDeque::new(),
            job: None,
            run,
        };
        match published(&store.run) {
            // This worker's death is no reason to choose again: a stick may have been pulled since.
            Some(before) if before.active.is_some() => {
                log::info!("taken up: generation={} why={}", before.status.generation, before.status.why);
                store.status = before.status;
                store.running = before.active.map(Arc::new);
                store.queue.extend([(Work::Peek, None), (Work::Settle, None), (Work::Resume, None)]);
                if pending::is_unsettled(store.run.path()) {
                    // It was said to be applied, and the last life died before it was.
                    store.queue.push_back((Work::Look("apply"), None));
                }
            }
            _ => store.queue.push_back((Work::Start, None)),
        }
        store
    }

    /// Begins the next piece of work, if none is under way.
    fn begin(&mut self) {
        if self.job.is_some() {
            return;
        }
        if self.life.is_settling() && self.queue.front().is_some_and(|(work, _)| work.is_change()) {
            return;
        }
        let Some((work, answer)) = self.queue.pop_front() else { return };
        if let Work::Confirm(pending) = &work
            && !self.life.awaits(pending)
        {
            if let Some(answer) = answer {
                let message = "confirm: no change waits for its confirmation".to_owned();
                answer.reply(&Reply::Error { message });
            }
            return;
        }
        if work.is_change()
            && let Some(message) = self.life.busy()
        {
            if let Some(answer) = answer {
                answer.reply(&Reply::Error { message });
            }
            return;
        }
        let plan = Plan {
            run: self.run.clone(),
            sources: self.sources.clone(),
            state: self.state.clone(),
            plugged: self.plugged.clone(),
            told: self.told.clone(),
            settled: self.running.is_some() && self.status.source != Source::Safe,
            running: self.running.clone(),
        };
        let task = work.clone();
        self.job =
            Some(Job { handle: tokio::task::spawn_blocking(move || plan.execute(&task)), work, answer });
    }

    fn called(&mut self, Call { request, answer }: Call) {
        match request {
            Request::Hello => answer.reply(&hello(Role::Store)),
            Request::Status => {
                let status = Box::new(Status::Store(self.present()));
                answer.reply(&Reply::Status { status });
            }
            Request::Subscribe => {
                let present = [Event::Config { generation: self.status.generation }];
                let present = if self.running.is_some() { &present[..] } else { &[] };
                self.subscribers.add(answer, present);
            }
            Request::Reload => self.queue.push_back((Work::Look("reload"), Some(answer))),
            Request::SetManagement(wish) => self.change(Change::Management(wish), answer),
            Request::SetUp(wish) => self.change(Change::SetUp(wish), answer),
            Request::AssignCards { cards } => self.change(Change::Cards(cards), answer),
            other => match self.life_request(other, answer) {
                Ok(()) => {}
                Err(other) => other.1.reply(&not_mine(Role::Store, &other.0)),
            },
        }
    }

    fn change(&mut self, wish: Change, answer: Answer) {
        let management = Management {
            wish,
            source: self.status.source,
            node: self.status.node.clone(),
            running: self.running.as_ref().map(|running| running.text.clone()).unwrap_or_default(),
        };
        self.queue.push_back((Work::Manage(Box::new(management)), Some(answer)));
    }

    fn done(&mut self, done: Option<(Done, Work, Option<Answer>)>) {
        let Some((done, work, answer)) = done else { return };
        let Done { sources, plugged, choice, slot, problem, outcome, stick, factory, seen, erased, secrets } =
            done;
        if erased {
            self.queue.retain(|(work, _)| !matches!(work, Work::Keep(_) | Work::Adopt(_) | Work::Record(..)));
        }
        self.sources = sources;
        if let Work::Peek = work {
            self.told = Some(plugged.sticks.clone());
        }
        // What is plugged in during other work is new to the next look.
        if self.plugged.is_none() || matches!(work, Work::Look(_) | Work::Manage(_) | Work::Peek) {
            self.plugged = Some(plugged);
        }
        self.status.life.factory = factory.unwrap_or(self.status.life.factory);
        self.status.life.stick = stick.unwrap_or_else(|| self.status.life.stick.take());
        let mut reply = problem.map_or(Reply::Ok, |message| Reply::Error { message });
        if let Some(choice) = choice {
            let refused = choice.chosen.is_none();
            if refused && reply == Reply::Ok {
                reply = Reply::Error { message: refusal(&choice) };
            }
            if refused && answer.is_none() && self.running.is_some() {
                self.tell(ChangeStep::Refused, choice.why.clone());
            }
            if let Err(error) = self.take(choice, &work, secrets) {
                let message = format!("publish configuration: {}: {error}", self.run.path().display());
                log::error!("{message}");
                reply = Reply::Error { message };
            }
        }
        match work {
            Work::Start => self.queue.extend([(Work::Settle, None), (Work::Resume, None)]),
            Work::Watch => self.watched(seen),
            Work::Look(_) => pending::settled(self.run.path()),
            _ => {}
        }
        if let Some(slot) = slot {
            self.note_slot(slot);
        }
        self.come_to(outcome, &work, reply, answer);
    }

    /// Publishes what was chosen, if it is not what runs already: with the same `secrets` in files of their own.
    fn take(&mut self, choice: Choice, work: &Work, secrets: bool) -> std::io::Result<()> {
        for Candidate { place, verdict, report, .. } in &choice.candidates {
            match verdict.as_str() {
                "faulty" => {
                    report
                        .lines()
                        .filter(|line| is_headline(line))
                        .for_each(|line| log::warn!("fault: {line}"));
                }
                "unreadable" => log::warn!("configuration unreadable: {place}: {report}"),
                _ => {}
            }
        }
        self.status.candidates = choice.candidates;
        self.status.why = choice.why;
        let Some(Chosen { source, place, text, checked }) = choice.chosen else {
            log::warn!("no other configuration: {}", self.status.why);
            return publish(&self.run, &self.status, None);
        };
        self.status.source = source;
        let same = |before: &&Arc<Before>| before.text == text && before.checked.node == checked.node;
        if let Some(running) = self.running.as_ref().filter(same).map(Arc::clone) {
            self.place_hooks();
            if secrets {
                log::info!("secrets changed: source={place:?}");
                return self.announce(&running);
            }
            log::info!("configuration unchanged: source={place:?} why={}", self.status.why);
            return publish(&self.run, &self.status, None);
        }
        self.activate(Arc::new(Before { text, checked }))?;
        self.keep(origin(work, source));
        Ok(())
    }

    /// Makes `running` what the workers have.
    fn activate(&mut self, running: Arc<Before>) -> std::io::Result<()> {
        self.status.node.clone_from(&running.checked.node);
        self.status.life.number = None;
        self.status.life.kept = false;
        self.announce(&running)?;
        let system = &running.checked.config.system;
        if let Sources::Appliance(_) = &self.sources {
            self.queue.push_back((Work::TableBits(running.checked.config.ipvs.table_bits), None));
            let hostname = system.hostname.as_deref().unwrap_or("director");
            if let Err(errno) = nix::unistd::sethostname(hostname) {
                log::warn!("set host name: {hostname}: {}", errno.desc());
            }
        }
        self.running = Some(running);
        self.place_hooks();
        Ok(())
    }

    /// Publishes `running` for all workers to read, also those who have read the same text before.
    fn announce(&mut self, running: &Before) -> std::io::Result<()> {
        self.status.generation += 1;
        publish(&self.run, &self.status, Some(running))?;
        let (generation, node) = (self.status.generation, running.checked.node.as_deref().unwrap_or("-"));
        log::info!("configuration active: generation={generation} node={node} why={}", self.status.why);
        self.subscribers.emit(&Event::Config { generation });
        Ok(())
    }

    /// They are taken anew with each look: a program may have changed while the file has not.
    fn place_hooks(&mut self) {
        let allowed = self.running.as_ref().is_some_and(|running| running.checked.config.system.hooks);
        self.queue.push_back((Work::Hooks(allowed), None));
    }

    /// Keeps what runs, which the operator wants, for a rollback and for a boot without a valid file; before anything else that
    /// waits: the power may go, and the file may not be what it was when it comes back.
    fn keep(&mut self, origin: &str) {
        let Some(text) = self.running.as_ref().map(|running| running.text.clone()) else { return };
        let adopt = match self.status.source {
            Source::Usb => Some(Work::Adopt(text.clone())),
            Source::Partition | Source::File => None,
            Source::LastGood => return self.kept(true),
            Source::Safe => return,
        };
        let record = Work::Record(text.clone(), origin.to_owned());
        for work in [Some(record), Some(Work::Keep(text)), adopt].into_iter().flatten() {
            self.queue.push_front((work, None));
        }
    }

    fn note_slot(&mut self, slot: Slot) {
        let word = match slot {
            Slot::Confirmed => "confirmed",
            Slot::Trying => "trying",
            Slot::GivenUp => "given up",
        };
        self.status.slot = word.to_owned();
        log::info!("boot slot: {}", self.status.slot);
        if let Err(error) = publish(&self.run, &self.status, None) {
            log::error!("publish status: {}: {error}", self.run.path().display());
        }
    }

    fn save(&self) {
        if let Sources::Appliance(Some(appliance)) = &self.sources
            && let Some(keepsakes) = appliance.keepsakes()
        {
            keepsakes.save();
        }
    }

    fn idles(&self) -> bool {
        self.queue.is_empty() && self.job.is_none()
    }
}

/// How the history calls it.
const fn origin(work: &Work, source: Source) -> &'static str {
    match (work, source) {
        (_, Source::Usb) => "USB stick",
        (Work::Start, _) => "start",
        (Work::Manage(_), _) => "management address",
        (Work::Look(who), _) => who,
        _ => "reload",
    }
}

/// Why nothing new runs. With one file there is one report, so it is part of the answer; on the appliance the console shows
/// that of each source.
fn refusal(choice: &Choice) -> String {
    let why = format!("use the configuration: {}", choice.why);
    match choice.candidates.as_slice() {
        [only] if only.source == Source::File && !only.report.is_empty() => {
            format!("{why}\n{}", only.report.trim_end())
        }
        _ => why,
    }
}

/// The first line of each fault in a rendered report.
fn is_headline(line: &str) -> bool {
    !line.starts_with([' ', '\t']) && line.contains(": ") && !line.starts_with(|c: char| c.is_ascii_digit())
}
