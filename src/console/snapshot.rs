//! What the console knows of the box: the last status of each role.

use serde::{Deserialize, Serialize};

use crate::config::model::Host;
use crate::ipc::message::{InitStatus, LvsStatus, NetStatus, Status, StoreStatus, TimeStatus, VrrpStatus};
use crate::pin::PinHash;
use crate::role::Role;
use crate::units::IfName;

/// The last status of each role; `None` while it does not answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Snapshot {
    /// Supervisor.
    pub init: Option<InitStatus>,
    /// Configuration in force.
    pub store: Option<StoreStatus>,
    /// Links and addresses.
    pub net: Option<NetStatus>,
    /// Virtual routers.
    pub vrrp: Option<VrrpStatus>,
    /// Services and servers.
    pub lvs: Option<LvsStatus>,
    /// The clock.
    pub time: Option<TimeStatus>,
    /// What the configuration that runs says about consoles and cards.
    pub file: Option<FileFacts>,
    /// The clock, milliseconds after the epoch.
    pub clock_ms: Option<u64>,
}

/// What the configuration that runs says about consoles and cards.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileFacts {
    /// Names of its interfaces, in its order; one that is found by its hardware address alone has none.
    pub interfaces: Vec<IfName>,
    /// Time servers.
    pub ntp: Vec<Host>,
    /// The PIN of the console.
    pub pin: Option<PinHash>,
}

impl Snapshot {
    /// Puts in what `role` answered, or that it did not. A status of another role is no answer.
    pub fn put(&mut self, role: Role, status: Option<Status>) {
        match role {
            Role::Init => {
                self.init = status.and_then(|s| if let Status::Init(s) = s { Some(s) } else { None })
            }
            Role::Store => {
                self.store = status.and_then(|s| if let Status::Store(s) = s { Some(s) } else { None })
            }
            Role::Net => self.net = status.and_then(|s| if let Status::Net(s) = s { Some(s) } else { None }),
            Role::Vrrp => {
                self.vrrp = status.and_then(|s| if let Status::Vrrp(s) = s { Some(s) } else { None })
            }
            Role::Lvs => self.lvs = status.and_then(|s| if let Status::Lvs(s) = s { Some(s) } else { None }),
            Role::Time => {
                self.time = status.and_then(|s| if let Status::Time(s) = s { Some(s) } else { None })
            }
            Role::Api | Role::Notify | Role::Console => {}
        }
    }

    /// The PIN of the console, if it has one.
    #[must_use]
    pub fn pin(&self) -> Option<&PinHash> {
        self.file.as_ref()?.pin.as_ref()
    }

    /// The clock in words: `2026-11-21 18:05:33 UTC`.
    #[must_use]
    pub fn clock(&self) -> Option<String> {
        self.clock_ms.map(utc)
    }

    /// The host name, as far as it is known.
    #[must_use]
    pub fn hostname(&self) -> &str {
        self.init.as_ref().map_or("director", |init| init.hostname.as_str())
    }

    /// Whether every worker has the configuration that `store` chose.
    #[must_use]
    pub fn applied(&self) -> bool {
        let Some(generation) = self.generation() else { return false };
        [
            self.net.as_ref().map(|s| s.generation),
            self.vrrp.as_ref().map(|s| s.generation),
            self.lvs.as_ref().map(|s| s.generation),
        ]
        .iter()
        .all(|g| *g == Some(generation))
    }

    /// The generation that `store` chose, once it has.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        self.store.as_ref().map(|s| s.generation).filter(|g| *g > 0)
    }

    /// Why there is no status of `role`, in a line.
    #[must_use]
    pub fn absence(&self, role: Role) -> String {
        let worker = self.init.iter().flat_map(|init| &init.workers).find(|w| w.role == role);
        match worker.map(|worker| (worker.state.as_str(), worker.pid)) {
            None => format!("{role}: not answering"),
            Some(("running", Some(pid))) => format!("{role}: not answering (process {pid})"),
            Some(("waiting" | "running", _)) => format!("{role}: not answering (restarting)"),
            Some((state, _)) => format!("{role}: not answering ({state})"),
        }
    }
}

/// A time after the epoch by the calendar (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn utc(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hours, minutes, seconds) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn the_clock_by_the_calendar() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_400_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_795_284_333_500), "2026-11-21 18:05:33 UTC");
        assert_eq!(utc(4_107_542_399_000), "2100-02-28 23:59:59 UTC");
    }
}
