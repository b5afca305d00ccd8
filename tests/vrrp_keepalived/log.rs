//! What a child writes; words that do not come fail the test.

use std::ops::Deref;
use std::time::{Duration, Instant};

#[derive(Clone, Default)]
pub struct Log(director_lab::log::Log);

impl Log {
    /// Waits for a line with `words` after `mark`; gives its time.
    pub fn wait(&self, words: &str, mark: usize, within: Duration) -> Instant {
        self.0.wait(words, mark, within).unwrap_or_else(|error| panic!("{error:#}"))
    }
}

impl Deref for Log {
    type Target = director_lab::log::Log;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<director_lab::log::Log> for Log {
    fn from(log: director_lab::log::Log) -> Self {
        Self(log)
    }
}
