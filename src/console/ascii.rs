//! Any text as 7-bit ASCII that no terminal takes for a command.

/// Replaces what is not printable ASCII: known signs by their likeness, the rest by `?`. Line ends stay.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | ' '..='~' => out.push(c),
            '\t' => out.push(' '),
            '│' | '┃' | '╷' | '╵' => out.push('|'),
            '─' | '━' | '–' | '—' | '−' => out.push('-'),
            '╭' | '╰' | '╮' | '╯' | '┌' | '└' | '├' | '┤' => out.push('+'),
            '‘' | '’' | '′' => out.push('\''),
            '“' | '”' => out.push('"'),
            '→' => out.push_str("->"),
            '…' => out.push_str("..."),
            '×' => out.push('x'),
            'µ' | 'μ' => out.push('u'),
            '\r' => {}
            _ => out.push('?'),
        }
    }
    out
}

/// `text` in lines of at most `width` characters, broken at spaces where there are any; further lines start with `indent`.
#[must_use]
pub fn wrap(text: &str, width: usize, indent: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut words = text.split(' ');
    let mut line = words.next().unwrap_or_default().to_owned();
    for word in words {
        if !line.trim().is_empty() && line.len() + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
            line.push_str(indent);
        } else {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_printable_ascii_gets_out() {
        assert_eq!(clean("a\tb\u{1b}[2J│ é → …\r\n"), "a b?[2J| ? -> ...\n");
    }

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrap("one two three", 7, "  "), ["one two", "  three"]);
        assert_eq!(wrap("  indented stays", 40, ""), ["  indented stays"]);
        assert_eq!(wrap("averylongword", 5, ""), ["averylongword"]);
        assert_eq!(wrap("", 5, ""), [""]);
    }
}
