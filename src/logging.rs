//! Log records become lines on stderr: `<6>text`, the priority in syslog's numbers (RFC 5424 section 6.2.1).
//!
//! The supervisor reads them, adds time and role, and keeps them in a ring. Nothing else in a worker prints.

use std::io::Write;

use log::{Level, LevelFilter, Log, Metadata, Record};

/// Installs the logger of a worker; later calls change nothing.
pub fn init(level: LevelFilter) {
    if log::set_logger(&StderrLogger).is_ok() {
        log::set_max_level(level);
    }
}

/// Syslog severity of a level.
#[must_use]
pub const fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

struct StderrLogger;

impl Log for StderrLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("director") && metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = record.args().to_string().replace('\n', "\\n");
            // One write for each line, so that lines never mix; a reader that is gone is no reason to stop.
            let _ = std::io::stderr().write_all(format!("<{}>{text}\n", severity(record.level())).as_bytes());
        }
    }

    fn flush(&self) {}
}
