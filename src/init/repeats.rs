//! A line that says what the one before it said is counted, not kept: `last message repeated 7 times`. Pure.
//!
//! As syslogd does it: the count follows with the next other line of the same source, or half a minute after the first repetition.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::role::Role;

/// Longest time that repetitions go untold.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Who says a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Voice {
    /// A process of ours.
    Role(Role),
    /// The kernel, whose lines are in the ring of [`Role::Init`].
    Kernel,
}

impl Voice {
    /// Whose ring its lines are in.
    #[must_use]
    pub const fn ring(self) -> Role {
        match self {
            Self::Role(role) => role,
            Self::Kernel => Role::Init,
        }
    }
}

/// What each voice said last.
#[derive(Debug, Default)]
pub struct Repeats(BTreeMap<Voice, Last>);

#[derive(Debug)]
struct Last {
    severity: u8,
    text: String,
    more: u32,
    tell: Option<Instant>,
}

impl Last {
    fn told(&mut self) -> Option<(u8, String)> {
        self.tell = None;
        let more = std::mem::take(&mut self.more);
        let times = if more == 1 { "time" } else { "times" };
        (more > 0).then(|| (self.severity, format!("last message repeated {more} {times}")))
    }
}

impl Repeats {
    /// What is to be kept now that `voice` says this: nothing, the line, or a count of its predecessors and the line.
    pub fn pass(&mut self, voice: Voice, severity: u8, text: String, now: Instant) -> Vec<(u8, String)> {
        if let Some(last) = self.0.get_mut(&voice)
            && last.severity == severity
            && last.text == text
        {
            last.more = last.more.saturating_add(1);
            last.tell.get_or_insert(now + PATIENCE);
            return Vec::new();
        }
        let fresh = Last { severity, text: text.clone(), more: 0, tell: None };
        let before = self.0.insert(voice, fresh).and_then(|mut before| before.told());
        before.into_iter().chain([(severity, text)]).collect()
    }

    /// Counts that have waited long enough.
    pub fn due(&mut self, now: Instant) -> Vec<(Voice, u8, String)> {
        let late = self.0.iter_mut().filter(|(_, last)| last.tell.is_some_and(|tell| tell <= now));
        late.filter_map(|(voice, last)| last.told().map(|(severity, text)| (*voice, severity, text)))
            .collect()
    }

    /// When [`Self::due`] has something again.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.values().filter_map(|last| last.tell).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_counted_for_each_voice() {
        let (lvs, kernel, now) = (Voice::Role(Role::Lvs), Voice::Kernel, Instant::now());
        let mut repeats = Repeats::default();
        let mut say = |voice, text: &str| repeats.pass(voice, 4, text.to_owned(), now);
        let line = |text: &str| (4, text.to_owned());
        assert_eq!(say(lvs, "a"), [line("a")]);
        assert_eq!(say(kernel, "a"), [line("a")]);
        assert_eq!(say(lvs, "a"), []);
        assert_eq!(say(lvs, "b"), [line("last message repeated 1 time"), line("b")]);
        assert_eq!(say(lvs, "a"), [line("a")]);
        for _ in 0..7 {
            assert_eq!(say(kernel, "a"), []);
        }
        assert_eq!(say(kernel, "c"), [line("last message repeated 7 times"), line("c")]);
    }

    #[test]
    fn a_count_does_not_wait_for_ever() {
        let (voice, start) = (Voice::Role(Role::Net), Instant::now());
        let mut repeats = Repeats::default();
        assert_eq!(repeats.deadline(), None);
        for n in 0..100 {
            repeats.pass(voice, 6, "same".to_owned(), start + Duration::from_millis(n));
        }
        let due = start + Duration::from_millis(1) + PATIENCE;
        assert_eq!(repeats.deadline(), Some(due));
        assert!(repeats.due(due - Duration::from_millis(1)).is_empty());
        assert_eq!(repeats.due(due), [(voice, 6, "last message repeated 99 times".to_owned())]);
        assert_eq!((repeats.deadline(), repeats.due(due)), (None, Vec::new()));
        assert!(repeats.pass(voice, 6, "same".to_owned(), due).is_empty(), "still the same");
        assert_eq!(
            repeats.pass(voice, 3, "same".to_owned(), due).len(),
            2,
            "another severity is another line"
        );
    }
}
