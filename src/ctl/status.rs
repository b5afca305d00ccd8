//! The status of each role as lines for people: what `director status` prints and the console shows. Pure.
//!
//! Plain ASCII, fit for 80 columns wherever names and addresses are of ordinary length.

use std::time::Duration;

use super::peers;
pub use super::services::lvs;
use crate::init::supervise::ALARM;
use crate::ipc::message::{
    ApiStatus, InitStatus, LifeStatus, LinkStatus, NetStatus, NotifyStatus, PendingStatus, RouterState,
    RouterStatus, Source, Status, StickStatus, StoreStatus, TimeServerStatus, TimeStatus, TrackerStatus,
    VrrpStatus, WorkerStatus,
};
use crate::time::choose::seconds;
use crate::vrrp::packet::Reject;

/// The status of any role.
#[must_use]
pub fn lines(status: &Status) -> Vec<String> {
    match status {
        Status::Init(status) => init(status),
        Status::Store(status) => store(status),
        Status::Net(status) => net(status),
        Status::Vrrp(status) => vrrp(status),
        Status::Lvs(status) => lvs(status),
        Status::Api(status) => api(status),
        Status::Notify(status) => notify(status),
        Status::Time(status) => time(status),
    }
}

/// The box and its workers.
#[must_use]
pub fn init(status: &InitStatus) -> Vec<String> {
    let mut first = format!("Director {}  host {}", status.version, status.hostname);
    if let Some(slot) = &status.slot {
        first.push_str(&format!("  slot {slot}"));
    }
    first.push_str(&format!("  mode {}  up {}", status.mode, age(status.uptime_ms)));
    let watchdog = status.watchdog.as_deref().unwrap_or("none");
    let mut out = vec![first, format!("hardware watchdog: {watchdog}")];
    out.extend(workers(&status.workers));
    out
}

/// Metrics and status page; nothing where the file has none.
#[must_use]
pub fn api(status: &ApiStatus) -> Vec<String> {
    let ApiStatus { listening, problems, requests, refused, .. } = status;
    let mut out = Vec::new();
    if !listening.is_empty() {
        let places: Vec<String> = listening.iter().map(|place| format!("http://{place}/")).collect();
        out.push(format!(
            "metrics and status page: {}  requests {requests}, refused {refused}",
            places.join(" ")
        ));
    }
    out.extend(problems.iter().map(|problem| format!("! {problem}")));
    out
}

/// Logs and alarms on their way out; nothing where the file has none.
#[must_use]
pub fn notify(status: &NotifyStatus) -> Vec<String> {
    if status.targets.is_empty() && status.syslog.is_empty() {
        return Vec::new();
    }
    super::notify::lines(status).lines().map(str::to_owned).collect()
}

/// The clock and its servers; nothing where it has none.
#[must_use]
pub fn time(status: &TimeStatus) -> Vec<String> {
    if status.servers.is_empty() {
        return Vec::new();
    }
    let offset = status.offset_us.map(|us| format!(", offset {:+.6} s", seconds(us))).unwrap_or_default();
    let agreed = status.agreed_ms.map(|ms| format!(", {} ago", age(ms))).unwrap_or_default();
    let word = if status.synchronised { "clock: synchronised" } else { "! clock: not synchronised" };
    let mut first = format!("{word}{offset}{agreed}");
    if status.steps > 0 {
        let times = if status.steps == 1 { "once".to_owned() } else { format!("{} times", status.steps) };
        first.push_str(&format!(", stepped {times}"));
    }
    if !status.sets {
        first.push_str(" (the clock is the host's, and only watched)");
    }
    let mut out = vec![first];
    out.extend(status.problem.iter().map(|problem| format!("! {problem}")));
    out.extend(table(status.servers.iter().map(time_server).collect()));
    out
}

/// In a line, that the clock is not right; nothing where that is as it should be.
#[must_use]
pub fn clock(status: &TimeStatus) -> Option<String> {
    let wrong = !status.servers.is_empty() && !status.synchronised;
    let why = status.problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default();
    wrong.then(|| format!("! clock not synchronised{why}"))
}

fn time_server(server: &TimeServerStatus) -> Vec<String> {
    let said = match (&server.problem, server.offset_us, server.delay_us) {
        (Some(problem), ..) => problem.clone(),
        (None, Some(offset), Some(delay)) => {
            format!("offset {:+.6} s, delay {}", seconds(offset), latency(delay))
        }
        _ => "not asked yet".to_owned(),
    };
    vec![
        format!("  {}{}", if server.chosen { "* " } else { "  " }, server.address),
        server.source.clone(),
        server.stratum.map_or_else(dash, |stratum| format!("stratum {stratum}")),
        said,
    ]
}

