//! The synchronisation daemons: kernel threads that tell a twin of each connection, and that listen.
//!
//! One that sends (`master`) and one that listens (`backup`) may run at the same time, and no more than that.

use std::net::IpAddr;

use super::client::{Client, Error};
use super::codec::command;
use super::wire::{self, Malformed, Writer, attributes, text_of, u16_of, u32_of};

const CMD_DAEMON: u16 = 3;

const DAEMON_STATE: u16 = 1;
const DAEMON_INTERFACE: u16 = 2;
const DAEMON_ID: u16 = 3;
const DAEMON_MAX_LENGTH: u16 = 4;
const DAEMON_GROUP: u16 = 5;
const DAEMON_GROUP6: u16 = 6;
const DAEMON_PORT: u16 = 7;
const DAEMON_TTL: u16 = 8;

/// What a daemon does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Duty {
    /// Sends: `IP_VS_STATE_MASTER`.
    Send,
    /// Listens: `IP_VS_STATE_BACKUP`.
    Listen,
}

impl Duty {
    const fn number(self) -> u32 {
        match self {
            Self::Send => 1,
            Self::Listen => 2,
        }
    }
}

/// A synchronisation daemon.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Daemon {
    /// What it does.
    pub duty: Duty,
    /// On which interface.
    pub interface: String,
    /// Only daemons with the same number talk.
    pub id: u8,
    /// The multicast group.
    pub group: IpAddr,
    /// UDP port.
    pub port: u16,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Longest message in bytes; 0 asks for what the MTU allows, and the kernel answers with that.
    pub max_length: u16,
}

impl Client {
    /// The daemons that run.
    ///
    /// # Errors
    /// [`Error`].
    pub fn daemons(&mut self) -> Result<Vec<Daemon>, Error> {
        self.ask("read daemons", wire::DUMP, command::GET_DAEMON, |_| (), decode)
    }

    /// Starts a daemon.
    ///
    /// # Errors
    /// [`Error`]; the kernel refuses a second one of a kind, and an interface that is down or unknown.
    pub fn start_daemon(&mut self, daemon: &Daemon) -> Result<(), Error> {
        let body = |w: &mut Writer| encode(w, daemon);
        self.ask("start daemon", wire::ACK, command::NEW_DAEMON, body, |_| Ok(())).map(drop)
    }

    /// Ends the daemon of a kind.
    ///
    /// # Errors
    /// [`Error`]; that none runs is one.
    pub fn stop_daemon(&mut self, duty: Duty) -> Result<(), Error> {
        let body = |w: &mut Writer| w.nested(CMD_DAEMON, |w| w.u32(DAEMON_STATE, duty.number()));
        self.ask("stop daemon", wire::ACK, command::DEL_DAEMON, body, |_| Ok(())).map(drop)
    }
}

fn encode(w: &mut Writer, daemon: &Daemon) {
    w.nested(CMD_DAEMON, |w| {
        w.u32(DAEMON_STATE, daemon.duty.number());
        w.text(DAEMON_INTERFACE, &daemon.interface);
        w.u32(DAEMON_ID, daemon.id.into());
        if daemon.max_length > 0 {
            w.u16(DAEMON_MAX_LENGTH, daemon.max_length);
        }
        match daemon.group {
            IpAddr::V4(group) => w.attribute(DAEMON_GROUP, &group.octets()),
            IpAddr::V6(group) => w.attribute(DAEMON_GROUP6, &group.octets()),
        }
        w.u16(DAEMON_PORT, daemon.port);
        w.attribute(DAEMON_TTL, &[daemon.ttl]);
    });
}

fn decode(payload: &[u8]) -> Result<Daemon, Malformed> {
    let nested = attributes(payload)
        .find_map(|attribute| attribute.ok().filter(|(kind, _)| *kind == CMD_DAEMON))
        .ok_or(Malformed("daemon without a description"))?;
    let mut duty = Err(Malformed("daemon of no known kind"));
    let mut group = None;
    let mut daemon = Daemon {
        duty: Duty::Send,
        interface: String::new(),
        id: 0,
        group: IpAddr::from([224, 0, 0, 81]),
        port: 0,
        ttl: 0,
        max_length: 0,
    };
    for attribute in attributes(nested.1) {
        let (kind, value) = attribute?;
        match kind {
            DAEMON_STATE => {
                let number = u32_of(value)?;
                duty = [Duty::Send, Duty::Listen]
                    .into_iter()
                    .find(|duty| duty.number() == number)
                    .ok_or(Malformed("daemon of no known kind"));
            }
            DAEMON_INTERFACE => daemon.interface = text_of(value)?.to_owned(),
            DAEMON_ID => daemon.id = u8::try_from(u32_of(value)?).unwrap_or(u8::MAX),
            DAEMON_MAX_LENGTH => daemon.max_length = u16_of(value)?,
            DAEMON_GROUP => group = value.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
            DAEMON_GROUP6 => group = value.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
            DAEMON_PORT => daemon.port = u16_of(value)?,
            DAEMON_TTL => daemon.ttl = value.first().copied().unwrap_or(0),
            _ => {}
        }
    }
    Ok(Daemon { duty: duty?, group: group.unwrap_or(daemon.group), ..daemon })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for (duty, group) in [(Duty::Send, "224.0.0.81"), (Duty::Listen, "ff02::81")] {
            let daemon = Daemon {
                duty,
                interface: "eth1".to_owned(),
                id: 17,
                group: group.parse().unwrap(),
                port: 8848,
                ttl: 2,
                max_length: 1400,
            };
            let mut w = Writer::default();
            encode(&mut w, &daemon);
            assert_eq!(decode(w.bytes()), Ok(daemon));
        }
    }

    #[test]
    fn garbage_is_refused() {
        assert!(decode(&[]).is_err());
        let mut w = Writer::default();
        w.nested(CMD_DAEMON, |w| w.u32(DAEMON_STATE, 9));
        assert!(decode(w.bytes()).is_err());
    }
}
