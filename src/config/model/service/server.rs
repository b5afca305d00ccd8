//! `[[service.server]]`.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::model::Check;
use crate::units::Weight;

use super::{Method, Tunnel};

/// A real server of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// RIP and port. DR and TUN: the port equals the service's. For a firewall mark, port 0 or several ports the port is 0.
    pub address: SocketAddr,
    /// Configured weight.
    pub weight: Weight,
    /// How packets reach it; the service's method unless it has its own.
    pub method: Method,
    /// The tunnel of [`Method::Tun`].
    pub tunnel: Tunnel,
    /// Connections from which it is passed over; 0 = no limit.
    pub upper: u32,
    /// Connections below which it is used again; 0 = three quarters of `upper`. No greater than `upper`.
    pub lower: u32,
    /// Whether it takes part at all; `false` = weight 0 whatever the checks say, and they go on.
    pub enabled: bool,
    /// What becomes of it when it fails; `None` = as the service has it.
    pub on_fail: Option<OnFail>,
    /// How it is asked; all must succeed. Empty = never asked, always up. Shared between servers that are asked alike.
    #[serde(with = "crate::config::model::shared")]
    pub checks: Vec<Arc<Check>>,
}

impl Server {
    /// An enabled server of weight 1 without limits and without checks.
    #[must_use]
    pub const fn new(address: SocketAddr, method: Method) -> Self {
        Self {
            address,
            weight: Weight::DEFAULT,
            method,
            tunnel: Tunnel::Ipip,
            upper: 0,
            lower: 0,
            enabled: true,
            on_fail: None,
            checks: Vec::new(),
        }
    }
}

/// What a failed check does to a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnFail {
    /// Taken out of the table.
    #[default]
    Remove,
    /// Kept with weight 0: established connections go on.
    Quiesce,
}

/// What a server is before its first verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Start {
    /// As the kernel has it: unknown changes nothing.
    #[default]
    Keep,
    /// Not in the table until its checks have succeeded, even if the kernel has it.
    Down,
    /// In the table until its checks have failed.
    Up,
}