/// A table of workers.
#[must_use]
pub fn workers(workers: &[WorkerStatus]) -> Vec<String> {
    let head = ["worker", "state", "pid", "age", "restarts", "last end"].map(str::to_owned).to_vec();
    let rows = workers.iter().map(|worker| {
        let name = worker
            .tty
            .as_ref()
            .map_or_else(|| worker.role.to_string(), |tty| format!("{} {tty}", worker.role));
        let state =
            if worker.failures >= ALARM { format!("{} ALARM", worker.state) } else { worker.state.clone() };
        vec![
            name,
            state,
            worker.pid.map_or_else(dash, |pid| pid.to_string()),
            worker.age_ms.map_or_else(dash, age),
            worker.restarts.to_string(),
            worker.last_exit.clone().unwrap_or_else(dash),
        ]
    });
    table(std::iter::once(head).chain(rows).collect())
}

/// Which configuration runs, and why. The fault reports are not in it.
#[must_use]
pub fn store(status: &StoreStatus) -> Vec<String> {
    let node = status.node.as_ref().map(|node| format!(", node {node}")).unwrap_or_default();
    let mut out = vec![
        format!("configuration {}: {}{node}", status.generation, source(status.source)),
        format!("  {}", status.why),
    ];
    let candidates = status.candidates.iter();
    let rows =
        candidates.map(|c| vec![format!("  {}", source(c.source)), c.verdict.clone(), c.place.clone()]);
    out.extend(table(rows.collect()));
    if status.slot != "none" {
        out.push(format!("boot slot: {}", status.slot));
    }
    out.extend(life(&status.life));
    out
}

/// What becomes of changes of the configuration.
#[must_use]
pub fn life(status: &LifeStatus) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(number) = status.number {
        out.push(format!("history: configuration {number}"));
    }
    if let Some(PendingStatus { origin, from, left_ms, changes }) = &status.pending {
        let left = age(left_ms.div_ceil(1000) * 1000);
        out.push(format!("on trial: {from} ({origin}): reverts in {left} unless confirmed"));
        out.extend(changes.iter().map(|change| format!("  {change}")));
    }
    if let Some(StickStatus { place, message, .. }) = &status.stick {
        out.push(format!("USB stick: {place}: {message}"));
    }
    if let Some(notice) = &status.notice {
        out.push(format!("last: {notice}"));
    }
    out
}

/// A source of configuration in words.
#[must_use]
pub const fn source(source: Source) -> &'static str {
    match source {
        Source::Usb => "USB stick",
        Source::Partition => "partition DIRECTOR",
        Source::LastGood => "last good",
        Source::Safe => "built-in safe one",
        Source::File => "file",
    }
}

/// Links, addresses, gateways.
#[must_use]
pub fn net(status: &NetStatus) -> Vec<String> {
    let rows = status.links.iter().map(|(name, link)| {
        vec![
            name.to_string(),
            link_state(link).to_owned(),
            link.mac.map_or_else(dash, |mac| mac.to_string()),
            link_addresses(link),
        ]
    });
    let mut out = table(rows.collect());
    if !status.gateways.is_empty() {
        out.push(format!("gateway: {}", join(&status.gateways)));
    }
    if !status.dns.is_empty() {
        out.push(format!("name servers: {}", join(&status.dns)));
    }
    out.extend(status.pending.iter().map(|what| format!("! {what}")));
    out
}

/// The state of a link in two words at most.
#[must_use]
pub const fn link_state(link: &LinkStatus) -> &'static str {
    match (link.up, link.carrier) {
        (true, true) => "up",
        (true, false) => "no carrier",
        (false, _) => "down",
    }
}

/// The addresses of a link, or what it waits for.
#[must_use]
pub fn link_addresses(link: &LinkStatus) -> String {
    let addresses = join(&link.addresses);
    match (addresses.is_empty(), link.dhcp.as_str()) {
        (true, "off") => "no address".to_owned(),
        (true, dhcp) => format!("DHCP {dhcp}"),
        (false, "off") => addresses,
        (false, dhcp) => format!("{addresses} (DHCP {dhcp})"),
    }
}

