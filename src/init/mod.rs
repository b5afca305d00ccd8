//! The supervisor: on the appliance PID 1, elsewhere `director run`.
//!
//! It mounts, spawns, reaps, asks each worker every second whether it lives, feeds the watchdog, keeps the log rings and
//! powers off. It never reads the operator's file and never blocks; what decides here is pure ([`supervise`], [`power`]).

mod answer; // what the supervisor answers
pub mod appliance; // PID 1, from the kernel's hands to reboot(2)
pub mod boot; // mounts, settings, clock, console: once
pub mod button; // the power button
pub mod child; // one worker: the life of its processes (pure)
pub mod foreground; // `director run`
pub mod kernel_log; // what the kernel complains about
pub mod lines; // non-blocking stream of lines, for both sides
pub mod links; // a pipe from each worker, and a connection on which it is asked
pub mod logring; // what the workers said lately, bounded (pure)
pub mod mounts; // the table of mounts
pub mod own_log; // the supervisor's own records
pub mod power; // the order in which an orderly end happens (pure)
pub mod release; // what the image says about itself
pub mod repeats; // a line that repeats is counted (pure)
pub mod requests; // the socket of the supervisor
pub mod run; // the loop
pub mod setup; // what a supervisor is made of
pub mod signals; // signals as something to poll
pub mod sink; // where a line goes besides the ring
pub mod spawn; // starts a worker
pub mod supervise; // who is started, killed, started again, and when (pure)
pub mod sysctl; // the table of kernel settings
pub mod watchdog; // the hardware watchdog
