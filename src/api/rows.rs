//! Services and real servers on the status page. Pure.

use super::history::{History, Series};
use super::page::{Escaped, MOST_SERVICES, put};
use super::spark::{Spark, number};
use super::tables::{begin, end};
use crate::ctl::services::{answer, order, quorum};
use crate::ipc::message::{Admin, Health, ServerStatus, ServiceOverview, ServiceStatus};

/// Services, a line each.
pub fn services(out: &mut String, services: &[ServiceOverview], history: &History) {
    if services.is_empty() {
        return out.push_str("<h2>Services</h2>\n<p class=\"dim\">no service is configured</p>\n");
    }
    let head = ["Name", "Address", "State", "-Live", "-Active", "*New/s", "+", "+Quorum", "+Scheduler"];
    begin(out, "Services", &head);
    let none = Series::default();
    for ServiceOverview { service, servers, live, active } in services.iter().take(MOST_SERVICES) {
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
                "<tr><td><a href=\"/?service={0}\">{0}</a></td><td>{1}</td><td><span class=\"s {class}\">{word}</span></td>\
                 <td class=\"n\">{live} of {servers}</td><td class=\"n\">{active}</td><td class=\"n opt\">{last}</td><td class=\"opt\">{2}</td>\
                 <td class=\"opt\">{3}</td><td class=\"opt\">{4}</td></tr>\n",
                Escaped(&service.name),
                Escaped(&service.listen),
                Spark(line),
                quorum(service),
                Escaped(&service.scheduler)
            ),
        );
    }
    end(out);
    if let Some(more) = services.len().checked_sub(MOST_SERVICES).filter(|more| *more > 0) {
        put(out, format_args!("<p class=\"dim\">and {more} more</p>\n"));
    }
}

/// The servers of `services`, with the names of these where they are several.
pub fn servers<'a>(out: &mut String, services: impl IntoIterator<Item = &'a ServiceStatus>, named: bool) {
    let head = ["Service", "Address", "State", "-Weight", "-Active", "*Inactive", "*Connections", "Checks"];
    begin(out, "Real servers", head.get(usize::from(!named)..).unwrap_or_default());
    for service in services {
        for server in &service.servers {
            let (class, word) = state(server);
            out.push_str("<tr>");
            if named {
                put(out, format_args!("<td>{}</td>", Escaped(&service.name)));
            }
            put(
                out,
                format_args!(
                    "<td>{}{}</td><td><span class=\"s {class}\">{word}</span></td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
                     <td class=\"n opt\">{}</td><td class=\"n opt\">{}</td><td class=\"long dim\">{}</td></tr>\n",
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
    }
    end(out);
}

/// What the operator has ordered comes before what the checks say.
fn state(server: &ServerStatus) -> (&'static str, &'static str) {
    match (server.admin.as_ref().map(|admin| admin.state), server.health) {
        (Some(Admin::Draining), _) => ("warn", "draining"),
        (Some(Admin::Drained), _) => ("idle", "drained"),
        (Some(Admin::Disabled), _) => ("idle", "disabled"),
        (Some(Admin::Enabled) | None, _) if server.off => ("idle", "off"),
        (_, Health::Up) => ("ok", "up"),
        (_, Health::Down) => ("bad", "DOWN"),
        (_, Health::Unknown) => ("warn", "unknown"),
    }
}

fn said(server: &ServerStatus) -> String {
    let mut parts: Vec<String> = server.admin.iter().map(order).collect();
    parts.extend(server.checks.iter().map(|check| format!("{} {}", check.kind, answer(check))));
    if server.checks.is_empty() {
        parts.push(server.reason.to_string());
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::page::tests::overview;
    use crate::ipc::message::AdminStatus;

    #[test]
    fn an_order_of_the_operator_is_shown_before_the_verdict() {
        let mut server = overview(1).overview().unwrap().services[0].service.servers[0].clone();
        assert_eq!(state(&server), ("ok", "up"));
        server.admin = Some(AdminStatus { state: Admin::Draining, since_ms: 12_000, left_ms: Some(1000) });
        assert_eq!(state(&server), ("warn", "draining"));
        assert!(said(&server).starts_with("draining for 12 s, 1 s left; http 200 OK"), "{}", said(&server));
        server.admin = None;
        server.off = true;
        assert_eq!(state(&server), ("idle", "off"));
    }
}