/// Virtual routers.
#[must_use]
pub fn vrrp(status: &VrrpStatus) -> Vec<String> {
    if status.instances.is_empty() {
        return vec!["no virtual router is configured".to_owned()];
    }
    let unknown = status.counters.get("vrid_err").copied().unwrap_or_default();
    let strangers = (unknown > 0)
        .then(|| format!("! {unknown} advertisements of virtual routers that are not configured here"));
    let daemons = status.sync.iter().map(|daemon| format!("connection synchronisation: {daemon}"));
    let problem = status.sync_problem.iter().map(|problem| format!("! {problem}"));
    let here = status.instances.iter().flat_map(router).chain(strangers).chain(daemons).chain(problem);
    here.chain(peers::lines(status)).collect()
}

/// The word for it.
#[must_use]
pub const fn router_state(state: RouterState) -> &'static str {
    match state {
        RouterState::Initialize => "INITIALIZE",
        RouterState::Backup => "BACKUP",
        RouterState::Master => "MASTER",
        RouterState::Fault => "FAULT",
    }
}

fn router(router: &RouterStatus) -> Vec<String> {
    let state = router_state(router.state);
    let priority = if router.priority == router.base_priority {
        router.priority.to_string()
    } else {
        format!("{} (file: {})", router.priority, router.base_priority)
    };
    let master = match (router.state, router.master) {
        (RouterState::Backup, Some(address)) => {
            let priority = router.master_priority.map(|p| format!(" (priority {p})")).unwrap_or_default();
            format!(", master is {address}{priority}")
        }
        (RouterState::Initialize | RouterState::Master | RouterState::Fault | RouterState::Backup, _) => {
            String::new()
        }
    };
    let mut lines = vec![
        format!(
            "{}  {state} for {}  on {} vrid {} version {} priority {priority}",
            router.name,
            age(router.since_ms),
            router.interface,
            router.vrid,
            router.version
        ),
        format!("  {}{master}{}", router.reason, order(router.order.as_deref())),
        format!("  {}", join(&router.addresses)),
    ];
    lines.extend(router.trackers.iter().map(tracker));
    lines.extend(advertisements(router));
    lines
}

/// What the operator has ordered, if that still counts.
fn order(order: Option<&str>) -> &'static str {
    match order {
        Some("yields") => ", has handed over and leaves a living master alone until released",
        Some(_) | None => "",
    }
}

fn tracker(tracker: &TrackerStatus) -> String {
    let weight = tracker.weight.map(|weight| format!(" weight {weight}")).unwrap_or_default();
    let state = match (tracker.healthy, &tracker.reason) {
        (None, _) => "not known yet".to_owned(),
        (Some(true), _) => "up".to_owned(),
        (Some(false), Some(reason)) => format!("DOWN: {reason}"),
        (Some(false), None) => "DOWN".to_owned(),
    };
    format!("  tracks {}{weight}: {state}", tracker.what)
}

/// What was sent and heard, and each kind of what was not heeded; nothing before there was anything.
fn advertisements(router: &RouterStatus) -> Option<String> {
    let count = |name: &str| router.counters.get(name).copied().unwrap_or_default();
    let kinds: Vec<String> = Reject::NAMES
        .into_iter()
        .chain(["addr_list_err"])
        .filter(|name| count(name) > 0)
        .map(|name| format!("{name} {}", count(name)))
        .collect();
    let (sent, heard) = (count("advert_sent"), count("advert_rcvd"));
    if sent + heard == 0 && kinds.is_empty() {
        return None;
    }
    let odd = if kinds.is_empty() { String::new() } else { format!("; ! {}", kinds.join(", ")) };
    Some(format!("  advertisements: {sent} sent, {heard} heard{odd}"))
}

