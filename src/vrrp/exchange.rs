//! What the boxes of a group tell each other beside the advertisements: role, priority, how much there is, which configuration.
//!
//! ```text
//! loop ──Outline──▶ run (a thread) ──letter──▶ socket ──UDP──▶ the other box
//!   ▲                 │   ▲                                        │
//!   └──── Sighting ───┘   └── peers ◀── letter ◀── socket ◀── UDP ─┘
//! ```
//!
//! A thread of its own, without real-time, speaks and hears. The loop gives it what it may tell and takes what is shown; nothing
//! of what is heard reaches a state machine, so no letter can decide an election.

pub mod letter; // the bytes on the wire
pub mod outline; // what may be told, and to whom
pub mod pace; // how often it is told
pub mod peers; // who was heard
pub mod run; // the thread
pub mod socket; // UDP
