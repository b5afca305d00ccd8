//! Values that are more than one type, or one of a few words.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::{CheckTable, PersistenceTable, Server, VirtualTable};
use crate::config::faults::Faults;
use crate::config::field::{At, Field, List};
use crate::config::model::{
    Method, OnFail, Protocol, SCHEDULERS, SyslogTarget, SyslogTransport, VrrpChecksum,
};
use crate::config::value::{FromTable, FromValue, Int, accept, text, wrong_type};
use crate::ctl::closest;
use crate::units::{Cidr, IfName, Refused, parse_duration};

/// One of a few words.
macro_rules! words {
    ($type:ty { $first:literal => $one:expr $(, $word:literal => $value:expr)* $(,)? }) => {
        impl FromValue for $type {
            const WANTS: &'static str = concat!("one of \"", $first, "\"" $(, ", \"", $word, "\"")*);

            fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
                match text(key, value, Self::WANTS, faults)? {
                    $first => Some($one),
                    $($word => Some($value),)*
                    other => {
                        let what = format!("`{key}` {other:?} is unknown");
                        faults.add_with_help(value.span().into(), what, Self::WANTS);
                        None
                    }
                }
            }
        }
    };
}

words!(Protocol { "tcp" => Self::Tcp, "udp" => Self::Udp });
words!(OnFail { "remove" => Self::Remove, "quiesce" => Self::Quiesce });
words!(VrrpChecksum { "rfc9568" => Self::Rfc9568, "pseudo-header" => Self::PseudoHeader });
words!(AuthKind { "pass" => Self::Pass });
words!(CheckType { "tcp" => Self::Tcp, "http" => Self::Http, "none" => Self::None });
words!(Family { "ipv4" => Self::V4, "ipv6" => Self::V6 });

/// `type` of `auth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthKind {
    /// A password in clear text.
    Pass,
}

/// `type` of `check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckType {
    /// A connection.
    Tcp,
    /// A request.
    Http,
    /// Nothing.
    None,
}

/// `family` of a service by firewall mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What was read elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ignored;

impl FromValue for Ignored {
    const WANTS: &'static str = "anything";

    fn from_value(_: &str, _: &Spanned<DeValue<'_>>, _: &mut Faults<'_>) -> Option<Self> {
        Some(Self)
    }
}

impl FromValue for Method {
    const WANTS: &'static str = "one of \"dr\", \"nat\", \"tun\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let what = match text(key, value, Self::WANTS, faults)? {
            "dr" => return Some(Self::Dr),
            "nat" => return Some(Self::Nat),
            "tun" => return Some(Self::Tun),
            "fullnat" => format!("`{key}` \"fullnat\" is not in this version of Director"),
            other => format!("`{key}` {other:?} is unknown"),
        };
        faults.add_with_help(value.span().into(), what, Self::WANTS);
        None
    }
}

/// `default` or a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Everything.
    Default,
    /// A network.
    Network(Cidr),
}

impl FromValue for Destination {
    const WANTS: &'static str = "\"default\" or a network such as \"10.0.0.0/8\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        match text(key, value, Self::WANTS, faults)? {
            "default" => Some(Self::Default),
            network => {
                let refuse = |_| Refused(format!("`{key}` {network:?} is not {}", Self::WANTS));
                accept(value, network.parse().map(Self::Network).map_err(refuse), faults)
            }
        }
    }
}

/// One of [`SCHEDULERS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduler(pub &'static str);

impl FromValue for Scheduler {
    const WANTS: &'static str = "the name of a scheduler such as \"wlc\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let text = text(key, value, Self::WANTS, faults)?;
        let known = SCHEDULERS.into_iter().find(|name| *name == text).map(Self);
        if known.is_none() {
            let what = format!("`{key}` {text:?} is unknown");
            let near =
                closest(text, SCHEDULERS).map(|near| format!("did you mean {near:?}? ")).unwrap_or_default();
            let help = format!("{near}one of {}", SCHEDULERS.join(", "));
            faults.add_with_help(value.span().into(), what, help);
        }
        known
    }
}

/// An address with or without a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The port, if one is given.
    pub port: Option<u16>,
}

impl FromValue for Endpoint {
    const WANTS: &'static str = "an address with a port such as \"192.168.61.45:80\" or \"[2001:db8::1]:80\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let text = text(key, value, Self::WANTS, faults)?;
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let alone = bare.unwrap_or(text).parse().map(|address| Self { address, port: None });
        let whole = text.parse::<SocketAddr>();
        let whole = whole.map(|both| Self { address: both.ip(), port: Some(both.port()) });
        let found = whole.or(alone).map_err(|_| Refused(format!("`{key}` {text:?} is not {}", Self::WANTS)));
        accept(value, found, faults)
    }
}

