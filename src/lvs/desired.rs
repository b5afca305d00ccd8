//! What the table should be, from the file, the verdicts, and what the table was. Pure.
//!
//! Unknown changes nothing: a real server without a verdict stays as it was, present with its weight or absent, and a service
//! whose quorum hangs on such servers stays with its real servers or its sorry servers, whichever it had.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::quorum::{Quorum, judge};
use super::state::{ServiceState, forward_of, id_of};
use crate::config::model::{self, Listen, Need, OnFail, Protocol, Sorry};
use crate::ipc::message::Health;
use crate::ipvs::{Family, Forward, Name, Persistence, Server, Service, Tunnel};

/// What should be true of one service, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// The service with its servers.
    pub state: ServiceState,
    /// Whether it has its quorum; `None` = nobody knows yet, so nobody is told.
    pub up: Option<bool>,
    /// Whether the sorry servers answer.
    pub sorry: bool,
    /// Sum of the weights of the real servers that live, or that were in the table and have no verdict.
    pub live: u64,
}

/// What should be true of `service`. `verdicts` are those on its servers, in their order. `before` is what it was: at first
/// what the kernel shows, later what Director made of it.
#[must_use]
pub fn desired(service: &model::Service, verdicts: &[Health], before: Option<&ServiceState>) -> Outlook {
    let before = |address: &SocketAddr| before.and_then(|state| state.servers.get(address));
    let servers = || service.servers.iter().zip(verdicts.iter().copied());
    let quorum = judge(needed(service), servers().map(|(server, health)| (server.weight.get(), health)));
    let substitutes = substitutes(service);
    let sorry = !substitutes.is_empty()
        && match quorum {
            Quorum::Met => false,
            Quorum::Lost => true,
            Quorum::Open => {
                let alive = |address| before(address).is_some_and(|server| server.weight > 0);
                substitutes.keys().any(alive)
                    && !service
                        .servers
                        .iter()
                        .any(|server| !substitutes.contains_key(&server.address) && alive(&server.address))
            }
        };
    let mut table = BTreeMap::new();
    let mut live = 0;
    for (server, health) in servers() {
        let was = before(&server.address).filter(|_| !sorry || !substitutes.contains_key(&server.address));
        let weight = present_weight(service.on_fail, server, health, was);
        live += u64::from(weight.unwrap_or(0));
        let weight = match (sorry, service.on_fail) {
            (false, _) => weight,
            (true, OnFail::Quiesce) => weight.map(|_| 0),
            (true, OnFail::Remove) => None,
        };
        if let Some(weight) = weight {
            table.insert(server.address, real_server(server, weight));
        }
    }
    if sorry {
        table.extend(substitutes);
    }
    let up = match quorum {
        Quorum::Met => Some(true),
        Quorum::Lost => Some(false),
        Quorum::Open => (!sorry && live >= u64::from(needed(service))).then_some(true),
    };
    Outlook { state: ServiceState { service: service_of(service), servers: table }, up, sorry, live }
}

/// Where the built-in page of a service has to listen: its own address and port, which the kernel does not rewrite.
/// `None` unless the service wants the page and can have it.
#[must_use]
pub fn local_page(service: &model::Service) -> Option<SocketAddr> {
    match (&service.sorry, service.key.listen, service.key.protocol) {
        (Sorry::Local, Listen::Address(address), Some(Protocol::Tcp)) if address.port() != 0 => Some(address),
        _ => None,
    }
}

/// The weight that must live.
#[must_use]
pub const fn needed(service: &model::Service) -> u32 {
    match service.quorum.need {
        Need::Weight(weight) => weight,
        Need::Servers(_) | Need::Percent(_) => 1,
    }
}

/// With what weight a real server is in the table while real servers answer; `None` = it is not.
fn present_weight(
    on_fail: OnFail,
    server: &model::Server,
    health: Health,
    before: Option<&Server>,
) -> Option<u32> {
    match (health, on_fail) {
        (Health::Up, _) => Some(server.weight.get()),
        (Health::Down, OnFail::Remove) => None,
        (Health::Down, OnFail::Quiesce) => Some(0),
        (Health::Unknown, _) => before.map(|server| server.weight),
    }
}

fn real_server(server: &model::Server, weight: u32) -> Server {
    Server { forward: forward_of(server.method), weight, upper: 0, lower: 0, tunnel: Tunnel::default() }
}

/// Who answers in place of the real servers.
fn substitutes(service: &model::Service) -> BTreeMap<SocketAddr, Server> {
    match &service.sorry {
        Sorry::None => BTreeMap::new(),
        Sorry::Servers(servers) => {
            servers.iter().map(|server| (server.address, real_server(server, server.weight.get()))).collect()
        }
        Sorry::Local => local_page(service).map(here).into_iter().collect(),
    }
}

/// This box itself as a real server: the packet goes up its own stack as it is (`ip_vs_null_xmit`), so the address is but a
/// name in the table.
fn here(page: SocketAddr) -> (SocketAddr, Server) {
    let loopback = match page {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let server = Server { forward: Forward::Local, weight: 1, upper: 0, lower: 0, tunnel: Tunnel::default() };
    (SocketAddr::new(loopback, page.port()), server)
}

fn service_of(service: &model::Service) -> Service {
    let persistence = service.persistence.map(|persistence| Persistence {
        timeout: u32::try_from(persistence.timeout.as_secs()).unwrap_or(u32::MAX),
        mask: match id_of(&service.key).family() {
            Family::V4 => u32::MAX.checked_shl(32 - u32::from(persistence.prefix.min(32))).unwrap_or(0),
            Family::V6 => u32::from(persistence.prefix),
        },
    });
    // The configuration allows the kernel's own names only, and those fit.
    let scheduler = Name::try_from(service.scheduler).unwrap_or_default();
    Service { scheduler, flags: 0, persistence, engine: None }
}

#[cfg(test)]
mod tests;
