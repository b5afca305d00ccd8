//! Scenarios of the supervisor: `tests/supervise/*.txt`, events in, actions out, on a clock of their own.
//!
//! ```text
//! workers ROLE…              first line; `console:tty1` for a console
//! @SECONDS                   let time pass
//! @SECONDS EVENT             exit WORKER code N | exit WORKER signal N | mute WORKER | restart ROLE | hold ROLE |
//!                            release ROLE | power | stall SECONDS (nothing runs for so long) | watchdog | show
//!   SECONDS ACTION           what the supervisor does, written by the test itself with UPDATE=1
//! ```
//!
//! A started worker gets the next process id from 101 on and answers each hello at once, unless it is muted.

// A broken script is to end the test at its line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use director::init::power::Shutdown;
use director::init::supervise::{Action, End, How, Key, Pid, Supervisor};
use director::role::Role;

struct World {
    supervisor: Supervisor,
    shutdown: Option<Shutdown>,
    zero: Instant,
    now: Instant,
    pids: BTreeMap<Key, Pid>,
    next_pid: Pid,
    mute: BTreeSet<Key>,
    out: String,
}

fn key(text: &str) -> Key {
    let (role, tty) = text.split_once(':').map_or((text, None), |(role, tty)| (role, Some(tty.to_owned())));
    Key { role: role.parse().unwrap(), tty }
}

impl World {
    fn new(keys: &[Key]) -> Self {
        let now = Instant::now();
        Self {
            supervisor: Supervisor::new(keys.iter().cloned(), now),
            shutdown: None,
            zero: now,
            now,
            pids: BTreeMap::new(),
            next_pid: 101,
            mute: BTreeSet::new(),
            out: String::new(),
        }
    }

    fn say(&mut self, text: &str) {
        let at = (self.now - self.zero).as_secs_f64();
        writeln!(self.out, "  {at:.3} {text}").unwrap();
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start(key) => {
                    self.say(&format!("start {key} pid {}", self.next_pid));
                    self.supervisor.started(&key, self.next_pid, self.now);
                    self.pids.insert(key, self.next_pid);
                    self.next_pid += 1;
                }
                Action::End(key, pid, end) => {
                    let word = if end == End::Kill { "kill" } else { "terminate" };
                    self.say(&format!("{word} {key} pid {pid}"));
                }
                Action::Withdraw => self.say("take off what vrrp has left"),
                Action::Hello(key) if self.mute.contains(&key) => {}
                Action::Hello(key) => self.supervisor.answered(&key, self.now),
            }
        }
    }

    fn step(&mut self) {
        let actions = match &mut self.shutdown {
            None => self.supervisor.step(self.now),
            Some(shutdown) => {
                let was_done = shutdown.done();
                let living: Vec<_> = self.supervisor.living().map(|(k, p)| (k.clone(), p)).collect();
                let actions = shutdown.step(&living, self.now);
                if shutdown.done() && !was_done {
                    self.act(actions);
                    self.say("everybody is gone, or will not go");
                    return;
                }
                actions
            }
        };
        self.act(actions);
    }

    fn pass(&mut self, until: Instant) {
        loop {
            self.step();
            let due = match &self.shutdown {
                None => self.supervisor.deadline(),
                Some(shutdown) => (!shutdown.done()).then(|| shutdown.deadline()),
            };
            match due {
                Some(due) if due <= until => self.now = due.max(self.now),
                _ => break,
            }
        }
        self.now = until;
    }

    fn event(&mut self, words: &[&str]) {
        let role = |text: &str| text.parse::<Role>().unwrap();
        let now = self.now;
        match *words {
            [] => {}
            ["exit", worker, kind, number] => {
                let number = number.parse().unwrap();
                let how = if kind == "code" { How::Code(number) } else { How::Signal(number) };
                let pid = self.pids.remove(&key(worker)).unwrap();
                assert_eq!(self.supervisor.on_exit(pid, how, now), Some(key(worker)));
            }
            // Again and again, a moment after each start.
            ["crash", worker, times, "every", seconds] => {
                let end =
                    self.now + Duration::from_secs_f64(seconds.parse().unwrap()) * times.parse().unwrap();
                let every = Duration::from_secs_f64(seconds.parse().unwrap());
                while self.now + every <= end {
                    let at = self.now + every;
                    self.pass(at);
                    let Some(pid) = self.pids.remove(&key(worker)) else { break };
                    self.supervisor.on_exit(pid, How::Signal(9), at);
                    self.step();
                }
            }
            ["mute", worker] => drop(self.mute.insert(key(worker))),
            ["unmute", worker] => drop(self.mute.remove(&key(worker))),
            ["restart", name] => self.order(|s| s.restart(role(name), now)),
            ["hold", name] => self.order(|s| s.hold(role(name), now)),
            ["release", name] => self.order(|s| s.release(role(name), now).map(|()| Vec::new())),
            ["stall", seconds] => self.now += Duration::from_secs_f64(seconds.parse().unwrap()),
            ["power"] => {
                self.supervisor.end();
                self.shutdown = Some(Shutdown::new(now));
            }
            ["watchdog"] => {
                let fed = if self.supervisor.healthy(now) { "is fed" } else { "is not fed" };
                self.say(&format!("watchdog {fed}"));
            }
            ["show"] => {
                let rows: Vec<String> = self.supervisor.workers().iter().map(|w| row(w, now)).collect();
                rows.iter().for_each(|row| self.say(row));
            }
            _ => panic!("unknown event {words:?}"),
        }
    }

    fn order<E: std::fmt::Display>(&mut self, order: impl FnOnce(&mut Supervisor) -> Result<Vec<Action>, E>) {
        match order(&mut self.supervisor) {
            Ok(actions) => self.act(actions),
            Err(error) => self.say(&format!("refused: {error}")),
        }
    }
}

fn row(worker: &director::init::supervise::Worker, now: Instant) -> String {
    format!(
        "{} {} restarts={} failures={} last={}",
        worker.key(),
        worker.state(),
        worker.restarts(),
        worker.failures(now),
        worker.last_exit().map_or_else(|| "-".to_owned(), |how| how.to_string())
    )
}

fn play(script: &str) -> String {
    let mut lines = script.lines();
    let mut world = None;
    let mut out = String::new();
    for line in lines.by_ref() {
        if let Some(names) = line.strip_prefix("workers ") {
            let keys: Vec<Key> = names.split_whitespace().map(key).collect();
            world = Some(World::new(&keys));
            writeln!(out, "{line}").unwrap();
        } else if line.starts_with("  ") {
            // What was written last time; written anew below.
        } else if let Some(stimulus) = line.strip_prefix('@') {
            let world = world.as_mut().expect("`workers` comes first");
            let words: Vec<&str> = stimulus.split_whitespace().collect();
            let at = Duration::from_secs_f64(words[0].parse().unwrap());
            world.pass(world.zero + at);
            out.push_str(&std::mem::take(&mut world.out));
            writeln!(out, "{line}").unwrap();
            world.event(&words[1..]);
            world.step();
            out.push_str(&std::mem::take(&mut world.out));
        } else {
            writeln!(out, "{line}").unwrap();
        }
    }
    out
}

#[test]
fn scenarios() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/supervise");
    let mut paths: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let script = std::fs::read_to_string(&path).unwrap();
        let played = play(&script);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &played).unwrap();
        } else {
            assert_eq!(played, script, "{}: if this is right, run with UPDATE=1", path.display());
        }
    }
}
