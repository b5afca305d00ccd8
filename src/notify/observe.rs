//! Who is listened to, and who is asked now and then.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::ipc::client::{Heard, question, subscribe};
use crate::ipc::message::{Event, Reply, Request, Status};
use crate::paths::RunDir;
use crate::role::Role;

/// How often each is asked for its status: the supervisor for the ends of workers, `store` for sources and slot, `lvs` for
/// overdue checks and certificates, which is a large answer; `time` for the clock.
const PERIODS: [(Role, Duration); 4] = [
    (Role::Init, Duration::from_secs(2)),
    (Role::Store, Duration::from_secs(10)),
    (Role::Lvs, Duration::from_secs(60)),
    (Role::Time, Duration::from_secs(30)),
];
/// How long a worker may take to answer.
const WAIT: Duration = Duration::from_secs(3);

/// What was heard.
#[derive(Debug)]
pub enum Seen {
    /// An event, with the priority of the virtual router that it is about.
    Event(Event, u8),
    /// A status.
    Status(Box<Status>),
}

/// Listens and asks, for as long as the tasks that are returned live.
#[must_use]
pub fn observe(run: &RunDir) -> (mpsc::Receiver<Seen>, JoinSet<()>) {
    let (seen, receiver) = mpsc::channel(1024);
    let mut tasks = JoinSet::new();
    for role in [Role::Store, Role::Vrrp, Role::Lvs] {
        tasks.spawn(listen(run.clone(), role, seen.clone()));
    }
    for (role, period) in PERIODS {
        tasks.spawn(ask(run.clone(), role, period, seen.clone()));
    }
    (receiver, tasks)
}

async fn listen(run: RunDir, role: Role, seen: mpsc::Sender<Seen>) {
    let mut heard = subscribe(&run, role);
    while let Some(heard) = heard.recv().await {
        let Heard::Event(event) = heard else { continue };
        let priority = match &event {
            Event::Router { name, .. } => priority(&run, name).await,
            _ => 0,
        };
        if seen.send(Seen::Event(event, priority)).await.is_err() {
            return;
        }
    }
}

/// The present priority of a virtual router; 0 where that cannot be known.
async fn priority(run: &RunDir, name: &str) -> u8 {
    let Ok(Reply::Status { status }) = question(run, Role::Vrrp, &Request::Status, WAIT).await else {
        return 0;
    };
    let Status::Vrrp(status) = *status else { return 0 };
    status.instances.iter().find(|router| router.name == name).map_or(0, |router| router.priority)
}

async fn ask(run: RunDir, role: Role, period: Duration, seen: mpsc::Sender<Seen>) {
    loop {
        if let Ok(Reply::Status { status }) = question(&run, role, &Request::Status, WAIT).await
            && seen.send(Seen::Status(status)).await.is_err()
        {
            return;
        }
        tokio::time::sleep(period).await;
    }
}
