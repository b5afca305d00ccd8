//! Values that are more than one type, or one of a few words.

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::DeValue;

use crate::config::faults::Faults;
use crate::config::model::{Host, HostPort, RouteKind, SyslogTarget, SyslogTransport};
use crate::config::schema::{self, Definitions};
use crate::config::value::{FromValue, accept, read_text, text};
use crate::units::{Cidr, Refused};

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

            fn schema(_: &mut $crate::config::schema::Definitions) -> serde_json::Value {
                $crate::config::schema::one_of(&[$first $(, $word)*])
            }
        }
    };
}

mod address;
mod balance;
mod probe;
mod sysctl;

pub use address::{Addresses, Endpoint, Targets, Vips};
pub use balance::{
    Family, Mark, Percent, Persistence, Quorum, Scheduler, SchedulerFlag, Sorry, Tunnel, TunnelKind,
};
pub use probe::{Check, CheckType, Headers, Hex, Status, Tls, Transport};
pub use sysctl::Sysctls;

words!(RouteKind {
    "unicast" => Self::Unicast,
    "local" => Self::Local,
    "blackhole" => Self::Blackhole,
    "unreachable" => Self::Unreachable,
});

/// `type` of `[[notify]]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyType {
    /// A mail.
    Mail,
    /// A request over HTTP.
    Webhook,
    /// A program.
    Exec,
    /// A receiver of logs.
    Syslog,
}

impl NotifyType {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
            Self::Exec => "exec",
            Self::Syslog => "syslog",
        }
    }
}

words!(NotifyType {
    "mail" => Self::Mail,
    "webhook" => Self::Webhook,
    "exec" => Self::Exec,
    "syslog" => Self::Syslog,
});

/// What was read elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ignored;

impl FromValue for Ignored {
    const WANTS: &'static str = "anything";

    fn from_value(_: &str, _: &Spanned<DeValue<'_>>, _: &mut Faults<'_>) -> Option<Self> {
        Some(Self)
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

    fn schema(_: &mut Definitions) -> Json {
        schema::text(Self::WANTS)
    }
}

impl FromValue for Host {
    const WANTS: &'static str = "an address such as \"192.168.61.1\" or a name such as \"ntp.example.com\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        read_text(key, value, faults, |text| text.parse().ok())
    }

    fn schema(_: &mut Definitions) -> Json {
        schema::text(Self::WANTS)
    }
}

impl FromValue for HostPort {
    const WANTS: &'static str =
        "an address or a name with a port such as \"192.168.61.9:25\" or \"mail.example.com:25\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        read_text(key, value, faults, Self::read)
    }

    fn schema(_: &mut Definitions) -> Json {
        schema::text(Self::WANTS)
    }
}

impl FromValue for SyslogTarget {
    const WANTS: &'static str =
        "a target such as \"udp://192.168.61.9:514\" or \"tcp://logs.example.com:514\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let text = text(key, value, Self::WANTS, faults)?;
        let found = parse_syslog(text);
        accept(value, found.ok_or_else(|| Refused(format!("{text:?} is not {}", Self::WANTS))), faults)
    }

    fn schema(_: &mut Definitions) -> Json {
        schema::text(Self::WANTS)
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
    let alone = || Some(HostPort { host: bare.parse().ok()?, port: PORT });
    let address = HostPort::read(address).or_else(alone)?;
    Some(SyslogTarget { transport, address })
}
