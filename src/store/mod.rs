//! The role `store`: which configuration counts, and what outlives a boot.
//!
//! ```text
//! USB stick, partition `config`, last good on `data`, built-in ──look──▶ Offer ──select──▶ Choice ──publish──▶ run directory
//!                                       (blocking, in a thread)          (pure)           source.json, then active.toml
//! ```
//!
//! It owns the partitions `config`, `data` and `state`. FAT partitions are mounted only while they are read or written.
//! Outside the appliance (`director run --config FILE`) one file takes the place of all of these.

mod appliance; // the sources of the appliance, together
mod archive; // the configurations that ran
mod change; // what the console changes in the operator's file, comments kept
mod cmdline; // what the boot loader told the kernel
pub mod deliver; // a file for people to take away
pub mod difference; // what changes from one configuration to another (pure)
mod disk; // block devices and NICs as /sys shows them
mod fat; // is it a FAT file system, and what is its label
pub(crate) mod files; // replacing a file so that a power cut leaves the old or the new one
mod grubenv; // the boot loader's 1024 bytes: slots and their counters
mod hooks; // programs of the operator's on their way to where they may run
mod keepsakes; // clock and random seed, kept on `data`
mod lines; // two texts line by line (pure)
mod management; // a management address into the operator's file, comments kept
mod mounts; // mounting for as long as a value lives
pub(crate) mod pending; // a change that runs on trial
mod proof; // whether firmware on trial has proven itself
mod publish; // the run directory
mod run; // the loop
mod safe; // the built-in configuration
mod secrets; // what a configuration names by `file:`
mod select; // which offer counts, and why (pure)
mod slot; // telling the boot loader that this slot came up
mod trial; // changes: checked, kept, made final, taken back
pub mod update; // new firmware into the other slot
mod work; // what the loop leaves to a thread

pub use deliver::boot_environment;
pub use disk::node_facts;
pub use pending::recover;
pub use publish::{forget, prepare};
pub use run::run;
