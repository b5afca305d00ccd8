//! Whether the machine itself stood still.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ::director::sys::realtime::round_robin;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// When a processor did not run what it should have run before all else.
type Pause = (Instant, Instant);

/// Real-time threads above the worker, one on each processor, that do nothing but wake up: when one of them is late, the machine
/// itself stood still, and nobody in it can be blamed. A hypervisor that gives a guest its share in slices takes one processor away for
/// 10 ms and then another: so what counts is how much of a while any of them was missing.
pub struct Witness {
    while_: Duration,
    pauses: Receiver<Pause>,
    known: Vec<Pause>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Witness {
    const STEP: Duration = Duration::from_millis(2);
    /// Less is how long it takes to wake up.
    const LEAST: Duration = Duration::from_micros(200);

    /// Watches all processors; what happened counts for `while_`.
    pub fn start(while_: Duration) -> Self {
        let ended = Arc::<AtomicBool>::default();
        let (tell, pauses) = channel();
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let thread = |processor: usize| {
            let (tell, ended) = (tell.clone(), Arc::clone(&ended));
            std::thread::spawn(move || watch(processor, &tell, &ended))
        };
        let threads = (0..processors).map(thread).collect();
        Self { while_, pauses, known: Vec::new(), ended, threads }
    }

    /// The most of any while in which some processor stood still, since the last question.
    pub fn worst(&mut self) -> Duration {
        self.known.extend(self.pauses.try_iter());
        self.known = union(std::mem::take(&mut self.known));
        let worst = most_missing(&self.known, self.while_);
        let now = Instant::now();
        self.known.retain(|(_, end)| now.saturating_duration_since(*end) < self.while_);
        worst
    }
}

fn watch(processor: usize, tell: &Sender<Pause>, ended: &AtomicBool) {
    let mut only = CpuSet::new();
    only.set(processor).unwrap();
    sched_setaffinity(Pid::from_raw(0), &only).unwrap();
    round_robin(60).unwrap();
    while !ended.load(Ordering::Relaxed) {
        let due = Instant::now() + Witness::STEP;
        std::thread::sleep(Witness::STEP);
        let now = Instant::now();
        if now.saturating_duration_since(due) >= Witness::LEAST {
            let _ = tell.send((due, now));
        }
    }
}

/// The same pauses in their order, where none overlaps another.
fn union(mut pauses: Vec<Pause>) -> Vec<Pause> {
    pauses.sort();
    let mut disjoint: Vec<Pause> = Vec::with_capacity(pauses.len());
    for (start, end) in pauses {
        match disjoint.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => disjoint.push((start, end)),
        }
    }
    disjoint
}

/// The most of any `while_` that is in `pauses`, which are in order and do not overlap. The worst while ends where a pause ends.
/// Linear: a processor that is late each time is late 500 times a second.
fn most_missing(pauses: &[Pause], while_: Duration) -> Duration {
    let length = |pause: &Pause| pause.1 - pause.0;
    let (mut worst, mut sum) = (Duration::ZERO, Duration::ZERO);
    let mut first = pauses.iter().peekable();
    for pause in pauses {
        sum += length(pause);
        let from = pause.1 - while_;
        while let Some(gone) = first.next_if(|other| other.1 <= from) {
            sum -= length(gone);
        }
        let cut = first.peek().map_or(Duration::ZERO, |other| from.saturating_duration_since(other.0));
        worst = worst.max(sum - cut);
    }
    worst
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[test]
fn what_is_missing_of_a_while_counts_once() {
    let start = Instant::now();
    let ms = |ms: u64| start + Duration::from_millis(ms);
    // Two processors at once, then one of them again.
    let pauses = union(vec![(ms(30), ms(34)), (ms(10), ms(20)), (ms(15), ms(22))]);
    assert_eq!(pauses, [(ms(10), ms(22)), (ms(30), ms(34))]);
    assert_eq!(most_missing(&pauses, Duration::from_millis(40)), Duration::from_millis(16));
    assert_eq!(
        most_missing(&pauses, Duration::from_millis(14)),
        Duration::from_millis(12),
        "20 to 34 misses 6"
    );
    assert_eq!(most_missing(&pauses, Duration::from_millis(3)), Duration::from_millis(3));
    assert_eq!(most_missing(&[], Duration::from_millis(40)), Duration::ZERO);
}

#[test]
fn many_pauses_are_judged_at_once() {
    let start = Instant::now();
    let at = |micros: u64| start + Duration::from_micros(micros);
    let pauses: Vec<Pause> = (0..100_000).map(|step| (at(step * 2_000), at(step * 2_000 + 500))).collect();
    let begun = Instant::now();
    assert_eq!(most_missing(&union(pauses), Duration::from_secs(40)), Duration::from_secs(10));
    // A comparison of each with each takes a minute.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
