//! One line for a load balancer or a probe: `/healthz`. Pure.

use super::collect::Everything;
use crate::ipc::message::RouterState;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Do all workers run and answer?
    Box,
    /// Is this virtual router master here?
    Router(String),
    /// Does this service have its quorum?
    Service(String),
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Yes, in words.
    Yes(String),
    /// No, and why.
    No(String),
    /// There is no such thing.
    Unknown(String),
}

/// Answers.
#[must_use]
pub fn judge(question: &Question, everything: &Everything) -> Verdict {
    match question {
        Question::Box => whole(everything),
        Question::Router(name) => router(name, everything),
        Question::Service(name) => service(name, everything),
    }
}

fn whole(everything: &Everything) -> Verdict {
    let silent = everything.roles.iter().filter_map(|(_, status)| status.as_ref().err().cloned());
    let workers = everything.init().map(|init| init.workers.as_slice()).unwrap_or_default();
    let down = workers
        .iter()
        .filter(|worker| worker.state != "running" && worker.tty.is_none())
        .map(|worker| format!("{} is {}", worker.role, worker.state));
    let wrong: Vec<String> = silent.chain(down).collect();
    if wrong.is_empty() { Verdict::Yes("ok".to_owned()) } else { Verdict::No(wrong.join("\n")) }
}

fn router(name: &str, everything: &Everything) -> Verdict {
    let Some(vrrp) = everything.vrrp() else { return Verdict::No("vrrp does not answer".to_owned()) };
    match vrrp.instances.iter().find(|router| router.name == name) {
        None => Verdict::Unknown(format!("no virtual router {name:?}")),
        Some(router) => {
            let line =
                format!("{name} is {}: {}", format!("{:?}", router.state).to_lowercase(), router.reason);
            if router.state == RouterState::Master { Verdict::Yes(line) } else { Verdict::No(line) }
        }
    }
}

fn service(name: &str, everything: &Everything) -> Verdict {
    let Some(lvs) = everything.overview() else { return Verdict::No("lvs does not answer".to_owned()) };
    match lvs.services.iter().map(|it| &it.service).find(|service| service.name == name) {
        None => Verdict::Unknown(format!("no service {name:?}")),
        Some(service) if service.up => Verdict::Yes(format!("{name} has its quorum")),
        Some(_) => Verdict::No(format!("{name} has no quorum")),
    }
}
