//! More lines than a screen has.

use super::{HEIGHT, Input, Screen, Step};
use crate::console::snapshot::Snapshot;

pub const HELP: &str = "Space shows the next page, q leads back.";

/// Lines still to be shown, and the screen after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pager {
    rest: Vec<String>,
    then: Box<Screen>,
    last: String,
}

/// Shows `lines` page by page, then goes to `then`, printing `last`.
pub fn show(lines: Vec<String>, then: Screen, last: String) -> Step {
    Pager { rest: lines, then: Box::new(then), last }.page()
}

impl Pager {
    pub fn prompt(&self) -> String {
        format!("-- {} more lines: space = next page, q = back --", self.rest.len())
    }

    pub fn step(self, input: &Input, _snapshot: &Snapshot) -> Step {
        match input {
            Input::Key('q') | Input::Cancel => Step::show(*self.then, self.last),
            Input::Key(_) | Input::Line(_) => self.page(),
            Input::Tick | Input::Answer(_) => Step::show(Screen::Pager(self), ""),
        }
    }

    fn page(mut self) -> Step {
        let rest = self.rest.split_off(self.rest.len().min(HEIGHT));
        let page = self.rest.join("\n");
        if rest.is_empty() {
            let text = if self.last.is_empty() { page } else { format!("{page}\n{}", self.last) };
            return Step::show(*self.then, text);
        }
        self.rest = rest;
        Step::show(Screen::Pager(self), page)
    }
}
