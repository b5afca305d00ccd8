//! The menu on a terminal: serial line or VGA, one process each.
//!
//! ```text
//! tty bytes ─▶ keys ─▶ editor ─▶ screens (screen, input, snapshot) ─▶ (screen, text, command)
//!                                    ▲                                            │
//!                                    └───────── answer ◀── run asks a worker ◀────┘
//! ```
//!
//! Everything but [`run`] and [`tty`] is pure. Output is 7-bit ASCII in lines, so that it works on any terminal; only
//! [`live`] draws on a whole screen, where somebody asks for that and the terminal can.

pub mod announce;
pub mod ascii;
pub mod editor;
pub mod keys;
pub mod live;
pub mod run;
pub mod screens;
pub mod session;
pub mod snapshot;
pub mod tool;
pub mod tty;
