//! What somebody should look at. Pure.

use super::collect::Everything;
use crate::init::supervise::ALARM;
use crate::ipc::message::RouterState;

/// Everything that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Troubles {
    /// In a line each, the gravest first; of a crowd of real servers only some.
    pub named: Vec<String>,
    /// How much it is.
    pub count: usize,
}

/// Everything that is not as it should be.
#[must_use]
pub fn troubles(everything: &Everything) -> Troubles {
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
        found.extend(vrrp.route_problems.iter().map(|problem| format!("virtual routes: {problem}")));
        found.extend(
            vrrp.sync_problem.iter().map(|problem| format!("synchronisation of connections: {problem}")),
        );
    }
    let mut unnamed = 0;
    if let Some(lvs) = everything.overview() {
        found.extend(lvs.problem.iter().map(|problem| format!("the kernel's table: {problem}")));
        let down = lvs.services.iter().map(|it| &it.service).filter(|service| !service.up);
        found.extend(down.map(|service| format!("service {} has no quorum", service.name)));
        let down = lvs.down.iter();
        found.extend(down.map(|it| format!("server {} of {} is down: {}", it.server, it.service, it.reason)));
        unnamed = lvs.servers_down.saturating_sub(lvs.down.len());
        if lvs.overdue > 0 {
            found.push(format!("{} checks are overdue: this box is too slow for them", lvs.overdue));
        }
    }
    if let Some(time) = everything.time().filter(|time| !time.servers.is_empty() && !time.synchronised) {
        let why = time.problem.as_deref().unwrap_or("no server has answered yet");
        found.push(format!("the clock is not synchronised: {why}"));
    }
    if let Some(net) = everything.net() {
        found.extend(net.pending.iter().map(|pending| format!("network: {pending}")));
    }
    Troubles { count: found.len() + unnamed, named: found }
}
