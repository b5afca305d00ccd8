//! A host of the file that may be called by its name: where something may wait for DNS.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::is_name;
use crate::units::Refused;

/// An address, or a name that is resolved when it is needed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Host {
    /// As it stands.
    Address(IpAddr),
    /// A name (RFC 1123 section 2.1).
    Name(String),
}

impl Host {
    /// The name, if it has to be resolved.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Address(_) => None,
            Self::Name(name) => Some(name),
        }
    }
}

impl FromStr for Host {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        match text.parse() {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) if is_name(text) => Ok(Self::Name(text.to_ascii_lowercase())),
            Err(_) => Err(Refused(format!("{text:?} is neither an address nor a name"))),
        }
    }
}

impl TryFrom<String> for Host {
    type Error = Refused;

    fn try_from(text: String) -> Result<Self, Refused> {
        text.parse()
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.to_string()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A host and a port of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostPort {
    /// The host.
    pub host: Host,
    /// 1..=65535.
    pub port: u16,
}

impl HostPort {
    /// `10.0.0.1:514`, `[2001:db8::1]:514`, `logs.example.com:514`; `None` with no port or with port 0.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let found = match text.parse::<SocketAddr>() {
            Ok(address) => Self::from(address),
            Err(_) => {
                let (host, port) = text.rsplit_once(':')?;
                let name = Host::from_str(host).ok().filter(|host| host.name().is_some())?;
                Self { host: name, port: port.parse().ok()? }
            }
        };
        Some(found).filter(|found| found.port != 0)
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self { host: Host::Address(address.ip()), port: address.port() }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(address) => SocketAddr::new(*address, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_with_ports() {
        for text in ["10.0.0.1:25", "[2001:db8::1]:25", "mail.example.com:25"] {
            assert_eq!(HostPort::read(text).unwrap().to_string(), text);
        }
        for wrong in
            ["mail.example.com", "10.0.0.256:25", "2001:db8::1:25x", "mail:0", "mail:65536", ":25", ""]
        {
            assert_eq!(HostPort::read(wrong), None, "{wrong}");
        }
        assert_eq!("NTP.Example.com".parse::<Host>().unwrap().name(), Some("ntp.example.com"));
        assert!("10.0.0.256".parse::<Host>().is_err());
    }
}
