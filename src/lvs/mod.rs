//! The worker that owns IPVS.
//!
//! [`desired`] and [`quorum`]: what the table should be · [`diff`]: how to get there · [`core`]: what is known and concluded ·
//! [`kernel`]: reading and changing the table · [`status`]: what is shown · [`sorry`]: the page that clients see when nobody
//! else answers · [`run`]: the loop.

pub mod core;
pub mod desired;
pub mod diff;
pub mod kernel;
pub mod quorum;
pub mod run;
pub mod sorry;
pub mod state;
pub mod status;