/// A span of time in its two largest units: `850 ms`, `12 s`, `3 m 20 s`, `5 h 1 m`, `12 d 4 h`.
#[must_use]
pub fn age(milliseconds: u64) -> String {
    let seconds = Duration::from_millis(milliseconds).as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes, seconds) {
        (0, 0, 0, 0) => format!("{milliseconds} ms"),
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) => format!("{m} m {} s", s % 60),
        (0, h, m, _) => format!("{h} h {m} m"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

/// A short span of time: `1.2 ms`, `17 ms`.
#[must_use]
pub fn latency(microseconds: u64) -> String {
    if microseconds < 10_000 {
        format!("{}.{} ms", microseconds / 1_000, microseconds / 100 % 10)
    } else {
        format!("{} ms", microseconds / 1_000)
    }
}

/// Columns of equal width, two spaces apart, nothing after the last word of a line.
#[must_use]
pub fn table(rows: Vec<Vec<String>>) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    rows.iter()
        .map(|row| {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect()
}

fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn dash() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(json: &str) -> String {
        lines(&serde_json::from_str(json).unwrap()).join("\n")
    }

    fn clock(synchronised: bool, sets: bool, problem: &str) -> Status {
        let server = |last: u8, stratum: u8, offset: i64, delay: u64| {
            serde_json::json!({"address": format!("192.168.61.{last}"), "source": "file", "chosen": last == 1,
                "stratum": stratum, "offset_us": offset, "delay_us": delay, "problem": null})
        };
        let silent = serde_json::json!({"address": "192.168.61.3", "source": "file", "chosen": false,
            "stratum": null, "offset_us": null, "delay_us": null, "problem": "no answer within 2 s"});
        let problem = (!problem.is_empty()).then_some(problem);
        serde_json::from_value(
            serde_json::json!({"role": "time", "synchronised": synchronised, "problem": problem,
            "offset_us": -318, "agreed_ms": 42_000, "sets": sets, "steps": u8::from(sets), "generation": 1,
            "servers": [server(1, 2, -318, 412), server(2, 3, -290, 1_234), silent]}),
        )
        .unwrap()
    }

    #[test]
    fn the_clock_as_the_manual_shows_it() {
        let shown = lines(&clock(true, true, "")).join("\n");
        assert!(include_str!("../../doc/manual.md").contains(&format!("status time\n{shown}\n")), "{shown}");
    }

    #[test]
    fn a_clock_that_is_wrong_or_somebody_elses() {
        let shown = lines(&clock(false, false, "no time server answers"));
        assert_eq!(
            shown[..2],
            [
                "! clock: not synchronised, offset -0.000318 s, 42 s ago (the clock is the host's, and only watched)",
                "! no time server answers"
            ]
        );
        let Status::Time(status) = clock(false, true, "no time server answers") else { panic!() };
        assert_eq!(
            super::clock(&status).as_deref(),
            Some("! clock not synchronised: no time server answers")
        );
        let Status::Time(status) = clock(true, true, "no time server answers") else { panic!() };
        assert_eq!(super::clock(&status), None, "one question lost is not worth a line");
    }

    #[test]
    fn a_pair_of_routers() {
        let shown = show(
            r#"{"role":"vrrp","generation":1,"instances":[
            {"name":"VI_1","interface":"eth0","vrid":51,"version":3,"state":"backup","reason":"heard a master",
             "since_ms":65000,"base_priority":100,"priority":40,"master":"192.168.61.46","master_priority":50,
             "interval_us":1000000,"addresses":["192.168.61.45/32"],"counters":{}}]}"#,
        );
        assert_eq!(
            shown,
            "VI_1  BACKUP for 1 m 5 s  on eth0 vrid 51 version 3 priority 40 (file: 100)\n  \
             heard a master, master is 192.168.61.46 (priority 50)\n  192.168.61.45/32"
        );
    }

    #[test]
    fn rejected_advertisements_are_named() {
        let shown = show(
            r#"{"role":"vrrp","generation":1,"counters":{"vrid_err":2},"instances":[
            {"name":"VI_1","interface":"eth0","vrid":51,"version":3,"state":"master","reason":"no master heard for 3609 ms",
             "since_ms":1000,"base_priority":100,"priority":100,"master":"10.0.0.1","master_priority":100,
             "interval_us":1000000,"addresses":["10.0.0.45/32"],
             "counters":{"advert_sent":17,"advert_rcvd":3,"chk_err":4,"ip_ttl_err":0,"become_master":1}}]}"#,
        );
        let expected = "  advertisements: 17 sent, 3 heard; ! chk_err 4\n\
                        ! 2 advertisements of virtual routers that are not configured here";
        assert!(shown.ends_with(expected), "{shown}");
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

    #[test]
    fn ages_use_two_units() {
        for (ms, text) in [(850, "850 ms"), (12_345, "12 s"), (200_000, "3 m 20 s"), (18_060_000, "5 h 1 m")]
        {
            assert_eq!(age(ms), text);
        }
        assert_eq!(age(1_051_200_000), "12 d 4 h");
    }
}
