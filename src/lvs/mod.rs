//! The worker that owns IPVS.
//!
//! [`member`] and [`quorum`]: what should become of a server and of a service · [`watched`]: both together, with [`ramp`] (slow
//! start), [`order`], [`absent`] and [`admin`] (the operator's), [`history`], [`memory`] (for the next life) · [`desired`]: that in the kernel's
//! words · [`diff`]: how to get there · [`core`]: what is known and concluded · [`kernel`]: reading and changing the table ·
//! [`surroundings`] and [`settings`]: what it needs beside that · [`ways`]: those of probes that ask the VIP · [`status`], [`why`]: what is shown · [`sorry`]: the page that
//! clients see when nobody else answers · [`run`]: the loop.

pub mod absent;
pub mod admin;
pub mod core;
pub mod desired;
pub mod diff;
pub mod history;
pub mod kernel;
pub mod member;
pub mod memory;
pub mod order;
pub mod quorum;
pub mod ramp;
pub mod run;
pub mod settings;
pub mod sorry;
pub mod state;
pub mod status;
pub mod surroundings;
pub mod watched;
pub mod ways;
pub mod why;
