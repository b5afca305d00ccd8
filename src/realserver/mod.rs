//! What a real server needs so that it takes packets for a VIP: by direct routing or out of a tunnel. It is done on the real
//! server, by the same binary, whatever else runs there.
//!
//! [`plan`]: what has to be true (pure) · [`record`]: what was changed, to be taken back (pure) · [`script`]: the same as shell
//! commands and configuration files (pure) · [`kernel`]: looking and changing.

pub mod kernel;
pub mod plan;
pub mod record;
pub mod script;
