//! Keys become inputs of the screen, as its mode wants them. Pure.

use super::{Command, Session};
use crate::console::editor::Edited;
use crate::console::keys::Key;
use crate::console::live::Act;
use crate::console::screens::{Input, Mode, Screen};

impl Session {
    pub(super) fn key(&mut self, key: Key, idle: bool) -> Option<Command> {
        // A live view that was left alone may be looked at, and no more, without the PIN.
        if idle && !self.only && self.snapshot.pin().is_some() && self.screen.period_ms().is_some() {
            self.out.push_str(&self.stage.leave());
            self.screen = Screen::Idle;
            return self.wake();
        }
        if let Screen::Live(live) = &mut self.screen {
            return match (key, self.stage.is_set()) {
                (Key::Position { line, column }, _) => self.measured((column, line)),
                (Key::Interrupt | Key::End | Key::Char('q'), false) => self.leave_view(),
                (_, false) => None,
                (key, true) => match live.key(key) {
                    Act::Stay => self.paint(),
                    Act::Leave => self.leave_view(),
                    Act::Measure => {
                        self.out.push_str(self.stage.afresh());
                        self.paint()
                    }
                },
            };
        }
        if !key.is_plain() {
            return None;
        }
        match self.screen.mode() {
            Mode::Wake if self.screen == Screen::Down => None,
            Mode::Wake => {
                if key == Key::Enter {
                    self.wake()
                } else {
                    None
                }
            }
            Mode::Key => {
                let input = match key {
                    Key::Char(c) => Input::Key(c.to_ascii_lowercase()),
                    Key::Interrupt | Key::End => Input::Cancel,
                    _ => Input::Key(' '),
                };
                self.out.push('\n');
                self.input(input)
            }
            Mode::Line => self.edit(key, false),
            Mode::Secret => self.edit(key, true),
        }
    }

    fn edit(&mut self, key: Key, secret: bool) -> Option<Command> {
        match self.editor.key(key) {
            Edited::Echo(_) if key == Key::Redraw => {
                self.out.push('\n');
                self.again(secret);
                None
            }
            Edited::Echo(text) => {
                let shown = secret && matches!(key, Key::Char(_)) && text != "\x07";
                let text = if shown { "*".to_owned() } else { text };
                self.out.push_str(&text);
                None
            }
            Edited::Line(line) => {
                self.out.push('\n');
                self.input(Input::Line(line))
            }
            Edited::Cancel => {
                self.out.push_str("^C\n");
                self.input(Input::Cancel)
            }
        }
    }
}
