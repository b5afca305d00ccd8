//! The status of each role as lines for people: what `director status` prints and the console shows. Pure.
//!
//! Plain ASCII, fit for 80 columns wherever names and addresses are of ordinary length.

mod clock;
mod net;
mod routers;
mod store;
mod words;

pub use self::clock::{clock, time};
pub use self::net::{link_addresses, link_state, net};
pub use self::routers::{router_state, vrrp};
pub use self::store::{life, source, store};
pub use self::words::{age, latency, table};
pub use super::services::{beside_services, lvs, service};

use self::words::dash;
use crate::init::supervise::ALARM;
use crate::ipc::message::{ApiStatus, InitStatus, NotifyStatus, Status, WorkerStatus};

/// The status of any role.
#[must_use]
pub fn lines(status: &Status) -> Vec<String> {
    match status {
        Status::Init(status) => init(status),
        Status::Store(status) => store(status),
        Status::Net(status) => net(status),
        Status::Vrrp(status) => vrrp(status),
        Status::Lvs(status) => lvs(status),
        Status::Api(status) => api(status),
        Status::Notify(status) => notify(status),
        Status::Time(status) => time(status),
    }
}

/// The box and its workers.
#[must_use]
pub fn init(status: &InitStatus) -> Vec<String> {
    let mut first = format!("Director {}  host {}", status.version, status.hostname);
    if let Some(slot) = &status.slot {
        first.push_str(&format!("  slot {slot}"));
    }
    first.push_str(&format!("  mode {}  up {}", status.mode, age(status.uptime_ms)));
    let watchdog = status.watchdog.as_deref().unwrap_or("none");
    let mut out = vec![first, format!("hardware watchdog: {watchdog}")];
    out.extend(workers(&status.workers));
    out
}

/// Metrics and status page; nothing where the file has none.
#[must_use]
pub fn api(status: &ApiStatus) -> Vec<String> {
    let ApiStatus { listening, problems, requests, refused, .. } = status;
    let mut out = Vec::new();
    if !listening.is_empty() {
        let places: Vec<String> = listening.iter().map(|place| format!("http://{place}/")).collect();
        out.push(format!(
            "metrics and status page: {}  requests {requests}, refused {refused}",
            places.join(" ")
        ));
    }
    out.extend(problems.iter().map(|problem| format!("! {problem}")));
    out
}

/// Logs and alarms on their way out; nothing where the file has none.
#[must_use]
pub fn notify(status: &NotifyStatus) -> Vec<String> {
    if status.targets.is_empty() && status.syslog.is_empty() {
        return Vec::new();
    }
    super::notify::lines(status).lines().map(str::to_owned).collect()
}

/// A table of workers.
#[must_use]
pub fn workers(workers: &[WorkerStatus]) -> Vec<String> {
    let head = ["worker", "state", "pid", "age", "restarts", "last end"].map(str::to_owned).to_vec();
    let rows = workers.iter().map(|worker| {
        let name = worker
            .tty
            .as_ref()
            .map_or_else(|| worker.role.to_string(), |tty| format!("{} {tty}", worker.role));
        let state =
            if worker.failures >= ALARM { format!("{} ALARM", worker.state) } else { worker.state.clone() };
        vec![
            name,
            state,
            worker.pid.map_or_else(dash, |pid| pid.to_string()),
            worker.age_ms.map_or_else(dash, age),
            worker.restarts.to_string(),
            worker.last_exit.clone().unwrap_or_else(dash),
        ]
    });
    table(std::iter::once(head).chain(rows).collect())
}
