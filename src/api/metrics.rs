//! What is told to Prometheus, named by its conventions: base units, `_total` for counters, state as a set of 0 and 1. Pure.

mod services; // services, real servers and checks

use hyper::body::Bytes;

use super::collect::Everything;
use super::devices::COUNTERS;
use super::exposition::Kind::{Counter, Gauge};
use super::exposition::{Exposition, count, flag, labels, seconds};
use crate::ipc::message::{
    NetStatus, NotifyStatus, RouterState, RouterStatus, StoreStatus, TargetStatus, TimeStatus, VrrpStatus,
};

/// The metrics of the box, in pieces.
#[must_use]
pub fn pieces(everything: &Everything) -> Vec<Bytes> {
    let mut out = Exposition::default();
    workers(everything, &mut out);
    if let Some(status) = everything.store() {
        store(status, &mut out);
    }
    if let Some(status) = everything.net() {
        net(status, &mut out);
    }
    devices(everything, &mut out);
    if let Some(status) = everything.time().filter(|status| !status.servers.is_empty()) {
        time(status, &mut out);
    }
    if let Some(status) = everything.notify() {
        notify(status, &mut out);
    }
    if let Some(status) = everything.vrrp() {
        vrrp(status, &mut out);
    }
    if let Some(report) = everything.report() {
        services::services(report, &mut out);
    }
    out.into_pieces()
}

fn workers(everything: &Everything, out: &mut Exposition) {
    let answering: Vec<(String, f64)> = everything
        .roles
        .iter()
        .map(|(role, status)| (labels(&[("role", role.name())]), flag(status.is_ok())))
        .collect();
    family(
        out,
        "director_role_answers",
        Gauge,
        "Whether the process of this role answers.",
        &answering,
        |it| it.1,
    );
    let Some(init) = everything.init() else { return };
    let build = labels(&[("version", &init.version), ("hostname", &init.hostname)]);
    out.family("director_build_info", Gauge, "The firmware.", [(build.as_str(), 1.0)]);
    let help = "Time since the kernel started; outside the appliance, since the supervisor started.";
    out.single("director_uptime_seconds", Gauge, help, seconds(init.uptime_ms));
    let slot = labels(&[("slot", init.slot.as_deref().unwrap_or("none")), ("mode", &init.mode)]);
    out.family("director_boot_info", Gauge, "Slot and mode of this boot.", [(slot.as_str(), 1.0)]);
    let watchdog = flag(init.watchdog.is_some());
    out.single("director_watchdog_armed", Gauge, "Whether a hardware watchdog is fed.", watchdog);
    let workers: Vec<_> = init
        .workers
        .iter()
        .map(|worker| {
            let tty = worker.tty.as_deref().unwrap_or_default();
            (labels(&[("role", worker.role.name()), ("tty", tty)]), worker)
        })
        .collect();
    let running = "Whether the worker's process runs.";
    family(out, "director_worker_running", Gauge, running, &workers, |it| flag(it.1.state == "running"));
    let restarts = "Restarts of the worker since the supervisor started.";
    family(out, "director_worker_restarts_total", Counter, restarts, &workers, |it| {
        count(it.1.restarts.into())
    });
    let failures = "Short lives of the worker in a row; from 5 on it is an alarm.";
    family(out, "director_worker_failures", Gauge, failures, &workers, |it| count(it.1.failures.into()));
}

fn store(status: &StoreStatus, out: &mut Exposition) {
    let help = "Counts up with each configuration that was activated since the box started.";
    out.single("director_config_generation", Gauge, help, count(status.generation));
    let source = serde_json::to_value(status.source).ok();
    let source = source.as_ref().and_then(|word| word.as_str()).unwrap_or_default();
    let node = status.node.as_deref().unwrap_or_default();
    let info = labels(&[("source", source), ("node", node)]);
    out.family("director_config_info", Gauge, "Where the configuration comes from.", [(info.as_str(), 1.0)]);
    let faulty = status.candidates.iter().filter(|candidate| candidate.verdict == "faulty").count();
    let help = "Sources of a configuration that were found faulty and are not used.";
    out.single("director_config_faulty_sources", Gauge, help, count(faulty.try_into().unwrap_or(u64::MAX)));
    if status.slot != "none" {
        let help = "Whether the boot loader was told that this slot works.";
        out.single("director_slot_confirmed", Gauge, help, flag(status.slot == "confirmed"));
    }
}

