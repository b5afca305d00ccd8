//! The socket: requests and answers, dumps, and changes in batches.
//!
//! Netlink is synchronous: when a send returns, the kernel has done what it was asked and the answers lie in the receive
//! buffer. So nothing here waits for anybody, and there is nothing to gain from asynchrony.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use neli::consts::genl::{CtrlAttr, CtrlCmd};
use neli::consts::socket::NlFamily;
use neli::socket::NlSocket;
use neli::utils::Groups;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use super::codec::{self, Info, Timeouts, command};
use super::table::{Command, Family, ServiceEntry, ServiceId};
use super::wire::{self, Malformed, Message, Writer};
use crate::sys::netlink::{owned, short_errors};

/// Work that goes to the kernel in one send, in units of a changed server: large enough that the system call costs nothing,
/// small enough that the answers fit the receive buffer and that the caller's loop turns in between.
const BATCH: usize = 256;
/// What an edit of a service weighs: with another scheduler the kernel waits for a grace period (ip_vs_edit_service).
const EDIT_SERVICE: usize = 16;
/// How often a dump that the kernel calls inconsistent is tried again.
const ATTEMPTS: usize = 5;
/// Wanted receive buffer, bytes: holds the errors of a whole batch.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Longest datagram of a dump (kernel: netlink_dump uses at most 32 KiB).
const DATAGRAM: usize = 64 * 1024;

/// `GENL_ID_CTRL`: who knows the numbers of the families.
const CONTROLLER: u16 = 0x10;
/// `IPVS_GENL_NAME`.
const IPVS: &str = "IPVS";

/// Why the kernel could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This kernel has no IPVS.
    #[error("find ipvs: generic netlink family \"IPVS\": the kernel has none (CONFIG_IP_VS, or load ip_vs)")]
    Unavailable,
    /// A system call failed.
    #[error("{what}: netlink socket: {}", .errno.desc())]
    Socket {
        /// Which.
        what: &'static str,
        /// Why.
        errno: Errno,
    },
    /// The kernel refused a question.
    #[error("{what}: ipvs: {}", .errno.desc())]
    Refused {
        /// Which.
        what: &'static str,
        /// Why.
        errno: Errno,
    },
    /// The answer makes no sense.
    #[error("read answer: ipvs: {0}")]
    Malformed(#[from] Malformed),
    /// Answers were lost: the receive buffer was full.
    #[error("read answers: ipvs: the receive buffer overflowed")]
    Overrun,
    /// The table changed each time it was read.
    #[error("read table: ipvs: it changed during each of {ATTEMPTS} attempts")]
    Unsteady,
}

/// A command that the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which.
    pub command: Command,
    /// Why.
    pub errno: Errno,
    /// The kernel's own sentence, where it has one.
    pub sentence: Option<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.command, self.reason())
    }
}

impl Failure {
    /// Why, in words for the operator.
    #[must_use]
    pub fn reason(&self) -> &str {
        if let Some(sentence) = &self.sentence {
            return sentence;
        }
        match (&self.command, self.errno) {
            (Command::AddService(..), Errno::EEXIST) => "the service exists already",
            (Command::AddService(..) | Command::EditService(..), Errno::ENOENT) => {
                "the kernel lacks this scheduler or persistence engine"
            }
            (_, Errno::ESRCH) => "there is no such service",
            (Command::AddServer(..), Errno::EEXIST) => "the server exists already",
            (Command::EditServer(..) | Command::DeleteServer(..), Errno::ENOENT) => "there is no such server",
            (Command::AddServer(..), Errno::EINVAL) => {
                "the address is no unicast address here, or of another family without tunnelling"
            }
            (_, Errno::EAFNOSUPPORT) => "the kernel has no IPVS for IPv6",
            (_, Errno::EPERM) => "not permitted: CAP_NET_ADMIN is missing",
            (_, errno) => errno.desc(),
        }
    }
}

/// A connection to IPVS of the network namespace in which it was made.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
    family: u16,
    writer: Writer,
}

