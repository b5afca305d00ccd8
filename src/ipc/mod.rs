//! What processes say to each other: one JSON document a line over stream sockets, versioned.
//!
//! The same types are printed by `director … --json`, so a field here is public: add, do not rename.
//!
//! ```text
//! console, director VERB ──client::ask──▶ <role>.sock ──server::listen──▶ the worker's own loop (Call)
//! vrrp ──client::subscribe──▶ lvs.sock ──▶ Subscribers::emit(Event), until one side is gone; then again
//! ```

pub mod client; // one question, one answer (blocking); a subscription that outlives its publisher (async)
pub mod decode; // an answer as it came (pure)
pub mod message; // requests, replies, events, status: the vocabulary
pub mod report; // the status of `lvs`, which may have megabytes, a service at a time (pure)
pub mod server; // the socket of a worker; every call is answered by the worker's own loop
