//! `[[service]]`.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::faults::Faults;
use super::super::field::{At, Field, List};
use super::super::model::{
    AddressRange, Listen, Method, Persistence, PersistenceEngine, Protocol, SchedulerFlags, Server, Service,
    ServiceKey, Sorry,
};
use super::super::raw;
use super::super::report::Span;
use super::check::{Checks, Shared, checks};
use super::listen::{Front, Marks, are_local, front, is_local, keeps_port, refuse_shadowed};
use super::quorum::quorum;
use super::server::{Defaults, SORRY_SERVER, servers};
use super::{Bounds, LocalAddresses, Unique, all, complete, family, items, list, name};
use crate::units::Weight;

const DEFAULT_SCHEDULER: &str = "wlc";
/// The kernel counts whole seconds; a month is its greatest (ip_vs_ctl.c: IP_VS_SVC timeouts in jiffies).
const PERSISTENCE: Bounds =
    Bounds::new(Duration::from_secs(1), Duration::from_secs(31 * 86_400), Duration::from_secs(1));
const SLOW_START: Bounds = Bounds::new(Duration::ZERO, Duration::from_secs(3600), Duration::from_millis(1));
const DRAIN: Bounds = Bounds::new(Duration::ZERO, Duration::from_secs(31 * 86_400), Duration::from_millis(1));

/// The names of all services.
pub(super) struct Names {
    names: BTreeSet<String>,
    complete: bool,
}

impl Names {
    /// Notes that no `[[service]]` has this name.
    pub(super) fn require(&self, name: &str, span: Span, faults: &mut Faults<'_>) {
        if self.complete && !self.names.contains(name) {
            let known = format!("services of this file: {}", list(&self.names));
            faults.add_with_help(span, format!("no [[service]] is named {name:?}"), known);
        }
    }
}

pub(super) fn names(raw: &Field<List<raw::Service>>) -> Names {
    let all = items(raw);
    Names {
        names: all.iter().filter_map(|at| at.value.name.get().cloned()).collect(),
        complete: complete(raw) && !all.iter().any(|at| at.value.name.is_faulty()),
    }
}

pub(super) fn services(
    raw: &Field<List<raw::Service>>,
    local: &LocalAddresses,
    mut shared: Shared<'_>,
    faults: &mut Faults<'_>,
) -> Vec<Service> {
    let mut names = Unique::new();
    let mut keys = Unique::new();
    let mut marks = Marks::new();
    let mut services = Vec::with_capacity(items(raw).len());
    let mut places = Vec::new();
    for At { value: raw, .. } in items(raw) {
        let front = front(raw, &mut marks, faults);
        are_local(raw, local, faults);
        for At { value: key, span } in &front.keys {
            keys.claim(*key, *span, format_args!("a service for {}", show_key(*key)), faults);
        }
        let Some(service) = service(raw, front, local, &mut shared, faults) else { continue };
        let span = raw.name.span().unwrap_or(raw.at);
        names.claim(service.name.clone(), span, format_args!("service `{}`", service.name), faults);
        services.push(service);
        places.push(span);
    }
    refuse_shadowed(&services, &places, faults);
    services
}

fn show_key(key: ServiceKey) -> String {
    let protocol = match key.protocol {
        Some(Protocol::Tcp) => " by TCP",
        Some(Protocol::Udp) => " by UDP",
        Some(Protocol::Sctp) => " by SCTP",
        None => "",
    };
    match key.listen {
        Listen::Address(address) => format!("{address}{protocol}"),
        Listen::Fwmark { mark, .. } => format!("firewall mark {mark}"),
    }
}

