//! The worker `notify`: everything slow that an event may cause, so that nobody else has to wait for it.

pub mod deliver; // deliveries to one receiver of alarms
pub mod hook; // programs of the operator's, and whether an appliance can run them
pub mod mail; // alarms by mail
pub mod memory; // what the next life of this worker must know
pub mod observe; // who is listened to, and who is asked
pub mod queue; // what waits for one receiver (pure)
pub mod run; // the loop
pub mod syslog; // log lines to remote receivers
pub mod watch; // what happens becomes alarms (pure)
pub mod webhook; // alarms by HTTP
pub mod words; // what programs are told, in keepalived's words (pure)
