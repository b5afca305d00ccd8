//! Who is listened to, and who is asked now and then.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::ipc::client::{Heard, question, subscribe};
use crate::ipc::message::{Event, Reply, Request, Status};
use crate::paths::RunDir;
use crate::role::Role;

/// How often each is asked for its status: the supervisor for the ends of workers, `store` for sources and slot, `time` for the
/// clock.
const PERIODS: [(Role, Duration); 3] = [
    (Role::Init, Duration::from_secs(2)),
    (Role::Store, Duration::from_secs(10)),
    (Role::Time, Duration::from_secs(10)),
];
/// How often `lvs` is asked for the number of overdue checks and of warnings (certificates). Its status is a large answer, and is
/// asked for when one of these has changed.
const NUMBERS: Duration = Duration::from_secs(5);
/// ... or so much time has passed: as one warning goes another may come.
const LARGE: Duration = Duration::from_secs(600);
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
    tasks.spawn(watch_checks(run.clone(), seen));
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

async fn watch_checks(run: RunDir, seen: mpsc::Sender<Seen>) {
    let mut last: Option<(u32, u32, Instant)> = None;
    loop {
        if let Ok(Reply::Summary { summary }) = question(&run, Role::Lvs, &Request::Summary, WAIT).await {
            let (overdue, warnings) = (summary.overdue, summary.warnings);
            let same = |(late, warned, at): (u32, u32, Instant)| {
                (late > 0, warned) == (overdue > 0, warnings) && at.elapsed() < LARGE
            };
            if !last.is_some_and(same)
                && let Ok(Reply::Status { status }) = question(&run, Role::Lvs, &Request::Status, WAIT).await
            {
                if seen.send(Seen::Status(status)).await.is_err() {
                    return;
                }
                last = Some((overdue, warnings, Instant::now()));
            }
        }
        tokio::time::sleep(NUMBERS).await;
    }
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
