//! A box that has no time: hogs in real-time below the worker, ordinary hogs beside the shortest intervals, a process that is
//! stopped, as master and as backup. DIRECTOR_BUSY_SECONDS=600 makes it long.
//!
//! A program of its own, whose tests run one after the other: they would spoil the times of all others.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

#[allow(dead_code, reason = "the other program needs more of it")]
#[path = "../vrrp_keepalived/director.rs"]
mod director;
#[allow(dead_code, reason = "the other program needs more of it")]
#[path = "../vrrp_keepalived/load.rs"]
mod load;
#[allow(dead_code, reason = "the other program needs more of it")]
#[path = "../vrrp_keepalived/log.rs"]
mod log;
#[path = "../common/witness.rs"]
mod witness;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::director::config::model::VrrpVersion;
use ::director::ipc::message::{RouterState, RouterStatus};
use ::director::vrrp::event::master_down;
use director_lab::capture::Capture;
use director_lab::command::output;
use director_lab::frame::{Said, said};
use director_lab::process::waited_for_processor;
use director_lab::segment::Segment;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use self::director::{Director, file};
use self::load::{Hogs, number};
use self::witness::Witness;

const PATIENCE: Duration = Duration::from_secs(10);
/// When a processor was missing for so long of the 36 ms for which a backup waits, a change in that second or the next is not counted
/// against the worker: what is left of the 26 ms for which it may be late is no more than the rest of the machine needs.
const STOOD_STILL: Duration = Duration::from_millis(15);

/// One test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Nobody else's turn; `None` when the tests of this program cannot run here.
fn alone() -> Option<MutexGuard<'static, ()>> {
    if let Err(why) = director_lab::preflight::namespaces() {
        eprintln!("skipped: {why:#}");
        return None;
    }
    Some(ALONE.lock().unwrap_or_else(PoisonError::into_inner))
}

struct Rig {
    _segment: Segment,
    wire: Capture,
    first: Director,
    second: Director,
}

impl Rig {
    /// A pair that has settled. Nobody preempts: each change is one that the machine has caused.
    fn new(interval_ms: u64) -> Self {
        let segment = Segment::new().unwrap();
        let make = |name: &str, address: &str, priority: u8| {
            let host = segment.host(name, address).unwrap();
            let router = format!(
                "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\npreempt = false\n\
                 interval = \"{interval_ms}ms\"\naddresses = [\"10.0.0.45\"]\n"
            );
            Director::new(&host, &file(address, &router))
        };
        let (mut first, mut second) = (make("lb1", "10.0.0.1/24", 200), make("lb2", "10.0.0.2/24", 100));
        let witness = segment.host("witness", "10.0.0.9/24").unwrap();
        let wire = Capture::start(witness.namespace()).unwrap();
        first.start();
        first.wait_for("master", 0, PATIENCE);
        second.start();
        second.wait_until("listening", PATIENCE, |status| status.master_priority == Some(200));
        Self { _segment: segment, wire, first, second }
    }

    /// How often another box than the one before spoke since `mark`, and the longest silence.
    fn changes(&self, mark: usize) -> (usize, Duration) {
        let spoken: Vec<_> = self
            .wire
            .frames(mark)
            .iter()
            .filter_map(|frame| match said(&frame.bytes)? {
                Said::Advert { source, .. } => Some((source, frame.at)),
                _ => None,
            })
            .collect();
        let changes = spoken.windows(2).filter(|two| two[0].0 != two[1].0).count();
        let longest = spoken.windows(2).map(|two| two[1].1.saturating_sub(two[0].1)).max();
        (changes, longest.unwrap_or_default())
    }

    /// How long each worker was ready to run and had no processor, in its whole life.
    fn waited(&self) -> [Duration; 2] {
        [&self.first, &self.second].map(|one| waited_for_processor(one.pid()))
    }

    fn words(&self) -> String {
        format!("{}----\n{}", self.first.log.text(), self.second.log.text())
    }
}

#[test]
fn hogs_in_real_time_below_the_worker_cost_nothing_and_a_stop_costs_one_change() {
    let Some(_alone) = alone() else { return };
    // At most 20 s: nobody else has this processor meanwhile, but for the twentieth that the kernel keeps back.
    let busy = Duration::from_secs(number("DIRECTOR_BUSY_SECONDS").unwrap_or(4).min(20).into());
    let rig = Rig::new(100);
    // A box with one processor, and on it the hogs.
    output("taskset", &["--all-tasks", "--cpu-list", "--pid", "0", &rig.first.pid().to_string()]).unwrap();
    let mark = rig.wire.mark();
    let hogs = Hogs::real_time();
    std::thread::sleep(busy);
    let (changes, longest) = rig.changes(mark);
    eprintln!("two hogs in real-time for {busy:?}: {changes} changes, longest silence {longest:?}");
    assert_eq!(changes, 0, "{}", rig.words());

    let pid = Pid::from_raw(i32::try_from(rig.first.pid()).unwrap());
    let mark = rig.wire.mark();
    rig.wire.wait("a word of the first", mark, PATIENCE, |frame| said(&frame.bytes)).unwrap();
    kill(pid, Signal::SIGSTOP).unwrap();
    std::thread::sleep(Duration::from_secs(5));
    kill(pid, Signal::SIGCONT).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    drop(hogs);
    let (changes, longest) = rig.changes(mark);
    eprintln!("stopped for 5 s among them: {changes} changes, longest silence {longest:?}");
    assert_eq!(changes, 1, "{}", rig.words());
    assert_eq!((rig.first.state(), rig.second.state()), (RouterState::Backup, RouterState::Master));
    rig.first.holds(&[], &["10.0.0.45"]);
    rig.second.holds(&["10.0.0.45"], &[]);
}

