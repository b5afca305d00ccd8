//! Whether the machine itself stood still.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ::director::sys::realtime::round_robin;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Real-time threads above the worker, one on each processor, that do nothing but wake up: when one of them is late, the machine
/// itself stood still, and nobody in it can be blamed.
pub struct Witness {
    worst: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Witness {
    const STEP: Duration = Duration::from_millis(2);

    pub fn start() -> Self {
        let (worst, ended) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let thread = |processor: usize| {
            let (worst, ended) = (Arc::clone(&worst), Arc::clone(&ended));
            std::thread::spawn(move || {
                let mut only = CpuSet::new();
                only.set(processor).unwrap();
                sched_setaffinity(Pid::from_raw(0), &only).unwrap();
                round_robin(60).unwrap();
                while !ended.load(Ordering::Relaxed) {
                    let due = Instant::now() + Self::STEP;
                    std::thread::sleep(Self::STEP);
                    let late = u64::try_from(due.elapsed().as_micros()).unwrap();
                    worst.fetch_max(late, Ordering::Relaxed);
                }
            })
        };
        let threads = (0..processors).map(thread).collect();
        Self { worst, ended, threads }
    }

    /// The longest that the machine stood still since the last question.
    pub fn worst(&self) -> Duration {
        Duration::from_micros(self.worst.swap(0, Ordering::Relaxed))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
