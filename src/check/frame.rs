//! Messages of binary protocols: read from a stream with a limit, and taken apart without ever reading past their end.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Outcome, Reason, Step};

/// Longest message that is read.
pub const LONGEST: usize = 64 * 1024;
/// How long a server may take to close a connection in order, its verdict being known.
const FAREWELL: Duration = Duration::from_millis(100);

/// The next `length` bytes.
///
/// # Errors
/// The outcome of the probe: more than [`LONGEST`], the connection ended or failed.
pub async fn read(stream: &mut (impl AsyncRead + Unpin), length: usize) -> Step<Vec<u8>> {
    if length > LONGEST {
        return Err(Outcome::Failure(Reason::Owned(format!(
            "answer of {length} bytes, more than {} KiB",
            LONGEST / 1024
        ))));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.map_err(ended)?;
    Ok(bytes)
}

/// Writes all of a message.
///
/// # Errors
/// The outcome of the probe: the connection failed.
pub async fn write(stream: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> Step<()> {
    stream.write_all(message).await?;
    Ok(stream.flush().await?)
}

/// Says goodbye and waits a moment until the server closes, so that it does not count and log a client that broke off.
pub async fn farewell(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), message: &[u8]) {
    let closing = async {
        if write(stream, message).await.is_ok() {
            let _ = stream.read(&mut [0; 256]).await;
        }
    };
    let _ = tokio::time::timeout(FAREWELL, closing).await;
}

/// What the end of a connection in the middle of a message means.
#[must_use]
pub fn ended(error: io::Error) -> Outcome {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Outcome::Failure(Reason::Borrowed("connection closed without an answer"));
    }
    error.into()
}

/// What is left of a message.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    /// The next `length` bytes, if there are as many.
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(length)?;
        self.0 = left;
        Some(taken)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// What comes before the next zero, which is passed over.
    pub fn until_zero(&mut self) -> Option<&'a [u8]> {
        let length = self.0.iter().position(|byte| *byte == 0)?;
        let taken = self.take(length)?;
        self.take(1)?;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_past_the_end() {
        let mut bytes = Bytes(b"ab\0cd");
        assert_eq!(bytes.until_zero(), Some(b"ab".as_slice()));
        assert_eq!(bytes.until_zero(), None);
        assert_eq!(bytes.take(3), None);
        assert_eq!(bytes.array(), Some(*b"cd"));
        assert_eq!((bytes.byte(), bytes.take(0)), (None, Some([].as_slice())));
    }
}