/// Of each router more than a turn of the loop takes waits on either card, and the masters live: 20 routers that speak ten times a second.
#[test]
fn a_backup_that_was_stopped_reads_both_of_its_cards_before_it_judges() {
    let Some(_alone) = alone() else { return };
    const ROUTERS: u8 = 20;
    let (outside, inside) = (Segment::new().unwrap(), Segment::new().unwrap());
    let make = |name: &str, number: u8, priority: u8| {
        let host = outside.host(name, &format!("10.0.0.{number}/24")).unwrap();
        let to = host.namespace().path();
        inside.namespace().ip(&format!("link add {name} type veth peer name eth1 netns {to}")).unwrap();
        inside.namespace().ip(&format!("link set {name} master br0 up")).unwrap();
        host.namespace().ip("link set eth1 up").unwrap();
        host.namespace().ip(&format!("address add 10.1.0.{number}/24 dev eth1")).unwrap();
        let mut text = format!("[[interface]]\nname = \"eth1\"\naddresses = [\"10.1.0.{number}/24\"]\n");
        for (card, vrid) in (0..2).flat_map(|card| (1..=ROUTERS).map(move |vrid| (card, vrid))) {
            text += &format!(
                "[[vrrp]]\nname = \"VI_{card}_{vrid}\"\ninterface = \"eth{card}\"\nvrid = {vrid}\npriority = {priority}\n\
                 preempt = false\ninterval = \"100ms\"\naddresses = [\"10.{card}.0.{}\"]\n",
                100 + vrid
            );
        }
        Director::new(&host, &file(&format!("10.0.0.{number}/24"), &text))
    };
    let (mut first, mut second) = (make("lb1", 1, 200), make("lb2", 2, 100));
    let all = |director: &Director, what: &str, done: &dyn Fn(&RouterStatus) -> bool| {
        let deadline = Instant::now() + PATIENCE;
        while !director.status().iter().all(done) {
            assert!(Instant::now() < deadline, "not all {what}:\n{}", director.log.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    first.start();
    all(&first, "master", &|router| router.state == RouterState::Master);
    second.start();
    all(&second, "listening", &|router| router.master_priority == Some(200));
    let marks = [first.log.mark(), second.log.mark()];
    let pid = Pid::from_raw(i32::try_from(second.pid()).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    kill(pid, Signal::SIGCONT).unwrap();
    let before = second.status();
    all(&second, "up to date", &|router| {
        let old = before.iter().find(|old| old.name == router.name).unwrap();
        router.counters["advert_rcvd"] > old.counters["advert_rcvd"]
    });
    let least = second.status().iter().map(|router| router.counters["advert_rcvd"]).min().unwrap();
    assert!(least > 20, "what came meanwhile was read: {least}");
    for (director, mark) in [&first, &second].into_iter().zip(marks) {
        assert_eq!(director.log.count("router state", mark), 0, "{}", director.log.text());
    }
}

/// The backup waits for 36 ms.
#[test]
fn ten_milliseconds_are_kept_while_all_processors_are_busy() {
    let Some(_alone) = alone() else { return };
    let seconds = number("DIRECTOR_BUSY_SECONDS").unwrap_or(15);
    let rig = Rig::new(10);
    let others = load();
    let hogs = Hogs::ordinary();
    let wait = master_down(VrrpVersion::V3, 100, Duration::from_millis(10), 3);
    let mut witness = Witness::start(wait);
    let (mut blamed, mut excused, mut stood, mut before) = (0, 0, Duration::ZERO, Duration::ZERO);
    let start = rig.wire.mark();
    let (mut mark, mut waited, taken) = (start, rig.waited(), stolen());
    for _ in 0..seconds {
        std::thread::sleep(Duration::from_secs(1));
        let next = rig.wire.mark();
        let (changes, _) = rig.changes(mark.saturating_sub(1));
        let worst = witness.worst();
        stood = stood.max(worst);
        let now = rig.waited();
        let waits = [now[0].saturating_sub(waited[0]), now[1].saturating_sub(waited[1])];
        if changes > 0 {
            eprintln!(
                "{changes} changes: processors stood still for {worst:?} of {wait:?}, the workers waited for one for {waits:?}"
            );
        }
        waited = now;
        if worst.max(before) < STOOD_STILL {
            blamed += changes;
        } else {
            excused += changes;
        }
        (mark, before) = (next, worst);
    }
    drop(hogs);
    let (_, longest) = rig.changes(start);
    eprintln!(
        "10 ms for {seconds} s on busy processors: {blamed} changes, and {excused} while the machine stood still (for {stood:?} \
         at most, and the hypervisor took {:?} in all); longest silence {longest:?} of {wait:?}",
        stolen().saturating_sub(taken)
    );
    // Beside the work of others the worker has been seen asleep in the kernel for longer than this bears (decision 0033).
    if others > processors() {
        eprintln!("not judged: the load of others is {others}");
        return;
    }
    assert_eq!(blamed, 0, "{}", rig.words());
}

/// How many processes wanted to run in the last minute.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

fn processors() -> f64 {
    u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap().into()
}

/// What the hypervisor has given to others while a processor had work, all processors together (proc_stat(5), in hundredths of a second).
fn stolen() -> Duration {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let ticks = stat.lines().next().unwrap().split_whitespace().nth(8).unwrap();
    Duration::from_millis(ticks.parse::<u64>().unwrap() * 10)
}
