//! Virtual routers. Pure.

use super::super::peers;
use super::age;
use super::words::join;
use crate::ipc::message::{RouterState, RouterStatus, TrackerStatus, VrrpStatus};
use crate::vrrp::packet::Reject;

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
    let problems = status.route_problems.iter().chain(&status.sync_problem);
    let problems = problems.map(|problem| format!("! {problem}"));
    let here = status.instances.iter().flat_map(router).chain(strangers).chain(daemons).chain(problems);
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
    lines.extend(
        router
            .waits
            .as_ref()
            .map(|wait| format!("  would be master, but waits for {wait}, {} at most", age(wait.left_ms))),
    );
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
        (Some(true), None) => "up".to_owned(),
        (Some(true), Some(odd)) => format!("up; ! {odd}"),
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

#[cfg(test)]
mod tests {
    use super::super::lines;

    fn show(json: &str) -> String {
        lines(&serde_json::from_str(json).unwrap()).join("\n")
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
    fn routes_that_a_master_lacks_are_told() {
        let shown = show(
            r#"{"role":"vrrp","generation":1,"route_problems":["cannot set route 10.9.0.0/16: Network unreachable"],"instances":[
            {"name":"VI_1","interface":"eth0","vrid":51,"version":3,"state":"master","reason":"no master heard for 3609 ms",
             "since_ms":1000,"base_priority":100,"priority":100,"master":"10.0.0.1","master_priority":100,
             "interval_us":1000000,"addresses":["10.0.0.45/32"],"counters":{}}]}"#,
        );
        assert!(shown.ends_with("\n! cannot set route 10.9.0.0/16: Network unreachable"), "{shown}");
    }

    #[test]
    fn what_a_box_that_has_just_started_waits_for() {
        let shown = show(
            r#"{"role":"vrrp","generation":1,"instances":[
            {"name":"VI_1","interface":"eth0","vrid":51,"version":3,"state":"backup","reason":"started",
             "since_ms":4000,"base_priority":150,"priority":150,"master":"192.168.61.47","master_priority":100,
             "waits":{"lacks":["service a","all real servers of b","gateway 10.0.0.254","service c","the right time"],
                      "left_ms":6100},
             "interval_us":1000000,"addresses":["192.168.61.45/32"],"counters":{}}]}"#,
        );
        let waits = "\n  would be master, but waits for service a, all real servers of b, gateway 10.0.0.254 and 2 more, 6 s at most";
        assert!(shown.ends_with(waits), "{shown}");
    }
}
