//! A dialogue in lines, as mail, file and news servers hold it: bounded in what it reads, silent about secrets.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::reason::Secrets;
use super::stream::Stream;
use super::tls::{self, Clients};
use super::{Notice, Outcome, Reason, Step, Target, socket};
use crate::config::model::{MailTls, Tls};

/// Longest line in bytes, its end included.
const LINE: usize = 8 * 1024;
/// Most bytes that a server may say in one probe.
const ALL: usize = 64 * 1024;

/// A dialogue in lines.
pub struct Talk {
    stream: Stream,
    heard: Vec<u8>,
    room: usize,
    step: &'static str,
    secrets: Secrets,
    notice: Option<Notice>,
}

impl Talk {
    /// Connects, and shakes hands where TLS begins with the first byte.
    ///
    /// # Errors
    /// The outcome of the probe when that does not succeed.
    pub async fn open(target: &Target, clients: &Clients, tls: &MailTls) -> Step<Self> {
        let stream = socket::connect(target).await?;
        let talk = Self {
            stream: Stream::Plain(stream),
            heard: Vec::new(),
            room: ALL,
            step: "greeting",
            secrets: Secrets::default(),
            notice: None,
        };
        match tls {
            MailTls::Immediate(tls) => talk.upgrade(clients, tls).await,
            MailTls::Off | MailTls::Upgrade(_) => Ok(talk),
        }
    }

    /// Goes on through TLS.
    ///
    /// # Errors
    /// The outcome of the probe when there is no handshake. What came before it in clear is an error: somebody on the way may
    /// have put it there (RFC 9051 section 11.1).
    pub async fn upgrade(mut self, clients: &Clients, tls: &Tls) -> Step<Self> {
        if !self.heard.is_empty() {
            return Err(self.unfit(&self.heard, "the TLS handshake"));
        }
        if let Stream::Plain(stream) = self.stream {
            let secured = tls::handshake(stream, tls, None, clients).await?;
            self.stream = Stream::Tls(secured.stream);
            self.notice = secured.notice;
        }
        Ok(self)
    }

    /// What must not be repeated in a reason.
    pub fn conceal(&mut self, secret: &str) {
        self.secrets.add(secret);
    }

    /// Says one line. `step` names what it is for, in reasons.
    ///
    /// # Errors
    /// The outcome of the probe when it cannot be said: the connection is gone, or the line would be two.
    pub async fn say(&mut self, step: &'static str, line: &str) -> Step<()> {
        if line.contains(['\r', '\n', '\0']) {
            return Err(Outcome::Inconclusive(Reason::Owned(format!(
                "cannot ask: {step}: a word with a line break"
            ))));
        }
        self.send(step, &format!("{line}\r\n")).await
    }

    /// Says what may be many lines, each with its end, at once.
    ///
    /// # Errors
    /// The outcome of the probe when the connection is gone.
    pub async fn send(&mut self, step: &'static str, text: &str) -> Step<()> {
        self.step = step;
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// The address that it speaks from.
    ///
    /// # Errors
    /// The outcome of the probe when the connection is gone.
    pub fn local(&self) -> Step<SocketAddr> {
        Ok(match &self.stream {
            Stream::Plain(stream) => stream.local_addr(),
            Stream::Tls(stream) => stream.get_ref().0.local_addr(),
        }?)
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// The outcome of the probe when there is none, or it is too long.
    pub async fn line(&mut self) -> Step<Vec<u8>> {
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let rest = self.heard.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.heard, rest);
                line.truncate(line.trim_ascii_end().len());
                return Ok(line);
            }
            if self.room == 0 {
                return Err(self.failure("answer larger than 64 KiB"));
            }
            if self.heard.len() >= LINE {
                let said = self.secrets.quote(&self.heard);
                return Err(self.failure(&format!("line longer than 8 KiB, got {said}")));
            }
            let room = self.room.min(LINE - self.heard.len());
            let read = (&mut self.stream).take(room as u64).read_buf(&mut self.heard).await?;
            self.room -= read;
            if read == 0 && self.heard.is_empty() {
                return Err(self.failure("connection closed without an answer"));
            }
            if read == 0 {
                let said = self.secrets.quote(&self.heard);
                return Err(self.failure(&format!("connection closed within a line, got {said}")));
            }
        }
    }

    /// Takes leave: says `line`, and waits for the end of what the server says to it. What that is does not matter any more;
    /// a reset in its place would fill the server's log.
    pub async fn leave(&mut self, line: &str) {
        if self.say("leave", line).await.is_ok() {
            let _ = self.line().await;
        }
    }

    /// The outcome when something else was heard than `wanted`.
    #[must_use]
    pub fn unfit(&self, got: &[u8], wanted: &str) -> Outcome {
        self.failure(&format!("got {}, wanted {wanted}", self.secrets.quote(got)))
    }

    /// The outcome when the server answered as wanted; `said` sums it up.
    #[must_use]
    pub fn fit(self, said: &[u8]) -> Outcome {
        let reason = Reason::Owned(format!("got {}", self.secrets.quote(said)));
        tls::success(reason, self.notice)
    }

    /// A failure in the present step.
    #[must_use]
    pub fn failure(&self, why: &str) -> Outcome {
        Outcome::Failure(Reason::Owned(format!("{}: {why}", self.step)))
    }
}
