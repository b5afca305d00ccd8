//! `check` of a service or a server.

mod keys;
mod kind;
mod request;
pub(super) mod tls;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::super::faults::Faults;
use super::super::field::{At, Field, Many};
use super::super::model::{Check, CheckKind, Method, ProbeRoute, Protocol};
use super::super::raw::{self, CheckTable, CheckType};
use super::super::report::Span;
use super::link::Connected;
use super::listen::{Front, reserved};
use super::{Bounds, family, host_address};
use crate::pattern::Pattern;
use crate::units::Refused;

const MS: Duration = Duration::from_millis(1);
const INTERVAL: Bounds = Bounds::new(Duration::from_millis(100), Duration::from_secs(3600), MS);
const TIMEOUT: Bounds = Bounds::new(Duration::from_millis(10), Duration::from_secs(300), MS);
const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
/// A neighbour that does not answer is given up after 3 s (neighbour.c: three solicitations, one second apart), and only a
/// probe that still waits then hears of it.
const NEIGHBOUR_IS_LOST: Duration = Duration::from_secs(4);
const DEFAULT_UDP_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_FALL: u8 = 3;
const DEFAULT_RISE: u8 = 2;

/// What checks need to know of the file, and what they share.
pub(super) struct Shared<'a> {
    /// The name that this box gives itself.
    pub hostname: &'a str,
    /// Where neighbours are.
    connected: Connected,
    /// Expressions that were compiled already: a thousand services may have the same.
    patterns: BTreeMap<String, Result<Pattern, Refused>>,
}

impl<'a> Shared<'a> {
    pub(super) const fn new(hostname: &'a str, connected: Connected) -> Self {
        Self { hostname, connected, patterns: BTreeMap::new() }
    }

    /// Notes that the server at `span` cannot be asked by ARP.
    pub(super) fn neighbour(
        &self,
        checks: &[Arc<Check>],
        server: IpAddr,
        span: Span,
        faults: &mut Faults<'_>,
    ) {
        let asked = checks.iter().filter(|check| check.kind == CheckKind::Arp);
        let far =
            asked.map(|check| check.address.unwrap_or(server)).find(|asked| self.connected.lacks(*asked));
        if let Some(far) = far {
            let what = format!(
                "{far} is on no network of this box, and a check of type = \"arp\" crosses no router"
            );
            faults.add_with_help(span, what, "type = \"ping\" does");
        }
    }

    fn pattern(&mut self, text: &str) -> Result<Pattern, Refused> {
        if let Some(known) = self.patterns.get(text) {
            return known.clone();
        }
        let pattern = text.parse();
        self.patterns.insert(text.to_owned(), pattern.clone());
        pattern
    }
}

/// The checks of a service or a server.
pub(super) struct Checks {
    /// For a server with a port of its own.
    plain: Vec<Arc<Check>>,
    /// For a server without.
    asked: Vec<Arc<Check>>,
    /// Where one of them stands that needs a port and has none.
    lost: Option<Span>,
    /// Where one of them asks the VIP.
    vip: Option<Span>,
    /// Where one of them asks the VIP from no `source` that the file names.
    sourceless: Option<Span>,
    /// From where the servers themselves are asked.
    sources: Vec<At<IpAddr>>,
}

impl Checks {
    /// Never asked, always up.
    pub(super) const fn none() -> Self {
        Self {
            plain: Vec::new(),
            asked: Vec::new(),
            lost: None,
            vip: None,
            sourceless: None,
            sources: Vec::new(),
        }
    }

