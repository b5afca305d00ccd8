//! Whether many probes leave anything behind. They are made by a process of its own, where nobody else opens sockets or takes memory.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use director::check::probe::probe;
use director::check::tls::Clients;
use director::check::{Outcome, Target};
use director::config::model::{Check, CheckKind};
use serde::{Deserialize, Serialize};

/// Says where it is written what to ask; set for the process that asks.
const ALONE: &str = "DIRECTOR_TEST_ALONE";
/// As many at a time.
const TOGETHER: usize = 25;
/// More than any of them takes that has no shorter time.
const PATIENCE: Duration = Duration::from_secs(20);

/// One that is asked again and again.
#[derive(Serialize, Deserialize)]
pub struct Asked {
    server: SocketAddr,
    kind: CheckKind,
    /// What it is each time; `None`: whatever it is, and it is given up after a moment, as by the checks.
    good: Option<bool>,
}

impl Asked {
    /// One that is good each time.
    pub fn good(server: SocketAddr, kind: CheckKind) -> Self {
        Self { server, kind, good: Some(true) }
    }

    /// One that is bad each time.
    pub fn bad(server: SocketAddr, kind: CheckKind) -> Self {
        Self { server, kind, good: Some(false) }
    }

    /// One that may never answer.
    pub fn any(server: SocketAddr, kind: CheckKind) -> Self {
        Self { server, kind, good: None }
    }
}

/// In the process that was started for it: asks, and the test that called this has nothing more to do.
pub fn asks_alone() -> bool {
    let Some(file) = std::env::var_os(ALONE) else { return false };
    let (asked, probes) = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    ask_many(asked, probes);
    true
}

/// Has them asked `probes` times in all, or as often as `DIRECTOR_PROBES` says. `test` calls this, and begins with [`asks_alone`].
pub fn leave_nothing(test: &str, asked: &[Asked], probes: usize) {
    let probes = std::env::var("DIRECTOR_PROBES").ok().and_then(|n| n.parse().ok()).unwrap_or(probes);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("asked.json");
    std::fs::write(&file, serde_json::to_vec(&(asked, probes)).unwrap()).unwrap();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    let out = command.env(ALONE, &file).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}");
    let told = said.lines().find(|line| line.starts_with("residue: "));
    eprintln!("{test}: {}", told.unwrap());
}

fn ask_many(asked: Vec<Asked>, probes: usize) {
    let target = |Asked { server, kind, good }| (Target::new(server, Arc::new(Check::new(kind))), good);
    let targets: Vec<(Target, Option<bool>)> = asked.into_iter().map(target).collect();
    let clients = Clients::default();
    // A server that is asked by so many on a busy machine may reset one of thousands.
    let unexpected = Cell::new(0);
    let one = async |(target, good): &(Target, Option<bool>)| {
        let patience = if good.is_some() { PATIENCE } else { Duration::from_millis(20) };
        let answer = tokio::time::timeout(patience, probe(target, &clients)).await;
        let is_good = matches!(answer, Ok(Outcome::Success(_)));
        if good.is_some_and(|good| answer.is_err() || good != is_good) {
            eprintln!("{target:?}: {answer:?}");
            unexpected.set(unexpected.get() + 1);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |count: usize| {
        let mut all = targets.iter().cycle().take(count);
        while let Some(first) = all.next() {
            let these = std::iter::once(first).chain(all.by_ref().take(TOGETHER - 1));
            runtime.block_on(futures_util::future::join_all(these.map(one)));
        }
    };
    // Until as much is under way as ever is, threads that close sockets among it.
    let warm = (targets.len().max(TOGETHER) * 4).max(probes / 10);
    ask(warm);
    let before = Held::now();
    ask(probes);
    let mut after = Held::now();
    // Other threads may be closing what was used last.
    let patience = Instant::now() + PATIENCE;
    while after.descriptors > before.descriptors && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(20));
        after = Held::now();
    }
    eprintln!("residue: after {warm} probes {before:?}, after {probes} more {after:?}");
    assert!(unexpected.get() * 100 <= probes, "{} of {probes} had another answer", unexpected.get());
    // What was closed last may wait for its runtime for a moment.
    assert!(after.descriptors <= before.descriptors + 10, "{before:?} {after:?}");
    assert!(after.memory_kib < before.memory_kib + 1024, "{before:?} {after:?}");
    assert!(after.children <= before.children + 5, "{before:?} {after:?}");
}

/// What a process holds.
#[derive(Debug)]
struct Held {
    descriptors: usize,
    /// Resident, and not of a file.
    memory_kib: usize,
    /// Processes that it has begun, dead ones that nobody has waited for among them.
    children: usize,
}

impl Held {
    fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        let ours = std::process::id().to_string();
        let is_ours = |process: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
            // Behind the name, which may hold anything: state, parent (proc_pid_stat(5)).
            let parent = stat.rsplit(") ").next()?.split(' ').nth(1)?.to_owned();
            (parent == ours).then_some(())
        };
        Self {
            descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
            memory_kib: memory.trim().trim_end_matches(" kB").parse().unwrap(),
            children: std::fs::read_dir("/proc").unwrap().flatten().filter_map(is_ours).count(),
        }
    }
}
