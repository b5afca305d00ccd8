//! What is said on a connection, and what must be heard on it.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Outcome, Reason, Step, reason};
use crate::config::model::Dialogue;

/// Most bytes of an answer that are looked at.
const LIMIT: usize = 64 * 1024;
/// Most bytes that are searched in all while an answer comes in pieces: a drip of single bytes costs no more than this.
const SEARCHED: usize = 4 * 1024 * 1024;

/// Says `send`, then reads until `expect` is found.
///
/// # Errors
/// The outcome of the probe when it is not.
pub async fn hold(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), dialogue: &Dialogue) -> Step<Reason> {
    if !dialogue.send.is_empty() {
        stream.write_all(&dialogue.send).await?;
        stream.flush().await?;
    }
    let Some(expect) = &dialogue.expect else { return Ok(Reason::Borrowed("connected")) };
    let (mut heard, mut searched) = (Vec::new(), 0);
    loop {
        let room = LIMIT - heard.len();
        // The rest of a reset connection is what came before the reset.
        let end = match (&mut *stream).take(room as u64).read_buf(&mut heard).await {
            Ok(read) => read == 0,
            Err(error) if heard.is_empty() => return Err(error.into()),
            Err(_) => true,
        };
        let last = end || heard.len() >= LIMIT;
        if last || searched < SEARCHED {
            searched += heard.len();
            if expect.is_in(&heard) {
                return Ok(Reason::Owned(format!("got {}", reason::quote(&heard))));
            }
        }
        if last {
            return Err(missing(&heard, expect.as_str()));
        }
    }
}

fn missing(heard: &[u8], expect: &str) -> Outcome {
    let wanted = reason::quote(expect.as_bytes());
    Outcome::Failure(Reason::Owned(if heard.is_empty() {
        format!("connection closed without an answer, wanted {wanted}")
    } else if heard.len() >= LIMIT {
        format!("got {} and more than 64 KiB, wanted {wanted}", reason::quote(heard))
    } else {
        format!("got {}, wanted {wanted}", reason::quote(heard))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a peer that closes after its answer.
    fn hold(send: &[u8], expect: Option<&str>, answer: &[u8]) -> Step<Reason> {
        let dialogue = Dialogue { send: send.to_vec(), expect: expect.map(|e| e.parse().unwrap()) };
        let mut stream = tokio::io::join(std::io::Cursor::new(answer), tokio::io::sink());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(super::hold(&mut stream, &dialogue))
    }

    #[test]
    fn what_was_heard_and_wanted_is_said() {
        assert_eq!(hold(b"PING\r\n", Some("PONG"), b"+PONG\r\n").unwrap(), "got \"+PONG\\r\\n\"");
        let failed = |expect: &str, answer: &[u8]| match hold(b"", Some(expect), answer).unwrap_err() {
            Outcome::Failure(reason) => reason.into_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(failed("PONG", b"-ERR\x00\r\n"), "got \"-ERR\\x00\\r\\n\", wanted \"PONG\"");
        assert_eq!(failed("PONG", b""), "connection closed without an answer, wanted \"PONG\"");
        let long = failed("PONG", &vec![b'a'; 200_000]);
        assert!(long.ends_with("and more than 64 KiB, wanted \"PONG\"") && long.len() < 100, "{long}");
        assert_eq!(hold(b"x", None, b"").unwrap(), "connected");
    }
}