    /// Those of a server at this address, with port 0 = none of its own, that packets reach by `method`; `crosses`: into the other family.
    pub(super) fn of(
        &self,
        server: SocketAddr,
        method: Method,
        crosses: bool,
        faults: &mut Faults<'_>,
    ) -> &[Arc<Check>] {
        let (ip, port) = (server.ip(), server.port());
        if let Some(At { value: source, span }) =
            self.sources.iter().find(|at| at.value.is_ipv4() != ip.is_ipv4())
        {
            let what = format!(
                "source {source} is {}, but a server that is asked from there is {}",
                family(*source),
                family(ip)
            );
            faults.add(*span, what);
        }
        if let Some(span) = self.vip
            && !matches!(method, Method::Dr | Method::Tun)
        {
            let help = "others have their addresses rewritten, so their own is what to ask";
            faults.add_with_help(span, "`probe` = \"vip\" is for servers by \"dr\" or \"tun\"", help);
        }
        if let Some(span) = self.sourceless.filter(|_| crosses && method == Method::Tun) {
            let help = "it is an address of this box, of the VIP's family";
            let what =
                "`probe` = \"vip\" needs `source` where the server is of the other family than the VIP";
            faults.add_with_help(span, what, help);
        }
        if port != 0 {
            return &self.plain;
        }
        if let Some(span) = self.lost {
            faults.add_with_help(span, "the check does not know which port to ask", "give it `port`");
        }
        &self.asked
    }

    fn add(&mut self, check: Check, source: Option<&At<IpAddr>>, span: Span, front: &Front) {
        let port = check.port.or(front.ask).or_else(|| keys::default_port(&check.kind));
        if front.is_known() && port.is_none() && keys::needs_port(&check.kind) {
            self.lost = Some(span);
        }
        if check.route == ProbeRoute::Vip {
            self.vip = Some(span);
            if check.source.is_none() {
                self.sourceless.get_or_insert(span);
            }
        }
        if check.route == ProbeRoute::Server && check.address.is_none() {
            self.sources.extend(source.map(|at| At { value: at.value, span: at.span }));
        }
        let plain = Arc::new(check);
        let alike = plain.port == port;
        self.asked.push(if alike { plain.clone() } else { Arc::new(Check { port, ..Check::clone(&plain) }) });
        self.plain.push(plain);
    }
}

/// What `field` says; what is right for the service where it says nothing. All must succeed.
pub(super) fn checks(
    field: &Field<Many<raw::Check>>,
    at: Span,
    front: &Front,
    shared: &mut Shared<'_>,
    faults: &mut Faults<'_>,
) -> Checks {
    let mut checks = Checks::none();
    let Some(given) = field.set() else {
        if !field.is_faulty() {
            let table = CheckTable { at, ..CheckTable::default() };
            if let Some(check) = check(&table, front, shared, faults) {
                checks.add(check, None, at, front);
            }
        }
        return checks;
    };
    let all = &given.value.0;
    if all.items.is_empty() && all.complete {
        faults.add_with_help(given.span, "`check` is empty", "check = \"none\" asks nothing");
    }
    for At { value: raw::Check(table), span } in &all.items {
        match check(table, front, shared, faults) {
            Some(check) => checks.add(check, table.source.set(), *span, front),
            None if all.items.len() > 1 => {
                faults.add(*span, "a check of type = \"none\" means nothing beside others");
            }
            None => {}
        }
    }
    checks
}

