//! The loop: everything that may happen to a supervisor, one poll, no waiting anywhere else.
//!
//! ```text
//! signals ─┐                      ┌─▶ supervise / power ─▶ spawn, kill
//! pipes ───┤                      ├─▶ rings, sink
//! init.sock┼─▶ poll ─▶ one turn ──┼─▶ replies
//! hellos ──┘                      └─▶ watchdog, at the end of a whole turn
//! ```

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::time::TimeSpec;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid as NixPid;

use super::button::Button;
use super::kernel_log::KernelLog;
use super::lines::LineStream;
use super::logring::{LineCutter, LogRings};
use super::own_log;
use super::power::Shutdown;
use super::requests::Server;
use super::signals::Signals;
use super::sink::Sink;
use super::spawn::Spawner;
use super::supervise::{Action, End, How, Key, Pid, Supervisor};
use super::watchdog::Watchdog;
use crate::ipc::message::{InitStatus, LogLine, PowerAction, Reply, Request, Status, VERSION, WorkerStatus};
use crate::role::Role;

/// The longest answer to a hello or a reload.
const MAX_REPLY: usize = 64 * 1024;
/// Reads of one pipe in one turn: a worker that floods its pipe does not keep the others waiting.
const READS_PER_TURN: usize = 16;
/// The watchdog may wait this much longer for its food.
const REST: Duration = Duration::from_millis(500);

/// What a supervisor is made of.
#[derive(Debug)]
pub struct Setup {
    /// Who is to run.
    pub workers: Vec<Key>,
    /// How they are started.
    pub spawner: Spawner,
    /// Installed before anything else.
    pub signals: Signals,
    /// Where lines go besides the rings.
    pub sink: Sink,
    /// The hardware watchdog.
    pub watchdog: Option<Watchdog>,
    /// The kernel's complaints, on the appliance.
    pub kernel_log: Option<KernelLog>,
    /// The power button, on the appliance.
    pub button: Option<Button>,
    /// What [`InitStatus`] says of this boot.
    pub boot: Boot,
}

/// What is known of this boot.
#[derive(Debug, Clone)]
pub struct Boot {
    /// Firmware version.
    pub version: String,
    /// Slot that booted; `None` outside the appliance.
    pub slot: Option<String>,
    /// What the boot loader wants.
    pub mode: String,
    /// When the kernel started, or the supervisor outside the appliance.
    pub since: Instant,
    /// Whether this process is PID 1 and may switch the power off.
    pub appliance: bool,
}

/// Why the loop ended; nobody is left running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Told to stop, outside the appliance.
    Stopped,
    /// The box is to do this now.
    Power(PowerAction),
}

/// What is connected to one worker.
#[derive(Debug, Default)]
struct Link {
    pipe: Option<PipeReader>,
    cutter: LineCutter,
    hello: Option<LineStream>,
}

/// What a descriptor in the poll set belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Signals,
    Listener,
    Client(u64),
    Pipe(Key),
    Hello(Key),
    Reload,
    Kernel,
    Button,
}

/// The supervisor at work.
#[derive(Debug)]
pub struct Init {
    setup: Setup,
    supervisor: Supervisor,
    shutdown: Option<(Shutdown, Ending)>,
    server: Server,
    links: BTreeMap<Key, Link>,
    reload: Option<LineStream>,
    rings: LogRings,
}

impl Init {
    /// Opens the socket; nobody is started yet.
    ///
    /// # Errors
    /// When the socket cannot be bound.
    pub fn new(setup: Setup) -> io::Result<Self> {
        let server = Server::bind(&setup.spawner.run_dir.socket(Role::Init))?;
        let supervisor = Supervisor::new(setup.workers.iter().cloned(), Instant::now());
        let links = setup.workers.iter().map(|key| (key.clone(), Link::default())).collect();
        Ok(Self {
            setup,
            supervisor,
            shutdown: None,
            server,
            links,
            reload: None,
            rings: LogRings::default(),
        })
    }

    /// Turns until an orderly end is complete.
    ///
    /// # Errors
    /// When the kernel refuses to poll: nothing can be supervised then.
    pub fn run(mut self) -> io::Result<(Ending, Option<Watchdog>)> {
        loop {
            for signal in self.setup.signals.take() {
                self.on_signal(signal);
            }
            self.reap();
            self.decide();
            self.keep_own_records();
            if let Some((shutdown, ending)) = &self.shutdown
                && shutdown.done()
            {
                return Ok((*ending, self.setup.watchdog));
            }
            self.feed_watchdog();
            let ready = self.wait()?;
            self.attend(&ready);
        }
    }

