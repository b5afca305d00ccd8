//! Requests and answers, dumps, and changes in batches.

use neli::consts::genl::{CtrlAttr, CtrlCmd};
use neli::consts::socket::NlFamily;
use nix::errno::Errno;

use super::codec::{self, Info, Timeouts, command};
use super::table::{Command, Family, ServiceEntry, ServiceId};
use crate::netlink::socket::{self, Socket, outcome};
use crate::netlink::wire::{self, Malformed, Writer};

/// Work that goes to the kernel in one send, in units of a changed server: large enough that the system call costs nothing,
/// small enough that the answers fit the receive buffer and that the caller's loop turns in between.
const BATCH: usize = 256;
/// What an edit of a service weighs: with another scheduler the kernel waits for a grace period (ip_vs_edit_service).
const EDIT_SERVICE: usize = 16;
/// How often a dump that the kernel calls inconsistent is tried again.
const ATTEMPTS: usize = 5;

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
    /// The socket failed.
    #[error(transparent)]
    Socket(#[from] socket::Error),
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
        let mut client = Self { socket: open()?, family: CONTROLLER, writer: Writer::default() };
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

    /// Sets idle times; zero leaves one as it is.
    ///
    /// # Errors
    /// [`Error`].
    pub fn set_timeouts(&mut self, timeouts: &Timeouts) -> Result<(), Error> {
        let body = |w: &mut Writer| codec::encode_timeouts(w, timeouts);
        self.ask("set timeouts", wire::ACK, command::SET_CONFIG, body, |_| Ok(())).map(drop)
    }

    /// The whole table.
    ///
    /// # Errors
    /// [`Error`].
    pub fn table(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        let mut table = self.services()?;
        for entry in &mut table {
            entry.servers = self.servers(&entry.id)?;
        }
        Ok(table)
    }

    /// The services without their real servers.
    ///
    /// # Errors
    /// [`Error`].
    pub fn services(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        self.ask("read services", wire::DUMP, command::GET_SERVICE, |_| (), codec::decode_service)
    }

    /// Sets the counters of one service and its real servers to zero, or those of all.
    ///
    /// # Errors
    /// [`Error::Refused`] with `ESRCH` when there is no such service.
    pub fn zero(&mut self, id: Option<&ServiceId>) -> Result<(), Error> {
        let which = |w: &mut Writer| id.into_iter().for_each(|id| codec::service_attribute(w, id));
        self.ask("reset counters", wire::ACK, command::ZERO, which, |_| Ok(())).map(drop)
    }

    /// One service without its real servers; `None` when there is no such service.
    ///
    /// # Errors
    /// [`Error`].
    pub fn service(&mut self, id: &ServiceId) -> Result<Option<ServiceEntry>, Error> {
        let body = |w: &mut Writer| codec::service_attribute(w, id);
        match self.ask("read service", wire::ACK, command::GET_SERVICE, body, codec::decode_service) {
            Err(Error::Refused { errno: Errno::ESRCH, .. }) => Ok(None),
            other => other.map(|found| found.into_iter().next()),
        }
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
                self.socket = open()?;
                return sent.map(|()| failures);
            }
            rest = later;
        }
        Ok(failures)
    }

    fn send_batch(&mut self, commands: &[Command], failures: &mut Vec<Failure>) -> Result<(), Error> {
        let first = self.socket.sequence().wrapping_add(1);
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
        let last = self.socket.sequence();
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
    pub(super) fn ask<T>(
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
            match self.socket.collect(&decode) {
                Ok(Some(answers)) => return Ok(answers),
                Ok(None) => {}
                Err(socket::Error::Refused(errno)) => return Err(Error::Refused { what, errno }),
                // The rest of this dump would disturb the next one: leave it to the old socket.
                Err(socket::Error::Overrun) => self.socket = open()?,
                Err(error) => {
                    self.socket = open()?;
                    return Err(error.into());
                }
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

fn open() -> Result<Socket, Error> {
    Ok(Socket::open(NlFamily::Generic)?)
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
    fn the_controller_answers_on_any_kernel() {
        // Either outcome is right; what matters is that the question is understood.
        match Client::connect() {
            Ok(mut client) => assert!(client.info().unwrap().version >= 0x01_02_00),
            Err(error) => assert!(matches!(error, Error::Unavailable), "{error}"),
        }
    }
}
