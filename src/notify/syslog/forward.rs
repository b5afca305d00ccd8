//! Follows the supervisor's rings for one receiver.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::line::message;
use super::wire::Wire;
use crate::config::model::{SyslogTarget, SyslogTransport};
use crate::ipc::client::question;
use crate::ipc::message::{LogLine, LogPart, Reply, Request, SyslogStatus};
use crate::names::book::Book;
use crate::paths::RunDir;
use crate::role::Role;

/// Time between two questions for new lines.
const LOOK: Duration = Duration::from_millis(500);
/// Lines that are asked for, and sent, at a time: at most five times so many in a second.
const BATCH: usize = 200;
/// Pause between batches of a backlog.
const PACE: Duration = Duration::from_millis(200);
/// How long the supervisor may take.
const WAIT: Duration = Duration::from_secs(3);
/// Pauses after failures: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How far a receiver has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// Of which supervisor the number is.
    pub era: u64,
    /// The last line that was sent.
    pub after: u64,
    /// Lines sent.
    pub sent: u64,
    /// Lines that had to make room before.
    pub lost: u64,
    /// Why nothing is sent at the moment.
    #[serde(skip)]
    pub problem: Option<String>,
}

impl Progress {
    /// The next number is one of `era`.
    const fn begin(&mut self, era: u64) {
        if self.era != era {
            self.era = era;
            self.after = 0;
            self.sent = 0;
            self.lost = 0;
        }
    }

    /// The receiver has the line of this number; what is missing before it had to make room.
    const fn step(&mut self, number: u64) {
        self.lost += number.saturating_sub(self.after + 1);
        self.after = number;
        self.sent += 1;
    }
}

/// `udp://192.168.61.9:514`.
#[must_use]
pub fn name(target: &SyslogTarget) -> String {
    let scheme = match target.transport {
        SyslogTransport::Udp => "udp",
        SyslogTransport::Tcp => "tcp",
    };
    format!("{scheme}://{}", target.address)
}

/// A receiver and how far it has come.
#[derive(Debug)]
pub struct Forward {
    target: SyslogTarget,
    run: RunDir,
    book: Arc<Book>,
    progress: Arc<Mutex<Progress>>,
    /// Told when there is progress to be written down.
    moved: Arc<Notify>,
}

impl Forward {
    /// One that goes on from `progress`.
    #[must_use]
    pub const fn new(
        target: SyslogTarget,
        run: RunDir,
        book: Arc<Book>,
        progress: Arc<Mutex<Progress>>,
        moved: Arc<Notify>,
    ) -> Self {
        Self { target, run, book, progress, moved }
    }

    /// Sends every line, for as long as this is polled.
    pub async fn forever(self) {
        let mut wire = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let Some(part) = self.news().await else {
                sleep(LOOK).await;
                continue;
            };
            match self.send(&mut wire, &part).await {
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    self.told(None);
                    sleep(if part.lines.len() < BATCH { LOOK } else { PACE }).await;
                }
                Err(error) => {
                    wire = None;
                    self.book.failed(&self.target.address.host);
                    self.told(Some(error.to_string()));
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Lines that are not sent yet; `None` without an answer.
    async fn news(&self) -> Option<LogPart> {
        let (era, after) = self.with(|progress| (progress.era, progress.after));
        let request = Request::Follow { era, after, lines: BATCH };
        match question(&self.run, Role::Init, &request, WAIT).await {
            Ok(Reply::Followed(part)) => Some(part),
            _ => None,
        }
    }

    async fn send(&self, wire: &mut Option<Wire>, part: &LogPart) -> std::io::Result<()> {
        if let Some(open) = wire {
            open.check()?;
        }
        if part.lines.is_empty() {
            return Ok(());
        }
        let open = match wire {
            Some(open) => open,
            None => {
                let address = self.book.socket(&self.target.address).await.map_err(std::io::Error::other)?;
                wire.insert(Wire::open(&self.target, address).await?)
            }
        };
        let host = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
        let longest = Wire::longest(&self.target);
        self.with(|progress| progress.begin(part.era));
        // Lines, and how many bytes the receiver has once it has them.
        let mut under_way: VecDeque<(u64, u64)> = VecDeque::new();
        for (number, line) in &part.lines {
            let before = under_way.back().map_or_else(|| self.with(|progress| progress.after), |last| last.0);
            let gap = number.saturating_sub(before + 1);
            if gap > 0 {
                open.send(&message(&lost(gap, line.time_ms), &host, longest)).await?;
            }
            open.send(&message(line, &host, longest)).await?;
            under_way.push_back((*number, open.written()));
            self.arrived(&mut under_way, open.acknowledged()?);
        }
        let mut known = 0;
        while !under_way.is_empty() {
            known = open.progress(known).await?;
            self.arrived(&mut under_way, known);
        }
        self.moved.notify_one();
        Ok(())
    }

    /// The receiver has this many bytes: lines up to there are not sent again.
    fn arrived(&self, under_way: &mut VecDeque<(u64, u64)>, bytes: u64) {
        while let Some((number, end)) = under_way.front().copied()
            && end <= bytes
        {
            under_way.pop_front();
            self.with(|progress| progress.step(number));
        }
    }

    fn told(&self, problem: Option<String>) {
        let before = self.with(|progress| std::mem::replace(&mut progress.problem, problem.clone()));
        match problem {
            Some(problem) if before.as_ref() != Some(&problem) => {
                self.moved.notify_one();
                log::warn!("logs are not taken: target={} reason={problem}", name(&self.target));
            }
            None if before.is_some() => log::info!("logs are taken again: target={}", name(&self.target)),
            _ => {}
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Progress) -> T) -> T {
        work(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What takes the place of lines that are gone.
fn lost(count: u64, time_ms: u64) -> LogLine {
    let text =
        format!("log lines lost: count={count} reason=they had to make room before they could be sent");
    LogLine { time_ms, role: Role::Notify, severity: 4, text }
}

/// As it is shown.
#[must_use]
pub fn status(target: &SyslogTarget, progress: &Progress) -> SyslogStatus {
    SyslogStatus {
        target: name(target),
        sent: progress.sent,
        lost: progress.lost,
        problem: progress.problem.clone(),
    }
}
