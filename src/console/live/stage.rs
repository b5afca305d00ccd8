//! Between the view and its terminal: how large that is, and what it was last shown. Pure.

use super::painter::Painter;
use super::{Live, QUESTION};
use crate::console::snapshot::Snapshot;

/// Largest size that is believed, columns and lines.
const LARGEST: (u16, u16) = (400, 200);

/// What is known of the terminal.
#[derive(Debug, Default)]
pub struct Stage {
    /// The size that the kernel knows: of a screen and of a pseudo terminal, never of a serial line.
    window: Option<(u16, u16)>,
    painter: Option<Painter>,
    asked: bool,
}

impl Stage {
    /// What the kernel says of the size now.
    pub fn window(&mut self, size: Option<(u16, u16)>) {
        self.window = size;
    }

    /// Begins, with what is to be sent: a `screen` of this box needs no question, anything else must show by its answer that
    /// it understands escape codes.
    pub fn enter(&mut self, screen: bool) -> &'static str {
        self.painter = self.window.filter(|_| screen).map(Painter::new);
        self.asked = self.painter.is_none();
        if self.asked { QUESTION } else { "" }
    }

    /// Whether there is something to paint on.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        self.painter.is_some()
    }

    /// The terminal has told its size; whether it was asked.
    pub fn measured(&mut self, told: (u16, u16)) -> bool {
        if !std::mem::take(&mut self.asked) {
            return false;
        }
        let (columns, lines) = self.window.unwrap_or(told);
        let size = (columns.min(LARGEST.0), lines.min(LARGEST.1));
        match &mut self.painter {
            Some(painter) if painter.size() == size => {}
            Some(painter) => painter.afresh(size),
            None => self.painter = Some(Painter::new(size)),
        }
        true
    }

    /// Everything is sent again with the next picture, and a terminal whose size nobody knows is asked for it.
    pub fn afresh(&mut self) -> &'static str {
        let Some(painter) = &mut self.painter else { return "" };
        painter.afresh(self.window.unwrap_or_else(|| painter.size()));
        self.asked = self.window.is_none();
        if self.asked { QUESTION } else { "" }
    }

    /// What brings the terminal to the picture of now.
    pub fn paint(&mut self, live: &mut Live, snapshot: &Snapshot) -> String {
        let Some(painter) = &mut self.painter else { return String::new() };
        if let Some(size) = self.window.filter(|size| *size != painter.size()) {
            painter.afresh(size);
        }
        painter.paint(live, snapshot)
    }

    /// The end, with what is to be sent.
    pub fn leave(&mut self) -> String {
        self.asked = false;
        self.painter.take().map(|painter| painter.farewell()).unwrap_or_default()
    }
}
