//! The connection to nf_tables.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use neli::consts::socket::NlFamily;
use nix::errno::Errno;

use super::encode::replace;
use super::message::{Transaction, kind, request};
use super::object::TABLE;
use super::ruleset::Ruleset;
use crate::netlink::socket::{self, Socket, outcome};
use crate::netlink::wire::{self, Malformed, Writer, attributes, text_of};

/// How often a dump that the kernel calls inconsistent is tried again.
const ATTEMPTS: usize = 5;

/// Why the kernel does not have the rules.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket failed.
    #[error("nftables: {0}")]
    Socket(#[from] socket::Error),
    /// The kernel has no nftables.
    #[error("nftables: the kernel has none (CONFIG_NF_TABLES, or load nf_tables)")]
    Unavailable,
    /// The kernel refused a transaction; nothing of it is in force.
    #[error("set rules: nftables: {}", .sentence.as_deref().unwrap_or_else(|| .errno.desc()))]
    Refused {
        /// Why.
        errno: Errno,
        /// The kernel's own sentence, where it has one.
        sentence: Option<String>,
    },
    /// The rules changed each time they were read.
    #[error("read rules: nftables: they changed during each of {ATTEMPTS} attempts")]
    Unsteady,
}

impl From<Malformed> for Error {
    fn from(error: Malformed) -> Self {
        Self::Socket(error.into())
    }
}

/// A connection to nftables of the network namespace in which it was made.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
}

impl Client {
    /// Opens a socket.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the kernel has no nftables.
    pub fn connect() -> Result<Self, Error> {
        match Socket::open(NlFamily::Netfilter) {
            Ok(socket) => Ok(Self { socket }),
            Err(socket::Error::System { errno: Errno::EPROTONOSUPPORT, .. }) => Err(Error::Unavailable),
            Err(error) => Err(error.into()),
        }
    }

    /// A number that changes with every transaction of anybody in this namespace.
    ///
    /// # Errors
    /// [`Error`].
    pub fn generation(&mut self) -> Result<u32, Error> {
        let found = self.ask(
            kind::GET_GENERATION,
            wire::ACK,
            |_| (),
            |attributes| {
                let id = attributes.iter().find(|(kind, _)| *kind == 1);
                Ok(u32::from_be(wire::u32_of(id.ok_or(Malformed("generation without a number"))?.1)?))
            },
        );
        match found {
            Err(Error::Socket(socket::Error::Refused(Errno::EOPNOTSUPP | Errno::EINVAL))) => {
                Err(Error::Unavailable)
            }
            other => other?.into_iter().next().ok_or_else(|| Malformed("no answer").into()),
        }
    }

    /// Makes the table `director` that of `ruleset`, in one transaction.
    ///
    /// # Errors
    /// [`Error`]; then nothing has changed, unless the answer got lost.
    pub fn replace(&mut self, ruleset: &Ruleset) -> Result<(), Error> {
        let begin = self.socket.next_sequence();
        let mut transaction = Transaction::begin(begin);
        replace(&mut transaction, ruleset);
        let (writer, end) = transaction.end();
        self.socket.reserve(writer.bytes().len());
        self.socket.send(writer.bytes())?;
        while self.socket.next_sequence() != end {}
        let mut refused = None;
        loop {
            for message in wire::messages(self.socket.receive()?) {
                let message = message?;
                if message.kind != wire::ERROR
                    || message.sequence.wrapping_sub(begin) > end.wrapping_sub(begin)
                {
                    continue;
                }
                if let (Some(errno), sentence) = outcome(&message)? {
                    refused.get_or_insert(Error::Refused { errno, sentence });
                }
                // The kernel answers the last request in any case, or gives up the whole and answers for its begin.
                if [begin, end.wrapping_sub(1)].contains(&message.sequence) {
                    return refused.map_or(Ok(()), Err);
                }
            }
        }
    }

    /// A number for all that the table `director` holds, the same as long as nobody changes it; `None` = no such table.
    ///
    /// # Errors
    /// [`Error`].
    pub fn fingerprint(&mut self) -> Result<Option<u64>, Error> {
        let ours =
            |attributes: &[(u16, &[u8])]| attributes.iter().any(|(kind, v)| *kind == 1 && is(v, TABLE));
        let table = |w: &mut Writer| w.text(1, TABLE);
        let chains =
            self.ask(kind::GET_CHAIN, wire::DUMP, |_| (), |found| Ok(ours(found).then(|| hash(found))))?;
        let chains: Vec<u64> = chains.into_iter().flatten().collect();
        if chains.is_empty() {
            return Ok(None);
        }
        let mut sum = chains.into_iter().fold(0, u64::wrapping_add);
        let rules = self.ask(kind::GET_RULE, wire::DUMP, table, |found| Ok(hash(found)))?;
        sum = rules.into_iter().fold(sum, u64::wrapping_add);
        let sets = self.ask(kind::GET_SET, wire::DUMP, table, |found| {
            let name = found.iter().find(|(kind, _)| *kind == 2).map(|(_, name)| text_of(name));
            Ok((name.transpose()?.unwrap_or_default().to_owned(), hash(found)))
        })?;
        for (name, set) in sets {
            sum = sum.wrapping_add(set);
            let wanted = |w: &mut Writer| {
                w.text(1, TABLE);
                w.text(2, &name);
            };
            // In no order that could be relied on.
            let elements = self.ask(kind::GET_ELEMENTS, wire::DUMP, wanted, |found| {
                let mut sum: u64 = 0;
                for (_, list) in found.iter().filter(|(kind, _)| *kind == 3) {
                    for element in attributes(list) {
                        sum = sum.wrapping_add(hash(&[element?]).wrapping_add(hash(&name)));
                    }
                }
                Ok(sum)
            })?;
            sum = elements.into_iter().fold(sum, u64::wrapping_add);
        }
        Ok(Some(sum))
    }

    fn ask<T>(
        &mut self,
        kind: u8,
        flags: u16,
        body: impl Fn(&mut Writer),
        decode: impl Fn(&[(u16, &[u8])]) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Error> {
        for _ in 0..ATTEMPTS {
            let sequence = self.socket.next_sequence();
            let mut writer = Writer::default();
            request(&mut writer, kind, flags, sequence, &body);
            self.socket.send(writer.bytes())?;
            let answers = self.socket.collect(|payload| {
                let list: Vec<_> = attributes(payload).collect::<Result<_, _>>()?;
                decode(&list)
            })?;
            if let Some(answers) = answers {
                return Ok(answers);
            }
        }
        Err(Error::Unsteady)
    }
}

fn is(value: &[u8], name: &str) -> bool {
    text_of(value).is_ok_and(|text| text == name)
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
