//! The tables of the status page but those of services. Pure.

use super::page::{Escaped, put};
use crate::ctl::status::age;
use crate::init::supervise::ALARM;
use crate::ipc::message::{NetStatus, RouterState, RouterStatus, WorkerStatus};

/// Virtual routers.
pub fn routers(out: &mut String, routers: &[RouterStatus]) {
    begin(out, "Virtual routers", &["Name", "State", "for", "-Priority", "+Master", "Addresses", "+Why"]);
    for router in routers {
        let (class, word) = match router.state {
            RouterState::Master => ("ok", "master"),
            RouterState::Backup => ("idle", "backup"),
            RouterState::Initialize => ("warn", "initialize"),
            RouterState::Fault => ("bad", "FAULT"),
        };
        let addresses: Vec<String> = router.addresses.iter().map(ToString::to_string).collect();
        let master = router.master.map(|master| master.to_string()).unwrap_or_default();
        put(
            out,
            format_args!(
                "<tr><td>{}</td><td><span class=\"s {class}\">{word}</span></td><td>{}</td><td class=\"n\">{}</td>\
                 <td class=\"opt\">{master}</td><td class=\"long\">{}</td><td class=\"long dim opt\">{}</td></tr>\n",
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

/// Links.
pub fn links(out: &mut String, net: &NetStatus) {
    begin(out, "Links", &["Name", "State", "-MTU", "Addresses", "+DHCP"]);
    for (name, link) in &net.links {
        let (class, word) = match (link.up, link.carrier) {
            (true, true) => ("ok", "up"),
            (true, false) => ("bad", "no carrier"),
            (false, _) if link.configured => ("bad", "down"),
            (false, _) => ("idle", "down"),
        };
        let addresses: Vec<String> = link.addresses.iter().map(ToString::to_string).collect();
        put(
            out,
            format_args!(
                "<tr><td>{}</td><td><span class=\"s {class}\">{word}</span></td><td class=\"n\">{}</td><td class=\"long\">{}</td>\
                 <td class=\"opt\">{}</td></tr>\n",
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
    begin(out, "Workers", &["Name", "State", "for", "-Restarts", "+Last end"]);
    for worker in workers {
        let class = match worker.state.as_str() {
            _ if worker.failures >= ALARM => "bad",
            "running" => "ok",
            _ => "warn",
        };
        put(
            out,
            format_args!(
                "<tr><td>{} {}</td><td><span class=\"s {class}\">{}</span></td><td>{}</td><td class=\"n\">{}</td>\
                 <td class=\"dim opt\">{}</td></tr>\n",
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

/// A table with its columns: `-` stands before numbers, `+` before what a small screen has no room for, `*` before both.
pub(super) fn begin(out: &mut String, title: &str, columns: &[&str]) {
    put(out, format_args!("<h2>{title}</h2>\n<div class=\"wide\"><table>\n<thead><tr>"));
    for column in columns {
        let (class, text) = match column.split_at_checked(1) {
            Some(("-", text)) => (" class=\"n\"", text),
            Some(("+", text)) => (" class=\"opt\"", text),
            Some(("*", text)) => (" class=\"n opt\"", text),
            _ => ("", *column),
        };
        put(out, format_args!("<th{class}>{text}</th>"));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
}

/// Its end.
pub(super) fn end(out: &mut String) {
    out.push_str("</tbody></table></div>\n");
}
