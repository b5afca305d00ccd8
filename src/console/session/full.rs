//! The live view that fills the screen, as part of a session. Pure.

use super::{Command, Session};
use crate::console::live::{PATIENCE_MS, PERIOD_MS};
use crate::console::screens::{Input, Screen, Step};

/// Said where a terminal does not answer.
const UNABLE: &str = "This terminal does not tell its size: the status comes line by line.";

impl Session {
    pub(super) fn live(&mut self, input: &Input) -> Option<Command> {
        match input {
            Input::Tick if self.stage.is_set() => self.look(),
            // It has had its time to answer.
            Input::Tick => {
                self.stage.leave();
                self.print(UNABLE);
                self.go(Screen::status())
            }
            Input::Answer(_) => {
                if let Screen::Live(live) = &mut self.screen {
                    live.heard(&self.snapshot);
                }
                self.paint()
            }
            Input::Line(_) | Input::Key(_) | Input::Cancel => None,
        }
    }

    pub(super) fn look(&mut self) -> Option<Command> {
        let Screen::Live(live) = &mut self.screen else { return None };
        self.waiting = true;
        self.due_ms = self.now_ms + PERIOD_MS;
        Some(Command::Look(live.roles(&self.snapshot)))
    }

    pub(super) fn measured(&mut self, told: (u16, u16)) -> Option<Command> {
        let before = self.stage.is_set();
        match self.stage.measured(told) {
            true if before => self.paint(),
            true => self.look(),
            false => None,
        }
    }

    /// Of several keys that come at once, the last one is shown.
    pub(super) fn paint(&mut self) -> Option<Command> {
        if let Screen::Live(live) = &mut self.screen
            && self.input.is_empty()
        {
            self.out.push_str(&self.stage.paint(live, &self.snapshot));
        }
        None
    }

    pub(super) fn leave_view(&mut self) -> Option<Command> {
        let step = Step::menu(&self.snapshot);
        self.go(step)
    }

    /// A screen has been come to.
    pub(super) fn enter(&mut self, full: bool) {
        if full {
            self.out.push_str(self.stage.enter(self.clears));
            self.due_ms = self.now_ms + if self.stage.is_set() { 0 } else { PATIENCE_MS };
        }
    }
}
