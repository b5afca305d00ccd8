//! The tables of the status page. Pure.

use super::history::{History, Series};
use super::page::{Escaped, MOST_SERVICES, Spark, number, put};
use crate::ctl::services::{answer, order, quorum};
use crate::ctl::status::age;
use crate::init::supervise::ALARM;
use crate::ipc::message::{
    Health, NetStatus, RouterState, RouterStatus, ServerStatus, ServiceStatus, WorkerStatus,
};

/// Virtual routers.
pub fn routers(out: &mut String, routers: &[RouterStatus]) {
    begin(out, "Virtual routers", &["Name", "State", "for", "Priority", "Master", "Addresses", "Why"]);
    for router in routers {
        let (class, word) = match router.state {
            RouterState::Master => ("ok", "master"),
            RouterState::Backup => ("", "backup"),
            RouterState::Initialize => ("warn", "initialize"),
            RouterState::Fault => ("bad", "FAULT"),
        };
        let addresses: Vec<String> = router.addresses.iter().map(ToString::to_string).collect();
        let master = router.master.map(|master| master.to_string()).unwrap_or_default();
        put(
            out,
            format_args!(
                "<tr><td>{}</td><td class=\"{class}\">{word}</td><td>{}</td><td>{}</td><td>{master}</td>\
                 <td class=\"long\">{}</td><td class=\"long dim\">{}</td></tr>\n",
                Escaped(&router.name),
                age(router.since_ms),
                router.priority,
                addresses.join(" "),
                Escaped(&router.reason)
            ),
        );
    }
    end(out);
}

/// Services, a line each.
pub fn services(out: &mut String, services: &[ServiceStatus], history: &History) {
    let head =
        ["Name", "Address", "State", "Quorum", "Live servers", "Active", "New a second, 24 h", "Scheduler"];
    begin(out, "Services", &head);
    let none = Series::default();
    for service in services.iter().take(MOST_SERVICES) {
        let real = || service.servers.iter().filter(|server| !server.sorry);
        let live = real().filter(|server| server.health == Health::Up).count();
        let active: u64 = service.servers.iter().map(|server| u64::from(server.active)).sum();
        let (class, word) = match (service.up, service.sorry) {
            (true, _) => ("ok", "up"),
            (false, true) => ("bad", "DOWN, sorry"),
            (false, false) => ("bad", "DOWN"),
        };
        let line = history.services.get(&service.name).unwrap_or(&none);
        let last = line.values().last().flatten().map(number).unwrap_or_default();
        put(
            out,
            format_args!(
                "<tr><td><a href=\"/?service={0}\">{0}</a></td><td>{1}</td><td class=\"{class}\">{word}</td>\
                 <td>{2}</td><td>{live} of {3}</td><td>{active}</td><td title=\"{last}\">{4}</td><td>{5}</td></tr>\n",
                Escaped(&service.name),
                Escaped(&service.listen),
                quorum(service),
                real().count(),
                Spark(line),
                Escaped(&service.scheduler)
            ),
        );
    }
    end(out);
    match services.len().checked_sub(MOST_SERVICES) {
        Some(more) if more > 0 => put(out, format_args!("<p class=\"dim\">and {more} more</p>\n")),
        _ if services.is_empty() => out.push_str("<p class=\"dim\">no service is configured</p>\n"),
        _ => {}
    }
}

/// The servers of one service.
pub fn servers(out: &mut String, service: &ServiceStatus) {
    begin(out, "Servers", &["Address", "Health", "Weight", "Active", "Inactive", "Connections", "Checks"]);
    for server in &service.servers {
        let (class, word) = match server.health {
            Health::Up => ("ok", "up"),
            Health::Down => ("bad", "DOWN"),
            Health::Unknown => ("warn", "unknown"),
        };
        put(
            out,
            format_args!(
                "<tr><td>{}{}</td><td class=\"{class}\">{word}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
                 <td class=\"long\">{}</td></tr>\n",
                server.address,
                if server.sorry { " <span class=\"dim\">sorry</span>" } else { "" },
                server.kernel_weight.map_or_else(|| "out".to_owned(), |weight| weight.to_string()),
                server.active,
                server.inactive,
                server.connections,
                Escaped(&said(server))
            ),
        );
    }
    end(out);
}

fn said(server: &ServerStatus) -> String {
    let mut parts: Vec<String> = server.admin.iter().map(order).collect();
    parts.extend(server.checks.iter().map(|check| format!("{} {}", check.kind, answer(check))));
    if server.checks.is_empty() {
        parts.push(server.reason.clone());
    }
    parts.join("; ")
}

/// Links.
pub fn links(out: &mut String, net: &NetStatus) {
    begin(out, "Links", &["Name", "State", "MTU", "Addresses", "DHCP"]);
    for (name, link) in &net.links {
        let (class, word) = match (link.up, link.carrier) {
            (true, true) => ("ok", "up"),
            (true, false) => ("bad", "no carrier"),
            (false, _) if link.configured => ("bad", "down"),
            (false, _) => ("dim", "down"),
        };
        let addresses: Vec<String> = link.addresses.iter().map(ToString::to_string).collect();
        put(
            out,
            format_args!(
                "<tr><td>{}</td><td class=\"{class}\">{word}</td><td>{}</td><td class=\"long\">{}</td><td>{}</td></tr>\n",
                Escaped(name.as_str()),
                link.mtu,
                addresses.join(" "),
                Escaped(&link.dhcp)
            ),
        );
    }
    end(out);
}

/// Workers.
pub fn workers(out: &mut String, workers: &[WorkerStatus]) {
    begin(out, "Workers", &["Name", "State", "for", "Restarts", "Last end"]);
    for worker in workers {
        let class = match worker.state.as_str() {
            _ if worker.failures >= ALARM => "bad",
            "running" => "ok",
            _ => "warn",
        };
        put(
            out,
            format_args!(
                "<tr><td>{} {}</td><td class=\"{class}\">{}</td><td>{}</td><td>{}</td><td class=\"dim\">{}</td></tr>\n",
                worker.role,
                Escaped(worker.tty.as_deref().unwrap_or_default()),
                Escaped(&worker.state),
                worker.age_ms.map(age).unwrap_or_default(),
                worker.restarts,
                Escaped(worker.last_exit.as_deref().unwrap_or_default())
            ),
        );
    }
    end(out);
}

fn begin(out: &mut String, title: &str, columns: &[&str]) {
    put(out, format_args!("<h2>{title}</h2>\n<div class=\"wide\"><table>\n<thead><tr>"));
    columns.iter().for_each(|column| put(out, format_args!("<th>{column}</th>")));
    out.push_str("</tr></thead>\n<tbody>\n");
}

fn end(out: &mut String) {
    out.push_str("</tbody></table></div>\n");
}
