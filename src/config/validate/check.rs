//! `check` of a service.

use std::sync::Arc;
use std::time::Duration;

use hyper::http::uri::PathAndQuery;

use super::super::faults::Faults;
use super::super::field::{At, Field};
use super::super::model::{Check, CheckKind, Dialogue, Http, Protocol};
use super::super::raw::{self, CheckTable, CheckType, Status};
use super::super::report::Span;
use super::listen::Front;
use super::{Bounds, items};

const MS: Duration = Duration::from_millis(1);
const INTERVAL: Bounds = Bounds::new(Duration::from_millis(100), Duration::from_secs(3600), MS);
const TIMEOUT: Bounds = Bounds::new(Duration::from_millis(10), Duration::from_secs(300), MS);
const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
const DEFAULT_FALL: u8 = 3;
const DEFAULT_RISE: u8 = 2;
const DEFAULT_STATUS: Status = Status(200, 299);

/// The checks of a service or a server.
pub(super) struct Checks {
    /// For a server with a port of its own.
    plain: Vec<Arc<Check>>,
    /// For a server without.
    asked: Vec<Arc<Check>>,
    /// Where one of them stands that needs a port and has none.
    lost: Option<Span>,
}

impl Checks {
    /// Never asked, always up.
    pub(super) const fn none() -> Self {
        Self { plain: Vec::new(), asked: Vec::new(), lost: None }
    }

    /// Those of a server with this port, 0 = none of its own.
    pub(super) fn of(&self, port: u16, faults: &mut Faults<'_>) -> &[Arc<Check>] {
        if port != 0 {
            return &self.plain;
        }
        if let Some(span) = self.lost {
            faults.add_with_help(span, "the check does not know which port to ask", "give it `port`");
        }
        &self.asked
    }
}

pub(super) fn checks(field: &Field<raw::Check>, at: Span, front: &Front, faults: &mut Faults<'_>) -> Checks {
    let (table, span) = match field.set() {
        Some(At { value: raw::Check::Table(table), span }) => (table.as_ref().clone(), *span),
        Some(At { value: raw::Check::Type(kind), span }) => {
            let kind = Field::Set(At { value: *kind, span: *span });
            (CheckTable { at: *span, kind, ..CheckTable::default() }, *span)
        }
        None => (CheckTable { at, ..CheckTable::default() }, at),
    };
    let Some(check) = check(&table, front, faults) else { return Checks::none() };
    let port = check.port.or(front.ask);
    let lost = (front.is_known() && port.is_none()).then_some(span);
    let plain = Arc::new(check);
    let asked =
        if plain.port == port { plain.clone() } else { Arc::new(Check { port, ..Check::clone(&plain) }) };
    Checks { plain: vec![plain], asked: vec![asked], lost }
}

fn check(table: &CheckTable, front: &Front, faults: &mut Faults<'_>) -> Option<Check> {
    // What UDP or a firewall mark stands for cannot be asked without a hint: then the operator vouches for the servers.
    let by_default = match front.protocol {
        Some(Protocol::Tcp) if front.ask.is_some() || table.port.is_given() => CheckType::Tcp,
        _ if table.port.is_given() => CheckType::Tcp,
        _ => CheckType::None,
    };
    let kind = table.kind.get().copied().unwrap_or(by_default);
    if kind != CheckType::Http && !table.kind.is_faulty() {
        only_http(table, faults);
    }
    let interval = INTERVAL.take("interval", &table.interval, DEFAULT_INTERVAL, faults);
    let timeout = TIMEOUT.take("timeout", &table.timeout, DEFAULT_TIMEOUT.min(interval), faults);
    if let Some(span) = table.timeout.span()
        && timeout > interval
        && TIMEOUT.holds(timeout)
    {
        faults.add(span, "`timeout` is longer than `interval`");
    }
    let kind = match kind {
        CheckType::None => return None,
        CheckType::Tcp => CheckKind::Tcp(Dialogue::default()),
        CheckType::Http => http(table, faults),
    };
    Some(Check {
        interval,
        fast: interval,
        timeout,
        fall: table.fall.get().map_or(DEFAULT_FALL, |fall| fall.to(DEFAULT_FALL)),
        rise: table.rise.get().map_or(DEFAULT_RISE, |rise| rise.to(DEFAULT_RISE)),
        port: table.port.get().map(|port| port.to(0)),
        ..Check::new(kind)
    })
}

fn only_http(table: &CheckTable, faults: &mut Faults<'_>) {
    let given = [("path", table.path.span()), ("host", table.host.span()), ("status", table.status.span())];
    for (key, span) in given.into_iter().filter_map(|(key, span)| Some((key, span?))) {
        faults.add(span, format!("`{key}` belongs to a check of type = \"http\""));
    }
}

fn http(table: &CheckTable, faults: &mut Faults<'_>) -> CheckKind {
    let visible = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
    let path = table.path.get().map_or("/", String::as_str);
    if let Some(span) = table.path.span()
        && !(path.starts_with('/')
            && visible(path)
            && !path.contains('#')
            && path.parse::<PathAndQuery>().is_ok())
    {
        let help = "a path such as \"/health?full=1\": begins with `/`, other characters as %XX";
        faults.add_with_help(span, format!("`path` {path:?} cannot be asked for"), help);
    }
    if let Some(At { value, span }) = table.host.set()
        && (value.is_empty() || !visible(value) || value.contains(['/', '@', '#', '?']))
    {
        faults.add_with_help(
            *span,
            format!("`host` {value:?} is not a host"),
            "for example \"www.example.com\"",
        );
    }
    if let Some(At { value, span }) = table.status.set()
        && value.items.is_empty()
        && value.complete
    {
        faults.add_with_help(*span, "`status` is empty", "for example [200] or [\"200-299\", 304]");
    }
    let mut status: Vec<(u16, u16)> =
        items(&table.status).iter().map(|at| (at.value.0, at.value.1)).collect();
    if status.is_empty() {
        status.push((DEFAULT_STATUS.0, DEFAULT_STATUS.1));
    }
    CheckKind::Http(Box::new(Http { host: table.host.get().cloned(), status, ..Http::get(path) }))
}
