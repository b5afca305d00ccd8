//! The supervisor: on the appliance PID 1, elsewhere `director run`.
//!
//! It mounts, spawns, reaps, asks each worker every second whether it lives, feeds the watchdog, keeps the log rings and
//! powers off. It never reads the operator's file and never blocks; what decides here is pure ([`supervise`], [`power`]).

pub mod power; // the order in which an orderly end happens (pure)
pub mod supervise; // who is started, killed, started again, and when (pure)
