//! When a service is up, and who answers while it is not.

use serde::{Deserialize, Serialize};

use super::Server;

/// When a service is up: what lives reaches `need` + `hysteresis` to gain the quorum, falls below `need` − `hysteresis` (or to
/// nothing) to lose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// How much must live.
    pub need: Need,
    /// In the unit of `need`; less than it.
    pub hysteresis: u32,
}

/// How much must live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Need {
    /// Sum of the configured weights of live servers, 1..
    Weight(u32),
    /// Live servers, 1..
    Servers(u32),
    /// Share of all configured weights, 1..=100 per cent.
    Percent(u8),
}

impl Default for Quorum {
    fn default() -> Self {
        Self { need: Need::Weight(1), hysteresis: 0 }
    }
}

/// Who answers while the quorum is lost.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Sorry {
    /// Nobody: new connections are refused.
    #[default]
    None,
    /// These servers, each with its own method.
    Servers(Vec<Server>),
    /// The built-in page, served by this box: TCP services only.
    Local,
}

/// What becomes of the real servers that are left while sorry servers answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SorryMode {
    /// They make room: the sorry servers alone answer.
    #[default]
    Replace,
    /// They go on beside the sorry servers.
    Add,
}
