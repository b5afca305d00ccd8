//! What the console knows of the box: the last status of each role.

use serde::{Deserialize, Serialize};

use crate::ipc::message::{InitStatus, LvsStatus, NetStatus, Status, StoreStatus, VrrpStatus};
use crate::role::Role;

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
            Role::Api | Role::Console => {}
        }
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
