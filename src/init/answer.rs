//! What the supervisor answers.

use std::time::{Duration, Instant};

use super::run::Init;
use super::setup::{Boot, Ending};
use crate::ipc::message::{InitStatus, Reply, Request, Status, VERSION, WorkerStatus};
use crate::role::Role;

impl Init {
    /// Answers what `client` asks.
    pub(super) fn serve(&mut self, client: u64) {
        for request in self.server.receive(client) {
            let reply = match request {
                Ok(request) => self.answer(request),
                Err(message) => Reply::Error { message },
            };
            self.server.reply(client, &reply);
        }
    }

    fn answer(&mut self, request: Request) -> Reply {
        let now = Instant::now();
        let done = match request {
            Request::Hello => {
                return Reply::Hello { version: VERSION, role: Role::Init, pid: std::process::id() };
            }
            Request::Status => return Reply::Status { status: Box::new(Status::Init(self.status(now))) },
            Request::Logs { role, lines } => return Reply::Logs { lines: self.rings.newest(role, lines) },
            Request::Follow { era, after, lines } => {
                return Reply::Followed(self.rings.follow(era, after, lines));
            }
            Request::Subscribe => Ok(Vec::new()),
            Request::Restart { role } => {
                self.supervisor.restart(role, now).map_err(|error| error.to_string())
            }
            Request::Hold { role } => self.supervisor.hold(role, now).map_err(|error| error.to_string()),
            Request::Release { role } => {
                self.supervisor.release(role, now).map(|()| Vec::new()).map_err(|error| error.to_string())
            }
            Request::Power { action } if self.setup.boot.appliance => {
                self.end(Ending::Power(action), "operator");
                Ok(Vec::new())
            }
            Request::Power { .. } => {
                Err("power: this director is an ordinary process: end it by SIGTERM".to_owned())
            }
            Request::Reload
            | Request::SetManagement(_)
            | Request::SetUp(_)
            | Request::AssignCards { .. }
            | Request::Diff { .. }
            | Request::Apply { .. }
            | Request::Confirm
            | Request::Rollback { .. }
            | Request::History
            | Request::Show { .. }
            | Request::Export
            | Request::FactoryReset
            | Request::Administer { .. }
            | Request::Overview { .. }
            | Request::Summary
            | Request::Why { .. }
            | Request::Router { .. }
            | Request::NotifyTest { .. } => {
                return crate::ipc::server::not_mine(Role::Init, &request);
            }
        };
        match done {
            Ok(actions) => {
                self.act(actions);
                Reply::Ok
            }
            Err(message) => Reply::Error { message },
        }
    }

    fn status(&self, now: Instant) -> InitStatus {
        let Boot { version, slot, mode, since, .. } = &self.setup.boot;
        let hostname = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
        let workers = self.supervisor.workers().iter().map(|worker| WorkerStatus {
            role: worker.key().role,
            tty: worker.key().tty.clone(),
            pid: worker.pid().and_then(|pid| u32::try_from(pid).ok()),
            state: worker.state().to_owned(),
            age_ms: worker.age(now).map(millis),
            restarts: worker.restarts(),
            failures: worker.failures(now),
            last_exit: worker.last_exit().map(|how| how.to_string()),
        });
        InitStatus {
            version: version.clone(),
            hostname,
            uptime_ms: millis(now.saturating_duration_since(*since)),
            slot: slot.clone(),
            mode: mode.clone(),
            watchdog: self.setup.watchdog.as_ref().map(|watchdog| watchdog.identity().to_owned()),
            workers: workers.collect(),
            urgent: self.urgent.iter().cloned().collect(),
        }
    }
}

/// Whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
