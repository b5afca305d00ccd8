//! Of `api`: metrics and status page.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Where others may read how the box is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiStatus {
    /// Where it listens.
    pub listening: Vec<SocketAddr>,
    /// Where it should and cannot, with why; it tries again.
    pub problems: Vec<String>,
    /// Requests answered since the worker started.
    pub requests: u64,
    /// Connections refused by `allow`, or because there were too many.
    pub refused: u64,
    /// Generation of the configuration in force.
    pub generation: u64,
}
