//! The ping check: one ICMP echo (RFC 792, RFC 4443).

use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::{Outcome, Reason, Target, datagram, random, reason};
use crate::net::ping::icmp::{Heard, judge, question};
use crate::sys::async_fd::async_fd;

/// Longest message that is looked at: the question comes back no longer than it went.
const LONGEST: usize = 1500;

/// Asks once; success is the answer to this very question.
pub async fn probe(target: &Target) -> Outcome {
    let socket = match datagram::icmp(target) {
        Ok(socket) => socket,
        Err(ended) => return ended,
    };
    match exchange(socket, target.address.ip()).await {
        Ok(Heard::Answer) => Outcome::Success(Reason::Borrowed("answered")),
        Ok(Heard::Expired) => Outcome::Failure(Reason::Borrowed("too many hops")),
        Ok(Heard::Refused(why)) => Outcome::Failure(Reason::Owned(why)),
        Err(error) => reason::outcome(&error),
    }
}

async fn exchange(socket: socket2::Socket, target: IpAddr) -> io::Result<Heard> {
    let [a, b, c, d] = random::bytes()?;
    let (ident, seq) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    socket.send(&question(target, ident, seq))?;
    let socket = async_fd(socket)?;
    loop {
        let mut ready = socket.ready(datagram::ANSWER).await?;
        let mut buffer = [0; LONGEST];
        match recv(socket.get_ref().as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            // A connected socket hears its target alone.
            Ok(length) => {
                if let Some(heard) =
                    judge(buffer.get(..length).unwrap_or_default(), target, target, ident, seq)
                {
                    return Ok(heard);
                }
            }
            Err(Errno::EAGAIN) => ready.clear_ready(),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