fn service(
    raw: &raw::Service,
    front: Front,
    local: &LocalAddresses,
    shared: &mut Shared<'_>,
    faults: &mut Faults<'_>,
) -> Option<Service> {
    let name = name(&raw.name, raw.at, "name = \"web\"", faults);
    let persistence = persistence(raw, &front, faults);
    let checks = checks(&raw.check, raw.at, &front, shared, faults);
    let defaults = Defaults {
        what: "real server",
        weight: raw.weight.get().copied().unwrap_or(Weight::DEFAULT),
        checks: &checks,
        keeps_port: keeps_port(&front, persistence.as_ref()),
    };
    let real = servers(items(&raw.server), &front, &defaults, shared, faults);
    if items(&raw.server).is_empty() && complete(&raw.server) {
        faults.add_with_help(
            raw.at,
            "the service has no real server",
            "add [[service.server]] with its `address`",
        );
    }
    let quorum = quorum(raw, &real, faults);
    let sorry = sorry(raw, &front, &real, &defaults, shared, faults);
    if let Some(span) = raw.sorry_mode.span().filter(|_| !raw.sorry.is_given()) {
        faults.add(span, "`sorry_mode` is for a service with `sorry`");
    }
    let flags = scheduler_flags(raw, faults);
    let everybody = || real.iter().chain(substitutes(&sorry)).map(|server| server.method);
    let uses = |method| front.method == method || everybody().any(|other| other == method);
    if let Some(span) = raw.tunnel.span().filter(|_| !raw.method.is_faulty() && !uses(Method::Tun)) {
        faults.add(span, "`tunnel` is for method = \"tun\"");
    }
    if let Some(span) = raw.source.span().filter(|_| !raw.method.is_faulty() && !uses(Method::FullNat)) {
        faults.add(span, "`source` is for method = \"fullnat\"");
    }
    let mut keys = front.keys.iter().map(|key| key.value);
    Some(Service {
        name: name?,
        key: keys.next()?,
        also: keys.collect(),
        scheduler: scheduler(raw),
        flags,
        one_packet: one_packet(raw, &front, faults),
        persistence,
        sources: sources(raw, &front, local, faults),
        quorum,
        start: raw.start.get().copied().unwrap_or_default(),
        slow_start: SLOW_START.take("slow_start", &raw.slow_start, Duration::ZERO, faults),
        drain: raw
            .drain_timeout
            .is_given()
            .then(|| DRAIN.take("drain_timeout", &raw.drain_timeout, Duration::ZERO, faults)),
        on_fail: raw.on_fail.get().copied().unwrap_or_default(),
        sorry,
        sorry_mode: raw.sorry_mode.get().copied().unwrap_or_default(),
        servers: real,
        marking: front.marking,
    })
}

fn scheduler(raw: &raw::Service) -> &'static str {
    raw.scheduler.get().map_or(DEFAULT_SCHEDULER, |scheduler| scheduler.0)
}

fn scheduler_flags(raw: &raw::Service, faults: &mut Faults<'_>) -> SchedulerFlags {
    let mut flags = SchedulerFlags::default();
    let mut seen = Unique::new();
    for At { value: flag, span } in items(&raw.scheduler_flags) {
        if let Some(wanted) = flag.scheduler.filter(|wanted| *wanted != scheduler(raw))
            && !raw.scheduler.is_faulty()
        {
            let what = format!("`{}` belongs to scheduler = \"{wanted}\"", flag.name);
            faults.add(*span, what);
        }
        seen.claim(flag.name, *span, format_args!("flag `{}`", flag.name), faults);
        flags.flag1 |= flag.flags.flag1;
        flags.flag2 |= flag.flags.flag2;
        flags.flag3 |= flag.flags.flag3;
    }
    flags
}

/// The kernel schedules single packets of UDP only (ip_vs_core.c: ip_vs_schedule); by mark it sees what comes.
fn one_packet(raw: &raw::Service, front: &Front, faults: &mut Faults<'_>) -> bool {
    let Some(At { value: true, span }) = raw.one_packet.set() else { return false };
    if !matches!(front.protocol, Some(Protocol::Udp) | None) {
        faults.add(*span, "`one_packet` is for protocol = \"udp\"");
    }
    true
}

/// Answers come to these addresses, so they are this box's.
fn sources(
    raw: &raw::Service,
    front: &Front,
    local: &LocalAddresses,
    faults: &mut Faults<'_>,
) -> Vec<AddressRange> {
    for At { value, span } in all(&raw.source) {
        let first = value.0.first;
        if front.is_known() && first.is_ipv6() != front.ipv6 {
            let what = format!("source {first} is {}, but the service is {}", family(first), front.family());
            faults.add(*span, what);
        }
        is_local(value.0, *span, "source", local, faults);
    }
    all(&raw.source).iter().map(|at| at.value.0).collect()
}

