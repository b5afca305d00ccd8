//! `[[service]]`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::super::faults::Faults;
use super::super::field::{At, Field, List};
use super::super::model::{
    Listen, Method, Need, Persistence, Protocol, Quorum, SchedulerFlags, Server, Service, ServiceKey, Sorry,
    Start,
};
use super::super::raw::{self, Family};
use super::super::report::Span;
use super::server::{Front, servers};
use super::{Bounds, LocalAddresses, Unique, check, complete, host_address, items, list, name};

const DEFAULT_SCHEDULER: &str = "wlc";
/// The kernel counts whole seconds; a month is its greatest (ip_vs_ctl.c: IP_VS_SVC timeouts in jiffies).
const PERSISTENCE: Bounds =
    Bounds::new(Duration::from_secs(1), Duration::from_secs(31 * 86_400), Duration::from_secs(1));

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
    faults: &mut Faults<'_>,
) -> Vec<Service> {
    let mut names = Unique::new();
    let mut keys = Unique::new();
    let mut services = Vec::new();
    for At { value: raw, .. } in items(raw) {
        let Some(service) = service(raw, local, faults) else { continue };
        let span = raw.name.span().unwrap_or(raw.at);
        names.claim(service.name.clone(), span, format!("service `{}`", service.name), faults);
        let span = raw.listen.span().or_else(|| raw.fwmark.span()).unwrap_or(raw.at);
        keys.claim(service.key, span, format!("a service for {}", show_key(service.key)), faults);
        services.push(service);
    }
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

fn service(raw: &raw::Service, local: &LocalAddresses, faults: &mut Faults<'_>) -> Option<Service> {
    let name = name(&raw.name, raw.at, "name = \"web\"", faults);
    let listen = listen(raw, faults);
    if let Some(Listen::Address(address)) = listen {
        is_local(address, raw, local, faults);
    }
    let protocol = match listen {
        Some(Listen::Fwmark { .. }) => None,
        _ => Some(raw.protocol.get().copied().unwrap_or(Protocol::Tcp)),
    };
    let front = Front { listen, protocol, method: raw.method.get().copied().unwrap_or(Method::Dr) };
    let persistence = persistence(raw, front, faults);
    let check = check::check(raw, front, faults);
    let mut real = servers(items(&raw.server), front, "real server", faults);
    for server in &mut real {
        server.checks.clone_from(&check);
    }
    if items(&raw.server).is_empty() && complete(&raw.server) {
        faults.add_with_help(
            raw.at,
            "the service has no real server",
            "add [[service.server]] with its `address`",
        );
    }
    let quorum = quorum(raw, &real, faults);
    let sorry = sorry(raw, front, &real, faults);
    Some(Service {
        name: name?,
        key: ServiceKey { listen: listen?, protocol },
        also: Vec::new(),
        marking: None,
        flags: SchedulerFlags::default(),
        one_packet: false,
        scheduler: raw.scheduler.get().map_or(DEFAULT_SCHEDULER, |scheduler| scheduler.0),
        persistence,
        sources: Vec::new(),
        quorum,
        start: Start::default(),
        slow_start: Duration::ZERO,
        drain: None,
        on_fail: raw.on_fail.get().copied().unwrap_or_default(),
        sorry,
        servers: real,
    })
}

fn listen(raw: &raw::Service, faults: &mut Faults<'_>) -> Option<Listen> {
    match (&raw.listen, &raw.fwmark) {
        (Field::Absent, Field::Absent) => {
            let help = "listen = \"192.168.61.45:80\", or fwmark = 5";
            faults.add_with_help(raw.at, "`listen` is missing", help);
            None
        }
        (Field::Absent, mark) => {
            if let Some(span) = raw.protocol.span() {
                faults.add_with_help(
                    span,
                    "a service by `fwmark` has no `protocol`",
                    "the mark alone says which packets",
                );
            }
            let mark = mark.get()?.to(u32::MAX);
            Some(Listen::Fwmark { mark, ipv6: is_ipv6(raw) })
        }
        (listen, mark) => {
            if mark.is_given() {
                faults.add(raw.at, "a service has either `listen` or `fwmark`");
            }
            if let Some(span) = raw.family.span() {
                faults.add(span, "`family` is for a service by `fwmark`; `listen` has one already");
            }
            let At { value, span } = listen.set()?;
            host_address(value.address, *span, "VIP", faults);
            let port = value.port.unwrap_or(0);
            if port == 0 && !raw.persistence.is_given() {
                let help = "give a port, or `persistence` for a service of every port";
                faults.add_with_help(*span, "`listen` has no port", help);
            }
            Some(Listen::Address(SocketAddr::new(value.address, port)))
        }
    }
}

/// The family that a firewall mark stands for: that of its real servers unless the file says it.
fn is_ipv6(raw: &raw::Service) -> bool {
    match raw.family.get() {
        Some(family) => *family == Family::V6,
        None => items(&raw.server)
            .iter()
            .find_map(|at| at.value.address.get())
            .is_some_and(|server| server.address.is_ipv6()),
    }
}

/// Packets for an address that the box never has do not reach IPVS.
fn is_local(listen: SocketAddr, raw: &raw::Service, local: &LocalAddresses, faults: &mut Faults<'_>) {
    if let Some(span) = raw.listen.span()
        && local.complete
        && !local.addresses.contains_key(&listen.ip())
    {
        faults.add_with_help(
            span,
            format!("VIP {} is on no virtual router and on no interface", listen.ip()),
            format!("addresses in this file: {}", list(local.addresses.keys())),
        );
    }
}

fn persistence(raw: &raw::Service, front: Front, faults: &mut Faults<'_>) -> Option<Persistence> {
    let At { value, span } = raw.persistence.set()?;
    let widest = if front.is_ipv6() { 128 } else { 32 };
    match value {
        raw::Persistence::Timeout(timeout) => {
            let field = Field::Set(At { value: *timeout, span: *span });
            let timeout = PERSISTENCE.take("persistence", &field, *timeout, faults);
            Some(Persistence { timeout, prefix: widest, engine: None })
        }
        raw::Persistence::Table(table) => {
            let given = table.timeout.required(table.at, "timeout", "timeout = \"50s\"", faults)?;
            let timeout = PERSISTENCE.take("timeout", &table.timeout, given.value, faults);
            Some(Persistence { timeout, prefix: granularity(table, front, widest, faults), engine: None })
        }
    }
}

fn granularity(table: &raw::PersistenceTable, front: Front, widest: u8, faults: &mut Faults<'_>) -> u8 {
    if table.netmask.is_given() && table.prefix.is_given() {
        faults.add(table.at, "clients are grouped by either `netmask` or `prefix`");
    }
    if let Some(At { value, span }) = table.netmask.set() {
        let bits = value.to_bits();
        if front.is_ipv6() {
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

fn quorum(raw: &raw::Service, servers: &[Server], faults: &mut Faults<'_>) -> Quorum {
    let Some(At { value, span }) = raw.quorum.set() else { return Quorum::default() };
    let total: u64 = servers.iter().map(|server| u64::from(server.weight.get())).sum();
    let quorum: u32 = value.to(u32::MAX);
    if u64::from(quorum) > total && complete(&raw.server) && servers.len() == items(&raw.server).len() {
        faults.add(*span, format!("`quorum` {quorum} is never reached: all weights together are {total}"));
    }
    Quorum { need: Need::Weight(quorum), hysteresis: 0 }
}

fn sorry(raw: &raw::Service, front: Front, real: &[Server], faults: &mut Faults<'_>) -> Sorry {
    let Some(At { value, span }) = raw.sorry.set() else { return Sorry::None };
    match value {
        raw::Sorry::Local => {
            if front.protocol != Some(Protocol::Tcp) || front.port().is_none() {
                let help = "sorry = [{ address = … }] serves the others";
                faults.add_with_help(*span, "the built-in page is for TCP services with a port", help);
            }
            Sorry::Local
        }
        raw::Sorry::Servers(given) => {
            if given.items.is_empty() && given.complete {
                faults.add(*span, "`sorry` is empty, leave it out");
            }
            let servers = servers(&given.items, front, "sorry server", faults);
            for server in &servers {
                if real.iter().any(|other| other.address == server.address) {
                    faults.add(*span, format!("sorry server {} is also a real server", server.address));
                }
            }
            Sorry::Servers(servers)
        }
    }
}
