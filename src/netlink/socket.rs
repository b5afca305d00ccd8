//! A netlink socket. Netlink is synchronous: when a send returns, the kernel has done what it was asked and the answers lie in
//! the receive buffer. So nothing here waits for anybody, and there is nothing to gain from asynchrony.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use neli::consts::socket::NlFamily;
use neli::socket::NlSocket;
use neli::utils::Groups;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use super::wire::{self, Malformed, Message};
use crate::sys::netlink::{owned, short_errors};

/// Wanted receive buffer, bytes: holds the errors of a whole batch.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Longest datagram of a dump (kernel: netlink_dump uses at most 32 KiB).
const DATAGRAM: usize = 64 * 1024;

/// Why the kernel could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("{what}: netlink socket: {}", .errno.desc())]
    System {
        /// Which.
        what: &'static str,
        /// Why.
        errno: Errno,
    },
    /// The kernel refused a question.
    #[error("netlink request refused: {}", .0.desc())]
    Refused(Errno),
    /// The answer makes no sense.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Answers were lost: the receive buffer was full.
    #[error("read answers: netlink socket: the receive buffer overflowed")]
    Overrun,
}

/// An open socket in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket that belongs to no group.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn open(family: NlFamily) -> Result<Self, Error> {
        let failed = |what| move |errno| Error::System { what, errno };
        let opened = NlSocket::connect(family, None, Groups::empty());
        let socket = opened.map_err(|error| failed("open")(errno_of(&error)))?;
        // Comforts, each of which old kernels and small capabilities may deny.
        let _ = socket.enable_ext_ack(true);
        let fd = owned(socket);
        let _ = short_errors(&fd);
        // Answers are there before they are read: a wait means that one was lost.
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::seconds(2)).map_err(failed("set timeout"))?;
        let _ = setsockopt(&fd, sockopt::RcvBufForce, &RECEIVE_BUFFER);
        Ok(Self { fd, sequence: 0, buffer: vec![0; DATAGRAM] })
    }

    /// The number that the last request got.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// A number for the next request.
    pub fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Makes room to send `length` bytes at once; the kernel reserves twice as much for its own account.
    pub fn reserve(&self, length: usize) {
        let _ = setsockopt(&self.fd, sockopt::SndBufForce, &length);
    }

    /// Sends requests in one datagram.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        loop {
            match send(self.fd.as_raw_fd(), bytes, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::System { what: "send", errno }),
                Ok(_) => return Ok(()),
            }
        }
    }

    /// One datagram.
    ///
    /// # Errors
    /// [`Error`].
    pub fn receive(&mut self) -> Result<&[u8], Error> {
        loop {
            match recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_TRUNC) {
                Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS | Errno::EAGAIN) => return Err(Error::Overrun),
                Err(errno) => return Err(Error::System { what: "receive", errno }),
                Ok(length) => {
                    return self
                        .buffer
                        .get(..length)
                        .ok_or(Error::Malformed(Malformed("longer than the buffer")));
                }
            }
        }
    }

    /// The answers to the last request up to its acknowledgement or the end of its dump, each payload behind the family's own
    /// header decoded; or `None` when the kernel says that they do not belong together.
    ///
    /// # Errors
    /// [`Error`].
    pub fn collect<T>(
        &mut self,
        mut decode: impl FnMut(&[u8]) -> Result<T, Malformed>,
    ) -> Result<Option<Vec<T>>, Error> {
        let sequence = self.sequence;
        let mut answers = Vec::new();
        let mut whole = true;
        loop {
            for message in wire::messages(self.receive()?) {
                let message = message?;
                if message.sequence != sequence {
                    continue;
                }
                whole &= message.flags & wire::DUMP_INTERRUPTED == 0;
                match message.kind {
                    wire::ERROR | wire::DONE => {
                        return match outcome(&message)?.0 {
                            None => Ok(whole.then_some(answers)),
                            Some(errno) => Err(Error::Refused(errno)),
                        };
                    }
                    _ => answers.push(decode(wire::body(message.payload)?)?),
                }
            }
        }
    }
}

/// What an acknowledgement or the end of a dump says: no error, or which, and the kernel's sentence about it.
///
/// # Errors
/// When it is cut short.
pub fn outcome(message: &Message<'_>) -> Result<(Option<Errno>, Option<String>), Malformed> {
    /// `NLMSGERR_ATTR_MSG`.
    const SENTENCE: u16 = 1;
    let short = Malformed("acknowledgement cut short");
    let (code, rest) = match message.payload.split_first_chunk::<4>() {
        Some((code, rest)) => (i32::from_ne_bytes(*code), rest),
        // A dump of an old kernel ends without a code.
        None if message.kind == wire::DONE => (0, message.payload),
        None => return Err(short),
    };
    if code >= 0 {
        return Ok((None, None));
    }
    let mut sentence = None;
    if message.kind == wire::ERROR && message.flags & wire::ACK_ATTRIBUTES != 0 {
        let echoed = match wire::messages(rest).next() {
            _ if message.flags & wire::CAPPED != 0 => wire::MESSAGE_HEADER,
            Some(request) => wire::MESSAGE_HEADER + request?.payload.len().next_multiple_of(4),
            None => return Err(short),
        };
        for attribute in wire::attributes(rest.get(echoed..).ok_or(short)?) {
            if let (SENTENCE, text) = attribute? {
                sentence = Some(wire::text_of(text)?.to_lowercase());
            }
        }
    }
    Ok((Some(Errno::from_raw(code.saturating_neg())), sentence))
}

fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::wire::Writer;

    #[test]
    fn an_error_carries_the_kernels_sentence() {
        let mut w = Writer::default();
        // A capped acknowledgement: code, the header of the request, then attributes.
        w.attribute(1, b"Unknown scheduler\0");
        let mut payload = (-2_i32).to_ne_bytes().to_vec();
        payload.extend_from_slice(&[0; wire::MESSAGE_HEADER]);
        payload.extend_from_slice(w.bytes());
        let message = Message {
            kind: wire::ERROR,
            flags: wire::CAPPED | wire::ACK_ATTRIBUTES,
            sequence: 1,
            payload: &payload,
        };
        assert_eq!(outcome(&message), Ok((Some(Errno::ENOENT), Some("unknown scheduler".to_owned()))));
        assert!(outcome(&Message { payload: &payload[..3], ..message }).is_err());
        let done = Message { kind: wire::DONE, flags: 0, sequence: 1, payload: &[0; 4] };
        assert_eq!(outcome(&done), Ok((None, None)));
    }
}
