//! The faults found so far.

use std::collections::BTreeSet;

use super::report::{Lines, Problem, Span};

/// The faults found so far, each once.
#[derive(Debug)]
pub struct Faults<'t> {
    problems: BTreeSet<Problem>,
    lines: Lines<'t>,
    node: Option<String>,
}

impl<'t> Faults<'t> {
    /// No fault yet of `text`.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        Self { problems: BTreeSet::new(), lines: Lines::new(text), node: None }
    }

    /// From here on, new faults concern the file as this node has it (`None`: as it is).
    pub fn on_node(&mut self, node: Option<&str>) {
        self.node = node.map(str::to_owned);
    }

    /// Notes a fault.
    pub fn add(&mut self, span: Span, what: impl Into<String>) {
        self.note(Problem { span, what: what.into(), help: None });
    }

    /// Notes a fault and says what would be accepted.
    pub fn add_with_help(&mut self, span: Span, what: impl Into<String>, help: impl Into<String>) {
        self.note(Problem { span, what: what.into(), help: Some(help.into()) });
    }

    fn note(&mut self, mut problem: Problem) {
        if self.problems.contains(&problem) {
            return;
        }
        if let Some(node) = &self.node {
            problem.what.push_str(&format!(" (on node `{node}`)"));
        }
        self.problems.insert(problem);
    }

    /// The line, from 1, in which `span` begins.
    #[must_use]
    pub fn line(&self, span: Span) -> usize {
        self.lines.place(span.start).0
    }

    /// What was noted, by place.
    #[must_use]
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems.into_iter().collect()
    }
}
