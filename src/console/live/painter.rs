//! The cells that changed as escape codes of ECMA-48 and of the VT100, few of them: serial lines are slow. Pure.
//!
//! No mode of the terminal is changed, so that there is none to put back: no other screen, no hidden cursor. Colours and
//! reverse are off again behind each picture.

use std::convert::Infallible;
use std::fmt::Write as _;

use ratatui::Terminal;
use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::style::{Color, Modifier};

use super::draw::draw;
use super::{Live, View};
use crate::console::snapshot::Snapshot;

/// A terminal as it was last drawn.
#[derive(Debug)]
pub struct Painter {
    terminal: Terminal<Codes>,
}

impl Painter {
    /// For a terminal of `size` columns and lines, which is cleared at first.
    #[must_use]
    pub fn new(size: (u16, u16)) -> Self {
        let mut codes = Codes { size: size.into(), ..Codes::default() };
        codes.erase();
        let Ok(terminal) = Terminal::new(codes);
        Self { terminal }
    }

    /// The codes that bring the terminal to the picture of now.
    pub fn paint(&mut self, live: &mut Live, snapshot: &Snapshot) -> String {
        let view: View = live.view(snapshot, self.terminal.backend().size.height);
        let Ok(_) = self.terminal.draw(|frame| draw(frame, &view));
        self.terminal.backend_mut().rest();
        std::mem::take(&mut self.terminal.backend_mut().out)
    }

    /// The terminal has another size, or does not show what it was sent: all of it is sent again.
    pub fn afresh(&mut self, size: (u16, u16)) {
        // Where the cursor was may be outside now.
        let codes = self.terminal.backend_mut();
        (codes.size, codes.at) = (size.into(), None);
        let Ok(()) = self.terminal.clear();
    }

    /// Columns and lines.
    #[must_use]
    pub fn size(&self) -> (u16, u16) {
        let Size { width, height } = self.terminal.backend().size;
        (width, height)
    }

    /// What comes after the last picture: the next line begins below it.
    #[must_use]
    pub fn farewell(&self) -> String {
        format!("\x1b[m\x1b[{}H\n", self.terminal.backend().size.height)
    }
}

/// ratatui's way out, into a text.
#[derive(Debug, Default)]
struct Codes {
    out: String,
    size: Size,
    /// Where the next character would appear; `None` = not known.
    at: Option<Position>,
    pen: (Color, Modifier),
}

impl Codes {
    fn erase(&mut self) {
        self.pen = (Color::Reset, Modifier::empty());
        self.out.push_str("\x1b[m\x1b[H\x1b[2J");
        self.at = Some(Position::ORIGIN);
    }

    /// Colours and reverse off.
    fn rest(&mut self) {
        self.colour(Color::Reset, Modifier::empty());
    }

    fn go(&mut self, to: Position) {
        let before = self.at.replace(to);
        if before == Some(to) {
            return;
        }
        // What goes wrong in writing to a text is memory.
        let _ = match (before, to) {
            (Some(Position { x, y }), Position { x: wanted, .. }) if y == to.y && wanted == x + 1 => {
                self.out.push_str("\x1b[C");
                Ok(())
            }
            (Some(Position { x, y }), Position { x: wanted, .. }) if y == to.y && wanted > x => {
                write!(self.out, "\x1b[{}C", wanted - x)
            }
            (_, Position { x: 0, y }) => write!(self.out, "\x1b[{}H", y + 1),
            (_, Position { x, y }) => write!(self.out, "\x1b[{};{}H", y + 1, x + 1),
        };
    }

    fn colour(&mut self, colour: Color, modifier: Modifier) {
        if self.pen == (colour, modifier) {
            return;
        }
        self.pen = (colour, modifier);
        self.out.push_str("\x1b[");
        if modifier.contains(Modifier::BOLD) {
            self.out.push_str(";1");
        }
        if modifier.contains(Modifier::REVERSED) {
            self.out.push_str(";7");
        }
        self.out.push_str(match colour {
            Color::Red => ";31",
            Color::Green => ";32",
            Color::Yellow => ";33",
            _ => "",
        });
        self.out.push('m');
    }
}

impl Backend for Codes {
    type Error = Infallible;

    fn draw<'a, I>(&mut self, content: I) -> Result<(), Infallible>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        for (x, y, cell) in content {
            self.go(Position { x, y });
            self.colour(cell.fg, cell.modifier);
            self.out.push_str(cell.symbol());
            // Behind the last column terminals differ.
            self.at = (x + 1 < self.size.width).then_some(Position { x: x + 1, y });
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn show_cursor(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn get_cursor_position(&mut self) -> Result<Position, Infallible> {
        Ok(self.at.unwrap_or_default())
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), Infallible> {
        self.go(position.into());
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Infallible> {
        self.erase();
        Ok(())
    }

    fn clear_region(&mut self, _: ClearType) -> Result<(), Infallible> {
        self.erase();
        Ok(())
    }

    fn size(&self) -> Result<Size, Infallible> {
        Ok(self.size)
    }

    fn window_size(&mut self) -> Result<WindowSize, Infallible> {
        Ok(WindowSize { columns_rows: self.size, pixels: Size::default() })
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
