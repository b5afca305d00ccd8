//! The asking side: one question and one answer, or a subscription that outlives its publisher.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::decode;
use super::message::{Event, Reply, Request};
use crate::paths::RunDir;
use crate::role::Role;

/// How long a lost publisher is left alone before the next attempt.
const RECONNECT: Duration = Duration::from_millis(200);

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
    let path = run.socket(role);
    let deadline = Instant::now() + wait;
    let trouble = |source: io::Error| match source.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => AskError::Silent { role, waited: wait },
        _ => AskError::Absent { role, path: path.clone(), source },
    };
    let mut line = serde_json::to_string(request).map_err(|source| AskError::Garbled { role, source })?;
    line.push('\n');
    let mut stream = UnixStream::connect(&path).map_err(trouble)?;
    stream.set_write_timeout(Some(wait.max(Duration::from_millis(1)))).map_err(trouble)?;
    stream.write_all(line.as_bytes()).map_err(trouble)?;
    let answer = read_line(&stream, deadline).map_err(trouble)?;
    match decode::reply(&answer).map_err(|source| AskError::Garbled { role, source })? {
        Reply::Error { message } => Err(AskError::Refused { message }),
        reply => Ok(reply),
    }
}

/// The same without blocking, for workers.
///
/// # Errors
/// As [`ask`].
pub async fn question(
    run: &RunDir,
    role: Role,
    request: &Request,
    wait: Duration,
) -> Result<Reply, AskError> {
    let path = run.socket(role);
    let exchange = async {
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        let mut stream = tokio::net::UnixStream::connect(&path).await?;
        stream.write_all(line.as_bytes()).await?;
        let mut answer = Vec::new();
        tokio::io::BufReader::with_capacity(64 * 1024, stream).read_until(b'\n', &mut answer).await?;
        if answer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "connection closed before the reply"));
        }
        Ok(answer)
    };
    let answer = match tokio::time::timeout(wait, exchange).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(source)) => return Err(AskError::Absent { role, path, source }),
        Err(_) => return Err(AskError::Silent { role, waited: wait }),
    };
    match decode::reply(&answer).map_err(|source| AskError::Garbled { role, source })? {
        Reply::Error { message } => Err(AskError::Refused { message }),
        reply => Ok(reply),
    }
}

fn read_line(stream: &UnixStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let chunk = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if chunk.is_empty() {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "connection closed before the reply"));
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(chunk.len(), |at| at + 1);
        line.extend(chunk.iter().take(used));
        reader.consume(used);
        if end.is_some() {
            return Ok(line);
        }
    }
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
    while let Some(line) = lines.next_line().await? {
        // An event of a newer vocabulary is none of ours.
        if let Ok(event) = serde_json::from_str(&line)
            && heard.send(Heard::Event(event)).await.is_err()
        {
            return Ok(());
        }
    }
    Ok(())
}
