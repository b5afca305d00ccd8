//! What is shown of services and servers. Pure.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::desired::{here, keys, local_page};
use super::member::Member;
use super::order::{Kind, Order};
use super::ramp::STEPS;
use super::state::address_at;
use super::watched::{Watched, scale, sorry_servers};
use crate::check::plan::{Plan, Standing};
use crate::check::{Feedback, Reason, Target};
use crate::config::model::{Listen, Method, Need, Server, ServiceKey};
use crate::ipc::message::{
    Admin, AdminStatus, CheckStatus, Health, LvsSummary, QuorumUnit, ServerStatus, ServiceStatus,
    SlowStartStatus, Traffic,
};
use crate::ipvs::{ServerEntry, ServiceEntry, ServiceId, Stats};

/// The services of the file as they stand at `now`, with the kernel's counters from `table`; one after the other, so that they
/// never are all here.
pub fn services<'a>(
    watched: &'a [Watched],
    table: &'a [ServiceEntry],
    checks: &'a Plan,
    now: Instant,
) -> impl Iterator<Item = ServiceStatus> + 'a {
    let entries: HashMap<ServiceId, &ServiceEntry> = table.iter().map(|entry| (entry.id, entry)).collect();
    watched.iter().map(move |it| service(it, |id| entries.get(id).copied(), checks, now))
}

/// How much there is, and how much of it lives; with the kernel's counters from `table`.
#[must_use]
pub fn summary(watched: &[Watched], table: &[ServiceEntry], checks: &Plan, now: Instant) -> LvsSummary {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let members = || watched.iter().flat_map(|it| &it.members);
    let lives = |member: &&Member| member.health == Health::Up || member.targets.is_empty();
    let servers = table.iter().flat_map(|entry| &entry.servers).map(of);
    LvsSummary {
        services: count(watched.len()),
        services_up: count(watched.iter().filter(|it| it.up == Some(true)).count()),
        servers: count(members().count()),
        servers_up: count(members().filter(lives).count()),
        connections: servers.map(|there| u64::from(there.active) + u64::from(there.inactive)).sum(),
        overdue: count(checks.overdue(now).count()),
        warnings: count(checks.warned()),
    }
}

/// One service; `entry` gives what the kernel has of it under each of its names.
#[must_use]
pub fn service<'a>(
    watched: &Watched,
    entry: impl Fn(&ServiceId) -> Option<&'a ServiceEntry>,
    checks: &Plan,
    now: Instant,
) -> ServiceStatus {
    let model = &watched.service;
    let entries = entries(watched, entry);
    let judgement = watched.judgement;
    let real = model.servers.iter().zip(&watched.members).map(|(server, member)| {
        // A sorry server with the address of a real server is shown once, as sorry server.
        let hidden = watched.sorry && sorry_servers(model).iter().any(|s| s.address == server.address);
        let there = there(&entries, server).filter(|_| !hidden);
        shown(server, member, there, checks, now)
    });
    let substitutes = sorry_servers(model).iter().zip(&watched.substitutes).filter_map(|(server, member)| {
        let there = there(&entries, server).filter(|_| watched.sorry);
        let worth = there.is_some() || !member.targets.is_empty();
        worth.then(|| ServerStatus { sorry: true, ..shown(server, member, there, checks, now) })
    });
    let pages = entries.iter().filter(|_| watched.sorry).filter_map(|(key, entry)| {
        let (address, _) = here(local_page(model, key)?);
        entry.servers.iter().find(|server| server.address == address).map(built_in_page)
    });
    let mut names = keys(model).map(listen);
    ServiceStatus {
        name: model.name.clone(),
        listen: names.next().unwrap_or_default(),
        also: names.collect(),
        protocol: model.key.protocol,
        scheduler: model.scheduler.to_owned(),
        persistence_s: model.persistence.map(|persistence| persistence.timeout.as_secs()),
        up: watched.up.unwrap_or(false),
        sorry: watched.sorry,
        live_weight: judgement.map_or(0, |judgement| judgement.live),
        quorum: judgement.map_or(1, |judgement| judgement.needed),
        quorum_unit: match model.quorum.need {
            Need::Weight(_) => QuorumUnit::Weight,
            Need::Servers(_) => QuorumUnit::Servers,
            Need::Percent(_) => QuorumUnit::Percent,
        },
        scale: scale(model),
        connections: entries.iter().map(|(_, entry)| entry.stats.connections).sum(),
        traffic: entries.iter().map(|(_, entry)| traffic(&entry.stats)).fold(Traffic::default(), sum),
        servers: real.chain(substitutes).chain(pages).collect(),
    }
}

/// The sorry server at this place of the file, whether it answers or not.
#[must_use]
pub fn sorry_server<'a>(
    watched: &Watched,
    at: usize,
    entry: impl Fn(&ServiceId) -> Option<&'a ServiceEntry>,
    checks: &Plan,
    now: Instant,
) -> Option<ServerStatus> {
    let server = sorry_servers(&watched.service).get(at)?;
    let there = there(&entries(watched, entry), server).filter(|_| watched.sorry);
    Some(ServerStatus { sorry: true, ..shown(server, watched.substitutes.get(at)?, there, checks, now) })
}

/// What the kernel has of a service, by its names.
fn entries<'a, 'b>(
    watched: &'b Watched,
    entry: impl Fn(&ServiceId) -> Option<&'a ServiceEntry>,
) -> Vec<(&'b ServiceKey, &'a ServiceEntry)> {
    keys(&watched.service).zip(&watched.ids).filter_map(|(key, id)| Some((key, entry(id)?))).collect()
}

