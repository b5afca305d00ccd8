//! What somebody should look at. Pure.

use super::collect::Everything;
use crate::init::supervise::ALARM;
use crate::ipc::message::{Health, RouterState};

/// Everything that is not as it should be, in a line each, the gravest first.
#[must_use]
pub fn troubles(everything: &Everything) -> Vec<String> {
    let mut found: Vec<String> =
        everything.roles.iter().filter_map(|(_, status)| status.as_ref().err().cloned()).collect();
    let workers = everything.init().map(|init| init.workers.as_slice()).unwrap_or_default();
    let failing = workers.iter().filter(|worker| worker.failures >= ALARM);
    found.extend(failing.map(|worker| format!("worker {} keeps failing", worker.role)));
    if let Some(store) = everything.store() {
        let faulty = store.candidates.iter().filter(|candidate| candidate.verdict == "faulty");
        found.extend(
            faulty.map(|candidate| format!("configuration is faulty and not used: {}", candidate.place)),
        );
    }
    if let Some(vrrp) = everything.vrrp() {
        let faults = vrrp.instances.iter().filter(|router| router.state == RouterState::Fault);
        found.extend(
            faults.map(|router| format!("virtual router {} is in FAULT: {}", router.name, router.reason)),
        );
        found.extend(
            vrrp.sync_problem.iter().map(|problem| format!("synchronisation of connections: {problem}")),
        );
    }
    if let Some(lvs) = everything.lvs() {
        found.extend(lvs.problem.iter().map(|problem| format!("the kernel's table: {problem}")));
        let down = lvs.services.iter().filter(|service| !service.up);
        found.extend(down.map(|service| format!("service {} has no quorum", service.name)));
        for service in &lvs.services {
            let down = service.servers.iter().filter(|server| server.health == Health::Down);
            found.extend(down.map(|server| {
                format!("server {} of {} is down: {}", server.address, service.name, server.reason)
            }));
        }
        let late = lvs
            .services
            .iter()
            .flat_map(|s| &s.servers)
            .flat_map(|s| &s.checks)
            .filter(|c| c.overdue)
            .count();
        if late > 0 {
            found.push(format!("{late} checks are overdue: this box is too slow for them"));
        }
    }
    if let Some(time) = everything.time().filter(|time| !time.servers.is_empty() && !time.synchronised) {
        let why = time.problem.as_deref().unwrap_or("no server has answered yet");
        found.push(format!("the clock is not synchronised: {why}"));
    }
    if let Some(net) = everything.net() {
        found.extend(net.pending.iter().map(|pending| format!("network: {pending}")));
    }
    found
}
