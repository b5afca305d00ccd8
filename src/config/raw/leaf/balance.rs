//! How a service spreads connections: scheduler and its flags, tunnel, mark, persistence, quorum, sorry servers.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::DeValue;

use super::super::{PersistenceTable, QuorumTable, Server, TunnelTable};
use crate::config::faults::Faults;
use crate::config::field::{At, Field, List};
use crate::config::model::{
    Method, OnFail, PersistenceEngine, Protocol, SCHEDULERS, SchedulerFlags, SorryMode, Start, TunnelChecksum,
};
use crate::config::schema::{self, Definitions};
use crate::config::value::{FromTable, FromValue, Int, accept, read_text, text, wrong_type};
use crate::ctl::closest;
use crate::units::parse_duration;

words!(Protocol { "tcp" => Self::Tcp, "udp" => Self::Udp, "sctp" => Self::Sctp });
words!(Method { "dr" => Self::Dr, "nat" => Self::Nat, "tun" => Self::Tun, "fullnat" => Self::FullNat });
words!(OnFail { "remove" => Self::Remove, "quiesce" => Self::Quiesce });
words!(SorryMode { "replace" => Self::Replace, "add" => Self::Add });
words!(Start { "keep" => Self::Keep, "down" => Self::Down, "up" => Self::Up });
words!(Family { "ipv4" => Self::V4, "ipv6" => Self::V6 });
words!(PersistenceEngine { "sip" => Self::Sip });
words!(TunnelKind { "ipip" => Self::Ipip, "gue" => Self::Gue, "gre" => Self::Gre });
words!(TunnelChecksum { "none" => Self::None, "full" => Self::Full, "remote" => Self::Remote });

/// `family` of a service by firewall mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// `type` of `tunnel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelKind {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation.
    Gue,
    /// Generic routing encapsulation.
    Gre,
}

/// `tunnel`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel(pub Box<TunnelTable>);

impl FromValue for Tunnel {
    const WANTS: &'static str = "one of \"ipip\", \"gue\", \"gre\", or { type = \"gue\", port = 6080 }";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        if let Some(table) = value.get_ref().as_table() {
            return Some(Self(Box::new(TunnelTable::from_table(table, value.span().into(), faults))));
        }
        text(key, value, Self::WANTS, faults)?;
        let kind = TunnelKind::from_value(key, value, faults)?;
        let at = value.span().into();
        let kind = Field::Set(At { value: kind, span: at });
        Some(Self(Box::new(TunnelTable { at, kind, ..TunnelTable::default() })))
    }

    fn schema(tables: &mut Definitions) -> Json {
        schema::any_of(Self::WANTS, vec![TunnelKind::schema(tables), TunnelTable::table_schema(tables)])
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

    fn schema(_: &mut Definitions) -> Json {
        schema::one_of(&SCHEDULERS)
    }
}

/// One element of `scheduler_flags`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchedulerFlag {
    /// Its name.
    pub name: &'static str,
    /// The scheduler it is for; `None` = whichever.
    pub scheduler: Option<&'static str>,
    /// What it sets.
    pub flags: SchedulerFlags,
}

impl FromValue for SchedulerFlag {
    const WANTS: &'static str = "one of \"sh-port\", \"sh-fallback\", \"mh-port\", \"mh-fallback\", \"flag-1\", \"flag-2\", \"flag-3\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        const NONE: SchedulerFlags = SchedulerFlags { flag1: false, flag2: false, flag3: false };
        const FIRST: SchedulerFlags = SchedulerFlags { flag1: true, ..NONE };
        const SECOND: SchedulerFlags = SchedulerFlags { flag2: true, ..NONE };
        const THIRD: SchedulerFlags = SchedulerFlags { flag3: true, ..NONE };
        let (name, scheduler, flags) = match text(key, value, Self::WANTS, faults)? {
            "sh-fallback" => ("sh-fallback", Some("sh"), FIRST),
            "sh-port" => ("sh-port", Some("sh"), SECOND),
            "mh-fallback" => ("mh-fallback", Some("mh"), FIRST),
            "mh-port" => ("mh-port", Some("mh"), SECOND),
            "flag-1" => ("flag-1", None, FIRST),
            "flag-2" => ("flag-2", None, SECOND),
            "flag-3" => ("flag-3", None, THIRD),
            other => {
                let what = format!("`{key}` {other:?} is unknown");
                faults.add_with_help(value.span().into(), what, Self::WANTS);
                return None;
            }
        };
        Some(Self { name, scheduler, flags })
    }

    fn schema(_: &mut Definitions) -> Json {
        schema::text(Self::WANTS)
    }
}

