//! The processes that the one binary can be, as data.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::units::Refused;

/// A process of Director. What each owns, it owns alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Supervisor (on the appliance PID 1): processes, mounts, devices, watchdog, power, log rings.
    Init,
    /// The partitions `config`, `data` and `state`, USB sticks, and which configuration counts.
    Store,
    /// Links, addresses of NICs, routes, network sysctls.
    Net,
    /// VIPs, their announcements, and who is master.
    Vrrp,
    /// IPVS services and real servers, and the health checks.
    Lvs,
    /// Metrics and the status page, on the addresses of the file alone.
    Api,
    /// Everything slow that an event may cause: remote logs, mail, webhooks, programs.
    Notify,
    /// The clock, by time servers.
    Time,
    /// One terminal each.
    Console,
}

impl Role {
    /// The workers that the supervisor starts once each, in no particular order.
    pub const WORKERS: [Self; 7] =
        [Self::Store, Self::Net, Self::Vrrp, Self::Lvs, Self::Api, Self::Notify, Self::Time];

    const ALL: [Self; 9] = [
        Self::Init,
        Self::Store,
        Self::Net,
        Self::Vrrp,
        Self::Lvs,
        Self::Api,
        Self::Notify,
        Self::Time,
        Self::Console,
    ];

    /// The name in argv, socket paths, logs and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Store => "store",
            Self::Net => "net",
            Self::Vrrp => "vrrp",
            Self::Lvs => "lvs",
            Self::Api => "api",
            Self::Notify => "notify",
            Self::Time => "time",
            Self::Console => "console",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Role {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| {
            Refused(format!("unknown role {text:?}: one of {}", Self::ALL.map(Self::name).join(", ")))
        })
    }
}
