//! The console as a process on a pseudo terminal, asking workers that are played by threads.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "common/publish.rs"]
mod common;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use common::publish;
use director::console::snapshot::Snapshot;
use director::ipc::message::{Reply, Request, Status};
use director::paths::RunDir;
use director::role::Role;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;

/// The terminal as a person has it. Its name in `/dev` is a link in a folder of the test, so that it can come again.
struct Terminal {
    master: File,
    link: PathBuf,
    seen: String,
}

impl Terminal {
    fn plug_in(folder: &Path) -> Self {
        // Not `openpty`: a console that inherits our side never sees it hang up.
        let pty = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        grantpt(&pty).unwrap();
        unlockpt(&pty).unwrap();
        let link = folder.join("tty");
        std::os::unix::fs::symlink(ptsname_r(&pty).unwrap(), &link).unwrap();
        Self { master: File::from(OwnedFd::from(pty)), link, seen: String::new() }
    }

    fn unplug(self) {
        std::fs::remove_file(self.link).unwrap();
    }

    fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until the terminal shows `wanted`, and forgets everything up to it.
    fn expect(&mut self, wanted: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(at) = self.seen.find(wanted) {
                let rest = self.seen.split_off(at + wanted.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {wanted:?} in:\n{}", self.seen);
            let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            // Reading waits for ever.
            if poll(&mut fds, PollTimeout::try_from(left).unwrap()).unwrap() == 0 {
                continue;
            }
            let mut buffer = [0; 4096];
            // Before the console has opened its side, reading fails.
            match self.master.read(&mut buffer) {
                Ok(count) => self.seen.push_str(std::str::from_utf8(&buffer[..count]).unwrap()),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

/// Workers that answer as `tests/console/pair.json` says, and pass on everything that is no question for their status.
fn workers(run: &RunDir) -> Receiver<(Role, Request)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/console/pair.json");
    let known: Snapshot = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let (orders, receiver) = channel();
    for (role, status) in [
        (Role::Init, Status::Init(known.init.unwrap())),
        (Role::Store, Status::Store(known.store.unwrap())),
        (Role::Net, Status::Net(known.net.unwrap())),
        (Role::Vrrp, Status::Vrrp(known.vrrp.unwrap())),
        (Role::Lvs, Status::Lvs(known.lvs.unwrap())),
    ] {
        let listener = UnixListener::bind(run.socket(role)).unwrap();
        let orders = orders.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, role, &status, &orders);
            }
        });
    }
    receiver
}

fn answer(stream: UnixStream, role: Role, status: &Status, orders: &Sender<(Role, Request)>) {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    let reply = match serde_json::from_str(&line).unwrap() {
        Request::Status => Reply::Status { status: Box::new(status.clone()) },
        order => {
            orders.send((role, order)).unwrap();
            Reply::Ok
        }
    };
    let _ = (&stream).write_all((serde_json::to_string(&reply).unwrap() + "\n").as_bytes());
}

