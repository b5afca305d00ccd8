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
        self.known.sort();
        let worst = self.known.iter().map(|(_, end)| missing(&self.known, *end - self.while_, *end)).max();
        let now = Instant::now();
        self.known.retain(|(_, end)| now.saturating_duration_since(*end) < self.while_);
        worst.unwrap_or_default()
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

/// How much of the time between `from` and `to` is in `pauses`, which are sorted and may overlap.
fn missing(pauses: &[Pause], from: Instant, to: Instant) -> Duration {
    let (mut sum, mut counted) = (Duration::ZERO, from);
    for (start, end) in pauses {
        let (start, end) = ((*start).max(counted), (*end).min(to));
        sum += end.saturating_duration_since(start);
        counted = counted.max(end);
    }
    sum
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
    let pauses = [(ms(10), ms(20)), (ms(15), ms(22)), (ms(30), ms(34))];
    assert_eq!(missing(&pauses, ms(0), ms(40)), Duration::from_millis(16));
    assert_eq!(missing(&pauses, ms(18), ms(32)), Duration::from_millis(6));
}
