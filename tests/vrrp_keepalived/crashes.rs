//! A worker that is killed again and again while clients ask: nobody else becomes master, and no VIP is missing.

use std::net::IpAddr;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use director::ipc::client::ask;
use director::ipc::message::{Reply, Request, Status};
use director::paths::RunDir;
use director::role::Role;
use director::vrrp::event::master_down;
use director_lab::asker::{Asker, Tally};
use director_lab::capture::{Capture, Frame};
use director_lab::frame::{Said, said};
use director_lab::log::Log;
use director_lab::segment::{Host, Segment};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::director::{Director, file};
use super::keepalived::Keepalived;
use super::load::{Dice, Hogs};
use super::skip;

const PATIENCE: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_secs(1);
/// How often without DIRECTOR_KILLS.
const KILLS: u32 = 8;

const DIRECTOR: &str = "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\npriority = 200\ninterval = \"1s\"\n\
                        checksum = \"pseudo-header\"\naddresses = [\"10.0.0.45\", \"10.0.0.46\"]\n";
const KEEPALIVED: &str = "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n priority 100\n version 3\n \
                          advert_int 1\n virtual_ipaddress {\n 10.0.0.45\n 10.0.0.46\n }\n}\n";

/// Every second death comes early in a life: before, while or after the worker takes up where the last one was.
#[test]
fn deaths_at_random_moments_are_no_failover() {
    if skip() {
        return;
    }
    let kills = super::load::number("DIRECTOR_KILLS").unwrap_or(KILLS);
    let segment = Segment::new().unwrap();
    let (ours, theirs) = (
        segment.host("director", "10.0.0.1/24").unwrap(),
        segment.host("keepalived", "10.0.0.2/24").unwrap(),
    );
    let client = segment.host("client", "10.0.0.9/24").unwrap();
    let wire = Capture::start(client.namespace()).unwrap();
    let mut director = Director::new(&ours, &file("10.0.0.1/24", DIRECTOR));
    let mut keepalived = Keepalived::new(&theirs, KEEPALIVED);
    director.start();
    director.wait_for("master", 0, PATIENCE);
    keepalived.start();
    director.holds(&["10.0.0.45", "10.0.0.46"], &[]);

    // The kernel tells of each VIP that goes, however soon it comes back.
    let moves = Log::default();
    let mut monitor = director_lab::command::bound("ip");
    monitor.args(["-oneline", "monitor", "address"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut monitor = ours.namespace().run(move || monitor.spawn()).unwrap().unwrap();
    moves.follow(monitor.stdout.take().unwrap());
    let asker = Asker::start(&client, [10, 0, 0, 45].into(), Duration::from_millis(5)).unwrap();
    let hogs = Hogs::ordinary();

    let (mark, quiet) = (wire.mark(), keepalived.log.mark());
    let seed = u64::from(std::process::id());
    let mut dice = Dice::new(seed);
    let mut longest = Duration::ZERO;
    for kill in 0..kills {
        let life = if kill % 2 == 0 { INTERVAL } else { INTERVAL / 5 };
        std::thread::sleep(dice.part(life));
        let died = Instant::now();
        director.kill();
        if kill % 2 == 0 {
            director.spawn();
        } else {
            director.start();
            longest = longest.max(died.elapsed());
        }
    }
    director.wait_for("master", 0, PATIENCE);
    std::thread::sleep(INTERVAL * 2);
    drop(hogs);
    drop(asker);
    std::thread::sleep(INTERVAL / 2);
    monitor.kill().unwrap();
    monitor.wait().unwrap();

    let frames = wire.frames(mark);
    let spoken = spoken(&frames);
    let tally = Tally::of(&frames);
    let gap = spoken.windows(2).map(|two| two[1].1.saturating_sub(two[0].1)).max().unwrap();
    let wait = master_down(director::config::model::VrrpVersion::V3, 100, INTERVAL, 3);
    eprintln!(
        "{kills} deaths (seed {seed}): longest silence {gap:?} of {wait:?}, longest restart {longest:?}, \
         {tally:?}"
    );
    assert!(spoken.iter().all(|(source, _)| *source == spoken[0].0), "another master spoke");
    assert_eq!(keepalived.log.count("STATE", quiet), 0, "{}", keepalived.log.text());
    assert!(gap < wait, "{gap:?}");
    assert_eq!(moves.count("Deleted", 0), 0, "{}", moves.text());
    assert!(tally.asked > 100 && tally.lost == 0, "{tally:?}");
    assert_eq!(director.log.count("state=backup", 0), 1, "{}", director.log.text());
}

/// The same with the supervisor that ships, which starts the worker again by itself, at 1 s and at 100 ms.
#[test]
fn deaths_under_the_supervisor_are_no_failover() {
    if skip() {
        return;
    }
    let kills = super::load::number("DIRECTOR_KILLS").unwrap_or(KILLS);
    for interval in [INTERVAL, INTERVAL / 10] {
        let segment = Segment::new().unwrap();
        let ours = segment.host("director", "10.0.0.1/24").unwrap();
        let theirs = segment.host("twin", "10.0.0.2/24").unwrap();
        let client = segment.host("client", "10.0.0.9/24").unwrap();
        let wire = Capture::start(client.namespace()).unwrap();
        let text = DIRECTOR.replace("\"1s\"", &format!("\"{}ms\"", interval.as_millis()));
        let box_ = Supervised::start(&ours, &file("10.0.0.1/24", &text));
        box_.log.wait("state=master ", 0, PATIENCE).unwrap();
        let mut twin = Director::new(&theirs, &file("10.0.0.2/24", &text.replace("200", "100")));
        twin.start();
        twin.wait_until("listening", PATIENCE, |status| status.master_priority == Some(200));
        std::thread::sleep(interval * 2);
        let (mark, quiet) = (wire.mark(), twin.log.mark());
        let seed = u64::from(std::process::id());
        let mut dice = Dice::new(seed);
        for kill in 0..kills {
            std::thread::sleep(dice.part(if kill % 2 == 0 { INTERVAL } else { INTERVAL / 5 }));
            box_.kill_vrrp();
        }
        std::thread::sleep(interval * 4);
        let spoken = spoken(&wire.frames(mark));
        let gap = spoken.windows(2).map(|two| two[1].1.saturating_sub(two[0].1)).max().unwrap();
        let wait = master_down(director::config::model::VrrpVersion::V3, 100, interval, 3);
        eprintln!("{kills} deaths under the supervisor (seed {seed}): longest silence {gap:?} of {wait:?}");
        assert!(spoken.iter().all(|(source, _)| *source == spoken[0].0), "another master spoke");
        assert_eq!(twin.log.count("state=master", quiet), 0, "{}\n{}", box_.log.text(), twin.log.text());
        assert!(gap < wait, "{gap:?}");
        assert_eq!(box_.log.count("what vrrp has left behind", 0), 0);
    }
}

/// A `vrrp` that dies at once, always: the supervisor gives up starting it at once, and the VIPs go to the twin alone.
#[test]
fn what_a_worker_leaves_that_is_not_back_is_taken_off() {
    if skip() {
        return;
    }
    let segment = Segment::new().unwrap();
    let ours = segment.host("director", "10.0.0.1/24").unwrap();
    let box_ = Supervised::start(&ours, &file("10.0.0.1/24", &DIRECTOR.replace("\"1s\"", "\"100ms\"")));
    box_.log.wait("state=master ", 0, PATIENCE).unwrap();
    let addresses = || ours.namespace().ip("-o address show dev eth0").unwrap();
    let until = |what: &str, done: &dyn Fn() -> bool| {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < deadline, "not {what}: {}\n{}", addresses(), box_.log.text());
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    until("the VIPs are set", &|| addresses().contains("10.0.0.46/"));
    for _ in 0..=director::init::child::AT_ONCE {
        box_.kill_vrrp();
    }
    box_.log.wait("what vrrp has left behind", 0, PATIENCE).unwrap();
    assert!(!addresses().contains("10.0.0.45/") && !addresses().contains("10.0.0.46/"), "{}", addresses());
    assert!(addresses().contains("10.0.0.1/24"), "what is not ours stays");
    until("it is back and has them again", &|| addresses().contains("10.0.0.46/"));
}

/// Who spoke when.
fn spoken(frames: &[Frame]) -> Vec<(IpAddr, Duration)> {
    let adverts = frames.iter().filter_map(|frame| match said(&frame.bytes)? {
        Said::Advert { source, .. } => Some((source, frame.at)),
        _ => None,
    });
    adverts.collect()
}

/// A whole `director run` in a host of the lab.
struct Supervised {
    child: Child,
    log: Log,
    run_dir: RunDir,
    _dir: TempDir,
}

impl Supervised {
    fn start(host: &Host, text: &str) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let config = dir.path().join("director.toml");
        std::fs::write(&config, text).unwrap();
        let run_dir = RunDir::new(dir.path().join("run"));
        let mut command = director_lab::command::bound(env!("CARGO_BIN_EXE_director"));
        command.arg("run").arg("--config").arg(&config).arg("--run-dir").arg(run_dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = host.namespace().run(move || command.spawn()).unwrap().unwrap();
        let log = Log::default();
        log.follow(child.stderr.take().unwrap());
        Self { child, log, run_dir, _dir: dir }
    }

    /// Kills the present worker, as soon as there is one.
    fn kill_vrrp(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(pid) = self.vrrp()
                && kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok()
            {
                while self.vrrp() == Some(pid) && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(1));
                }
                return;
            }
            assert!(Instant::now() < deadline, "no worker: {}", self.log.text());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn vrrp(&self) -> Option<i32> {
        let Ok(Reply::Status { status }) = ask(&self.run_dir, Role::Init, &Request::Status, PATIENCE) else {
            return None;
        };
        let Status::Init(status) = *status else { return None };
        let worker = status.workers.into_iter().find(|worker| worker.role == Role::Vrrp)?;
        worker.pid.and_then(|pid| i32::try_from(pid).ok())
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- director run said:\n{}", self.log.text());
        }
    }
}
