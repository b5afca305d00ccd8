//! What stands for a key of the file: nothing, something that was refused, or a value with its place.

use super::faults::Faults;
use super::report::Span;

/// A value with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

/// What stands for a key: nothing, something that was refused (and reported), or a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Field<T> {
    /// The key is not there.
    #[default]
    Absent,
    /// The key is there, its value was refused: rules that need it say nothing more.
    Faulty,
    /// A value.
    Set(At<T>),
}

impl<T> Field<T> {
    /// The value with its place.
    pub const fn set(&self) -> Option<&At<T>> {
        match self {
            Self::Set(at) => Some(at),
            Self::Absent | Self::Faulty => None,
        }
    }

    /// The value.
    pub fn get(&self) -> Option<&T> {
        self.set().map(|at| &at.value)
    }

    /// The place of the value.
    pub fn span(&self) -> Option<Span> {
        self.set().map(|at| at.span)
    }

    /// Whether the file gives the key at all.
    pub const fn is_given(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// Whether its value was refused.
    pub const fn is_faulty(&self) -> bool {
        matches!(self, Self::Faulty)
    }

    /// The value, or a fault at `table` that says that `key` is missing.
    pub fn required(&self, table: Span, key: &str, example: &str, faults: &mut Faults<'_>) -> Option<&At<T>> {
        if let Self::Absent = self {
            faults.add_with_help(table, format!("`{key}` is missing"), format!("for example {example}"));
        }
        self.set()
    }
}

/// A list; `complete` unless an element was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T> {
    /// The elements that could be read.
    pub items: Vec<At<T>>,
    /// Whether these are all.
    pub complete: bool,
}

/// One value, or a list of such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Many<T>(pub List<T>);
