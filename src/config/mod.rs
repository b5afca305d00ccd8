//! `director.toml`: from the operator's words to a model in which every invariant holds.
//!
//! ```text
//! bytes ─▶ document (tree, places) ─▶ node (merge) ─▶ raw (the manual's keys) ─▶ validate ─▶ model
//!              └──────────────┴──────────────┴──────────── every fault ─────────────┘─▶ report
//! ```

mod again;
mod document;
mod faults;
mod field;
mod layout;
mod load;
mod marks;
pub mod model;
mod node;
mod packed;
mod piecewise;
mod raw;
mod report;
#[cfg(test)]
mod samples;
pub mod schema;
mod validate;
mod value;
pub mod view;
mod watch;

pub use again::{Before, check_again};
pub use document::LARGEST;
pub use load::{
    Active, ActiveRest, LoadError, active, active_without_services, load_file, load_text, prepared,
};
pub(crate) use load::{explain, read_file};
pub use marks::Marks;
pub use node::NodeFacts;
pub use packed::pack;
pub use report::{Located, Problem, Report, Span};
pub use watch::Watcher;

use faults::Faults;
use model::Config;
use toml::de::DeTable;
use value::FromTable;

/// A file without fault, as one box has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// The configuration.
    pub config: Config,
    /// The section `[node.NAME]` that is merged in.
    pub node: Option<String>,
}

/// Checks a whole file, called `name` in the report: the file as it is and as each of its nodes has it.
///
/// # Errors
/// Every fault that was found. Pure; never panics, whatever the bytes are.
pub fn check(text: impl AsRef<[u8]>, name: &str, facts: &NodeFacts) -> Result<Checked, Report> {
    check_nodes(text.as_ref(), name, facts, Nodes::All)
}

/// Which boxes' view of a file is judged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nodes {
    /// The file as it is, and with each node's section.
    All,
    /// As the box at hand has it: the rest was judged before.
    Own,
}

fn check_nodes(bytes: &[u8], name: &str, facts: &NodeFacts, which: Nodes) -> Result<Checked, Report> {
    let text =
        document::decode(bytes).map_err(|(problem, readable)| Report::new(name, readable, vec![problem]))?;
    match piecewise::check_pieces(text, facts, which) {
        Some(checked) => Ok(checked),
        None => check_whole(text, name, facts, which),
    }
}

fn check_whole(text: &str, name: &str, facts: &NodeFacts, which: Nodes) -> Result<Checked, Report> {
    let (tree, syntax) = document::parse(text);
    let mut faults = Faults::new(text);
    if let Some(other_version) = version(tree.get_ref(), &mut faults) {
        return Err(Report::new(name, text, vec![other_version]));
    }
    let nodes = node::nodes(tree.get_ref(), &mut faults);
    let chosen = node::choose(&nodes, facts, &mut faults);
    let mut checked = Checked::default();
    if which == Nodes::All || chosen.is_none() {
        checked.config = examine(tree.get_ref(), None, &mut faults);
    }
    for (index, node) in nodes.iter().enumerate() {
        let is_own = Some(index) == chosen;
        if which == Nodes::All || is_own {
            let config = examine(&node::merge(tree.get_ref(), node), Some(node.name), &mut faults);
            if is_own {
                checked = Checked { config, node: Some(node.name.to_owned()) };
            }
        }
    }
    let problems = without_consequences(text, syntax, faults.into_problems());
    if problems.is_empty() { Ok(checked) } else { Err(Report::new(name, text, problems)) }
}

/// Reads `version` before all else: a file of another version is not judged by the rules of this one.
fn version(root: &DeTable<'_>, faults: &mut Faults<'_>) -> Option<Problem> {
    let help = "this firmware reads `version = 1`";
    match root.get("version") {
        None => {
            faults.add_with_help(Span::default(), "`version` is missing", "the first line is `version = 1`")
        }
        Some(value) => match value.get_ref().as_integer() {
            Some(number) if number.as_str() == "1" => {}
            Some(number) => {
                let what = format!("the file is of version {}", number.as_str());
                return Some(Problem { span: value.span().into(), what, help: Some(help.to_owned()) });
            }
            None => faults.add_with_help(value.span().into(), "`version` is not a whole number", help),
        },
    }
    None
}

/// Reads and judges one tree; faults that only `node` has say so.
fn examine(tree: &DeTable<'_>, node: Option<&str>, faults: &mut Faults<'_>) -> Config {
    let raw = raw::Root::from_table(tree, Span::default(), faults);
    faults.on_node(node);
    let config = validate::config(&raw, faults);
    faults.on_node(None);
    config
}

/// Drops what a fault of syntax has led to: what is said of the same line, and, when the header of a section is broken, of all
/// that follows, because it was taken for a part of another section.
fn without_consequences(text: &str, mut syntax: Vec<Problem>, rest: Vec<Problem>) -> Vec<Problem> {
    if syntax.is_empty() {
        return rest;
    }
    let lines = report::Lines::new(text);
    let line = |problem: &Problem| lines.place(problem.span.start).0;
    let broken: std::collections::BTreeSet<usize> = syntax.iter().map(line).collect();
    let header = broken.iter().copied().find(|number| lines.line(*number).1.trim_start().starts_with('['));
    let holds = |problem: &Problem| {
        let line = line(problem);
        !broken.contains(&line) && header.is_none_or(|header| line < header)
    };
    syntax.extend(rest.into_iter().filter(holds));
    syntax
}
