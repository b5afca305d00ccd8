//! `director.toml`: from the operator's words to a model in which every invariant holds.

pub mod model;
