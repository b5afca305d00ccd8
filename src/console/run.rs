//! The loop of one terminal: bytes in, text out, questions to the workers in between.

use std::error::Error;
use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant, SystemTime};

use log::{info, warn};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::session::{Answer, Command, Session};
use super::snapshot::{FileFacts, Snapshot};
use super::tool;
use super::tty::{Tty, Woken};
use crate::ipc::client::{self, AskError};
use crate::ipc::message::{Reply, Request, Status, StoreStatus};
use crate::paths::RunDir;
use crate::role::Role;
use crate::worker::WorkerArgs;

/// How long a worker may take to tell its status.
const STATUS_WAIT: Duration = Duration::from_millis(800);
/// How long a worker may take to do something: `store` writes to slow sticks.
const ORDER_WAIT: Duration = Duration::from_secs(60);
/// Pause before a terminal that is not there, or was hung up, is opened again.
const REOPEN: Duration = Duration::from_secs(1);

/// Runs the console of one terminal until SIGTERM.
///
/// # Errors
/// No terminal was named, or the kernel refuses signals or poll. A terminal that is not there is waited for.
pub fn run(args: &WorkerArgs) -> Result<(), Box<dyn Error>> {
    let name = args.tty.as_deref().ok_or("console: which terminal: --tty is missing")?;
    let (end, write) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT] {
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    let started = Instant::now();
    let mut session: Option<Session> = None;
    let mut told = false;
    loop {
        match Tty::open(name) {
            Ok(mut tty) => {
                info!("terminal opened: tty={name}");
                told = false;
                let session = session.get_or_insert_with(|| Session::new(tty.clears()));
                if serve(&args.run_dir, &mut tty, session, &end, started)? == End::Told {
                    return Ok(());
                }
                info!("terminal hung up: tty={name}");
                session.reopened();
            }
            Err(error) if !told => {
                warn!("terminal not opened: tty={name} reason={error}");
                told = true;
            }
            Err(_) => {}
        }
        if pause(&end)? {
            return Ok(());
        }
    }
}

/// The live view on the terminal of whoever calls, until a key or a signal ends it.
///
/// # Errors
/// There is no such terminal, or the kernel refuses signals or poll.
pub fn watch(run_dir: &RunDir, full: bool) -> io::Result<()> {
    let mut tty = Tty::own()?;
    let (end, write) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    serve(run_dir, &mut tty, &mut Session::watching(full), &end, Instant::now()).map(|_| ())
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Told,
    HungUp,
}

fn serve(
    run_dir: &RunDir,
    tty: &mut Tty,
    session: &mut Session,
    end: &UnixStream,
    started: Instant,
) -> io::Result<End> {
    let now = || u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut buffer = [0; 256];
    loop {
        session.window(tty.window());
        let mut command = session.advance(now());
        loop {
            tty.write(&session.take_output());
            let Some(order) = command else { break };
            let answer = obey(run_dir, tty, &order, &mut session.snapshot);
            session.took_until(now());
            command = session.answer(answer).or_else(|| session.advance(now()));
        }
        if session.is_ended() {
            return Ok(End::Told);
        }
        match tty.wait(end, session.patience())? {
            Woken::Other => {
                tty.write(&session.farewell());
                return Ok(End::Told);
            }
            Woken::Time => {}
            Woken::Input => match tty.read(&mut buffer) {
                Some(count) => session.bytes(buffer.get(..count).unwrap_or_default()),
                None => return Ok(End::HungUp),
            },
        }
    }
}

fn obey(run_dir: &RunDir, tty: &mut Tty, command: &Command, snapshot: &mut Snapshot) -> Answer {
    match command {
        Command::Look(roles) => {
            let before = snapshot.generation();
            for role in roles {
                let status = status(run_dir, *role);
                snapshot.put(*role, status);
            }
            if snapshot.file.is_none() || snapshot.generation() != before {
                // A configuration that cannot be read just now opens no console that had a PIN.
                snapshot.file = file_facts(run_dir).or_else(|| snapshot.file.take());
            }
            let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            snapshot.clock_ms = u64::try_from(since_epoch.as_millis()).ok();
            Answer::Looked
        }
        Command::Do(tool) => match tool::run(run_dir, tty, tool) {
            Ok(words) => Answer::Told(words),
            Err(error) => Answer::Failed(error.to_string()),
        },
        Command::Verify { hash, pin } if hash.verify(pin) => Answer::Told(String::new()),
        Command::Verify { .. } => {
            warn!("wrong PIN: a log-in at this console was refused");
            Answer::Failed("wrong PIN".to_owned())
        }
        Command::Ask(role, request) => match client::ask(run_dir, *role, request, ORDER_WAIT) {
            Ok(reply) => Answer::Reply(reply),
            Err(AskError::Silent { .. }) => Answer::Told(format!(
                "No answer of {role} yet: it may still be done. Look again in a moment."
            )),
            Err(error) => Answer::Failed(error.to_string()),
        },
    }
}

fn file_facts(run_dir: &RunDir) -> Option<FileFacts> {
    let config = crate::config::active_without_services(run_dir).ok()??.checked.config;
    let names = config.interfaces.iter().filter_map(|interface| interface.selector.name().cloned());
    Some(FileFacts { interfaces: names.collect(), ntp: config.system.ntp, pin: config.console.pin })
}

fn status(run_dir: &RunDir, role: Role) -> Option<Status> {
    match client::ask(run_dir, role, &Request::Status, STATUS_WAIT) {
        Ok(Reply::Status { status }) => Some(*status),
        // What `store` chose stays true while it is being restarted.
        Ok(_) | Err(_) if role == Role::Store => left_behind(run_dir).map(Status::Store),
        Ok(_) | Err(_) => None,
    }
}

fn left_behind(run_dir: &RunDir) -> Option<StoreStatus> {
    serde_json::from_slice(&std::fs::read(run_dir.source()).ok()?).ok()
}

/// Waits a while; true when told to end meanwhile.
fn pause(end: &UnixStream) -> io::Result<bool> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let mut fds = [PollFd::new(end.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(REOPEN).unwrap_or(PollTimeout::MAX);
    Ok(poll(&mut fds, timeout)? > 0)
}