/// `mark` beside `listen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// None.
    Off,
    /// One that Director chooses.
    Auto,
    /// This one.
    Number(u32),
}

impl FromValue for Mark {
    const WANTS: &'static str = "true, or a firewall mark such as 17";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Boolean(true) => Some(Self::Auto),
            DeValue::Boolean(false) => Some(Self::Off),
            DeValue::Integer(_) => {
                let mark: Int<1, 4_294_967_295> = Int::from_value(key, value, faults)?;
                Some(Self::Number(mark.to(u32::MAX)))
            }
            _ => {
                wrong_type(key, value, Self::WANTS, faults);
                None
            }
        }
    }

    fn schema(tables: &mut Definitions) -> Json {
        schema::any_of(
            Self::WANTS,
            vec![bool::schema(tables), schema::number(Some(1), Some(4_294_967_295), Self::WANTS)],
        )
    }
}

impl FromValue for Ipv4Addr {
    const WANTS: &'static str = "a netmask such as \"255.255.255.0\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        read_text(key, value, faults, |text| text.parse().ok())
    }

    fn schema(_: &mut Definitions) -> Json {
        schema::text(Self::WANTS)
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

    fn schema(tables: &mut Definitions) -> Json {
        schema::any_of(Self::WANTS, vec![Duration::schema(tables), PersistenceTable::table_schema(tables)])
    }
}

/// A share such as `"50%"`, 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(pub u8);

impl FromValue for Percent {
    const WANTS: &'static str = "a share such as \"50%\", 1% to 100%";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        if value.get_ref().is_integer() {
            return Int::<1, 100>::from_value(key, value, faults).map(|percent| Self(percent.to(100)));
        }
        read_text(key, value, faults, |text| {
            let digits =
                text.strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
            digits.parse().ok().filter(|share| (1..=100).contains(share)).map(Self)
        })
    }

    fn schema(_: &mut Definitions) -> Json {
        schema::any_of(
            Self::WANTS,
            vec![schema::text(Self::WANTS), schema::number(Some(1), Some(100), Self::WANTS)],
        )
    }
}

/// `quorum`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quorum {
    /// A sum of weights.
    Weight(u32),
    /// A share of all weights.
    Percent(Percent),
    /// All of it.
    Table(Box<QuorumTable>),
}

impl FromValue for Quorum {
    const WANTS: &'static str = "a sum of weights such as 2, a share such as \"50%\", or { servers = 2 }";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Integer(_) => {
                let weight: Int<1, 4_294_967_295> = Int::from_value(key, value, faults)?;
                Some(Self::Weight(weight.to(u32::MAX)))
            }
            DeValue::String(_) => Percent::from_value(key, value, faults).map(Self::Percent),
            DeValue::Table(table) => {
                let table = QuorumTable::from_table(table, value.span().into(), faults);
                Some(Self::Table(Box::new(table)))
            }
            _ => {
                wrong_type(key, value, Self::WANTS, faults);
                None
            }
        }
    }

    fn schema(tables: &mut Definitions) -> Json {
        let weight = schema::number(Some(1), Some(4_294_967_295), Self::WANTS);
        schema::any_of(
            Self::WANTS,
            vec![weight, schema::text(Percent::WANTS), QuorumTable::table_schema(tables)],
        )
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

    fn schema(tables: &mut Definitions) -> Json {
        let servers = List::<Server>::schema(tables);
        schema::any_of(Self::WANTS, vec![schema::one_of(&["local"]), servers])
    }
}