fn listen(key: &ServiceKey) -> String {
    match key.listen {
        Listen::Address(address) => address.to_string(),
        Listen::Fwmark { mark, ipv6: false } => format!("fwmark {mark}"),
        Listen::Fwmark { mark, ipv6: true } => format!("fwmark {mark} ipv6"),
    }
}

/// What the kernel has of a server, over all names of the service.
#[derive(Debug, Clone, Copy)]
struct There {
    weight: u32,
    active: u32,
    inactive: u32,
    connections: u64,
    traffic: Traffic,
}

fn there(entries: &[(&ServiceKey, &ServiceEntry)], server: &Server) -> Option<There> {
    let found = entries.iter().filter_map(|(key, entry)| {
        let address = address_at(key, server.address);
        entry.servers.iter().find(|server| server.address == address)
    });
    found.map(of).reduce(|a, b| There {
        weight: a.weight,
        active: a.active.saturating_add(b.active),
        inactive: a.inactive.saturating_add(b.inactive),
        connections: a.connections.saturating_add(b.connections),
        traffic: sum(a.traffic, b.traffic),
    })
}

const fn of(entry: &ServerEntry) -> There {
    There {
        weight: entry.server.weight,
        active: entry.connections.active,
        inactive: entry.connections.inactive,
        connections: entry.stats.connections,
        traffic: traffic(&entry.stats),
    }
}

const fn traffic(stats: &Stats) -> Traffic {
    let Stats { packets_in, packets_out, bytes_in, bytes_out, .. } = *stats;
    Traffic { packets_in, packets_out, bytes_in, bytes_out }
}

const fn sum(a: Traffic, b: Traffic) -> Traffic {
    Traffic {
        packets_in: a.packets_in.saturating_add(b.packets_in),
        packets_out: a.packets_out.saturating_add(b.packets_out),
        bytes_in: a.bytes_in.saturating_add(b.bytes_in),
        bytes_out: a.bytes_out.saturating_add(b.bytes_out),
    }
}

fn shown(server: &Server, member: &Member, there: Option<There>, plan: &Plan, now: Instant) -> ServerStatus {
    let checks: Vec<CheckStatus> =
        member.targets.iter().map(|target| check(target, plan.standing(target, now), now)).collect();
    let decides = checks.iter().find(|check| check.health == Health::Down).or_else(|| checks.first());
    ServerStatus {
        address: server.address,
        method: server.method,
        weight: server.weight.get(),
        kernel_weight: there.map(|there| there.weight),
        sorry: false,
        health: member.health,
        reason: decides.map_or(Reason::Borrowed("not checked"), |check| check.reason.clone()),
        checked_ms: decides.and_then(|check| check.checked_ms),
        latency_us: decides.and_then(|check| check.latency_us),
        active: there.map_or(0, |there| there.active),
        inactive: there.map_or(0, |there| there.inactive),
        connections: there.map_or(0, |there| there.connections),
        traffic: there.map(|there| there.traffic).unwrap_or_default(),
        off: !server.enabled,
        admin: member.order.map(|order| admin(&order, now)),
        slow_start: member
            .ramp
            .map(|ramp| (ramp.tenths(now), ramp))
            .filter(|(tenths, _)| *tenths < STEPS)
            .map(|(tenths, ramp)| SlowStartStatus {
                percent: tenths * 100 / STEPS,
                left_ms: millis(ramp.left(now)),
            }),
        feedback: member.feedback.map(feedback),
        checks,
    }
}

fn check(target: &Target, standing: Option<Standing>, now: Instant) -> CheckStatus {
    let standing = standing.unwrap_or_default();
    let Standing { health, reason, against, answered, latency, warning, overdue, .. } = standing;
    CheckStatus {
        kind: target.check.kind.name().into(),
        address: target.address,
        health,
        reason,
        checked_ms: answered.map(|at| millis(now.saturating_duration_since(at))),
        latency_us: latency.map(micros),
        against,
        turns_at: if health == Health::Up { target.check.fall } else { target.check.rise },
        days_left: warning.as_ref().map(|warning| warning.days_left),
        warning: warning.map(|warning| warning.reason.into_owned()),
        overdue,
    }
}

/// What an order means at `now`.
#[must_use]
pub fn admin(order: &Order, now: Instant) -> AdminStatus {
    let state = match order.kind {
        Kind::Disable => Admin::Disabled,
        Kind::Drain { .. } if order.lets_finish(now) => Admin::Draining,
        Kind::Drain { .. } => Admin::Drained,
    };
    AdminStatus {
        state,
        since_ms: millis(now.saturating_duration_since(order.since)),
        left_ms: order.deadline(now).map(|end| millis(end.saturating_duration_since(now))),
    }
}

/// What a server says that it can take, in words.
#[must_use]
pub fn feedback(feedback: Feedback) -> String {
    match feedback {
        Feedback::Weight(weight) => format!("weight {weight}"),
        Feedback::Percent(percent) => format!("{percent}%"),
        Feedback::Drain => "drain".to_owned(),
    }
}

fn built_in_page(there: &ServerEntry) -> ServerStatus {
    ServerStatus {
        address: there.address,
        method: Method::Dr,
        weight: there.server.weight,
        kernel_weight: Some(there.server.weight),
        sorry: true,
        health: Health::Up,
        reason: Reason::Borrowed("built-in page"),
        checked_ms: None,
        latency_us: None,
        active: there.connections.active,
        inactive: there.connections.inactive,
        connections: there.stats.connections,
        traffic: traffic(&there.stats),
        off: false,
        admin: None,
        slow_start: None,
        feedback: None,
        checks: Vec::new(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
