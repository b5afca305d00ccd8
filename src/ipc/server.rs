//! The socket of a worker.
//!
//! Calls are handed to the worker's own loop and answered there, so an answer proves that the loop turns. A client that
//! does not read loses its connection; it never makes a worker wait.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::message::{Event, Reply, Request, VERSION};
use crate::role::Role;

/// A request line longer than this ends the connection.
pub const MAX_REQUEST: u64 = 64 * 1024;

/// Lines that may wait for a slow reader before it is dropped: every one of 10,000 servers may change at once.
const BACKLOG: usize = 65_536;

/// Bytes that the kernel takes without waiting for the reader: the status of 10,000 servers goes in one piece, so that neither side is
/// put to sleep and woken for each of twenty.
const AT_ONCE: usize = 8 * 1024 * 1024;

/// Lines of one write.
const TOGETHER: usize = 1024;

/// A request, and where its answer goes.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// Whom to answer.
    pub answer: Answer,
}

/// One client's end of a connection.
#[derive(Debug, Clone)]
pub struct Answer {
    lines: mpsc::Sender<Vec<u8>>,
}

impl Answer {
    /// Sends a reply; a client that is gone or does not read is not an error.
    pub fn reply(&self, reply: &Reply) {
        self.line(reply);
    }

    /// One whose lines come out at the other end.
    #[cfg(test)]
    pub(crate) fn played() -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (lines, receiver) = mpsc::channel(8);
        (Self { lines }, receiver)
    }

    /// Sends an event; `false` when the client is gone or hopelessly behind.
    #[must_use]
    pub fn event(&self, event: &Event) -> bool {
        self.line(event)
    }

    /// Sends the line of a reply that is encoded already.
    pub fn encoded(&self, line: serde_json::Result<Vec<u8>>) {
        self.send(line);
    }

    fn line(&self, message: &impl serde::Serialize) -> bool {
        self.send(serde_json::to_vec(message).map(|mut line| {
            line.push(b'\n');
            line
        }))
    }

    fn send(&self, line: serde_json::Result<Vec<u8>>) -> bool {
        match line {
            Ok(line) => self.lines.try_send(line).is_ok(),
            Err(error) => {
                log::error!("encode message: {error}");
                false
            }
        }
    }
}

/// The answer to [`Request::Hello`].
#[must_use]
pub fn hello(role: Role) -> Reply {
    Reply::Hello { version: VERSION, role, pid: std::process::id() }
}

/// The answer to a request that this role does not know.
#[must_use]
pub fn not_mine(role: Role, request: &Request) -> Reply {
    let words = serde_json::to_value(request).ok();
    let name = words.as_ref().and_then(|v| v.get("request")).and_then(|v| v.as_str()).unwrap_or("?");
    Reply::Error { message: format!("{name}: {role}: this role does not take that request") }
}

/// Everybody who asked for events.
#[derive(Debug, Default)]
pub struct Subscribers(Vec<Answer>);

impl Subscribers {
    /// Adds one, after telling it the present state in the form of events.
    pub fn add(&mut self, answer: Answer, present: &[Event]) {
        if present.iter().all(|event| answer.event(event)) {
            self.0.push(answer);
        }
    }

    /// Tells everybody, and forgets who is gone.
    pub fn emit(&mut self, event: &Event) {
        self.0.retain(|answer| answer.event(event));
    }
}

/// Listens on `path` (mode 0600, a stale socket is replaced) and hands each request to the returned channel.
///
/// # Errors
/// When the socket cannot be bound.
pub fn listen(path: &Path) -> io::Result<mpsc::Receiver<Call>> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let (calls, received) = mpsc::channel(256);
    tokio::spawn(async move {
        while !calls.is_closed() {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(converse(stream, calls.clone()));
                }
                // Out of descriptors, most likely: others will be closed.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        }
    });
    Ok(received)
}

