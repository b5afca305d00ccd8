//! The worker that owns IPVS: what the table should be ([`desired`], [`quorum`]), how to get there ([`diff`]), and the page
//! that clients see when nobody else answers ([`sorry`]).

pub mod desired;
pub mod diff;
pub mod quorum;
pub mod sorry;
pub mod state;
