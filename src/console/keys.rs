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
    /// Escape, and nothing after it.
    Escape,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Home.
    Home,
    /// The key `End`.
    Last,
    /// No key: the terminal says where its cursor is, counted from 1.
    Position {
        /// Line.
        line: u16,
        /// Column.
        column: u16,
    },
}

impl Key {
    /// Whether it means something to a line or a choice; the others are for the view that fills the screen.
    #[must_use]
    pub const fn is_plain(self) -> bool {
        match self {
            Self::Char(_)
            | Self::Enter
            | Self::Erase
            | Self::EraseLine
            | Self::Interrupt
            | Self::End
            | Self::Redraw => true,
            Self::Escape
            | Self::Up
            | Self::Down
            | Self::PageUp
            | Self::PageDown
            | Self::Home
            | Self::Last
            | Self::Position { .. } => false,
        }
    }
}

/// Recognises keys; swallows other escape sequences (function keys) and everything that is not ASCII.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
    /// The first two numbers of a sequence, and which one comes.
    numbers: [u16; 2],
    number: usize,
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
            (State::Escape, b'[') => {
                self.state = State::Sequence(0);
                (self.numbers, self.number) = ([0; 2], 0);
            }
            (State::Escape, b'O') => self.state = State::Single,
            (State::Sequence(length), 0x20..=0x3f) if length < LONGEST_SEQUENCE => {
                self.state = State::Sequence(length + 1);
                self.parameter(byte);
            }
            (State::Sequence(_), 0x40..=0x7e) => return self.sequence(byte),
            (State::Single, 0x40..=0x7e) => return arrow(byte),
            (State::Sequence(_), 0x20..=0x3f) | (State::Single | State::Escape, 0x20..=0x7e) => {}
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
    pub fn settle(&mut self) -> Option<Key> {
        let before = self.state;
        if self.pending() {
            self.state = State::Ground;
        }
        (before == State::Escape).then_some(Key::Escape)
    }

    fn parameter(&mut self, byte: u8) {
        match (byte, self.numbers.get_mut(self.number)) {
            (b'0'..=b'9', Some(number)) => {
                *number = number.saturating_mul(10).saturating_add(u16::from(byte - b'0'));
            }
            (b';', _) => self.number += 1,
            _ => {}
        }
    }

    /// What a sequence with this final byte is (xterm's "PC-style function keys").
    const fn sequence(&self, last: u8) -> Option<Key> {
        let [first, second] = self.numbers;
        match (last, first) {
            (b'R', 1..) if second > 0 => Some(Key::Position { line: first, column: second }),
            (b'~', 1 | 7) => Some(Key::Home),
            (b'~', 4 | 8) => Some(Key::Last),
            (b'~', 5) => Some(Key::PageUp),
            (b'~', 6) => Some(Key::PageDown),
            (last, _) => arrow(last),
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

const fn arrow(last: u8) -> Option<Key> {
    match last {
        b'A' => Some(Key::Up),
        b'B' => Some(Key::Down),
        b'H' => Some(Key::Home),
        b'F' => Some(Key::Last),
        _ => None,
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
    fn function_keys_are_swallowed() {
        assert_eq!(keys(b"\x1b[Ca\x1bOPb\x1b[15;2~c"), [Key::Char('a'), Key::Char('b'), Key::Char('c')]);
    }

    #[test]
    fn arrows_pages_and_positions() {
        assert_eq!(keys(b"\x1b[A\x1bOB\x1b[5~\x1b[6~"), [Key::Up, Key::Down, Key::PageUp, Key::PageDown]);
        assert_eq!(keys(b"\x1b[H\x1b[4~"), [Key::Home, Key::Last]);
        assert_eq!(keys(b"\x1b[24;80Rq"), [Key::Position { line: 24, column: 80 }, Key::Char('q')]);
        assert_eq!(keys(b"\x1b[99999;80R"), [Key::Position { line: u16::MAX, column: 80 }]);
        assert_eq!(keys(b"\x1b[R\x1b[;R\x1b[;;;5R"), []);
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
