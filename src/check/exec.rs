//! The exec check: a program of the operator's says how a server is, by its exit status.
//!
//! It runs as nobody where we are root, in a session of its own, and never outlives its probe: whatever it has started dies
//! with it, unless that has left the session on purpose.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, geteuid};
use tokio::io::unix::AsyncFd;

use super::{Feedback, Outcome, Reason, Target, reason};
use crate::config::model::Listen;
use crate::sys::async_fd::async_fd;
use crate::sys::program::{Program, start};

/// `nobody` and `nogroup`, of Debian and of this appliance.
const NOBODY: (u32, u32) = (65_534, 65_534);
/// All that a program finds in its environment.
const ENVIRONMENT: [&str; 3] = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "LANG=C"];
/// Most bytes that a program may write.
const MOST_OUTPUT: usize = 64 * 1024;
/// Most bytes of its last line that are kept.
const LONGEST_LINE: usize = 200;

/// Runs `command` with, by `endpoints`, the address and port of the virtual service and those of the real server (ldirectord's
/// `external`), and with `args`; a service by firewall mark has its mark for an address, and port 0. `weight`: the exit statuses 2..=255 are weights, two less each
/// (keepalived's `misc_dynamic`).
pub async fn probe(
    target: &Target,
    command: &str,
    args: &[String],
    endpoints: bool,
    weight: bool,
) -> Outcome {
    let given = endpoints.then(|| told(target));
    execute(command, given.iter().flatten().chain(args).map(String::as_str), weight).await
}

/// Runs `command` with `args` alone: a program that says how something else than a server is.
pub async fn run<'a>(command: &'a str, args: impl Iterator<Item = &'a str>) -> Outcome {
    execute(command, args, false).await
}

async fn execute<'a>(command: &'a str, args: impl Iterator<Item = &'a str>, weight: bool) -> Outcome {
    let child = match Child::start([command].into_iter().chain(args)) {
        Ok(child) => child,
        Err(error) => {
            let why = reason::words(&error);
            return Outcome::Inconclusive(Reason::Owned(format!("cannot run {command}: {why}")));
        }
    };
    match child.run().await {
        Ok((status, output)) => judge(status, &output, weight),
        Err(error) => {
            Outcome::Inconclusive(Reason::Owned(format!("cannot watch {command}: {}", reason::words(&error))))
        }
    }
}

/// The endpoints that a program is told: VIP, port, RIP, port.
fn told(target: &Target) -> [String; 4] {
    let server = target.front.as_ref().map_or(target.address, |front| front.server);
    let (vip, port) = match target.front.as_ref().map(|front| front.key.listen) {
        Some(Listen::Address(vip)) => (vip.ip().to_string(), vip.port()),
        Some(Listen::Fwmark { mark, .. }) => (mark.to_string(), 0),
        // Of no service: the server speaks for itself.
        None => (server.ip().to_string(), server.port()),
    };
    [vip, port.to_string(), server.ip().to_string(), server.port().to_string()]
}

/// What the end of a program says.
fn judge(status: Option<WaitStatus>, output: &Output, weight: bool) -> Outcome {
    let said = match output.last_line() {
        [] => String::new(),
        line => format!(": {}", reason::told(line)),
    };
    match status {
        Some(WaitStatus::Exited(_, 0)) => Outcome::Success(Reason::Owned(format!("exit status 0{said}"))),
        Some(WaitStatus::Exited(_, status)) => {
            let reason = Reason::Owned(format!("exit status {status}{said}"));
            match u32::try_from(status.saturating_sub(2)) {
                Ok(value) if weight && status >= 2 => Outcome::Feedback(Feedback::Weight(value), reason),
                _ => Outcome::Failure(reason),
            }
        }
        Some(WaitStatus::Signaled(_, signal, _)) => {
            Outcome::Failure(Reason::Owned(format!("killed by {signal}{said}")))
        }
        Some(other) => Outcome::Failure(Reason::Owned(format!("ended in an unknown way: {other:?}"))),
        None => Outcome::Failure(Reason::Owned(format!("wrote more than {} KiB", MOST_OUTPUT / 1024))),
    }
}

/// A program that runs. Dropping it ends it and all of its session's processes.
struct Child {
    pid: Pid,
    ended: AsyncFd<OwnedFd>,
    output: AsyncFd<OwnedFd>,
    reaped: bool,
}

