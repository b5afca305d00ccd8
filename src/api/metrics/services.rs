//! What is told of services, real servers and checks: with 10,000 servers nearly all there is. Pure.

use crate::api::exposition::Kind::{Counter, Gauge};
use crate::api::exposition::{Exposition, Family, Labels, Table, count, flag};
use crate::ipc::message::{CheckStatus, Health, ServerStatus, ServiceStatus};
use crate::ipc::report::Report;

const INFO: Family = Family::gauge("director_service_info", "The service's address and scheduler.");

const SERVICES: [Family; 9] = [
    Family::gauge("director_service_up", "Whether the service has its quorum."),
    Family::gauge("director_service_sorry", "Whether sorry servers answer."),
    Family::gauge("director_service_live", "What lives, in the unit of the quorum."),
    Family::gauge("director_service_quorum", "What must live for the quorum."),
    Family::counter("director_service_connections_total", "Connections scheduled."),
    Family::counter("director_service_receive_packets_total", "Packets from clients."),
    Family::counter(
        "director_service_transmit_packets_total",
        "Packets to clients; none with DR and tunnels, whose answers take another way.",
    ),
    Family::counter("director_service_receive_bytes_total", "Bytes from clients."),
    Family::counter(
        "director_service_transmit_bytes_total",
        "Bytes to clients; none with DR and tunnels, whose answers take another way.",
    ),
];

const SERVERS: [Family; 8] = [
    Family::gauge(
        "director_server_up",
        "Whether the checks find the server alive; absent while they have no verdict.",
    ),
    Family::gauge("director_server_in_table", "Whether the server is in the kernel's table."),
    Family::gauge(
        "director_server_weight",
        "Weight in the kernel, 0 also for a server that is not in its table.",
    ),
    Family::gauge("director_server_active_connections", "Active connections."),
    Family::gauge("director_server_inactive_connections", "Inactive connections."),
    Family::counter(
        "director_server_connections_total",
        "Connections scheduled since the server is in the table.",
    ),
    Family::counter(
        "director_server_receive_bytes_total",
        "Bytes from clients since the server is in the table.",
    ),
    Family::counter(
        "director_server_transmit_bytes_total",
        "Bytes to clients since the server is in the table; none with DR and tunnels.",
    ),
];

const CHECKS: [Family; 2] = [
    Family::gauge("director_check_up", "Verdict of the check; absent while there is none."),
    Family::gauge("director_check_duration_seconds", "Time that the last probe took."),
];

/// What `lvs` has said; nothing of an answer that cannot be read.
pub fn services(report: &Report, out: &mut Exposition) {
    let mut tables = Tables {
        info: Table::new([INFO]),
        services: Table::new(SERVICES),
        servers: Table::new(SERVERS),
        checks: Table::new(CHECKS),
        overdue: 0,
        warnings: 0,
    };
    let status = match report.read(|service| tables.service(&service)) {
        Ok(status) => status,
        Err(error) => return log::error!("status of lvs: {error}"),
    };
    let help = "Whether the kernel's table is as the file and the checks want it.";
    out.single("director_ipvs_in_sync", Gauge, help, flag(status.problem.is_none()));
    let help = "Changes of the kernel's table by others that were undone.";
    out.single("director_ipvs_foreign_changes_total", Counter, help, count(status.foreign_changes));
    out.table(tables.info);
    out.table(tables.services);
    out.table(tables.servers);
    out.table(tables.checks);
    let help = "Checks whose last answer is older than it may be: this box is too slow.";
    out.single("director_checks_overdue", Gauge, help, count(tables.overdue));
    let help = "Checks whose last answer warned of something, such as a certificate that is about to expire.";
    out.single("director_checks_warning", Gauge, help, count(tables.warnings));
}

struct Tables {
    info: Table<1>,
    services: Table<{ SERVICES.len() }>,
    servers: Table<{ SERVERS.len() }>,
    checks: Table<{ CHECKS.len() }>,
    overdue: u64,
    warnings: u64,
}

impl Tables {
    fn service(&mut self, it: &ServiceStatus) {
        let mut labels = Labels::default();
        labels.add("service", &it.name);
        let mark = labels.mark();
        self.services.add(
            labels.text(),
            [
                flag(it.up),
                flag(it.sorry),
                count(it.live_weight),
                count(it.quorum),
                count(it.connections),
                count(it.traffic.packets_in),
                count(it.traffic.packets_out),
                count(it.traffic.bytes_in),
                count(it.traffic.bytes_out),
            ]
            .map(Some),
        );
        labels.back_to(mark);
        labels.add("listen", &it.listen);
        let protocol = it.protocol.map(|protocol| format!("{protocol:?}").to_lowercase());
        labels.add("protocol", &protocol.unwrap_or_default());
        labels.add("scheduler", &it.scheduler);
        self.info.add(labels.text(), [Some(1.0)]);
        for server in &it.servers {
            labels.back_to(mark);
            self.server(server, &mut labels);
        }
    }

    /// `labels` name its service.
    fn server(&mut self, it: &ServerStatus, labels: &mut Labels) {
        labels.show("server", it.address);
        if it.sorry {
            labels.add("sorry", "true");
        }
        let mark = labels.mark();
        self.servers.add(
            labels.text(),
            [
                verdict(it.health),
                Some(flag(it.kernel_weight.is_some())),
                Some(count(it.kernel_weight.unwrap_or(0).into())),
                Some(count(it.active.into())),
                Some(count(it.inactive.into())),
                Some(count(it.connections)),
                Some(count(it.traffic.bytes_in)),
                Some(count(it.traffic.bytes_out)),
            ],
        );
        for (check, number) in it.checks.iter().zip(1_usize..) {
            labels.back_to(mark);
            labels.show("check", number);
            self.check(check, labels);
        }
    }

    /// `labels` say which it is, of which server.
    fn check(&mut self, it: &CheckStatus, labels: &mut Labels) {
        labels.add("type", &it.kind);
        labels.show("address", it.address);
        let duration = it.latency_us.map(|us| count(us) / 1e6);
        self.checks.add(labels.text(), [verdict(it.health), duration]);
        self.overdue += u64::from(it.overdue);
        self.warnings += u64::from(it.warning.is_some());
    }
}

/// 1 or 0, once there is a verdict.
fn verdict(health: Health) -> Option<f64> {
    (health != Health::Unknown).then(|| flag(health == Health::Up))
}
