//! What somebody should look at, in a line each. Pure.

use crate::console::snapshot::Snapshot;
use crate::ctl::{services, status};
use crate::init::supervise::ALARM;
use crate::ipc::message::{Health, LvsStatus, PeerStatus, RouterState, VrrpStatus};
use crate::role::Role;

/// Alarms of one kind that are told one by one.
const MOST: usize = 6;

/// What somebody should look at.
#[must_use]
pub fn alarms(snapshot: &Snapshot) -> Vec<String> {
    let mut out = Vec::new();
    let absent = [
        (Role::Init, snapshot.init.is_none()),
        (Role::Store, snapshot.store.is_none()),
        (Role::Net, snapshot.net.is_none()),
        (Role::Vrrp, snapshot.vrrp.is_none()),
        (Role::Lvs, snapshot.lvs.is_none()),
    ];
    out.extend(absent.into_iter().filter(|(_, absent)| *absent).map(|(role, _)| snapshot.absence(role)));
    out.extend(snapshot.init.iter().flat_map(|init| &init.urgent).map(|(_, text)| text.clone()));
    for worker in snapshot.init.iter().flat_map(|init| &init.workers).filter(|it| it.failures >= ALARM) {
        let last = worker.last_exit.as_deref().unwrap_or("not known");
        out.push(format!("{} keeps ending: {last}", worker.role));
    }
    if let Some(store) = &snapshot.store {
        if store.slot != "confirmed" && store.slot != "none" {
            let slot = snapshot.init.as_ref().and_then(|init| init.slot.as_deref()).unwrap_or("?");
            out.push(format!("boot slot {slot}: {}", store.slot));
        }
        if let Some(pending) = &store.life.pending {
            let left = status::age(pending.left_ms.div_ceil(1000) * 1000);
            out.push(format!("configuration on trial: {}: reverts in {left} unless confirmed", pending.from));
        }
        let faulty = store.candidates.iter().filter(|candidate| candidate.verdict == "faulty");
        out.extend(faulty.map(|it| format!("faulty file passed over: {}", it.place)));
    }
    out.extend(snapshot.net.iter().flat_map(|net| net.pending.iter().cloned()));
    out.extend(
        snapshot.time.as_ref().and_then(status::clock).map(|text| text.trim_start_matches("! ").to_owned()),
    );
    out.extend(snapshot.vrrp.as_ref().map(router_alarms).unwrap_or_default());
    out.extend(snapshot.lvs.as_ref().map(service_alarms).unwrap_or_default());
    out
}

fn router_alarms(vrrp: &VrrpStatus) -> Vec<String> {
    let faults = vrrp.instances.iter().filter(|router| router.state == RouterState::Fault);
    let mut out: Vec<String> = faults.map(|it| format!("{} FAULT: {}", it.name, it.reason)).collect();
    out.extend(vrrp.route_problems.iter().chain(&vrrp.sync_problem).cloned());
    out.extend(vrrp.letters_problem.clone());
    let warnings = |peer: &PeerStatus| {
        peer.warnings.iter().map(|warning| format!("peer {}: {warning}", peer.hostname)).collect::<Vec<_>>()
    };
    out.extend(vrrp.peers.iter().flat_map(warnings));
    out
}

fn service_alarms(lvs: &LvsStatus) -> Vec<String> {
    let mut out: Vec<String> = lvs.problem.iter().cloned().collect();
    let down = lvs.services.iter().filter(|service| !service.up);
    out.extend(few(
        down.map(|service| format!("service {} down: {}", service.name, services::quorum(service))),
        "services",
    ));
    let overdue = lvs.services.iter().flat_map(|service| {
        let late = service.servers.iter().filter(|server| server.checks.iter().any(|check| check.overdue));
        late.map(|server| format!("check of {} overdue in {}", server.address, service.name))
    });
    out.extend(few(overdue, "checks"));
    let dead = lvs.services.iter().flat_map(|service| {
        let dead = service.servers.iter().filter(|server| server.health == Health::Down);
        dead.map(|server| format!("server {} of {} down: {}", server.address, service.name, server.reason))
    });
    out.extend(few(dead, "real servers"));
    out
}

/// The first of many.
fn few(all: impl Iterator<Item = String>, what: &str) -> Vec<String> {
    let mut out: Vec<String> = all.collect();
    if out.len() > MOST {
        let more = out.len() - MOST + 1;
        out.truncate(MOST - 1);
        out.push(format!("{more} more {what}"));
    }
    out
}
