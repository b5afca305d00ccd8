//! Services and their servers as lines for people. Pure.

use super::status::{age, latency, table};
use crate::ipc::message::{
    Admin, AdminStatus, CheckStatus, Health, LvsStatus, QuorumUnit, ServerStatus, ServiceStatus,
};

/// Services and their servers.
#[must_use]
pub fn lvs(status: &LvsStatus) -> Vec<String> {
    let mut out: Vec<String> = status.services.iter().flat_map(service).collect();
    out.extend(beside_services(status, status.services.len()));
    out
}

/// What is said below the services, of which there are so many.
#[must_use]
pub fn beside_services(status: &LvsStatus, services: usize) -> Vec<String> {
    let mut out = Vec::new();
    if services == 0 {
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

/// A service and its servers.
#[must_use]
pub fn service(service: &ServiceStatus) -> Vec<String> {
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
#[must_use]
pub fn weight(server: &ServerStatus, scale: u32) -> String {
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

#[cfg(test)]
mod tests {
    use super::super::status::lines;

    fn show(json: &str) -> String {
        lines(&serde_json::from_str(json).unwrap()).join("\n")
    }

    #[test]
    fn a_service_with_a_dead_server() {
        let shown = show(
            r#"{"role":"lvs","problem":null,"foreign_changes":0,"generation":1,"services":[
            {"name":"web","listen":"192.168.61.45:80","protocol":"tcp","scheduler":"wlc","persistence_s":50,"up":true,
             "sorry":false,"live_weight":1,"quorum":1,"connections":17,"servers":[
             {"address":"192.168.61.22:80","method":"dr","weight":1,"kernel_weight":1,"sorry":false,"health":"up",
              "reason":"200 OK","checked_ms":700,"latency_us":1234,"active":3,"inactive":12},
             {"address":"192.168.61.33:80","method":"dr","weight":2,"kernel_weight":null,"sorry":false,"health":"down",
              "reason":"connection refused","checked_ms":1500,"latency_us":90,"active":0,"inactive":0}]}]}"#,
        );
        assert_eq!(
            shown,
            "web  UP  tcp 192.168.61.45:80 wlc persistent 50s  live weight 1 of 1, 17 connections\n  \
             192.168.61.22:80  dr  up    weight 1  3+12  200 OK in 1.2 ms, 700 ms ago\n  \
             192.168.61.33:80  dr  DOWN  out       0+0   connection refused, 1 s ago"
        );
    }

    #[test]
    fn what_an_operator_and_checks_did_to_servers() {
        let check = |kind: &str, health: &str, reason: &str, more: &str| {
            format!(
                r#"{{"kind":"{kind}","address":"10.0.0.1:80","health":"{health}","reason":"{reason}","checked_ms":700,
                "latency_us":1234,"against":0,"turns_at":3{more}}}"#
            )
        };
        let server = |last: u8, weight: &str, health: &str, more: &str| {
            format!(
                r#"{{"address":"10.0.0.{last}:80","method":"dr","weight":10,"kernel_weight":{weight},"sorry":false,
                "health":"{health}","reason":"200 OK","checked_ms":700,"latency_us":1234,"active":3,"inactive":12{more}}}"#
            )
        };
        let two = format!(
            r#","checks":[{},{}]"#,
            check("http", "up", "200 OK", r#","warning":"certificate expires in 5 d""#),
            check("tcp", "up", "connected", r#","overdue":true"#)
        );
        let servers = [
            server(1, "0", "up", r#","admin":{"state":"draining","since_ms":12000,"left_ms":288000}"#),
            server(2, "null", "up", r#","admin":{"state":"disabled","since_ms":12000,"left_ms":null}"#),
            server(3, "3", "up", r#","slow_start":{"percent":30,"left_ms":7000}"#),
            server(4, "7", "up", r#","feedback":"75%""#),
            server(5, "0", "up", r#","off":true"#),
            server(6, "10", "up", &two),
        ];
        let shown = show(&format!(
            r#"{{"role":"lvs","problem":null,"foreign_changes":0,"generation":1,"services":[
            {{"name":"web","listen":"10.0.0.45:80","also":["10.0.0.45:443"],"protocol":"tcp","scheduler":"wlc",
             "persistence_s":null,"up":true,"sorry":false,"live_weight":60,"quorum":40,"quorum_unit":"percent",
             "connections":17,"servers":[{}]}}]}}"#,
            servers.join(",")
        ));
        let expected = "\
web  UP  tcp 10.0.0.45:80, 10.0.0.45:443 wlc  live 60% of 40%, 17 connections
  10.0.0.1:80  dr  up  weight 0 (file: 10)  3+12  draining for 12 s, 4 m 48 s left; 200 OK in 1.2 ms, 700 ms ago
  10.0.0.2:80  dr  up  out                  3+12  disabled for 12 s; 200 OK in 1.2 ms, 700 ms ago
  10.0.0.3:80  dr  up  weight 3 (file: 10)  3+12  slow start at 30%, 7 s left; 200 OK in 1.2 ms, 700 ms ago
  10.0.0.4:80  dr  up  weight 7 (file: 10)  3+12  takes 75%; 200 OK in 1.2 ms, 700 ms ago
  10.0.0.5:80  dr  up  weight 0 (file: 10)  3+12  off in the file; 200 OK in 1.2 ms, 700 ms ago
  10.0.0.6:80  dr  up  weight 10            3+12  http 200 OK in 1.2 ms, 700 ms ago; ! certificate expires in 5 d; tcp connected in 1.2 ms, 700 ms ago, ! overdue";
        assert_eq!(shown, expected);
    }
}
