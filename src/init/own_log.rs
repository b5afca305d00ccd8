//! The supervisor's own `log` records: they wait here until its loop puts them into the rings like everybody's lines.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use log::{LevelFilter, Log, Metadata, Record};

/// Records that may wait; the loop empties this every turn.
const MAX_WAITING: usize = 1000;

static WAITING: Mutex<VecDeque<(u8, String)>> = Mutex::new(VecDeque::new());

/// Installs the logger of a supervisor; later calls change nothing.
pub fn install() {
    let level = std::env::var("DIRECTOR_LOG").ok().and_then(|word| word.parse().ok());
    if log::set_logger(&OwnLog).is_ok() {
        log::set_max_level(level.unwrap_or(LevelFilter::Info));
    }
}

/// The records that wait: severity (RFC 5424) and text.
pub fn take() -> VecDeque<(u8, String)> {
    std::mem::take(&mut *WAITING.lock().unwrap_or_else(PoisonError::into_inner))
}

struct OwnLog;

impl Log for OwnLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("director") && metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() < MAX_WAITING {
                waiting.push_back((crate::logging::severity(record.level()), record.args().to_string()));
            }
        }
    }

    fn flush(&self) {}
}
