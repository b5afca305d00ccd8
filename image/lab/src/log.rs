//! The lines that a child writes, with the time of each, and waiting for words.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Lines of one child, or of several lives of it.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<(Mutex<Lines>, Condvar)>);

type Lines = Vec<(Instant, String)>;

impl Log {
    /// Reads `from` on a thread of its own until it ends.
    pub fn follow(&self, from: impl Read + Send + 'static) {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                log.lines().push((Instant::now(), line));
                log.0.1.notify_all();
            }
        });
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place in the log: what comes after it is new.
    pub fn mark(&self) -> usize {
        self.lines().len()
    }

    /// Waits for a line with `words` after `mark`; gives its time.
    ///
    /// # Errors
    /// When there is none `within` so long: everything that was said.
    pub fn wait(&self, words: &str, mark: usize, within: Duration) -> Result<Instant> {
        let deadline = Instant::now() + within;
        let mut lines = self.lines();
        loop {
            if let Some((at, _)) = lines.iter().skip(mark).find(|(_, line)| line.contains(words)) {
                return Ok(*at);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("no {words:?} within {within:?} after line {mark} of:\n{}", show(&lines));
            }
            lines = self.0.1.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// How many lines after `mark` have `words`.
    pub fn count(&self, words: &str, mark: usize) -> usize {
        self.lines().iter().skip(mark).filter(|(_, line)| line.contains(words)).count()
    }

    /// Everything that was said.
    pub fn text(&self) -> String {
        show(&self.lines())
    }
}

fn show(lines: &[(Instant, String)]) -> String {
    lines.iter().map(|(_, line)| format!("{line}\n")).collect()
}
