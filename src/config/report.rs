//! Every fault of a file in one report: the place, what is wrong, and what would be accepted.
//!
//! ```text
//! director.toml:6:8: virtual router identifier 300 is out of range: 1 to 255
//!   |
//! 6 | vrid = 300
//!   |        ^^^
//! ```

use std::cell::OnceCell;
use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::{Serialize, Serializer};

use crate::secret;

/// So many faults are rendered; a file with more of them is begun anew.
const SHOWN: usize = 100;
/// A source line longer than this (bytes) is not repeated in the report.
const LONGEST_LINE: usize = 400;

/// A range of bytes in the text of a file; an empty one is a place between two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One after the last.
    pub end: usize,
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// What it concerns.
    pub span: Span,
    /// What is wrong: lower case, no full stop.
    pub what: String,
    /// What would be accepted, where `what` does not say it.
    pub help: Option<String>,
}

/// Every fault of one file, by place. It is never empty.
///
/// `Display` renders what `director check` prints, without colour; `Serialize` gives what `--json` prints.
/// `Debug` leaves the text out: it may have passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct Report {
    name: String,
    text: String,
    problems: Vec<Problem>,
}

/// One fault with its place counted for people: lines and columns from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Located<'r> {
    /// Name of the file as it was given.
    pub file: &'r str,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: &'r str,
    /// What would be accepted.
    pub help: Option<&'r str>,
}

impl Report {
    /// Orders `problems` by place and drops repetitions.
    pub(super) fn new(name: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self { name: name.to_owned(), text: text.to_owned(), problems }
    }

    /// The faults, by place.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The faults with line and column, by place.
    pub fn located(&self) -> impl Iterator<Item = Located<'_>> {
        let lines = Lines::new(&self.text);
        self.problems.iter().map(move |problem| {
            let (line, column) = lines.place(problem.span.start);
            Located { file: &self.name, line, column, message: &problem.what, help: problem.help.as_deref() }
        })
    }

    /// The whole report, with the colours of a terminal when `colour` is set.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let lines = Lines::new(&self.text);
        let secret = secret::lines(&self.text);
        let mut out = String::new();
        for (problem, located) in self.problems.iter().zip(self.located()).take(SHOWN) {
            let Located { file, line, column, message, .. } = located;
            out.push_str(&format!("{file}:{line}:{column}: {message}\n"));
            // Reports are shown to people without a PIN, and are part of the status.
            if secret.contains(&line) {
                out.push_str(&unquoted(problem));
            } else {
                out.push_str(&snippet(&renderer, &lines, problem, line));
            }
            out.push('\n');
        }
        if self.problems.len() > SHOWN {
            out.push_str(&format!(
                "{}: {} more faults are not shown\n",
                self.name,
                self.problems.len() - SHOWN
            ));
        }
        out
    }
}

fn unquoted(problem: &Problem) -> String {
    let help = problem.help.as_deref().map(|help| format!("  = help: {help}\n")).unwrap_or_default();
    format!("  = note: the line is not shown: it may have a secret\n{help}")
}

fn snippet(renderer: &Renderer, lines: &Lines<'_>, problem: &Problem, line: usize) -> String {
    let help = problem.help.as_deref();
    let (offset, source) = lines.line(line);
    if source.len() > LONGEST_LINE || source.is_empty() {
        return help.map(|help| format!("  = help: {help}\n")).unwrap_or_default();
    }
    let start = problem.span.start.saturating_sub(offset).min(source.len());
    let end = problem.span.end.saturating_sub(offset).clamp(start, source.len());
    let mut group = Group::with_level(Level::ERROR).element(
        Snippet::source(source)
            .line_start(line)
            .annotation(AnnotationKind::Primary.span(floor(source, start)..floor(source, end))),
    );
    if let Some(help) = help {
        group = group.element(Level::HELP.message(help));
    }
    let mut text = renderer.render(&[group]);
    text.push('\n');
    text
}

fn floor(text: &str, index: usize) -> usize {
    text.floor_char_boundary(index)
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("name", &self.name).field("problems", &self.problems).finish()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.located())
    }
}

/// Where each line of a text begins.
#[derive(Debug)]
pub(super) struct Lines<'t> {
    text: &'t str,
    /// Looked for when a place is asked for: a file without fault has none to tell.
    starts: OnceCell<Vec<usize>>,
}

impl<'t> Lines<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, starts: OnceCell::new() }
    }

    fn starts(&self) -> &[usize] {
        self.starts.get_or_init(|| {
            std::iter::once(0).chain(self.text.match_indices('\n').map(|(at, _)| at + 1)).collect()
        })
    }

    /// Line and column of a byte, both from 1, the column in characters.
    pub(super) fn place(&self, byte: usize) -> (usize, usize) {
        let byte = self.text.floor_char_boundary(byte);
        let line = self.starts().partition_point(|start| *start <= byte);
        let start = self.line(line).0;
        let column = self.text.get(start..byte).map_or(0, |before| before.chars().count());
        (line, column + 1)
    }

    /// Offset and text, without its end, of the line with this number.
    pub(super) fn line(&self, number: usize) -> (usize, &'t str) {
        let start = number.checked_sub(1).and_then(|index| self.starts().get(index)).copied().unwrap_or(0);
        let end = self.starts().get(number).copied().unwrap_or(self.text.len());
        let line = self.text.get(start..end).unwrap_or_default();
        (start, line.trim_end_matches(['\n', '\r']))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str, span: Range<usize>) -> Report {
        let problem =
            Problem { span: span.into(), what: "odd".to_owned(), help: Some("use even".to_owned()) };
        Report::new("f.toml", text, vec![problem.clone(), problem])
    }

    #[test]
    fn renders_place_line_caret_and_help() {
        let text = "a = 1\r\nb = \"ä\" # c\r\n";
        let expected = "f.toml:2:5: odd\n  |\n2 | b = \"ä\" # c\n  |     ^^^\n  |\n  = help: use even\n\n";
        assert_eq!(report(text, 11..15).to_string(), expected);
    }

    #[test]
    fn columns_are_characters() {
        assert_eq!(report("ä = 1", 5..6).located().map(|l| (l.line, l.column)).collect::<Vec<_>>(), [(1, 5)]);
    }

    #[test]
    fn any_span_renders() {
        for text in ["", "\n", "a", "ä\r\nb", "a\n"] {
            for start in 0..8 {
                for end in 0..8 {
                    assert!(report(text, start..end).to_string().contains("odd"));
                }
            }
        }
    }
}