fn net(status: &NetStatus, out: &mut Exposition) {
    let links: Vec<_> =
        status.links.iter().map(|(name, link)| (labels(&[("interface", name.as_str())]), link)).collect();
    family(out, "director_link_up", Gauge, "Whether the link is administratively up.", &links, |it| {
        flag(it.1.up)
    });
    family(out, "director_link_carrier", Gauge, "Whether the link has a carrier.", &links, |it| {
        flag(it.1.carrier)
    });
    family(out, "director_link_mtu_bytes", Gauge, "Maximum transmission unit.", &links, |it| {
        count(it.1.mtu.into())
    });
    let pending = status.pending.len().try_into().unwrap_or(u64::MAX);
    let help = "What of links, addresses and routes is not as the file wants it.";
    out.single("director_net_pending", Gauge, help, count(pending));
}

fn devices(everything: &Everything, out: &mut Exposition) {
    let devices: Vec<_> =
        everything.devices.iter().map(|device| (labels(&[("interface", &device.name)]), device)).collect();
    for (at, counter) in COUNTERS.into_iter().enumerate() {
        let (way, what) = counter.split_once('_').unwrap_or_default();
        let (word, text) = if way == "rx" { ("receive", "received") } else { ("transmit", "sent") };
        let name = format!("director_link_{word}_{what}_total");
        let help = match what {
            "bytes" | "packets" => format!("{what} {text} by the interface, as the kernel counts them."),
            _ => format!("Packets not {text} by the interface: {what}, as the kernel counts them."),
        };
        let help = format!(
            "{}{}",
            help.get(..1).unwrap_or_default().to_uppercase(),
            help.get(1..).unwrap_or_default()
        );
        family(out, &name, Counter, &help, &devices, |it| count(it.1.counters.get(at).copied().unwrap_or(0)));
    }
}

fn time(status: &TimeStatus, out: &mut Exposition) {
    let help = "Whether the clock agreed with its servers lately.";
    out.single("director_time_synchronised", Gauge, help, flag(status.synchronised));
    if let Some(offset) = status.offset_us {
        let help = "By how much the clock was behind its server at the last agreement.";
        out.single("director_time_offset_seconds", Gauge, help, crate::time::choose::seconds(offset));
    }
    let help = "Times that the clock was stepped.";
    out.single("director_time_steps_total", Counter, help, count(status.steps.into()));
    let servers: Vec<_> =
        status.servers.iter().map(|it| (labels(&[("server", &it.address.to_string())]), it)).collect();
    let help = "Whether the time server's last answer counts.";
    family(out, "director_time_server_up", Gauge, help, &servers, |it| flag(it.1.problem.is_none()));
}

fn notify(status: &NotifyStatus, out: &mut Exposition) {
    let logs: Vec<_> = status.syslog.iter().map(|it| (labels(&[("target", &it.target)]), it)).collect();
    let help = "Log lines sent to the receiver.";
    family(out, "director_syslog_sent_lines_total", Counter, help, &logs, |it| count(it.1.sent));
    let help = "Log lines that had to make room before they could be sent.";
    family(out, "director_syslog_lost_lines_total", Counter, help, &logs, |it| count(it.1.lost));
    let targets: Vec<_> =
        status.targets.iter().map(|it| (labels(&[("target", &it.name), ("type", &it.kind)]), it)).collect();
    let help = "Alarms delivered.";
    family(out, "director_alarms_delivered_total", Counter, help, &targets, |it| count(it.1.delivered));
    let help = "Alarms given up.";
    family(out, "director_alarms_dropped_total", Counter, help, &targets, |it| count(it.1.dropped));
    let help = "Alarms that wait.";
    let waiting = |it: &(String, &TargetStatus)| count(it.1.waiting.len().try_into().unwrap_or(u64::MAX));
    family(out, "director_alarms_waiting", Gauge, help, &targets, waiting);
}

