//! The lab: what the tests and the demonstration run on.
//!
//! ```text
//!   Segment (a bridge in a namespace of its own: the host's network is never touched)
//!     ├─ tap ── Guest      a whole box, or the shipped kernel alone, in QEMU
//!     ├─ veth ─ Host       a namespace with one address: clients, real servers, other routers
//!     └─ veth ─ Host …
//! ```
//!
//! - [`namespace`]  a network namespace, and the thread that works in it
//! - [`segment`]    one Ethernet segment, its hosts and taps
//! - [`machine`]    what a guest is made of: what it boots from, what is plugged in
//! - [`guest`]      a QEMU process: its power, its console, its control channel
//! - [`user_mode`]  a guest whose kernel is a program, at this machine's own speed
//! - [`serial`]     a guest's serial line: everything it said, waiting for words, typing
//! - [`qmp`]        QEMU's control channel: reset, power button, keys, screen
//! - [`disk`]       private copies of disk images, with an operator's file put onto them
//! - [`server`]     tiny real servers; [`client`] tiny clients
//! - [`crowd`]     ten thousand real servers in one thread; [`scale`] Director checking them; [`process`] what processes cost
//! - [`prober`]     a client that asks at a steady rate, and what it noticed
//! - [`asker`]      a client that asks every few milliseconds, and the tally of its answers
//! - [`onlooker`]   who asks how a large Director is, and what that does to its advertisements
//! - [`capture`]    what passes on a wire, and when; [`frame`] what it says
//! - [`router`]     a virtual router's program in a host: Director or keepalived; [`log`] what a child writes
//! - [`peer`]       servers of other projects as Debian builds them, unpacked and not installed
//! - [`browser`]    a browser without a screen
//! - [`cache`]      slow products, kept from run to run
//! - [`cut`]        what a disk keeps when its power is cut; [`random`] chance that can be repeated
//! - [`preflight`]  may we do all that here? says what is missing
//!
//! Nothing outlives the process: namespaces are anonymous (they exist as long as somebody is inside), and children are
//! told by the kernel to die with the thread that started them. So neither Ctrl-C nor SIGKILL leaves anything behind
//! but a folder below `target/lab`, swept at the next start.

pub mod asker;
pub mod browser;
pub mod cache;
pub mod capture;
pub mod client;
pub mod command;
pub mod crowd;
pub mod cut;
pub mod disk;
pub mod frame;
pub mod guest;
pub mod log;
pub mod machine;
pub mod namespace;
pub mod onlooker;
pub mod peer;
pub mod preflight;
pub mod prober;
pub mod process;
pub mod qmp;
pub mod random;
pub mod router;
pub mod scale;
pub mod scratch;
pub mod segment;
pub mod serial;
pub mod server;
pub mod terminal;
pub mod user_mode;
