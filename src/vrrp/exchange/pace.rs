//! How often letters are sent: each second while somebody answers, each ten seconds into silence. Pure.

use std::time::{Duration, Instant};

/// While somebody is heard, and at first.
const QUICK: Duration = Duration::from_secs(1);
/// Where nobody answers: the other box may be no Director.
const SLOW: Duration = Duration::from_secs(10);
/// Between two letters, however much happens.
const LEAST: Duration = Duration::from_millis(100);
/// Who is not told of for so long, by letters that do come, is not there any more: longer than from one slow letter to the next.
pub const LEFT: Duration = Duration::from_secs(12);
/// How long a silent box counts as present, and a new beginning as new: three slow letters and a little.
pub const PATIENCE: Duration = Duration::from_secs(35);

/// When the next letter is due.
#[derive(Debug, Clone)]
pub struct Pace {
    lively: Instant,
    sent: Option<Instant>,
    changed: bool,
}

impl Pace {
    /// Begins at `now`.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { lively: now, sent: None, changed: false }
    }

    /// Somebody was heard.
    pub const fn heard(&mut self, now: Instant) {
        self.lively = now;
    }

    /// There is something new to tell.
    pub const fn changed(&mut self) {
        self.changed = true;
    }

    /// Letters were sent.
    pub const fn sent(&mut self, now: Instant) {
        self.sent = Some(now);
        self.changed = false;
    }

    /// When the next are due.
    #[must_use]
    pub fn due(&self, now: Instant) -> Instant {
        let Some(sent) = self.sent else { return now };
        let lively = now.saturating_duration_since(self.lively) < PATIENCE;
        sent + if self.changed {
            LEAST
        } else if lively {
            QUICK
        } else {
            SLOW
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_while_somebody_answers_and_rarely_into_silence() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.due(start), start, "at once");
        pace.sent(start);
        assert_eq!(pace.due(start), start + QUICK);
        let later = start + PATIENCE;
        pace.sent(later);
        assert_eq!(pace.due(later), later + SLOW, "nobody answers");
        pace.heard(later + QUICK);
        assert_eq!(pace.due(later + QUICK), later + QUICK, "somebody does");
        pace.sent(later);
        pace.changed();
        assert_eq!(pace.due(later), later + LEAST, "a change waits for nothing but this");
        pace.sent(later + LEAST);
        assert_eq!(pace.due(later + LEAST), later + LEAST + QUICK);
    }
}