impl FromValue for Ipv4Addr {
    const WANTS: &'static str = "a netmask such as \"255.255.255.0\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let text = text(key, value, Self::WANTS, faults)?;
        let found = text.parse().map_err(|_| Refused(format!("`{key}` {text:?} is not {}", Self::WANTS)));
        accept(value, found, faults)
    }
}

impl FromValue for SyslogTarget {
    const WANTS: &'static str = "a target such as \"udp://192.168.61.9:514\" or \"tcp://[2001:db8::9]:514\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let text = text(key, value, Self::WANTS, faults)?;
        let found = parse_syslog(text);
        accept(value, found.ok_or_else(|| Refused(format!("{text:?} is not {}", Self::WANTS))), faults)
    }
}

fn parse_syslog(text: &str) -> Option<SyslogTarget> {
    /// RFC 5426 section 3.3.
    const PORT: u16 = 514;
    let (scheme, address) = text.split_once("://")?;
    let transport = match scheme {
        "udp" => SyslogTransport::Udp,
        "tcp" => SyslogTransport::Tcp,
        _ => return None,
    };
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let alone = bare.parse().map(|ip: IpAddr| SocketAddr::new(ip, PORT));
    let address = address.parse().or(alone).ok().filter(|address| address.port() != 0)?;
    Some(SyslogTarget { transport, address })
}

/// One element of `addresses` of a virtual router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Virtual {
    /// Address and prefix.
    pub address: Field<Cidr>,
    /// The interface that carries it.
    pub interface: Field<IfName>,
}

impl FromValue for Virtual {
    const WANTS: &'static str = "an address such as \"192.168.61.45/32\", or { address = …, interface = … }";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        if let Some(table) = value.get_ref().as_table() {
            let VirtualTable { at, address, interface } =
                VirtualTable::from_table(table, value.span().into(), faults);
            address.required(at, "address", "address = \"192.168.61.45/32\"", faults)?;
            return Some(Self { address, interface });
        }
        let value_text = text(key, value, Self::WANTS, faults)?;
        let cidr = accept(value, value_text.parse(), faults)?;
        let address = Field::Set(At { value: cidr, span: value.span().into() });
        Some(Self { address, interface: Field::Absent })
    }
}

/// `persistence`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Persistence {
    /// A time.
    Timeout(Duration),
    /// All of it.
    Table(Box<PersistenceTable>),
}

impl FromValue for Persistence {
    const WANTS: &'static str =
        "a duration such as \"50s\", or { timeout = \"50s\", netmask = \"255.255.255.0\" }";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        if let Some(table) = value.get_ref().as_table() {
            let table = PersistenceTable::from_table(table, value.span().into(), faults);
            return Some(Self::Table(Box::new(table)));
        }
        let text = text(key, value, Self::WANTS, faults)?;
        accept(value, parse_duration(text).map(Self::Timeout), faults)
    }
}

/// `check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// A type, with the defaults for all else.
    Type(CheckType),
    /// All of it.
    Table(Box<CheckTable>),
}

impl FromValue for Check {
    const WANTS: &'static str = "\"tcp\", \"http\", \"none\", or { type = \"http\", … }";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        if let Some(table) = value.get_ref().as_table() {
            let table = CheckTable::from_table(table, value.span().into(), faults);
            return Some(Self::Table(Box::new(table)));
        }
        if value.get_ref().is_str() {
            return CheckType::from_value(key, value, faults).map(Self::Type);
        }
        wrong_type(key, value, Self::WANTS, faults);
        None
    }
}

/// One element of `status`: a range of status codes, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u16, pub u16);

impl FromValue for Status {
    const WANTS: &'static str = "a status code such as 200, or a range such as \"200-299\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        if value.get_ref().is_integer() {
            let code: u16 = Int::<100, 599>::from_value(key, value, faults)?.to(0);
            return Some(Self(code, code));
        }
        let text = text(key, value, Self::WANTS, faults)?;
        let code = |text: &str| text.parse().ok().filter(|code| (100..=599).contains(code));
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = code(first).zip(code(last)).filter(|(first, last)| first <= last);
        let refuse = || Refused(format!("`{key}` {text:?} is not {}, within 100 to 599", Self::WANTS));
        accept(value, range.map(|(first, last)| Self(first, last)).ok_or_else(refuse), faults)
    }
}

/// `sorry`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sorry {
    /// The built-in page.
    Local,
    /// Servers.
    Servers(List<Server>),
}

impl FromValue for Sorry {
    const WANTS: &'static str = "\"local\", or a list such as [{ address = \"192.168.61.60:80\" }]";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(word) if word.as_ref() == "local" => Some(Self::Local),
            DeValue::Array(_) => List::from_value(key, value, faults).map(Self::Servers),
            DeValue::String(other) => {
                let what = format!("`{key}` {:?} is unknown", other.as_ref());
                faults.add_with_help(value.span().into(), what, Self::WANTS);
                None
            }
            _ => {
                wrong_type(key, value, Self::WANTS, faults);
                None
            }
        }
    }
}