async fn converse(stream: UnixStream, calls: mpsc::Sender<Call>) {
    // Without the right to do so it is written in more pieces.
    let _ = setsockopt(&stream, sockopt::SndBufForce, &AT_ONCE);
    let (read, mut write) = stream.into_split();
    let (lines, mut queued) = mpsc::channel::<Vec<u8>>(BACKLOG);
    let writer = tokio::spawn(async move {
        // Together: whoever hears of a thousand services at once is woken once, and takes the processor from us once.
        let mut lines = Vec::new();
        while queued.recv_many(&mut lines, TOGETHER).await > 0 {
            // The first one's place serves all: an answer of megabytes comes alone, and is not copied.
            let mut waiting = lines.drain(..);
            let mut bytes = waiting.next().unwrap_or_default();
            waiting.for_each(|line| bytes.extend_from_slice(&line));
            if write.write_all(&bytes).await.is_err() {
                break;
            }
        }
    });
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        let answer = Answer { lines: lines.clone() };
        let mut bounded = (&mut read).take(MAX_REQUEST);
        tokio::select! {
            read = bounded.read_until(b'\n', &mut line) => match read {
                Ok(n) if n > 0 && line.ends_with(b"\n") => {}
                _ => break,
            },
            () = calls.closed() => break,
        }
        match serde_json::from_slice(&line) {
            Ok(request) => {
                if calls.send(Call { request, answer }).await.is_err() {
                    break;
                }
            }
            Err(error) => answer.reply(&Reply::Error { message: format!("read request: {error}") }),
        }
    }
    drop(lines);
    // A subscriber may have closed its sending half only; the writer ends when the worker forgets it.
    let _ = writer.await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::client::{Heard, ask, subscribe};
    use crate::paths::RunDir;
    use std::time::Duration;

    fn event(up: bool) -> Event {
        Event::Service { service: "web".to_owned(), up }
    }

    /// A worker that answers hellos and publishes one event for each `Reload`.
    async fn worker(mut calls: mpsc::Receiver<Call>) {
        let mut subscribers = Subscribers::default();
        while let Some(call) = calls.recv().await {
            match call.request {
                Request::Hello => call.answer.reply(&hello(Role::Lvs)),
                Request::Subscribe => subscribers.add(call.answer, &[event(false)]),
                Request::Reload => {
                    subscribers.emit(&event(true));
                    call.answer.reply(&Reply::Ok);
                }
                other => call.answer.reply(&not_mine(Role::Lvs, &other)),
            }
        }
    }

    #[tokio::test]
    async fn answers_come_from_the_loop_and_events_reach_subscribers() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path());
        let serving = tokio::spawn(worker(listen(&run.socket(Role::Lvs)).unwrap()));
        let mut heard = subscribe(&run, Role::Lvs);
        assert_eq!(heard.recv().await, Some(Heard::Event(event(false))));

        let question = run.clone();
        let reply = tokio::task::spawn_blocking(move || {
            let wait = Duration::from_secs(5);
            assert!(matches!(
                ask(&question, Role::Lvs, &Request::Hello, wait),
                Ok(Reply::Hello { role: Role::Lvs, .. })
            ));
            ask(&question, Role::Lvs, &Request::Reload, wait).unwrap();
            ask(&question, Role::Lvs, &Request::Restart { role: Role::Net }, wait)
        })
        .await
        .unwrap();
        assert_eq!(reply.unwrap_err().to_string(), "restart: lvs: this role does not take that request");
        assert_eq!(heard.recv().await, Some(Heard::Event(event(true))));

        serving.abort();
        assert_eq!(heard.recv().await, Some(Heard::Lost));
        tokio::spawn(worker(listen(&run.socket(Role::Lvs)).unwrap()));
        assert_eq!(
            heard.recv().await,
            Some(Heard::Event(event(false))),
            "a subscription outlives its publisher"
        );
    }

    #[tokio::test]
    async fn nonsense_is_answered_and_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path());
        tokio::spawn(worker(listen(&run.socket(Role::Lvs)).unwrap()));
        let mut stream = UnixStream::connect(run.socket(Role::Lvs)).await.unwrap();
        stream.write_all(b"{\"request\":\"dance\"}\n").await.unwrap();
        let mut line = String::new();
        BufReader::new(&mut stream).read_line(&mut line).await.unwrap();
        assert!(line.contains("read request: unknown variant `dance`"), "{line}");
        let again = tokio::task::spawn_blocking(move || {
            ask(&run, Role::Lvs, &Request::Hello, Duration::from_secs(5))
        });
        assert!(again.await.unwrap().is_ok());
    }
}
