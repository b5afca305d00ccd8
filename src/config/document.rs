//! From the bytes of a file to its tree of keys and values, with every fault of form.

use toml::Spanned;
use toml::de::DeTable;

use super::report::{Lines, Problem, Span};

/// A larger file is refused: 10,000 real servers need about 600 KB.
pub const LARGEST: usize = 1 << 20;

/// The text of a file: UTF-8, a byte order mark dropped.
///
/// # Errors
/// The one fault that makes it no text, and as much of it as is one.
pub fn decode(bytes: &[u8]) -> Result<&str, (Problem, &str)> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.len() > LARGEST {
        let what = format!("the file is too large: more than {LARGEST} bytes are not read");
        return Err((Problem { span: Span::default(), what, help: None }, ""));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if text.trim().is_empty() => {
            let what = "the file is empty".to_owned();
            let help = Some("the first line is `version = 1`".to_owned());
            Err((Problem { span: Span::default(), what, help }, text))
        }
        Ok(text) => Ok(text),
        Err(fault) => {
            let good = bytes.get(..fault.valid_up_to()).unwrap_or_default();
            let mut good = std::str::from_utf8(good).unwrap_or_default();
            if good.contains('\0') {
                good = ""; // a program or an image: nothing of it is worth showing
            }
            let what = match bytes {
                [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "this is UTF-16 text, not UTF-8",
                _ => "this is not UTF-8 text",
            };
            let help = Some("save the file as plain text in UTF-8".to_owned());
            let span = Span { start: good.len(), end: good.len() };
            Err((Problem { span, what: what.to_owned(), help }, good))
        }
    }
}

/// Reads the tree, going on after each fault of syntax; one fault is given for each line.
pub fn parse(text: &str) -> (Spanned<DeTable<'_>>, Vec<Problem>) {
    let (tree, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    if let Some(open) = errors.iter().position(|error| is_open_list(error.message())) {
        // All between the first fault and the end of an unclosed list or table is a consequence.
        errors =
            errors.into_iter().enumerate().filter(|(at, _)| *at == 0 || *at == open).map(|e| e.1).collect();
    }
    let lines = Lines::new(text);
    let mut last_line = 0;
    let mut problems = Vec::new();
    for error in errors {
        let span = Span::from(error.span().unwrap_or_default());
        let (line, _) = lines.place(span.start);
        if line != last_line {
            problems.push(explain(error.message(), span, text));
        }
        last_line = line;
    }
    (tree, problems)
}

fn is_open_list(message: &str) -> bool {
    ["unclosed array,", "unclosed inline table,"].iter().any(|start| message.starts_with(start))
}

/// The parser's words, of which those for a missing value would mislead.
fn explain(message: &str, span: Span, text: &str) -> Problem {
    let rest = text.get(span.start..).unwrap_or_default();
    let at_end = rest.lines().next().is_none_or(|line| line.trim_start().is_empty() || line.starts_with('#'));
    let (what, help) = match message.split_once(", expected ") {
        Some(("string values must be quoted", _)) if at_end => {
            ("the value is missing".to_owned(), Some("for example `key = \"text\"` or `key = 3`".to_owned()))
        }
        Some(("string values must be quoted", _)) => {
            ("this is no value".to_owned(), Some("text stands in double quotes".to_owned()))
        }
        Some((what, expected)) => (what.to_owned(), Some(format!("expected {expected}"))),
        None => (message.to_owned(), None),
    };
    Problem { span, what, help }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_says_why() {
        let what = |bytes: &[u8]| decode(bytes).err().map(|(problem, _)| (problem.span.start, problem.what));
        assert_eq!(what(b"\xef\xbb\xbfversion = 1"), None);
        assert_eq!(what(b" \r\n"), Some((0, "the file is empty".to_owned())));
        assert_eq!(what(b"a = \"\xff\""), Some((5, "this is not UTF-8 text".to_owned())));
        assert_eq!(what(b"\xff\xfea\0"), Some((0, "this is UTF-16 text, not UTF-8".to_owned())));
        assert!(what(&vec![b' '; LARGEST + 1]).is_some_and(|(_, what)| what.contains("too large")));
    }

    #[test]
    fn each_faulty_line_is_one_problem() {
        let (tree, problems) = parse("a = \nb = \"x\nc = 3\nd e f\n");
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(tree.get_ref().contains_key("c"));
    }
}
