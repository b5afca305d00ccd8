//! The loop: everything that may happen to a supervisor, one poll, no waiting anywhere else.
//!
//! ```text
//! signals ─┐                      ┌─▶ supervise / power ─▶ spawn, kill
//! pipes ───┤                      ├─▶ rings, sink
//! init.sock┼─▶ poll ─▶ one turn ──┼─▶ replies
//! hellos ──┘                      └─▶ watchdog, at the end of a whole turn
//! ```

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::time::TimeSpec;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid as NixPid;

use super::answer::millis;
use super::button::Button;
use super::kernel_log::{self, KernelLog};
use super::lines::LineStream;
use super::links::{Line, Links, MAX_REPLY};
use super::logring::LogRings;
use super::own_log;
use super::power::Shutdown;
use super::repeats::{Repeats, Voice};
use super::requests::Server;
use super::setup::{Ending, Setup};
use super::supervise::{Action, End, How, Key, Pid, Supervisor};
use super::watchdog::Watchdog;
use crate::ipc::message::{LogLine, PowerAction, Reply, Request};
use crate::role::Role;

/// The watchdog may wait this much longer for its food.
const REST: Duration = Duration::from_millis(500);

/// What a descriptor in the poll set belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Signals,
    Listener,
    Client(u64),
    Worker(Key, Line),
    Reload,
    Kernel,
    Button,
}

/// The supervisor at work.
#[derive(Debug)]
pub struct Init {
    pub(super) setup: Setup,
    pub(super) supervisor: Supervisor,
    pub(super) server: Server,
    pub(super) rings: LogRings,
    repeats: Repeats,
    /// For the consoles; the kernel itself writes to none of them.
    pub(super) urgent: VecDeque<(u64, String)>,
    shutdown: Option<(Shutdown, Ending)>,
    links: Links,
    reload: Option<LineStream>,
    /// The process that tidies up after a dead `vrrp`.
    withdrawing: Option<Pid>,
}

impl Init {
    /// Opens the socket; nobody is started yet.
    ///
    /// # Errors
    /// When the socket cannot be bound.
    pub fn new(setup: Setup) -> io::Result<Self> {
        let server = Server::bind(&setup.spawner.run_dir.socket(Role::Init))?;
        let supervisor = Supervisor::new(setup.workers.iter().cloned(), Instant::now());
        Ok(Self {
            setup,
            supervisor,
            server,
            rings: LogRings::default(),
            repeats: Repeats::default(),
            urgent: VecDeque::new(),
            shutdown: None,
            links: Links::default(),
            reload: None,
            withdrawing: None,
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
            self.tell_repeats();
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

    /// Begins an orderly end, unless one is under way.
    pub(super) fn end(&mut self, ending: Ending, why: &str) {
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
        if self.withdrawing == Some(pid) {
            self.withdrawing = None;
            match how {
                How::Code(0) => log::warn!("taken off: what vrrp has left behind"),
                _ => log::error!("VIPs may be left behind: worker=vrrp how={how}"),
            }
        }
        if let Some(key) = self.supervisor.on_exit(pid, how, Instant::now()) {
            // What it may have started does not outlive it.
            let _ = killpg(NixPid::from_raw(pid), Signal::SIGKILL);
            self.links.end(&key);
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

    /// Does what was decided.
    pub(super) fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start(key) => self.start(&key),
                Action::End(key, pid, end) => {
                    let signal = if end == End::Kill { Signal::SIGKILL } else { Signal::SIGTERM };
                    if let Err(error) = killpg(NixPid::from_raw(pid), signal) {
                        log::warn!("{signal} not sent: worker={key} pid={pid} reason={error}");
                    }
                }
                Action::Withdraw => match self.setup.spawner.withdraw() {
                    Ok(pid) => self.withdrawing = Some(pid),
                    Err(error) => log::error!("VIPs are left behind: worker=vrrp reason={error}"),
                },
                Action::Hello(key) => self.links.ask(&key, &self.setup.spawner.run_dir),
            }
        }
    }

    fn start(&mut self, key: &Key) {
        let now = Instant::now();
        match self.setup.spawner.spawn(key) {
            Ok((pid, pipe)) => {
                log::debug!("worker started: worker={key} pid={pid}");
                self.supervisor.started(key, pid, now);
                self.links.begin(key, pipe);
            }
            Err(error) => {
                log::error!("worker not started: worker={key} reason={error}");
                self.supervisor.start_failed(key, now);
            }
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
        let due = [self.supervisor.deadline(), shutdown, watchdog, self.repeats.deadline()]
            .into_iter()
            .flatten()
            .min();
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
        let of_worker =
            |(key, line, fd, flags): (&Key, Line, _, _)| (Token::Worker(key.clone(), line), fd, flags);
        watched.extend(self.links.watched().map(of_worker));
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
                Token::Worker(key, Line::Pipe) => self.listen_to(key),
                Token::Worker(key, Line::Hello) => {
                    if self.links.answered(key) {
                        self.supervisor.answered(key, Instant::now());
                    }
                }
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

    fn listen_to(&mut self, key: &Key) {
        for (severity, text) in self.links.said(key) {
            self.keep(Voice::Role(key.role), severity, text);
        }
    }

    fn hear_kernel(&mut self) {
        for (severity, text) in self.setup.kernel_log.as_mut().map(KernelLog::read).unwrap_or_default() {
            self.keep(Voice::Kernel, severity, text);
        }
    }

    fn keep_own_records(&mut self) {
        for (severity, text) in own_log::take() {
            self.keep(Voice::Role(Role::Init), severity, text);
        }
    }

    fn keep(&mut self, voice: Voice, severity: u8, text: String) {
        for (severity, text) in self.repeats.pass(voice, severity, text, Instant::now()) {
            self.ring(voice, severity, text);
        }
    }

    fn tell_repeats(&mut self) {
        for (voice, severity, text) in self.repeats.due(Instant::now()) {
            self.ring(voice, severity, text);
        }
    }

    fn note_urgent(&mut self, text: &str) {
        let number = self.urgent.back().map_or(1, |(number, _)| number + 1);
        self.urgent.push_back((number, text.to_owned()));
        if self.urgent.len() > kernel_log::URGENT {
            self.urgent.pop_front();
        }
    }

    fn ring(&mut self, voice: Voice, severity: u8, text: String) {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let text = if voice == Voice::Kernel { format!("kernel: {text}") } else { text };
        let line = LogLine { time_ms: millis(since_epoch), role: voice.ring(), severity, text };
        if voice == Voice::Kernel && severity <= kernel_log::CRITICAL {
            self.note_urgent(&line.text);
        }
        // The kernel's own go no way back to where they come from.
        if voice != Voice::Kernel {
            self.setup.sink.show(&line);
        }
        self.rings.push(line);
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