impl Client {
    /// Opens a socket and finds IPVS.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the kernel has no IPVS.
    pub fn connect() -> Result<Self, Error> {
        let mut client = Self { socket: Socket::open()?, family: CONTROLLER, writer: Writer::default() };
        let name = |w: &mut Writer| w.text(CtrlAttr::FamilyName.into(), IPVS);
        let found = client.ask("find ipvs", wire::ACK, CtrlCmd::Getfamily.into(), name, family_id);
        client.family = match found {
            Err(Error::Refused { errno: Errno::ENOENT, .. }) => return Err(Error::Unavailable),
            other => other?.into_iter().next().ok_or(Error::Unavailable)?,
        };
        Ok(client)
    }

    /// The number that this kernel gave to IPVS: the type of its messages.
    #[must_use]
    pub const fn family(&self) -> u16 {
        self.family
    }

    /// Version and size of the connection table.
    ///
    /// # Errors
    /// [`Error`].
    pub fn info(&mut self) -> Result<Info, Error> {
        let answers = self.ask("read info", wire::ACK, command::GET_INFO, |_| (), codec::decode_info)?;
        answers.first().copied().ok_or(Error::Malformed(Malformed("no answer")))
    }

    /// Idle times of connections.
    ///
    /// # Errors
    /// [`Error`].
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        let answers =
            self.ask("read timeouts", wire::ACK, command::GET_CONFIG, |_| (), codec::decode_timeouts)?;
        answers.first().copied().ok_or(Error::Malformed(Malformed("no answer")))
    }

    /// The whole table.
    ///
    /// # Errors
    /// [`Error`].
    pub fn table(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        let mut table =
            self.ask("read services", wire::DUMP, command::GET_SERVICE, |_| (), codec::decode_service)?;
        for entry in &mut table {
            entry.servers = self.servers(&entry.id)?;
        }
        Ok(table)
    }

    /// The real servers of one service; none when there is no such service.
    ///
    /// # Errors
    /// [`Error`].
    pub fn servers(&mut self, id: &ServiceId) -> Result<Vec<super::table::ServerEntry>, Error> {
        let family: Family = id.family();
        self.ask(
            "read servers",
            wire::DUMP,
            command::GET_DEST,
            |w| codec::service_attribute(w, id),
            |payload| codec::decode_server(family, payload),
        )
    }

    /// Sends commands in their order, [`batch`] by batch. What the kernel refuses does not keep it from the rest.
    ///
    /// # Errors
    /// When it is not known what the kernel did; then the table has to be read again.
    pub fn apply(&mut self, commands: &[Command]) -> Result<Vec<Failure>, Error> {
        let mut failures = Vec::new();
        let mut rest = commands;
        while !rest.is_empty() {
            let (now, later) = batch(rest);
            let sent = self.send_batch(now, &mut failures);
            if sent.is_err() {
                self.socket = Socket::open()?;
                return sent.map(|()| failures);
            }
            rest = later;
        }
        Ok(failures)
    }

    fn send_batch(&mut self, commands: &[Command], failures: &mut Vec<Failure>) -> Result<(), Error> {
        let first = self.socket.sequence.wrapping_add(1);
        self.writer.clear();
        for (index, command) in commands.iter().enumerate() {
            // Errors are reported in any case: one acknowledgement, of the last command, ends the batch.
            let last = index + 1 == commands.len();
            let flags = if last { wire::REQUEST | wire::ACK } else { wire::REQUEST };
            let sequence = self.socket.next_sequence();
            self.writer.message(self.family, flags, sequence, codec::number(command), |w| {
                codec::encode(w, command);
            });
        }
        self.socket.send(self.writer.bytes())?;
        let last = self.socket.sequence;
        loop {
            for message in wire::messages(self.socket.receive()?) {
                let message = message?;
                if message.kind != wire::ERROR {
                    continue;
                }
                let (errno, sentence) = outcome(&message)?;
                let index = usize::try_from(message.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                if let (Some(errno), Some(command)) = (errno, commands.get(index)) {
                    failures.push(Failure { command: command.clone(), errno, sentence });
                }
                if message.sequence == last {
                    return Ok(());
                }
            }
        }
    }

    /// Asks a question and decodes all that comes back; asks again when the kernel says that it was interrupted.
    fn ask<T>(
        &mut self,
        what: &'static str,
        flags: u16,
        command: u8,
        body: impl Fn(&mut Writer),
        decode: impl Fn(&[u8]) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Error> {
        for _ in 0..ATTEMPTS {
            let sequence = self.socket.next_sequence();
            self.writer.clear();
            self.writer.message(self.family, wire::REQUEST | flags, sequence, command, &body);
            self.socket.send(self.writer.bytes())?;
            match self.socket.collect(what, &decode) {
                Ok(Some(answers)) => return Ok(answers),
                Ok(None) => {}
                // The rest of this dump would disturb the next one: leave it to the old socket.
                Err(Error::Overrun) => self.socket = Socket::open()?,
                Err(error @ (Error::Malformed(_) | Error::Socket { .. })) => {
                    self.socket = Socket::open()?;
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::Unsteady)
    }
}

/// Splits off what one send takes.
#[must_use]
pub fn batch(commands: &[Command]) -> (&[Command], &[Command]) {
    let mut load = 0;
    let fits = commands.iter().take_while(|command| {
        load += if matches!(command, Command::EditService(..)) { EDIT_SERVICE } else { 1 };
        load <= BATCH
    });
    commands.split_at(fits.count())
}

#[derive(Debug)]
struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    fn open() -> Result<Self, Error> {
        let failed = |what| move |errno| Error::Socket { what, errno };
        let opened = NlSocket::connect(NlFamily::Generic, None, Groups::empty());
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

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        loop {
            match send(self.fd.as_raw_fd(), bytes, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::Socket { what: "send", errno }),
                Ok(_) => return Ok(()),
            }
        }
    }

    /// One datagram.
    fn receive(&mut self) -> Result<&[u8], Error> {
        loop {
            match recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_TRUNC) {
                Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS | Errno::EAGAIN) => return Err(Error::Overrun),
                Err(errno) => return Err(Error::Socket { what: "receive", errno }),
                Ok(length) => {
                    return self
                        .buffer
                        .get(..length)
                        .ok_or(Error::Malformed(Malformed("longer than the buffer")));
                }
            }
        }
    }

    /// The answers to the last request, or `None` when the kernel says that they do not belong together.
    fn collect<T>(
        &mut self,
        what: &'static str,
        decode: impl Fn(&[u8]) -> Result<T, Malformed>,
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
                            Some(errno) => Err(Error::Refused { what, errno }),
                        };
                    }
                    _ => answers.push(decode(wire::generic(message.payload)?.1)?),
                }
            }
        }
    }
}

