//! What all workers say, at most a second old.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use hyper::body::Bytes;
use serde::ser::{Serialize, SerializeMap, Serializer};
use tokio::sync::Mutex;

use super::devices::{self, Device};
use crate::ipc::client::question;
use crate::ipc::message::{
    InitStatus, LvsStatus, NetStatus, NotifyStatus, Reply, Request, Status, StoreStatus, TimeStatus, VERSION,
    VrrpStatus,
};
use crate::paths::RunDir;
use crate::role::Role;

/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(1);
/// How long a worker may take to answer.
const WAIT: Duration = Duration::from_secs(3);

/// Who is asked, in the order in which it is shown.
pub const ASKED: [Role; 7] =
    [Role::Init, Role::Store, Role::Net, Role::Vrrp, Role::Lvs, Role::Notify, Role::Time];

/// What everybody said.
#[derive(Debug)]
pub struct Everything {
    /// When, by the box's clock.
    pub time: SystemTime,
    /// The status of each role, or why there is none.
    pub roles: Vec<(Role, Result<Status, String>)>,
    /// Counters of the interfaces, by name.
    pub devices: Vec<Device>,
    /// The metrics of this state, once somebody has asked for them.
    pub metrics: OnceLock<Bytes>,
}

impl Everything {
    /// As it was at `time`.
    #[must_use]
    pub const fn new(
        time: SystemTime,
        roles: Vec<(Role, Result<Status, String>)>,
        devices: Vec<Device>,
    ) -> Self {
        Self { time, roles, devices, metrics: OnceLock::new() }
    }

    fn of(&self, role: Role) -> Option<&Status> {
        self.roles.iter().find(|(it, _)| *it == role).and_then(|(_, status)| status.as_ref().ok())
    }

    /// The supervisor and its workers.
    #[must_use]
    pub fn init(&self) -> Option<&InitStatus> {
        if let Some(Status::Init(status)) = self.of(Role::Init) { Some(status) } else { None }
    }

    /// The configuration in force.
    #[must_use]
    pub fn store(&self) -> Option<&StoreStatus> {
        if let Some(Status::Store(status)) = self.of(Role::Store) { Some(status) } else { None }
    }

    /// Links and addresses.
    #[must_use]
    pub fn net(&self) -> Option<&NetStatus> {
        if let Some(Status::Net(status)) = self.of(Role::Net) { Some(status) } else { None }
    }

    /// Virtual routers.
    #[must_use]
    pub fn vrrp(&self) -> Option<&VrrpStatus> {
        if let Some(Status::Vrrp(status)) = self.of(Role::Vrrp) { Some(status) } else { None }
    }

    /// Logs and alarms on their way out.
    #[must_use]
    pub fn notify(&self) -> Option<&NotifyStatus> {
        if let Some(Status::Notify(status)) = self.of(Role::Notify) { Some(status) } else { None }
    }

    /// The clock.
    #[must_use]
    pub fn time(&self) -> Option<&TimeStatus> {
        if let Some(Status::Time(status)) = self.of(Role::Time) { Some(status) } else { None }
    }

    /// Services and servers.
    #[must_use]
    pub fn lvs(&self) -> Option<&LvsStatus> {
        if let Some(Status::Lvs(status)) = self.of(Role::Lvs) { Some(status) } else { None }
    }
}

/// As `director status --json` prints it, with `version` beside the roles.
impl Serialize for Everything {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.roles.len() + 1))?;
        map.serialize_entry("version", &VERSION)?;
        for (role, status) in &self.roles {
            match status {
                Ok(status) => map.serialize_entry(role.name(), status)?,
                Err(error) => map.serialize_entry(role.name(), &Failed { error })?,
            }
        }
        map.end()
    }
}

#[derive(serde::Serialize)]
struct Failed<'a> {
    error: &'a str,
}

/// The last answers, and who may be asked again.
#[derive(Debug)]
pub struct Collector {
    run: RunDir,
    last: Mutex<Option<(Instant, Arc<Everything>)>>,
}

impl Collector {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(run: RunDir) -> Self {
        Self { run, last: Mutex::new(None) }
    }

    /// What everybody says; whoever comes while they are being asked waits for the same answers.
    pub async fn everything(&self) -> Arc<Everything> {
        let mut last = self.last.lock().await;
        if let Some((at, everything)) = &*last
            && at.elapsed() < FRESH
        {
            return Arc::clone(everything);
        }
        let everything = Arc::new(self.ask().await);
        *last = Some((Instant::now(), Arc::clone(&everything)));
        everything
    }

    async fn ask(&self) -> Everything {
        let one = async |role| (role, status(&self.run, role).await);
        let roles = futures_util::future::join_all(ASKED.map(one)).await;
        Everything::new(SystemTime::now(), roles, devices::read())
    }
}

/// The status of `role`, or why there is none.
///
/// # Errors
/// A sentence for people.
pub async fn status(run: &RunDir, role: Role) -> Result<Status, String> {
    match question(run, role, &Request::Status, WAIT).await {
        Ok(Reply::Status { status }) => Ok(*status),
        Ok(_) => Err(format!("status of {role}: it answered something else")),
        Err(error) => Err(error.to_string()),
    }
}