    fn on_signal(&mut self, signal: Signal) {
        let appliance = self.setup.boot.appliance;
        match signal {
            Signal::SIGHUP => self.ask_for_reload(),
            // Ctrl-Alt-Del reaches PID 1 as SIGINT.
            Signal::SIGINT | Signal::SIGTERM if appliance => {
                self.end(Ending::Power(PowerAction::Reboot), signal.as_str());
            }
            Signal::SIGUSR1 | Signal::SIGUSR2 | Signal::SIGPWR if appliance => {
                self.end(Ending::Power(PowerAction::PowerOff), signal.as_str());
            }
            Signal::SIGINT | Signal::SIGTERM => self.end(Ending::Stopped, signal.as_str()),
            _ => {}
        }
    }

    fn end(&mut self, ending: Ending, why: &str) {
        if self.shutdown.is_none() {
            let what = match ending {
                Ending::Stopped => "stopping",
                Ending::Power(PowerAction::Reboot) => "rebooting",
                Ending::Power(PowerAction::PowerOff) => "powering off",
            };
            log::info!("{what}: reason={why}");
            self.supervisor.end();
            self.shutdown = Some((Shutdown::new(Instant::now()), ending));
        }
    }

    /// The one place that waits for children: whoever ended, in whatever order, orphans included.
    fn reap(&mut self) {
        loop {
            match waitpid(None::<NixPid>, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => self.on_exit(pid.as_raw(), How::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    self.on_exit(pid.as_raw(), How::Signal(signal as i32))
                }
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => {
                    log::error!("wait for children: {error}");
                    return;
                }
            }
        }
    }

    fn on_exit(&mut self, pid: Pid, how: How) {
        let living: Vec<Key> =
            self.supervisor.living().filter(|(_, p)| *p == pid).map(|(k, _)| k.clone()).collect();
        for key in &living {
            // Its last words before our own about its end.
            self.listen_to(key);
            self.keep_own_records();
        }
        if let Some(key) = self.supervisor.on_exit(pid, how, Instant::now()) {
            // What it may have started does not outlive it.
            let _ = killpg(NixPid::from_raw(pid), Signal::SIGKILL);
            if let Some(link) = self.links.get_mut(&key) {
                link.hello = None;
            }
        }
    }

