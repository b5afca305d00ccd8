//! Bytes of a terminal as keys. Pure.

/// Longest escape sequence that is swallowed; a longer one is none.
const LONGEST_SEQUENCE: u8 = 32;

/// A key that means something to the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A printable ASCII character.
    Char(char),
    /// Return.
    Enter,
    /// Backspace or delete.
    Erase,
    /// ^U: the whole line.
    EraseLine,
    /// ^C.
    Interrupt,
    /// ^D.
    End,
    /// ^L: what is on the screen again.
    Redraw,
}

/// Recognises keys; swallows escape sequences (arrows, function keys) and everything that is not ASCII.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// A line feed after it belongs to it.
    Return,
    Escape,
    /// `ESC [`, until a final byte (ECMA-48 section 5.4).
    Sequence(u8),
    /// `ESC O`, one byte more.
    Single,
}

impl Decoder {
    /// Takes one byte; gives the key that it completes.
    pub fn byte(&mut self, byte: u8) -> Option<Key> {
        let before = std::mem::take(&mut self.state);
        match (before, byte) {
            (State::Escape, b'[') => self.state = State::Sequence(0),
            (State::Escape, b'O') => self.state = State::Single,
            (State::Sequence(length), 0x20..=0x3f) if length < LONGEST_SEQUENCE => {
                self.state = State::Sequence(length + 1);
            }
            (State::Sequence(_), 0x20..=0x7e) | (State::Single | State::Escape, 0x20..=0x7e) => {}
            (State::Return, b'\n') => {}
            (_, byte) => return self.plain(byte),
        }
        None
    }

    /// Whether a sequence has begun that may have been a single press of the escape key.
    #[must_use]
    pub fn pending(&self) -> bool {
        !matches!(self.state, State::Ground | State::Return)
    }

    /// Nothing followed for a while: it was the escape key alone.
    pub fn settle(&mut self) {
        if self.pending() {
            self.state = State::Ground;
        }
    }

    fn plain(&mut self, byte: u8) -> Option<Key> {
        match byte {
            b'\r' => {
                self.state = State::Return;
                Some(Key::Enter)
            }
            b'\n' => Some(Key::Enter),
            0x1b => {
                self.state = State::Escape;
                None
            }
            0x08 | 0x7f => Some(Key::Erase),
            0x15 => Some(Key::EraseLine),
            0x03 => Some(Key::Interrupt),
            0x04 => Some(Key::End),
            0x0c => Some(Key::Redraw),
            0x20..=0x7e => Some(Key::Char(char::from(byte))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        bytes.iter().filter_map(|byte| decoder.byte(*byte)).collect()
    }

    #[test]
    fn arrows_and_function_keys_are_swallowed() {
        assert_eq!(keys(b"\x1b[Aa\x1bOPb\x1b[15;2~c"), [Key::Char('a'), Key::Char('b'), Key::Char('c')]);
    }

    #[test]
    fn control_characters_and_umlauts_are_ignored() {
        assert_eq!(keys(b"\x00\x01\x0e\xc3\xa4\xff x"), [Key::Char(' '), Key::Char('x')]);
    }

    #[test]
    fn each_way_to_end_a_line_ends_one_line() {
        assert_eq!(keys(b"\r\r\n\n"), [Key::Enter, Key::Enter, Key::Enter]);
    }

    #[test]
    fn an_endless_sequence_ends() {
        let mut bytes = b"\x1b[".to_vec();
        bytes.extend([b'0'; 40]);
        bytes.push(b'x');
        assert!(keys(&bytes).contains(&Key::Char('x')));
    }

    #[test]
    fn the_escape_key_alone_swallows_nothing_after_a_while() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.byte(0x1b), None);
        assert!(decoder.pending());
        decoder.settle();
        assert_eq!(decoder.byte(b'q'), Some(Key::Char('q')));
    }
}
