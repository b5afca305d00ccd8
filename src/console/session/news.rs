//! What the kernel says meanwhile, between two lines of a session. Pure.

use super::Session;
use crate::console::announce::INVITATION;
use crate::console::ascii::wrap;
use crate::console::screens::{Mode, Screen, WIDTH};

impl Session {
    /// While a question waits for its answer, nothing else asks for what the kernel has to say.
    pub(super) fn asks_aside(&self) -> bool {
        !self.waiting && self.leaves() && self.screen != Screen::Down
    }

    /// Shows what the kernel has said meanwhile, and in the midst of a question that again with what was typed.
    pub(super) fn tell(&mut self, amidst: bool) {
        let news = self.snapshot.init.iter().flat_map(|init| &init.urgent);
        let news: Vec<_> = news.filter(|(number, _)| *number > self.heard).cloned().collect();
        let Some((last, _)) = news.last() else { return };
        self.heard = *last;
        // Among the alarms of the view that fills the screen they stay for longer.
        if matches!(self.screen, Screen::Live(_)) {
            return;
        }
        let lines = news.iter().flat_map(|(_, text)| wrap(&format!("! {text}"), WIDTH, "    "));
        let lines: Vec<String> = lines.collect();
        if amidst {
            self.out.push('\n');
        }
        self.print(&lines.join("\n"));
        if amidst {
            self.again(self.screen.mode() == Mode::Secret);
        } else if self.screen == Screen::Idle {
            self.print(INVITATION);
        }
    }

    /// The prompt, and behind it what was typed so far.
    pub(super) fn again(&mut self, secret: bool) {
        self.prompt();
        let typed = self.editor.line();
        let typed = if secret { "*".repeat(typed.len()) } else { typed.to_owned() };
        self.out.push_str(&typed);
    }
}