fn start(run: &RunDir, folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_director"))
        .args(["worker", "console", "--run-dir"])
        .arg(run.path())
        .arg("--tty")
        .arg(Path::new("..").join(folder.strip_prefix("/").unwrap()).join("tty"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A person at the terminal of a console whose workers answer.
struct Seat {
    folder: tempfile::TempDir,
    orders: Receiver<(Role, Request)>,
    terminal: Terminal,
    console: Child,
}

fn seat() -> Seat {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::new(folder.path());
    publish(&run, 1, "version = 1\n");
    let orders = workers(&run);
    let terminal = Terminal::plug_in(folder.path());
    let console = start(&run, folder.path());
    Seat { folder, orders, terminal, console }
}

fn end(mut child: Child) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_address_is_set_over_the_line() {
    let Seat { folder: _folder, orders, mut terminal, console } = seat();
    let banner = terminal.expect("Press Enter to activate this console.\r\n");
    assert!(banner.contains("Director ready 1.73 s"), "{banner}");
    assert!(!banner.replace("\r\n", "").contains(['\r', '\n', '\x1b']), "{banner:?}");
    terminal.send("\r");
    terminal.expect("an empty line to leave: ");
    terminal.send("2\r");
    terminal.expect("Interface (1-2, empty line = back): ");
    terminal.send("1\r");
    terminal.expect("or dhcp (empty line = back): ");
    terminal.send("10.1.2.x\x7f3/24\r");
    terminal.expect("Default gateway, or none (empty line = back): ");
    terminal.send("10.1.2.1\r");
    terminal.expect("  eth0: 10.1.2.3/24\r\n  default gateway: 10.1.2.1\r\n");
    terminal.expect("Do it? (yes or no, empty line = back): ");
    terminal.send("yes\r");
    terminal.expect("Done.");
    terminal.expect("an empty line to leave: ");
    let (role, order) = orders.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(role, Role::Store);
    assert_eq!(
        serde_json::to_string(&order).unwrap(),
        r#"{"request":"set_management","interface":"eth0","address":"10.1.2.3/24","gateway":"10.1.2.1"}"#
    );
    end(console);
}

#[test]
fn the_live_view_repeats_until_a_key() {
    let Seat { folder: _folder, orders: _orders, mut terminal, console } = seat();
    terminal.expect("Press Enter");
    terminal.send("\r1");
    terminal.expect("an empty line to leave: ");
    terminal.send("\r");
    for _ in 0..2 {
        terminal.expect("VI_1  MASTER");
        terminal.expect("any other key = back) ");
    }
    terminal.send("q");
    terminal.expect("an empty line to leave: ");
    end(console);
}

#[test]
fn a_hang_up_is_survived_and_the_next_person_starts_at_the_banner() {
    let Seat { folder, orders: _orders, mut terminal, console } = seat();
    terminal.expect("Press Enter");
    terminal.send("\r");
    terminal.expect("an empty line to leave: ");
    terminal.unplug();
    let mut terminal = Terminal::plug_in(folder.path());
    terminal.expect("Director ready");
    terminal.expect("Press Enter");
    end(console);
}

#[test]
fn without_workers_it_says_who_does_not_answer() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::plug_in(folder.path());
    let console = start(&RunDir::new(folder.path()), folder.path());
    let banner = terminal.expect("Press Enter");
    for line in ["init: not answering", "store: not answering", "net: not answering"] {
        assert!(banner.contains(line), "{line} in {banner}");
    }
    end(console);
}

/// A serial line of 80×24, on which nothing is known but what the terminal answers.
#[test]
fn the_whole_screen_is_used_where_the_terminal_answers() {
    let Seat { folder, orders: _orders, mut terminal, console } = seat();
    terminal.expect("Press Enter");
    terminal.send("\r1\r");
    assert!(!terminal.expect("any other key = back) ").contains('\x1b'));
    terminal.send("f");
    terminal.expect("\x1b[6n");
    terminal.send("\x1b[24;80R");
    terminal.expect("SERVICES");
    terminal.expect("q leave");
    terminal.send("e");
    terminal.expect("refused");
    terminal.send("q");
    terminal.expect("\x1b[m\x1b[24H\r\n");
    terminal.expect("an empty line to leave: ");
    terminal.send("1\r");
    terminal.expect("any other key = back) ");
    terminal.send("f");
    terminal.expect("\x1b[6n");
    // Without an answer the status comes line by line.
    terminal.expect("This terminal does not tell its size");
    terminal.expect("VI_1  MASTER");
    terminal.send("q");
    terminal.expect("an empty line to leave: ");
    // In the midst of it the line is hung up: the next person has the banner, and no colours.
    terminal.send("1\r");
    terminal.expect("any other key = back) ");
    terminal.send("f");
    terminal.expect("\x1b[6n");
    terminal.send("\x1b[24;80R");
    terminal.expect("q leave");
    terminal.unplug();
    let mut terminal = Terminal::plug_in(folder.path());
    assert!(!terminal.expect("Press Enter").contains('\x1b'));
    end(console);
}

/// `director top` on a terminal that `setsid` makes its own, with what the kernel knows of its size.
struct Top {
    terminal: Terminal,
    slave: File,
    child: Child,
}

fn top(folder: &Path, run: &RunDir, term: &str) -> Top {
    let terminal = Terminal::plug_in(folder);
    let slave = File::options().read(true).write(true).open(&terminal.link).unwrap();
    let child = Command::new("setsid")
        .args(["--ctty", "--wait"])
        .arg(env!("CARGO_BIN_EXE_director"))
        .args(["top", "--run-dir"])
        .arg(run.path())
        .env("TERM", term)
        .stdin(slave.try_clone().unwrap())
        .stdout(slave.try_clone().unwrap())
        .stderr(slave.try_clone().unwrap())
        .spawn()
        .unwrap();
    Top { terminal, slave, child }
}

#[test]
fn top_puts_the_terminal_back_whatever_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::new(folder.path());
    let _orders = workers(&run);
    for signal in [None, Some(Signal::SIGTERM), Some(Signal::SIGINT), Some(Signal::SIGHUP)] {
        let Top { mut terminal, slave, mut child } = top(folder.path(), &run, "vt100");
        terminal.expect("\x1b[6n");
        assert!(!tcgetattr(&slave).unwrap().local_flags.contains(LocalFlags::ICANON));
        terminal.send("\x1b[24;80R");
        terminal.expect("SERVICES");
        terminal.expect("q leave");
        match signal {
            None => terminal.send("q"),
            Some(signal) => kill(only_child(child.id()), signal).unwrap(),
        }
        terminal.expect("\x1b[m\x1b[24H\r\n");
        assert!(child.wait().unwrap().success(), "{signal:?}");
        let after = tcgetattr(&slave).unwrap();
        assert!(after.local_flags.contains(LocalFlags::ICANON | LocalFlags::ECHO), "{signal:?}");
        terminal.unplug();
    }
}

#[test]
fn top_is_plain_on_a_dumb_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::new(folder.path());
    let _orders = workers(&run);
    let Top { mut terminal, mut child, .. } = top(folder.path(), &run, "dumb");
    for _ in 0..2 {
        let shown = terminal.expect("any other key = back) ");
        assert!(shown.contains("VI_1  MASTER") && !shown.contains('\x1b'), "{shown:?}");
    }
    terminal.send("q");
    assert!(child.wait().unwrap().success());
}

/// The process that `setsid --wait` waits for; itself, where it did not have to fork.
fn only_child(parent: u32) -> Pid {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let child = children.split_whitespace().next().map_or(parent, |pid| pid.parse().unwrap());
    Pid::from_raw(child.try_into().unwrap())
}
