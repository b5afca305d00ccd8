//! Who is let in: Enter, and the PIN where there is one. Pure.

use super::{Answer, Command, Session};
use crate::console::announce::INVITATION;
use crate::console::screens::{Screen, Step};

/// Most time that wrong PINs shut the console for, milliseconds.
const LONGEST_SHUT_MS: u64 = 5 * 60 * 1000;

/// Time for which nobody is let in while it is not known whether there is a PIN, milliseconds: far more than a box takes to read its
/// configuration; one that never has any has no PIN.
const UNKNOWN_MS: u64 = 60_000;

impl Session {
    /// A PIN turned up behind somebody who was let in without one.
    pub(super) fn shuts(&mut self) -> bool {
        if self.snapshot.file.is_none() || !std::mem::take(&mut self.unasked) || self.snapshot.pin().is_none()
        {
            return false;
        }
        if self.screen == Screen::Idle {
            return false;
        }
        self.out.push_str(&self.stage.leave());
        self.print("\nThe configuration is known now, and it has a PIN.");
        self.leave();
        true
    }

    /// A right PIN opens, each wrong one shuts for twice as long as the one before: 2 s, 4 s, 8 s….
    pub(super) fn count(&mut self, answer: &Answer) {
        if let Answer::Told(_) = answer {
            self.wrong = 0;
            return;
        }
        self.wrong = self.wrong.saturating_add(1);
        let shut = 1000_u64.checked_shl(self.wrong.min(16)).unwrap_or(LONGEST_SHUT_MS);
        self.shut_ms = self.now_ms + shut.min(LONGEST_SHUT_MS);
    }

    /// Somebody wants to begin.
    pub(super) fn wake(&mut self) -> Option<Command> {
        self.out.push('\n');
        let unknown = self.snapshot.file.is_none();
        if unknown && self.now_ms < UNKNOWN_MS {
            self.print("Starting: the configuration is not known yet. Try again in a moment.");
            self.print(INVITATION);
            return None;
        }
        if self.snapshot.pin().is_none() {
            self.unasked = unknown;
            let step = Step::menu(&self.snapshot);
            return self.go(step);
        }
        let left = self.shut_ms.saturating_sub(self.now_ms);
        if left > 0 {
            self.print(&format!("Wrong PINs: wait {} s.", left.div_ceil(1000)));
            self.print(INVITATION);
            return None;
        }
        self.go(Screen::locked())
    }
}