fn persistence(raw: &raw::Service, front: &Front, faults: &mut Faults<'_>) -> Option<Persistence> {
    let At { value, span } = raw.persistence.set()?;
    let widest = if front.ipv6 { 128 } else { 32 };
    match value {
        raw::Persistence::Timeout(timeout) => {
            let field = Field::Set(At { value: *timeout, span: *span });
            let timeout = PERSISTENCE.take("persistence", &field, *timeout, faults);
            Some(Persistence { timeout, prefix: widest, engine: None })
        }
        raw::Persistence::Table(table) => {
            let engine = engine(table, front, faults);
            let given = table.timeout.required(table.at, "timeout", "timeout = \"50s\"", faults)?;
            let timeout = PERSISTENCE.take("timeout", &table.timeout, given.value, faults);
            Some(Persistence { timeout, prefix: granularity(table, front, widest, faults), engine })
        }
    }
}

/// ip_vs_pe_sip.c reads datagrams only.
fn engine(
    table: &raw::PersistenceTable,
    front: &Front,
    faults: &mut Faults<'_>,
) -> Option<PersistenceEngine> {
    let At { value, span } = table.engine.set()?;
    if !matches!(front.protocol, Some(Protocol::Udp) | None) {
        faults.add(*span, "`engine` \"sip\" is for protocol = \"udp\"");
    }
    Some(*value)
}

fn granularity(table: &raw::PersistenceTable, front: &Front, widest: u8, faults: &mut Faults<'_>) -> u8 {
    if table.netmask.is_given() && table.prefix.is_given() {
        faults.add(table.at, "clients are grouped by either `netmask` or `prefix`");
    }
    if let Some(At { value, span }) = table.netmask.set() {
        let bits = value.to_bits();
        if front.ipv6 {
            faults.add_with_help(*span, "`netmask` is for IPv4", "prefix = 64");
        } else if bits == 0 || bits.leading_ones() + bits.trailing_zeros() != 32 {
            faults.add_with_help(*span, format!("{value} is not a netmask"), "for example 255.255.255.0");
        }
        return u8::try_from(bits.leading_ones()).unwrap_or(widest);
    }
    let Some(At { value, span }) = table.prefix.set() else { return widest };
    let prefix = value.to(widest);
    if prefix > widest {
        faults.add(*span, format!("`prefix` {prefix} is out of range: 1 to {widest}"));
    }
    prefix
}

fn substitutes(sorry: &Sorry) -> &[Server] {
    match sorry {
        Sorry::Servers(servers) => servers,
        Sorry::None | Sorry::Local => &[],
    }
}

fn sorry(
    raw: &raw::Service,
    front: &Front,
    real: &[Server],
    defaults: &Defaults<'_>,
    shared: &mut Shared<'_>,
    faults: &mut Faults<'_>,
) -> Sorry {
    let Some(At { value, span }) = raw.sorry.set() else { return Sorry::None };
    match value {
        raw::Sorry::Local => {
            if front.protocol != Some(Protocol::Tcp) || front.is_marked() || front.ask.is_none() {
                let help = "sorry = [{ address = … }] serves the others";
                faults.add_with_help(*span, "the built-in page is for TCP services with a port", help);
            }
            Sorry::Local
        }
        raw::Sorry::Servers(given) => {
            if given.items.is_empty() && given.complete {
                faults.add(*span, "`sorry` is empty, leave it out");
            }
            let unchecked = Checks::none();
            let defaults = Defaults {
                what: SORRY_SERVER,
                weight: Weight::DEFAULT,
                checks: &unchecked,
                keeps_port: defaults.keeps_port,
            };
            let servers = servers(&given.items, front, &defaults, shared, faults);
            for server in &servers {
                if real.iter().any(|other| other.address == server.address) {
                    faults.add(*span, format!("sorry server {} is also a real server", server.address));
                }
            }
            Sorry::Servers(servers)
        }
    }
}
