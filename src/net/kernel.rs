//! The connection to the kernel's routing tables, and its errors in words.

use netlink_packet_core::ErrorMessage;
use rtnetlink::sys::AsyncSocket;

/// Why the kernel did not do something, or could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket could not be made.
    #[error("open netlink socket: {0}")]
    Open(std::io::Error),
    /// The kernel refused.
    #[error("{}{}", super::told(error), words.as_ref().map(|words| format!(": {words}")).unwrap_or_default())]
    Refused {
        /// Its error number.
        error: std::io::Error,
        /// Its own words, where it has some (`NLMSGERR_ATTR_MSG`).
        words: Option<String>,
    },
    /// The connection is gone or talks nonsense.
    #[error("netlink: {0}")]
    Broken(String),
    /// A file below `/proc/sys`.
    #[error("{}", super::told(.0))]
    File(#[from] std::io::Error),
}

impl Error {
    /// The kernel's error number, if it spoke.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { error, .. } | Self::File(error) => error.raw_os_error(),
            Self::Open(_) | Self::Broken(_) => None,
        }
    }
}

impl From<rtnetlink::Error> for Error {
    fn from(error: rtnetlink::Error) -> Self {
        match error {
            rtnetlink::Error::NetlinkError(message) => {
                Self::Refused { error: message.to_io(), words: words(&message) }
            }
            other => Self::Broken(other.to_string()),
        }
    }
}

/// The table of local routes (include/uapi/linux/rtnetlink.h, `RT_TABLE_LOCAL`).
pub(super) const LOCAL_TABLE: u8 = 255;

/// A connection; the task that serves it ends with it.
#[derive(Debug, Clone)]
pub struct Kernel {
    pub(super) handle: rtnetlink::Handle,
}

impl Kernel {
    /// Opens a connection in the network namespace of this thread. Needs a running tokio runtime.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub fn open() -> Result<Self, Error> {
        // Strict checking makes the kernel filter dumps, so thousands of local routes of VIPs never reach us.
        let (mut connection, handle, _) =
            rtnetlink::new_connection_with_strict_check().map_err(Error::Open)?;
        // Words in errors are a comfort: an old kernel may not have them.
        let _ = connection.socket_mut().socket_mut().set_ext_ack(true);
        tokio::spawn(connection);
        Ok(Self { handle })
    }
}

/// The kernel's sentence behind the copy of the request (include/uapi/linux/netlink.h, `NLMSGERR_ATTR_MSG`).
fn words(message: &ErrorMessage) -> Option<String> {
    const MESSAGE: u16 = 1;
    let align = |length: usize| length.next_multiple_of(4);
    let number = |bytes: &[u8]| bytes.first_chunk::<2>().map(|b| u16::from_ne_bytes(*b));
    let request = u32::from_ne_bytes(*message.header.first_chunk::<4>()?);
    let mut rest = message.header.get(align(usize::try_from(request).ok()?)..)?;
    while rest.len() >= 4 {
        let length = usize::from(number(rest)?);
        let kind = number(rest.get(2..)?)?;
        let value = rest.get(4..length)?;
        if kind == MESSAGE {
            let text = value.split(|byte| *byte == 0).next()?;
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        rest = rest.get(align(length)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(tail: &[u8]) -> ErrorMessage {
        let mut message = ErrorMessage::default();
        message.header = 18_u32.to_ne_bytes().to_vec();
        message.header.resize(20, 0);
        message.header.extend_from_slice(tail);
        message
    }

    #[test]
    fn the_kernels_words_follow_the_request() {
        let mut tail = vec![8, 0, 2, 0, 0, 0, 0, 0];
        tail.extend_from_slice(&[11, 0, 1, 0]);
        tail.extend_from_slice(b"no way\0\0");
        assert_eq!(words(&error(&tail)).as_deref(), Some("no way"));
        assert_eq!(words(&error(&[])), None);
        assert_eq!(words(&error(&[0, 0, 0, 0])), None);
        assert_eq!(words(&ErrorMessage::default()), None);
    }
}
