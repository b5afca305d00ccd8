//! What is shown of services and servers. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::core::Watched;
use super::desired::needed;
use crate::check::Target;
use crate::check::plan::Standing;
use crate::config::model::{self, Listen, Method, Sorry};
use crate::ipc::message::{Health, ServerStatus, ServiceStatus};
use crate::ipvs::{Forward, ServerEntry, ServiceEntry, ServiceId};

/// The services of the file as they stand at `now`, with the kernel's counters from `table`.
pub fn services(
    watched: &[Watched],
    table: &[ServiceEntry],
    standing: impl Fn(&Target) -> Option<Standing>,
    now: Instant,
) -> Vec<ServiceStatus> {
    let entries: BTreeMap<ServiceId, &ServiceEntry> = table.iter().map(|entry| (entry.id, entry)).collect();
    watched.iter().map(|it| service(it, entries.get(&it.id).copied(), &standing, now)).collect()
}

fn service(
    watched: &Watched,
    entry: Option<&ServiceEntry>,
    standing: impl Fn(&Target) -> Option<Standing>,
    now: Instant,
) -> ServiceStatus {
    let model = &watched.service;
    let outlook = watched.outlook.as_ref();
    let sorry = outlook.is_some_and(|outlook| outlook.sorry);
    let kernel: BTreeMap<SocketAddr, &ServerEntry> =
        entry.iter().flat_map(|entry| &entry.servers).map(|server| (server.address, server)).collect();
    let real = model.servers.iter().zip(&watched.targets).map(|(server, target)| {
        let answer = target.as_ref().map(&standing);
        // A sorry server with the address of a real server is shown once, as sorry server.
        let there = kernel.get(&server.address).filter(|_| !(sorry && is_substitute(model, server.address)));
        real_server(server, there.copied(), answer, now)
    });
    let substitutes = kernel.values().filter(|_| sorry).filter(|server| {
        is_substitute(model, server.address)
            || !model.servers.iter().any(|other| other.address == server.address)
    });
    ServiceStatus {
        name: model.name.clone(),
        listen: match model.key.listen {
            Listen::Address(address) => address.to_string(),
            Listen::Fwmark { mark, ipv6: false } => format!("fwmark {mark}"),
            Listen::Fwmark { mark, ipv6: true } => format!("fwmark {mark} ipv6"),
        },
        protocol: model.key.protocol,
        scheduler: model.scheduler.to_owned(),
        persistence_s: model.persistence.map(|persistence| persistence.timeout.as_secs()),
        up: outlook.and_then(|outlook| outlook.up).unwrap_or(false),
        sorry,
        live_weight: outlook.map_or(0, |outlook| outlook.live),
        quorum: needed(model),
        connections: entry.map_or(0, |entry| entry.stats.connections),
        servers: real.chain(substitutes.map(|server| sorry_server(server))).collect(),
    }
}

fn is_substitute(service: &model::Service, address: SocketAddr) -> bool {
    match &service.sorry {
        Sorry::None | Sorry::Local => false,
        Sorry::Servers(servers) => servers.iter().any(|server| server.address == address),
    }
}

/// `answer`: `None` = not checked, `Some(None)` = the checker does not know it (yet).
fn real_server(
    server: &model::Server,
    there: Option<&ServerEntry>,
    answer: Option<Option<Standing>>,
    now: Instant,
) -> ServerStatus {
    let (health, reason) = match &answer {
        None => (Health::Up, "not checked".to_owned()),
        Some(None) => (Health::Unknown, "not asked yet".to_owned()),
        Some(Some(standing)) => (standing.health, standing.reason.to_string()),
    };
    let standing = answer.flatten();
    let answered = standing.as_ref().and_then(|standing| standing.answered);
    ServerStatus {
        address: server.address,
        method: server.method,
        weight: server.weight.get(),
        kernel_weight: there.map(|entry| entry.server.weight),
        sorry: false,
        health,
        reason,
        checked_ms: answered.map(|at| millis(now.saturating_duration_since(at))),
        latency_us: standing.and_then(|standing| standing.latency).map(micros),
        active: there.map_or(0, |entry| entry.connections.active),
        inactive: there.map_or(0, |entry| entry.connections.inactive),
    }
}

fn sorry_server(there: &ServerEntry) -> ServerStatus {
    let (method, reason) = match there.server.forward {
        Forward::Masquerade => (Method::Nat, "sorry server"),
        Forward::Tunnel => (Method::Tun, "sorry server"),
        Forward::Route | Forward::Bypass => (Method::Dr, "sorry server"),
        Forward::Local => (Method::Dr, "built-in page"),
    };
    ServerStatus {
        address: there.address,
        method,
        weight: there.server.weight,
        kernel_weight: Some(there.server.weight),
        sorry: true,
        health: Health::Up,
        reason: reason.to_owned(),
        checked_ms: None,
        latency_us: None,
        active: there.connections.active,
        inactive: there.connections.inactive,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
