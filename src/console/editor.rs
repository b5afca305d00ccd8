//! One line of input and its echo. Pure.

use super::keys::Key;

/// Most characters of a line.
const LONGEST_LINE: usize = 80;
const ERASE: &str = "\x08 \x08";

/// What a key has done to the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edited {
    /// The line goes on; this is to be printed.
    Echo(String),
    /// The line is complete, spaces around it removed.
    Line(String),
    /// ^C, or ^D on an empty line.
    Cancel,
}

/// The line that is being typed.
#[derive(Debug, Default)]
pub struct Editor {
    line: heapless::String<LONGEST_LINE>,
}

impl Editor {
    /// Takes a key.
    pub fn key(&mut self, key: Key) -> Edited {
        match key {
            Key::Char(c) => match self.line.push(c) {
                Ok(()) => Edited::Echo(c.to_string()),
                Err(_) => Edited::Echo("\x07".to_owned()),
            },
            Key::Erase => Edited::Echo(self.line.pop().map_or("", |_| ERASE).to_owned()),
            Key::EraseLine => {
                let length = self.line.len();
                self.line.clear();
                Edited::Echo(ERASE.repeat(length))
            }
            Key::Enter => {
                let line = self.line.trim().to_owned();
                self.line.clear();
                Edited::Line(line)
            }
            Key::End if !self.line.is_empty() => Edited::Echo(String::new()),
            Key::Interrupt | Key::End => {
                self.line.clear();
                Edited::Cancel
            }
            Key::Redraw => Edited::Echo(format!("\n{}", self.line)),
            // Nothing of a line.
            _ => Edited::Echo(String::new()),
        }
    }

    /// What was typed so far.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Forgets what was typed.
    pub fn clear(&mut self) {
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_in(editor: &mut Editor, text: &str) -> Edited {
        text.chars().map(|c| editor.key(Key::Char(c))).last().unwrap()
    }

    #[test]
    fn a_line_is_edited_and_trimmed() {
        let mut editor = Editor::default();
        type_in(&mut editor, " ethx");
        assert_eq!(editor.key(Key::Erase), Edited::Echo("\x08 \x08".into()));
        type_in(&mut editor, "0 ");
        assert_eq!(editor.key(Key::Enter), Edited::Line("eth0".into()));
        assert_eq!(editor.key(Key::Erase), Edited::Echo(String::new()));
        assert_eq!(editor.key(Key::Enter), Edited::Line(String::new()));
    }

    #[test]
    fn a_line_is_bounded() {
        let mut editor = Editor::default();
        assert_eq!(type_in(&mut editor, &"a".repeat(81)), Edited::Echo("\x07".into()));
        assert_eq!(editor.key(Key::EraseLine), Edited::Echo("\x08 \x08".repeat(80)));
    }

    #[test]
    fn end_cancels_an_empty_line_only() {
        let mut editor = Editor::default();
        type_in(&mut editor, "a");
        assert_eq!(editor.key(Key::End), Edited::Echo(String::new()));
        assert_eq!(editor.key(Key::Interrupt), Edited::Cancel);
        assert_eq!(editor.key(Key::End), Edited::Cancel);
    }
}