impl Child {
    fn start<'a>(words: impl Iterator<Item = &'a str>) -> io::Result<Self> {
        let arguments = words.map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let environment = ENVIRONMENT.map(CString::new).into_iter().collect::<Result<Vec<_>, _>>()?;
        let path = arguments.first().ok_or(io::ErrorKind::InvalidInput)?;
        let (reader, writer) = io::pipe()?;
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let output = async_fd(reader)?;
        let input = File::open("/dev/null")?;
        let (pid, ended) = start(&Program {
            path,
            arguments: &arguments,
            environment: &environment,
            user: geteuid().is_root().then_some(NOBODY),
            input: input.as_fd(),
            output: writer.as_fd(),
        })?;
        // The worker is the last to go when memory is short; its programs are not. Who may not say so leaves it.
        let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), "0");
        match async_fd(ended) {
            Ok(ended) => Ok(Self { pid, ended, output, reaped: false }),
            Err(error) => {
                end(pid);
                Err(error)
            }
        }
    }

    /// Waits for its end, reading what it says. No status: it said too much and is ended.
    async fn run(mut self) -> io::Result<(Option<WaitStatus>, Output)> {
        let mut output = Output::default();
        let mut open = true;
        loop {
            tokio::select! {
                biased;
                ended = self.ended.readable() => {
                    ended?.retain_ready();
                    break;
                }
                ready = self.output.readable(), if open => {
                    let mut ready = ready?;
                    match output.read(self.output.get_ref()) {
                        Ok(0) => open = false,
                        Ok(_) => {}
                        Err(Errno::EAGAIN) => ready.clear_ready(),
                        Err(Errno::EINTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                    if output.length > MOST_OUTPUT {
                        return Ok((None, output));
                    }
                }
            }
        }
        // What it left in the pipe; whom it left behind may hold that open, so not until its end.
        while output.length <= MOST_OUTPUT && output.read(self.output.get_ref()).is_ok_and(|read| read > 0) {}
        Ok((Some(self.reap()?), output))
    }

    /// Ends what is left of its session, as long as its number is taken, and then gives the number back.
    fn reap(&mut self) -> io::Result<WaitStatus> {
        let _ = killpg(self.pid, Signal::SIGKILL);
        let status = waitid(Id::Pid(self.pid), WaitPidFlag::WEXITED)?;
        self.reaped = true;
        Ok(status)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            end(self.pid);
        }
    }
}

/// Kills a session and waits for its leader, beside whatever else we do: a process that hangs in the kernel holds up nobody.
fn end(pid: Pid) {
    let _ = killpg(pid, Signal::SIGKILL);
    let gone = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
    if !matches!(waitid(Id::Pid(pid), gone), Ok(WaitStatus::StillAlive)) {
        return;
    }
    let wait = move || {
        let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED);
    };
    let thread = std::thread::Builder::new().name("reaper".to_owned()).stack_size(64 * 1024).spawn(wait);
    if let Err(error) = thread {
        log::warn!("no thread to wait for a killed program: pid={pid} reason={error}");
    }
}

/// What a program said: how much, and its end.
#[derive(Debug, Default)]
struct Output {
    length: usize,
    tail: Vec<u8>,
}

impl Output {
    fn read(&mut self, from: &OwnedFd) -> Result<usize, Errno> {
        let mut buffer = [0; 1024];
        let read = nix::unistd::read(from, &mut buffer)?;
        self.add(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }

    fn add(&mut self, said: &[u8]) {
        self.length += said.len();
        self.tail.extend_from_slice(said);
        // Enough for a long last line and the blank ones after it.
        self.tail.drain(..self.tail.len().saturating_sub(4 * LONGEST_LINE));
    }

    fn last_line(&self) -> &[u8] {
        let lines = self.tail.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        lines.rev().find(|line| !line.is_empty()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PID: Pid = Pid::from_raw(1);

    #[test]
    fn the_status_is_the_verdict() {
        let mut output = Output::default();
        output.add(b"checking\nreplica lags by 70 s\n\n");
        let exit = |status, weight| judge(Some(WaitStatus::Exited(PID, status)), &output, weight);
        let said = |status| Reason::Owned(format!("exit status {status}: \"replica lags by 70 s\""));
        assert_eq!(exit(0, true), Outcome::Success(said(0)));
        assert_eq!(exit(1, true), Outcome::Failure(said(1)));
        assert_eq!(exit(2, true), Outcome::Feedback(Feedback::Weight(0), said(2)));
        assert_eq!(exit(255, true), Outcome::Feedback(Feedback::Weight(253), said(255)));
        assert_eq!(exit(2, false), Outcome::Failure(said(2)));
        let killed =
            judge(Some(WaitStatus::Signaled(PID, Signal::SIGSEGV, false)), &Output::default(), false);
        assert_eq!(killed, Outcome::Failure("killed by SIGSEGV".into()));
    }

    #[test]
    fn the_end_of_what_is_said_is_kept() {
        let mut output = Output::default();
        for _ in 0..1000 {
            output.add(b"a line like any other\n");
        }
        assert!(output.tail.len() <= 800);
        assert_eq!((output.length, output.last_line()), (22_000, b"a line like any other".as_slice()));
    }
}