const STATES: [(&str, RouterState); 4] = [
    ("initialize", RouterState::Initialize),
    ("backup", RouterState::Backup),
    ("master", RouterState::Master),
    ("fault", RouterState::Fault),
];

fn vrrp(status: &VrrpStatus, out: &mut Exposition) {
    let routers: Vec<(String, &RouterStatus)> =
        status.instances.iter().map(|it| (router(it, &[]), it)).collect();
    let states: Vec<_> = status
        .instances
        .iter()
        .flat_map(|it| STATES.map(|(word, state)| (router(it, &[("state", word)]), flag(it.state == state))))
        .collect();
    family(
        out,
        "director_vrrp_state",
        Gauge,
        "1 for the state that the virtual router is in.",
        &states,
        |it| it.1,
    );
    let help = "Time in this state.";
    family(out, "director_vrrp_state_age_seconds", Gauge, help, &routers, |it| seconds(it.1.since_ms));
    let help = "Priority with what is tracked.";
    family(out, "director_vrrp_priority", Gauge, help, &routers, |it| count(it.1.priority.into()));
    let help = "Priority of the file.";
    family(out, "director_vrrp_base_priority", Gauge, help, &routers, |it| count(it.1.base_priority.into()));
    let help = "Advertisement interval in force.";
    family(out, "director_vrrp_interval_seconds", Gauge, help, &routers, |it| count(it.1.interval_us) / 1e6);
    let help = "How late an advertisement was at most since this router became master.";
    family(out, "director_vrrp_late_seconds", Gauge, help, &routers, |it| count(it.1.late_us) / 1e6);
    for (name, counter, help) in [
        ("director_vrrp_advertisements_received_total", "advert_rcvd", "Advertisements received."),
        ("director_vrrp_advertisements_sent_total", "advert_sent", "Advertisements sent."),
        ("director_vrrp_become_master_total", "become_master", "Times the router became master."),
        ("director_vrrp_release_master_total", "release_master", "Times the router ceased to be master."),
    ] {
        family(out, name, Counter, help, &routers, |it| {
            count(it.1.counters.get(counter).copied().unwrap_or(0))
        });
    }
    let told = ["advert_rcvd", "advert_sent", "become_master", "release_master"];
    let others: Vec<_> = status
        .instances
        .iter()
        .flat_map(|it| {
            let rest = it.counters.iter().filter(|(name, _)| !told.contains(&name.as_str()));
            rest.map(|(name, n)| (router(it, &[("kind", name)]), count(*n)))
        })
        .collect();
    let help = "Everything else that VRRP counts: packets refused, priority zero, a second master.";
    family(out, "director_vrrp_events_total", Counter, help, &others, |it| it.1);
    let strangers: Vec<_> =
        status.counters.iter().map(|(name, n)| (labels(&[("kind", name)]), count(*n))).collect();
    let help = "VRRP packets that belong to no virtual router of this box, by what is wrong with them.";
    family(out, "director_vrrp_stray_packets_total", Counter, help, &strangers, |it| it.1);
}

fn router(it: &RouterStatus, more: &[(&str, &str)]) -> String {
    let vrid = it.vrid.to_string();
    let mut pairs =
        vec![("instance", it.name.as_str()), ("interface", it.interface.as_str()), ("vrid", &vrid)];
    pairs.extend(more);
    labels(&pairs)
}

/// One family of samples whose labels are made already.
fn family<T>(
    out: &mut Exposition,
    name: &str,
    kind: super::exposition::Kind,
    help: &str,
    samples: &[(String, T)],
    value: impl Fn(&(String, T)) -> f64,
) {
    out.family(name, kind, help, samples.iter().map(|sample| (sample.0.as_str(), value(sample))));
}