/// What an acknowledgement or the end of a dump says: no error, or which, and the kernel's sentence about it.
fn outcome(message: &Message<'_>) -> Result<(Option<Errno>, Option<String>), Malformed> {
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

fn family_id(payload: &[u8]) -> Result<u16, Malformed> {
    for attribute in wire::attributes(payload) {
        let (kind, value) = attribute?;
        if kind == u16::from(CtrlAttr::FamilyId) {
            return wire::u16_of(value);
        }
    }
    Err(Malformed("family without an id"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::table::{Name, Service};

    #[test]
    fn batches_count_what_the_kernel_has_to_do() {
        let id = ServiceId::Fwmark { mark: 1, family: Family::V4 };
        let service =
            Service { scheduler: Name::try_from("rr").unwrap(), flags: 0, persistence: None, engine: None };
        let cheap = vec![Command::DeleteService(id); BATCH + 3];
        assert_eq!(batch(&cheap).0.len(), BATCH);
        assert_eq!(batch(&cheap).1.len(), 3);
        let dear = vec![Command::EditService(id, service); BATCH];
        assert_eq!(batch(&dear).0.len(), BATCH / EDIT_SERVICE);
    }

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

    #[test]
    fn the_controller_answers_on_any_kernel() {
        // Either outcome is right; what matters is that the question is understood.
        match Client::connect() {
            Ok(mut client) => assert!(client.info().unwrap().version >= 0x01_02_00),
            Err(error) => assert!(matches!(error, Error::Unavailable), "{error}"),
        }
    }
}
