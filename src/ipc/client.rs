//! The asking side: one question and one answer, or a subscription that outlives its publisher.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::decode;
use super::message::{Event, Reply, Request};
use super::report::Report;
use crate::paths::RunDir;
use crate::role::Role;

/// How long a lost publisher is left alone before the next attempt.
const RECONNECT: Duration = Duration::from_millis(200);

/// What is read at once: of a table of 10,000 servers as much as the kernel keeps for us.
const PIECE: usize = 256 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("{role} does not answer: {}: {source}", path.display())]
    Absent {
        /// Who was asked.
        role: Role,
        /// Its socket.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It listens, and says nothing.
    #[error("{role} does not answer: no reply within {} ms", waited.as_millis())]
    Silent {
        /// Who was asked.
        role: Role,
        /// How long.
        waited: Duration,
    },
    /// It said something that is no reply.
    #[error("reply of {role}: {source}")]
    Garbled {
        /// Who was asked.
        role: Role,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It refused; the sentence is its own.
    #[error("{message}")]
    Refused {
        /// "what failed: on what: why".
        message: String,
    },
}

/// Asks `role` and waits at most `wait` for the answer. Blocking.
///
/// # Errors
/// [`AskError`]; a [`Reply::Error`] becomes [`AskError::Refused`].
pub fn ask(run: &RunDir, role: Role, request: &Request, wait: Duration) -> Result<Reply, AskError> {
    understood(role, exchange(run, role, request, wait)?)
}

/// Asks `lvs` for its status and waits at most `wait` for it. Blocking.
///
/// # Errors
/// As [`ask`].
pub fn ask_report(run: &RunDir, wait: Duration) -> Result<Report, AskError> {
    report(exchange(run, Role::Lvs, &Request::Status, wait)?)
}

/// As [`ask`] without blocking, for workers.
///
/// # Errors
/// As [`ask`].
pub async fn question(
    run: &RunDir,
    role: Role,
    request: &Request,
    wait: Duration,
) -> Result<Reply, AskError> {
    understood(role, exchange_async(run, role, request, wait).await?)
}

/// As [`ask_report`] without blocking, for workers.
///
/// # Errors
/// As [`ask`].
pub async fn question_report(run: &RunDir, wait: Duration) -> Result<Report, AskError> {
    report(exchange_async(run, Role::Lvs, &Request::Status, wait).await?)
}

fn understood(role: Role, line: Vec<u8>) -> Result<Reply, AskError> {
    match decode::reply(line).map_err(|source| AskError::Garbled { role, source })? {
        Reply::Error { message } => Err(AskError::Refused { message }),
        reply => Ok(reply),
    }
}

fn report(line: Vec<u8>) -> Result<Report, AskError> {
    Report::take(line).or_else(|line| {
        understood(Role::Lvs, line)?;
        Err(AskError::Refused { message: "status of lvs: it answered something else".to_owned() })
    })
}

fn exchange(run: &RunDir, role: Role, request: &Request, wait: Duration) -> Result<Vec<u8>, AskError> {
    let path = run.socket(role);
    let deadline = Instant::now() + wait;
    let trouble = |source: io::Error| match source.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => AskError::Silent { role, waited: wait },
        _ => AskError::Absent { role, path: path.clone(), source },
    };
    let line = encoded(role, request)?;
    let mut stream = UnixStream::connect(&path).map_err(trouble)?;
    stream.set_write_timeout(Some(wait.max(Duration::from_millis(1)))).map_err(trouble)?;
    stream.write_all(line.as_bytes()).map_err(trouble)?;
    read_line(&stream, deadline).map_err(trouble)
}

async fn exchange_async(
    run: &RunDir,
    role: Role,
    request: &Request,
    wait: Duration,
) -> Result<Vec<u8>, AskError> {
    let path = run.socket(role);
    let line = encoded(role, request)?;
    let exchange = async {
        let mut stream = tokio::net::UnixStream::connect(&path).await?;
        stream.write_all(line.as_bytes()).await?;
        // One question has one answer, so nothing comes behind it.
        let mut answer = Vec::new();
        while !answer.ends_with(b"\n") {
            make_room(&mut answer);
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(cut_off());
            }
        }
        Ok(answer)
    };
    match tokio::time::timeout(wait, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(AskError::Absent { role, path, source }),
        Err(_) => Err(AskError::Silent { role, waited: wait }),
    }
}

fn encoded(role: Role, request: &Request) -> Result<String, AskError> {
    let line = serde_json::to_string(request).map_err(|source| AskError::Garbled { role, source })?;
    Ok(line + "\n")
}

fn read_line(mut stream: &UnixStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        make_room(&mut line);
        let had = line.len();
        line.resize(line.capacity().min(had + PIECE), 0);
        let read = match stream.read(line.get_mut(had..).unwrap_or_default()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                line.truncate(had);
                continue;
            }
            other => other?,
        };
        line.truncate(had + read);
        if read == 0 {
            return Err(cut_off());
        }
    }
    Ok(line)
}

/// Little for a short answer, and soon enough for a long one.
fn make_room(line: &mut Vec<u8>) {
    line.reserve(line.len().clamp(1024, PIECE));
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "connection closed before the reply")
}

/// What a subscription brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// An event; after a reconnection the present state comes first.
    Event(Event),
    /// The publisher is gone; what it said last may be old.
    Lost,
}

/// Subscribes to the events of `role` for as long as the receiver lives, across restarts of the publisher.
#[must_use]
pub fn subscribe(run: &RunDir, role: Role) -> mpsc::Receiver<Heard> {
    let path = run.socket(role);
    let (heard, receiver) = mpsc::channel(256);
    tokio::spawn(async move {
        while !heard.is_closed() {
            if let Ok(stream) = tokio::net::UnixStream::connect(&path).await {
                let _ = follow(stream, &heard).await;
                if heard.send(Heard::Lost).await.is_err() {
                    return;
                }
            }
            tokio::time::sleep(RECONNECT).await;
        }
    });
    receiver
}

async fn follow(stream: tokio::net::UnixStream, heard: &mpsc::Sender<Heard>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = serde_json::to_string(&Request::Subscribe)?;
    line.push('\n');
    write.write_all(line.as_bytes()).await?;
    let mut lines = tokio::io::BufReader::new(read).lines();
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line?,
            // A publisher may be silent for long.
            () = heard.closed() => None,
        };
        let Some(line) = line else { return Ok(()) };
        // An event of a newer vocabulary is none of ours.
        if let Ok(event) = serde_json::from_str(&line)
            && heard.send(Heard::Event(event)).await.is_err()
        {
            return Ok(());
        }
    }
}
