//! Services and their servers as lines for people. Pure.

use super::status::{age, latency, table};
use crate::ipc::message::{
    Admin, AdminStatus, CheckStatus, Health, LvsStatus, QuorumUnit, ServerStatus, ServiceStatus,
};

/// Services and their servers.
#[must_use]
pub fn lvs(status: &LvsStatus) -> Vec<String> {
    let mut out: Vec<String> = status.services.iter().flat_map(service).collect();
    if status.services.is_empty() {
        out.push("no service is configured".to_owned());
    }
    if let Some(problem) = &status.problem {
        out.push(format!("! {problem}"));
    }
    if status.foreign_changes > 0 {
        out.push(format!("foreign changes repaired: {}", status.foreign_changes));
    }
    if let Some(size) = status.table_size {
        out.push(format!(
            "table of connections: 2^{} buckets; 2^{} from the next boot on",
            size.bits, size.next_boot
        ));
    }
    out
}

/// What lives and what must: `live weight 3 of 1`.
#[must_use]
pub fn quorum(service: &ServiceStatus) -> String {
    let (live, needed) = (service.live_weight, service.quorum);
    match service.quorum_unit {
        QuorumUnit::Weight => format!("live weight {live} of {needed}"),
        QuorumUnit::Servers => format!("live servers {live} of {needed}"),
        QuorumUnit::Percent => format!("live {live}% of {needed}%"),
    }
}

/// What the operator ordered: `draining for 12 s, 4 m 48 s left`.
#[must_use]
pub fn order(admin: &AdminStatus) -> String {
    let word = match admin.state {
        Admin::Enabled => "enabled",
        Admin::Draining => "draining",
        Admin::Drained => "drained",
        Admin::Disabled => "disabled",
    };
    let left = admin.left_ms.map(|left| format!(", {} left", age(left))).unwrap_or_default();
    format!("{word} for {}{left}", age(admin.since_ms))
}

/// The last answer of a check: `200 OK in 1.2 ms, 700 ms ago`.
#[must_use]
pub fn answer(check: &CheckStatus) -> String {
    let overdue = if check.overdue { ", ! overdue" } else { "" };
    let warning = check.warning.as_ref().filter(|warning| **warning != check.reason);
    let warning = warning.map(|warning| format!("; ! {warning}")).unwrap_or_default();
    let (reason, latency_us) = (&check.reason, check.latency_us);
    format!("{}{overdue}{warning}", said(reason, check.health, latency_us, check.checked_ms))
}

fn said(reason: &str, health: Health, latency_us: Option<u64>, checked_ms: Option<u64>) -> String {
    let latency = latency_us.filter(|_| health == Health::Up);
    let latency = latency.map(|us| format!(" in {}", self::latency(us))).unwrap_or_default();
    let checked = checked_ms.map(|ms| format!(", {} ago", age(ms))).unwrap_or_default();
    format!("{reason}{latency}{checked}")
}

fn service(service: &ServiceStatus) -> Vec<String> {
    let state = match (service.up, service.sorry) {
        (true, _) => "UP",
        (false, true) => "DOWN (sorry)",
        (false, false) => "DOWN",
    };
    let protocol = service.protocol.map(|p| format!("{p:?} ").to_lowercase()).unwrap_or_default();
    let persistence = service.persistence_s.map(|s| format!(" persistent {s}s")).unwrap_or_default();
    let also: String = service.also.iter().map(|key| format!(", {key}")).collect();
    let mut out = vec![format!(
        "{}  {state}  {protocol}{}{also} {}{persistence}  {}, {} connections",
        service.name,
        service.listen,
        service.scheduler,
        quorum(service),
        service.connections
    )];
    out.extend(table(service.servers.iter().map(|it| server(it, service.scale)).collect()));
    out
}

fn server(server: &ServerStatus, scale: u32) -> Vec<String> {
    let health = match server.health {
        Health::Unknown => "unknown",
        Health::Up => "up",
        Health::Down => "DOWN",
    };
    vec![
        format!("  {}{}", server.address, if server.sorry { " sorry" } else { "" }),
        format!("{:?}", server.method).to_lowercase(),
        health.to_owned(),
        weight(server, if server.sorry { 1 } else { scale }),
        format!("{}+{}", server.active, server.inactive),
        remarks(server),
    ]
}

/// The weight in the kernel, in the units of the file where those are the kernel's tenths.
fn weight(server: &ServerStatus, scale: u32) -> String {
    let Some(weight) = server.kernel_weight else { return "out".to_owned() };
    let scale = scale.max(1);
    if weight == server.weight.saturating_mul(scale) {
        format!("weight {}", server.weight)
    } else if weight % scale == 0 {
        format!("weight {} (file: {})", weight / scale, server.weight)
    } else {
        format!("weight {}.{} (file: {})", weight / scale, weight % scale * 10 / scale, server.weight)
    }
}

fn remarks(server: &ServerStatus) -> String {
    let mut remarks: Vec<String> = server.admin.iter().map(order).collect();
    if server.off {
        remarks.push("off in the file".to_owned());
    }
    if let Some(start) = &server.slow_start {
        remarks.push(format!("slow start at {}%, {} left", start.percent, age(start.left_ms)));
    }
    remarks.extend(server.feedback.iter().map(|feedback| format!("takes {feedback}")));
    match server.checks.as_slice() {
        [] => {
            remarks.push(said(&server.reason, server.health, server.latency_us, server.checked_ms));
        }
        [only] => remarks.push(answer(only)),
        several => remarks.extend(several.iter().map(|check| format!("{} {}", check.kind, answer(check)))),
    }
    remarks.join("; ")
}
