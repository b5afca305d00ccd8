//! What processes say to each other: one JSON document a line over stream sockets, versioned.
//!
//! The same types are printed by `director … --json`, so a field here is public: add, do not rename.

pub mod message;
