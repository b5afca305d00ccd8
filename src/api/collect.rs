//! What all workers say, at most a second old.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use hyper::body::Bytes;
use tokio::sync::Mutex;

use super::devices::{self, Device};
use super::page::FEW_SERVERS;
use crate::ipc::client::{question, question_report};
use crate::ipc::message::{
    InitStatus, LvsOverview, NetStatus, NotifyStatus, Reply, Request, Status, StoreStatus, TimeStatus,
    VERSION, VrrpStatus,
};
use crate::ipc::report::Report;
use crate::paths::RunDir;
use crate::role::Role;

/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(1);
/// How long a worker may take to answer.
const WAIT: Duration = Duration::from_secs(3);

/// Who is asked, in the order in which it is shown.
pub const ASKED: [Role; 7] =
    [Role::Init, Role::Store, Role::Net, Role::Vrrp, Role::Lvs, Role::Notify, Role::Time];

/// How much is wanted of `lvs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Depth {
    /// Its services in a line each, and one of them whole.
    Overview(Option<String>),
    /// All real servers, which may be megabytes.
    Whole,
}

/// What a role said.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// Its status; not that of `lvs`.
    Status(Box<Status>),
    /// Of `lvs`, for [`Depth::Overview`].
    Overview(LvsOverview),
    /// Of `lvs`, for [`Depth::Whole`].
    Report(Report),
}

/// What everybody said.
#[derive(Debug)]
pub struct Everything {
    /// When, by the box's clock.
    pub time: SystemTime,
    /// What each role said, or why it did not.
    pub roles: Vec<(Role, Result<Said, String>)>,
    /// Counters of the interfaces, by name.
    pub devices: Vec<Device>,
    /// The metrics of this state, once somebody has asked for them.
    pub metrics: OnceLock<Vec<Bytes>>,
}

impl Everything {
    /// As it was at `time`.
    #[must_use]
    pub const fn new(
        time: SystemTime,
        roles: Vec<(Role, Result<Said, String>)>,
        devices: Vec<Device>,
    ) -> Self {
        Self { time, roles, devices, metrics: OnceLock::new() }
    }

    fn said(&self, role: Role) -> Option<&Said> {
        self.roles.iter().find(|(it, _)| *it == role).and_then(|(_, said)| said.as_ref().ok())
    }

    fn of(&self, role: Role) -> Option<&Status> {
        if let Some(Said::Status(status)) = self.said(role) { Some(status) } else { None }
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

    /// Services in a line each.
    #[must_use]
    pub fn overview(&self) -> Option<&LvsOverview> {
        if let Some(Said::Overview(overview)) = self.said(Role::Lvs) { Some(overview) } else { None }
    }

    /// Services and servers.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        if let Some(Said::Report(report)) = self.said(Role::Lvs) { Some(report) } else { None }
    }

    /// All as `director status --json` prints it, with `version` beside the roles; in pieces.
    ///
    /// # Errors
    /// Something cannot be encoded.
    pub fn json(&self) -> serde_json::Result<Vec<Bytes>> {
        let mut pieces = Vec::new();
        let mut text = format!("{{\"version\":{VERSION}").into_bytes();
        for (role, said) in &self.roles {
            text.extend_from_slice(format!(",\"{role}\":").as_bytes());
            match said {
                Ok(Said::Status(status)) => serde_json::to_writer(&mut text, status)?,
                Ok(Said::Overview(overview)) => serde_json::to_writer(&mut text, overview)?,
                Ok(Said::Report(report)) => {
                    // As it came: these are the megabytes.
                    pieces.extend([std::mem::take(&mut text).into(), report.json()]);
                }
                Err(error) => serde_json::to_writer(&mut text, &Failed { error })?,
            }
        }
        text.push(b'}');
        pieces.push(text.into());
        Ok(pieces)
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
    overview: Arc<Last>,
    whole: Arc<Last>,
}

/// The last answer, and to what.
type Last = Mutex<Option<(Instant, Depth, Arc<Everything>)>>;

impl Collector {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(run: RunDir) -> Self {
        Self { run, overview: Arc::default(), whole: Arc::default() }
    }

    /// What everybody says; whoever comes while they are being asked waits for the same answers.
    pub async fn everything(&self, depth: Depth) -> Arc<Everything> {
        let kept = match depth {
            Depth::Overview(_) => &self.overview,
            Depth::Whole => &self.whole,
        };
        let mut last = kept.lock().await;
        if let Some((at, asked, everything)) = &*last
            && at.elapsed() < FRESH
            && *asked == depth
        {
            return Arc::clone(everything);
        }
        // Before the next ones come: both may have megabytes.
        *last = None;
        let everything = Arc::new(self.ask(&depth).await);
        *last = Some((Instant::now(), depth, Arc::clone(&everything)));
        tokio::spawn(forget(Arc::clone(kept)));
        everything
    }

    async fn ask(&self, depth: &Depth) -> Everything {
        let one = async |role| (role, said(&self.run, role, depth).await);
        let roles = futures_util::future::join_all(ASKED.map(one)).await;
        Everything::new(SystemTime::now(), roles, devices::read())
    }
}

/// Lets go of an answer that nobody may have any more.
async fn forget(kept: Arc<Last>) {
    tokio::time::sleep(FRESH).await;
    let mut last = kept.lock().await;
    if last.as_ref().is_some_and(|(at, ..)| at.elapsed() >= FRESH) {
        *last = None;
    }
}

/// What `role` says, or why it does not, in a sentence for people.
async fn said(run: &RunDir, role: Role, depth: &Depth) -> Result<Said, String> {
    let request = match (role, depth) {
        (Role::Lvs, Depth::Whole) => {
            return question_report(run, WAIT).await.map(Said::Report).map_err(|error| error.to_string());
        }
        (Role::Lvs, Depth::Overview(service)) => {
            Request::Overview { servers: FEW_SERVERS, service: service.clone() }
        }
        _ => Request::Status,
    };
    match question(run, role, &request, WAIT).await {
        Ok(Reply::Status { mut status }) => {
            // Who looks from outside is not told what is written in a faulty file.
            if let Status::Store(store) = &mut *status {
                let stick = store.life.stick.iter_mut().map(|stick| &mut stick.report);
                let candidates = store.candidates.iter_mut().map(|candidate| &mut candidate.report);
                candidates.chain(stick).for_each(String::clear);
            }
            Ok(Said::Status(status))
        }
        Ok(Reply::Overview { overview }) => Ok(Said::Overview(overview)),
        Ok(_) => Err(format!("status of {role}: it answered something else")),
        Err(error) => Err(error.to_string()),
    }
}
