//! The other boxes of the group as lines for people. Pure.

use super::status::age;
use crate::ipc::message::{PeerStatus, RouterState, VrrpStatus};
use crate::vrrp::exchange::peers::Refusal;

/// A word about a virtual router that is so much older than the last one of its box has its age beside it, milliseconds.
const LATE: u64 = 10_000;

/// What they have said of themselves, and what was not heeded.
#[must_use]
pub fn lines(status: &VrrpStatus) -> Vec<String> {
    let count = |name: &str| status.letters.get(name).copied().unwrap_or_default();
    let refused = Refusal::NAMES.into_iter().filter(|name| count(name) > 0);
    let refused: Vec<String> = refused.map(|name| format!("{name} {}", count(name))).collect();
    let refused = (!refused.is_empty()).then(|| format!("! letters not heeded: {}", refused.join(", ")));
    let problem = status.letters_problem.iter().map(|problem| format!("! no exchange of state: {problem}"));
    status.peers.iter().flat_map(peer).chain(refused).chain(problem).collect()
}

fn peer(peer: &PeerStatus) -> Vec<String> {
    let way = |way: &crate::ipc::message::PeerWay| {
        let signed = if way.signed { ", signed" } else { "" };
        format!("{} on {}{signed}", way.address, way.interface)
    };
    let ways: Vec<String> = peer.ways.iter().map(way).collect();
    let same = match peer.same_configuration {
        Some(true) => "same configuration",
        Some(false) => "another configuration",
        None => "configuration not compared",
    };
    let name = if peer.hostname.is_empty() { "without a name" } else { &peer.hostname };
    let mut lines = vec![
        format!("peer {name}  heard {} ago  {}", age(peer.heard_ms), ways.join("; ")),
        format!("  firmware {}, {same} (its number {})", peer.firmware, peer.generation),
    ];
    let routers: Vec<String> = peer
        .routers
        .iter()
        .map(|router| {
            let text = format!("{} {} priority {}", router.name, word(router.state), router.priority);
            let late = router.heard_ms.saturating_sub(peer.heard_ms) >= LATE;
            if late { format!("{text} ({} ago)", age(router.heard_ms)) } else { text }
        })
        .collect();
    if !routers.is_empty() {
        lines.push(format!("  {}", routers.join(", ")));
    }
    lines.push(table(peer));
    lines.extend(peer.warnings.iter().map(|warning| format!("  ! {warning}")));
    lines
}

fn table(peer: &PeerStatus) -> String {
    let sync = match (peer.sends_connections, peer.hears_connections) {
        (true, true) => ", sends and hears connections",
        (true, false) => ", sends connections",
        (false, true) => ", hears connections",
        (false, false) => "",
    };
    match peer.table {
        Some(table) => format!(
            "  {} of {} services up, {} of {} real servers alive, {} connections{sync}",
            table.services_up, table.services, table.servers_up, table.servers, table.connections
        ),
        None => format!("  its services are not known{sync}"),
    }
}

const fn word(state: RouterState) -> &'static str {
    match state {
        RouterState::Initialize => "INITIALIZE",
        RouterState::Backup => "BACKUP",
        RouterState::Master => "MASTER",
        RouterState::Fault => "FAULT",
    }
}

#[cfg(test)]
mod tests {
    use crate::ctl::status;

    #[test]
    fn a_peer_is_shown_below_the_routers() {
        let json = r#"{"role":"vrrp","generation":1,"instances":[
            {"name":"VI_1","interface":"eth0","vrid":51,"version":3,"state":"master","reason":"no master heard for 3609 ms",
             "since_ms":1000,"base_priority":100,"priority":100,"master":"10.0.0.1","master_priority":100,
             "interval_us":1000000,"addresses":["10.0.0.45/32"],"counters":{}}],
            "letters":{"letters_rcvd":7,"malformed":3,"stranger":0},
            "peers":[{"hostname":"lb2","firmware":"0.1.0","heard_ms":400,"generation":2,"same_configuration":false,
             "ways":[{"interface":"eth0","address":"10.0.0.2","signed":true,"heard_ms":400},
                     {"interface":"eth1","address":"10.0.0.2","signed":true,"heard_ms":900}],
             "table":{"services":3,"services_up":2,"servers":30,"servers_up":29,"connections":1234},
             "sends_connections":false,"hears_connections":true,
             "routers":[{"name":"VI_1","state":"backup","priority":50,"heard_ms":400},
                        {"name":"VI_2","state":"master","priority":60,"heard_ms":25000}],
             "warnings":["its configuration is not the same as ours"]}]}"#;
        let shown = status::lines(&serde_json::from_str(json).unwrap()).join("\n");
        let expected = "\
peer lb2  heard 400 ms ago  10.0.0.2 on eth0, signed; 10.0.0.2 on eth1, signed
  firmware 0.1.0, another configuration (its number 2)
  VI_1 BACKUP priority 50, VI_2 MASTER priority 60 (25 s ago)
  2 of 3 services up, 29 of 30 real servers alive, 1234 connections, hears connections
  ! its configuration is not the same as ours
! letters not heeded: malformed 3";
        assert!(shown.ends_with(expected), "{shown}");
    }
}