    fn decide(&mut self) {
        let now = Instant::now();
        let actions = match &mut self.shutdown {
            None => self.supervisor.step(now),
            Some((shutdown, _)) => {
                let living: Vec<(Key, Pid)> = self.supervisor.living().map(|(k, p)| (k.clone(), p)).collect();
                shutdown.step(&living, now)
            }
        };
        self.act(actions);
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start(key) => self.start(&key),
                Action::End(key, pid, end) => {
                    let signal = if end == End::Kill { Signal::SIGKILL } else { Signal::SIGTERM };
                    if let Err(error) = killpg(NixPid::from_raw(pid), signal) {
                        log::warn!("{signal} not sent: worker={key} pid={pid} reason={error}");
                    }
                }
                Action::Hello(key) => self.say_hello(&key),
            }
        }
    }

    fn start(&mut self, key: &Key) {
        let now = Instant::now();
        match self.setup.spawner.spawn(key) {
            Ok((pid, pipe)) => {
                log::debug!("worker started: worker={key} pid={pid}");
                self.supervisor.started(key, pid, now);
                self.links.insert(key.clone(), Link { pipe: Some(pipe), ..Link::default() });
            }
            Err(error) => {
                log::error!("worker not started: worker={key} reason={error}");
                self.supervisor.start_failed(key, now);
            }
        }
    }

    fn say_hello(&mut self, key: &Key) {
        let path = self.setup.spawner.run_dir.socket(key.role);
        let Some(link) = self.links.get_mut(key) else { return };
        if link.hello.is_none() {
            link.hello = LineStream::connect(&path, MAX_REPLY).ok();
        }
        if link.hello.as_mut().is_some_and(|stream| stream.send(&Request::Hello).is_err()) {
            link.hello = None;
        }
    }

    fn hear_hello(&mut self, key: &Key) {
        let Some(Link { hello: slot @ Some(_), .. }) = self.links.get_mut(key) else { return };
        let heard = slot.as_mut().map(|stream| stream.flush().and_then(|()| stream.receive()));
        match heard {
            Some(Ok(lines)) => {
                let hello = |line: &Vec<u8>| matches!(serde_json::from_slice(line), Ok(Reply::Hello { .. }));
                if lines.iter().any(hello) {
                    self.supervisor.answered(key, Instant::now());
                }
            }
            _ => *slot = None,
        }
    }

    fn ask_for_reload(&mut self) {
        let path = self.setup.spawner.run_dir.socket(Role::Store);
        let asked = LineStream::connect(&path, MAX_REPLY).and_then(|mut stream| {
            stream.send(&Request::Reload)?;
            Ok(stream)
        });
        match asked {
            Ok(stream) => self.reload = Some(stream),
            Err(error) => log::error!("reload: store does not answer: {error}"),
        }
    }

    fn hear_reload(&mut self) {
        let Some(stream) = &mut self.reload else { return };
        match stream.flush().and_then(|()| stream.receive()) {
            Ok(lines) if lines.is_empty() => return,
            Ok(lines) => match lines.first().map(|line| serde_json::from_slice(line)) {
                Some(Ok(Reply::Error { message })) => log::error!("{message}"),
                _ => log::info!("reload done"),
            },
            Err(error) => log::error!("reload: store did not answer: {error}"),
        }
        self.reload = None;
    }

    fn wait(&mut self) -> io::Result<Vec<Token>> {
        let now = Instant::now();
        let shutdown = self.shutdown.as_ref().map(|(shutdown, _)| shutdown.deadline());
        // A watchdog that is not fed on purpose is no reason to turn without rest.
        let watchdog = self.setup.watchdog.as_ref().map(|watchdog| watchdog.deadline().max(now + REST));
        let due = [self.supervisor.deadline(), shutdown, watchdog].into_iter().flatten().min();
        let timeout = due.map(|due| TimeSpec::from(due.saturating_duration_since(now)));
        let watched = self.watched();
        let mut fds: Vec<PollFd<'_>> =
            watched.iter().map(|(_, fd, flags)| PollFd::new(*fd, *flags)).collect();
        match ppoll(&mut fds, timeout, None) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        Ok(watched.into_iter().zip(ready).filter_map(|((token, ..), ready)| ready.then_some(token)).collect())
    }

    fn watched(&self) -> Vec<(Token, BorrowedFd<'_>, PollFlags)> {
        let mut watched = vec![
            (Token::Signals, self.setup.signals.as_fd(), PollFlags::POLLIN),
            (Token::Listener, self.server.as_fd(), PollFlags::POLLIN),
        ];
        for (id, client) in self.server.clients() {
            watched.push((Token::Client(*id), client.as_fd(), client.interest()));
        }
        for (key, link) in &self.links {
            if let Some(pipe) = &link.pipe {
                watched.push((Token::Pipe(key.clone()), pipe.as_fd(), PollFlags::POLLIN));
            }
            if let Some(hello) = &link.hello {
                watched.push((Token::Hello(key.clone()), hello.as_fd(), hello.interest()));
            }
        }
        if let Some(reload) = &self.reload {
            watched.push((Token::Reload, reload.as_fd(), reload.interest()));
        }
        watched.extend(
            self.setup.kernel_log.as_ref().map(|log| (Token::Kernel, log.as_fd(), PollFlags::POLLIN)),
        );
        watched.extend(
            self.setup.button.as_ref().map(|button| (Token::Button, button.as_fd(), PollFlags::POLLIN)),
        );
        watched
    }

    fn attend(&mut self, ready: &[Token]) {
        for token in ready {
            match token {
                Token::Signals => {}
                Token::Listener => self.server.accept(),
                Token::Client(client) => self.serve(*client),
                Token::Pipe(key) => self.listen_to(key),
                Token::Hello(key) => self.hear_hello(key),
                Token::Reload => self.hear_reload(),
                Token::Kernel => self.hear_kernel(),
                Token::Button => {
                    if self.setup.button.as_mut().is_some_and(Button::pressed) {
                        self.end(Ending::Power(PowerAction::PowerOff), "power button");
                    }
                }
            }
        }
    }

    fn serve(&mut self, client: u64) {
        for request in self.server.receive(client) {
            let reply = match request {
                Ok(request) => self.answer(request),
                Err(message) => Reply::Error { message },
            };
            self.server.reply(client, &reply);
        }
    }

    fn answer(&mut self, request: Request) -> Reply {
        let now = Instant::now();
        let done = match request {
            Request::Hello => {
                return Reply::Hello { version: VERSION, role: Role::Init, pid: std::process::id() };
            }
            Request::Status => return Reply::Status { status: Box::new(Status::Init(self.status(now))) },
            Request::Logs { role, lines } => return Reply::Logs { lines: self.rings.newest(role, lines) },
            Request::Subscribe => Ok(Vec::new()),
            Request::Restart { role } => {
                self.supervisor.restart(role, now).map_err(|error| error.to_string())
            }
            Request::Hold { role } => self.supervisor.hold(role, now).map_err(|error| error.to_string()),
            Request::Release { role } => {
                self.supervisor.release(role, now).map(|()| Vec::new()).map_err(|error| error.to_string())
            }
            Request::Power { action } if self.setup.boot.appliance => {
                self.end(Ending::Power(action), "operator");
                Ok(Vec::new())
            }
            Request::Power { .. } => {
                Err("power: this director is an ordinary process: end it by SIGTERM".to_owned())
            }
            Request::Reload | Request::SetManagement(_) => {
                return crate::ipc::server::not_mine(Role::Init, &request);
            }
        };
        match done {
            Ok(actions) => {
                self.act(actions);
                Reply::Ok
            }
            Err(message) => Reply::Error { message },
        }
    }

    fn status(&self, now: Instant) -> InitStatus {
        let Boot { version, slot, mode, since, .. } = &self.setup.boot;
        let hostname = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
        let workers = self.supervisor.workers().iter().map(|worker| WorkerStatus {
            role: worker.key().role,
            tty: worker.key().tty.clone(),
            pid: worker.pid().and_then(|pid| u32::try_from(pid).ok()),
            state: worker.state().to_owned(),
            age_ms: worker.age(now).map(millis),
            restarts: worker.restarts(),
            failures: worker.failures(now),
            last_exit: worker.last_exit().map(|how| how.to_string()),
        });
        InitStatus {
            version: version.clone(),
            hostname,
            uptime_ms: millis(now.saturating_duration_since(*since)),
            slot: slot.clone(),
            mode: mode.clone(),
            watchdog: self.setup.watchdog.as_ref().map(|watchdog| watchdog.identity().to_owned()),
            workers: workers.collect(),
        }
    }

    fn listen_to(&mut self, key: &Key) {
        let mut said = Vec::new();
        if let Some(link) = self.links.get_mut(key) {
            for _ in 0..READS_PER_TURN {
                match read_some(link) {
                    Ok(Some(lines)) => said.extend(lines),
                    Ok(None) => break,
                    Err(_) => {
                        link.pipe = None;
                        said.extend(link.cutter.take());
                        break;
                    }
                }
            }
        }
        for (severity, text) in said {
            self.keep(key.role, severity, text);
        }
    }

    fn hear_kernel(&mut self) {
        for (severity, text) in self.setup.kernel_log.as_mut().map(KernelLog::read).unwrap_or_default() {
            // Not to the sink: that is the kernel's log.
            self.ring(Role::Init, severity, text);
        }
    }

    fn keep_own_records(&mut self) {
        for (severity, text) in own_log::take() {
            self.keep(Role::Init, severity, text);
        }
    }

    fn keep(&mut self, role: Role, severity: u8, text: String) {
        let line = self.ring(role, severity, text);
        self.setup.sink.show(&line);
    }

    fn ring(&mut self, role: Role, severity: u8, text: String) -> LogLine {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let line = LogLine { time_ms: millis(since_epoch), role, severity, text };
        self.rings.push(line.clone());
        line
    }

    /// The end of a whole turn, in which everything above worked.
    fn feed_watchdog(&mut self) {
        let now = Instant::now();
        if let Some(watchdog) = &mut self.setup.watchdog
            && self.supervisor.healthy(now)
        {
            watchdog.feed(now);
        }
    }
}

/// Lines that are there; `None` when there is nothing more for now, an error at the end of the pipe.
fn read_some(link: &mut Link) -> io::Result<Option<Vec<(u8, String)>>> {
    let Some(pipe) = &mut link.pipe else { return Ok(None) };
    let mut chunk = [0; 4096];
    match pipe.read(&mut chunk) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(n) => Ok(Some(link.cutter.feed(chunk.get(..n).unwrap_or_default()))),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