fn check(
    table: &CheckTable,
    front: &Front,
    shared: &mut Shared<'_>,
    faults: &mut Faults<'_>,
) -> Option<Check> {
    let kind = table.kind.get().copied().unwrap_or_else(|| by_default(table, front));
    if !table.kind.is_faulty() {
        keys::refuse_strangers(table, kind, faults);
    }
    let (interval, timeout) = match (kind, &table.expect) {
        (CheckType::Udp, Field::Absent) => (DEFAULT_UDP_INTERVAL, NEIGHBOUR_IS_LOST),
        _ => (DEFAULT_INTERVAL, DEFAULT_TIMEOUT),
    };
    let patient = timeout == NEIGHBOUR_IS_LOST;
    let interval = INTERVAL.take("interval", &table.interval, interval, faults);
    let fast = INTERVAL.take("fast", &table.fast, interval, faults);
    let timeout = TIMEOUT.take("timeout", &table.timeout, timeout.min(interval), faults);
    if patient && timeout < NEIGHBOUR_IS_LOST {
        let (key, span) = match (table.timeout.span(), table.interval.span()) {
            (Some(span), _) => ("timeout", span),
            (None, span) => ("interval", span.unwrap_or(table.at)),
        };
        let what = format!("`{key}` of a check of type = \"udp\" without `expect` is 4s or more");
        let help = "silence is good there, and that a host is gone is known after three seconds";
        faults.add_with_help(span, what, help);
    }
    for (key, span, time) in [("timeout", table.timeout.span(), timeout), ("fast", table.fast.span(), fast)] {
        if let Some(span) = span
            && time > interval
            && (key == "fast" || TIMEOUT.holds(time))
        {
            faults.add(span, format!("`{key}` is longer than `interval`"));
        }
    }
    address("address", &table.address, faults);
    address("source", &table.source, faults);
    families(table, faults);
    route(table, front, faults);
    let kind = kind::kind(kind, table, shared, faults)?;
    Some(Check {
        kind,
        interval,
        fast,
        timeout,
        fall: table.fall.get().map_or(DEFAULT_FALL, |fall| fall.to(DEFAULT_FALL)),
        rise: table.rise.get().map_or(DEFAULT_RISE, |rise| rise.to(DEFAULT_RISE)),
        address: table.address.get().copied(),
        port: table.port.get().map(|port| port.to(0)),
        source: table.source.get().copied(),
        mark: table.mark.get().map_or(0, |mark| mark.to(0)),
        route: table.probe.get().copied().unwrap_or_default(),
    })
}

/// What UDP or a firewall mark stands for cannot be asked without a hint: then the operator vouches for the servers.
fn by_default(table: &CheckTable, front: &Front) -> CheckType {
    match front.protocol {
        Some(Protocol::Sctp) if front.ask.is_some() || table.port.is_given() => CheckType::Sctp,
        Some(Protocol::Tcp) if front.ask.is_some() => CheckType::Tcp,
        _ if table.port.is_given() => CheckType::Tcp,
        _ => CheckType::None,
    }
}

fn address(key: &str, field: &Field<IpAddr>, faults: &mut Faults<'_>) {
    if let Some(At { value, span }) = field.set() {
        host_address(*value, *span, &format!("`{key}`"), faults);
    }
}

fn families(table: &CheckTable, faults: &mut Faults<'_>) {
    if let (Some(address), Some(source)) = (table.address.get(), table.source.set())
        && address.is_ipv4() != source.value.is_ipv4()
    {
        let what = format!(
            "source {} is {}, but `address` is {}",
            source.value,
            family(source.value),
            family(*address)
        );
        faults.add(source.span, what);
    }
}

fn route(table: &CheckTable, front: &Front, faults: &mut Faults<'_>) {
    if let Some(At { value, span }) = table.mark.set() {
        reserved(value.to(0), *span, faults);
    }
    let Some(At { value: ProbeRoute::Vip, span }) = table.probe.set() else { return };
    if front.is_known() && front.is_marked() && front.marking.is_none() {
        faults.add(*span, "`probe` = \"vip\" needs a VIP, and a service by `fwmark` has none");
    }
    if table.address.is_given() {
        faults.add(*span, "a check asks either the VIP or another `address`");
    }
    if let Some(span) = table.mark.span() {
        faults.add(span, "`mark` is not for `probe` = \"vip\": there the mark says which server is asked");
    }
    if let Some(At { value: source, span }) = table.source.set()
        && front.is_known()
        && !table.address.is_given()
        && source.is_ipv6() != front.ipv6
    {
        let what = format!("source {source} is {}, but the VIP is {}", family(*source), front.family());
        faults.add(*span, what);
    }
}
