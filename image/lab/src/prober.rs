//! A client that asks at a steady rate, and what it noticed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::client::{Sample, ask};
use crate::segment::Host;

/// A client that opens a new connection at a steady rate, whatever became of the earlier ones.
#[derive(Debug)]
pub struct Prober {
    stop: Arc<AtomicBool>,
    samples: Arc<Mutex<Vec<Sample>>>,
    thread: Option<JoinHandle<()>>,
}

impl Prober {
    /// How long one attempt may take in [`Prober::start`]. Shorter than TCP's first retransmission after a second, so that an attempt
    /// made while nobody answered cannot be rescued later and hide the gap.
    pub const PATIENCE: Duration = Duration::from_millis(900);

    /// Starts asking `target` from inside `host`, once per `interval`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(host: &Host, target: SocketAddr, interval: Duration) -> Result<Prober> {
        Prober::with_patience(host, target, interval, Prober::PATIENCE)
    }

    /// As [`Prober::start`] with another limit for one attempt. More than a second lets TCP repair the loss of a packet.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn with_patience(
        host: &Host,
        target: SocketAddr,
        interval: Duration,
        patience: Duration,
    ) -> Result<Prober> {
        let (stop, samples) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<Sample>>>::default());
        let (stopped, sink) = (Arc::clone(&stop), Arc::clone(&samples));
        let work = move || {
            let mut next = Instant::now();
            std::thread::scope(|attempts| {
                while !stopped.load(Ordering::Relaxed) {
                    attempts.spawn(|| {
                        let sample = ask(target, "/", patience);
                        sink.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
                    });
                    next += interval;
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            });
        };
        let thread = host.namespace().spawn("prober", work)?;
        Ok(Prober { stop, samples, thread: Some(thread) })
    }

    /// What was noticed so far, in the order in which the requests were begun.
    pub fn report(&self) -> Report {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner).clone();
        samples.sort_by_key(|sample| sample.asked);
        Report { samples }
    }

    /// Waits until what was noticed since `start` is `enough`, and returns that.
    ///
    /// # Errors
    /// When it is not within `patience`: what was noticed instead.
    pub fn wait(
        &self,
        start: Instant,
        patience: Duration,
        enough: impl Fn(&Report) -> bool,
    ) -> Result<Report> {
        let end = Instant::now() + patience;
        loop {
            let report = self.report().since(start);
            if enough(&report) {
                return Ok(report);
            }
            if Instant::now() >= end {
                bail!("after {patience:?}: {report}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops asking, waits for the attempts under way, and returns everything.
    pub fn stop(mut self) -> Report {
        self.end();
        self.report()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.end();
    }
}

/// Requests in the order in which they were begun.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The requests.
    pub samples: Vec<Sample>,
}

/// A time in which nobody answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The last answer before it was complete.
    pub from: Instant,
    /// The first request that was answered after it was begun.
    pub until: Instant,
    /// How many requests were lost in it.
    pub lost: usize,
}

impl Gap {
    /// How long nobody answered.
    pub fn length(&self) -> Duration {
        self.until.saturating_duration_since(self.from)
    }
}

impl Report {
    /// Only the requests begun at `start` or later.
    pub fn since(&self, start: Instant) -> Report {
        Report { samples: self.samples.iter().filter(|s| s.asked >= start).cloned().collect() }
    }

    /// How many requests were answered, by the answer.
    pub fn answers(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for answer in self.samples.iter().filter_map(|s| s.answer.as_ref().ok()) {
            *counts.entry(answer.clone()).or_default() += 1;
        }
        counts
    }

    /// The requests that were not answered.
    pub fn lost(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|s| s.answer.is_err())
    }

    /// Whether at most `most` requests were lost, and those because the connection was refused at once: what a client notices while the
    /// kernel gives a service another scheduler. It unbinds the old one, waits for an RCU grace period, and binds the new one
    /// (`ip_vs_edit_service` in net/netfilter/ipvs/ip_vs_ctl.c), whatever program asked for it.
    pub fn refused_at_most(&self, most: usize) -> bool {
        let refused = |sample: &Sample| sample.answer.as_ref().is_err_and(|why| why.contains("refused"));
        self.lost().all(refused) && self.lost().count() <= most
    }

    /// The longest time without an answer in which requests were lost. None when none was lost, or when it has not ended.
    pub fn longest_gap(&self) -> Option<Gap> {
        let mut longest: Option<Gap> = None;
        let (mut before, mut lost) = (None, 0);
        for sample in &self.samples {
            if sample.answer.is_err() {
                lost += 1;
                continue;
            }
            if let Some(from) = before.filter(|_| lost > 0) {
                let gap = Gap { from, until: sample.asked, lost };
                longest = longest.filter(|other| other.length() >= gap.length()).or(Some(gap));
            }
            before = before.max(Some(sample.done));
            lost = 0;
        }
        longest
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lost: Vec<&Sample> = self.lost().collect();
        write!(f, "{} requests, {} lost", self.samples.len(), lost.len())?;
        for (answer, count) in self.answers() {
            write!(f, ", {count} × {answer}")?;
        }
        if let Some(Err(why)) = lost.first().map(|sample| &sample.answer) {
            write!(f, " (first loss: {why})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(samples: &[(u64, u64, bool)]) -> (Instant, Report) {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let sample = |&(asked, done, good): &(u64, u64, bool)| Sample {
            asked: at(asked),
            done: at(done),
            answer: if good { Ok("web1".into()) } else { Err("timed out".into()) },
        };
        (zero, Report { samples: samples.iter().map(sample).collect() })
    }

    #[test]
    fn a_gap_runs_from_the_last_answer_to_the_first_request_answered() {
        let (zero, report) = report(&[
            (0, 3, true),
            (20, 25, true),
            (40, 940, false),
            (60, 960, false),
            (80, 84, true),
            (100, 1000, false),
            (120, 121, true),
        ]);
        let gap = report.longest_gap().unwrap();
        assert_eq!(
            gap,
            Gap { from: zero + Duration::from_millis(25), until: zero + Duration::from_millis(80), lost: 2 }
        );
        assert_eq!(gap.length(), Duration::from_millis(55));
        assert_eq!(report.lost().count(), 3);
    }

    #[test]
    fn no_loss_is_no_gap() {
        assert_eq!(report(&[(0, 3, true), (20, 700, true)]).1.longest_gap(), None);
    }
}
