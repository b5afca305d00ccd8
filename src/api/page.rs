//! The status page: one file, no script, nothing from elsewhere. Pure.

use std::fmt::{self, Write};

use super::collect::Everything;
use super::history::{History, SAMPLES, Series};
use super::rows;
use crate::ctl::status::age;
use crate::init::supervise::ALARM;
use crate::ipc::message::{Health, RouterState, ServiceStatus};

/// The browser asks again after so many seconds.
const REFRESH: u32 = 10;
/// Alarms that are written out.
const MOST_ALARMS: usize = 30;
/// Services in the table; a box with more is for a program to watch.
pub const MOST_SERVICES: usize = 1000;

/// The page; of one service with all of its servers where `service` names it, `None` if there is no such service.
#[must_use]
pub fn page(everything: &Everything, history: &History, service: Option<&str>) -> Option<String> {
    let mut out = String::with_capacity(32 * 1024);
    let host = everything.init().map_or("director", |init| init.hostname.as_str());
    begin(&mut out, host);
    head(&mut out, everything, host);
    match service {
        Some(name) => {
            let services = everything.lvs().map(|lvs| lvs.services.as_slice()).unwrap_or_default();
            let service = services.iter().find(|service| service.name == name)?;
            one(&mut out, service, history);
        }
        None => overview(&mut out, everything, history),
    }
    out.push_str("</body>\n</html>\n");
    Some(out)
}

fn begin(out: &mut String, host: &str) {
    put(
        out,
        format_args!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<meta http-equiv=\"refresh\" content=\"{REFRESH}\">\n\
             <title>{} - Director</title>\n<style>\n{}</style>\n</head>\n<body>\n",
            Escaped(host),
            include_str!("page.css")
        ),
    );
}

fn head(out: &mut String, everything: &Everything, host: &str) {
    put(out, format_args!("<h1><a href=\"/\">{}</a></h1>\n", Escaped(host)));
    let Some(init) = everything.init() else {
        return out.push_str("<p class=\"bad\">the supervisor does not answer</p>\n");
    };
    let slot = init.slot.as_ref().map(|slot| format!(", slot {slot}")).unwrap_or_default();
    let config = everything.store().map_or_else(
        || "no configuration is known".to_owned(),
        |store| format!("configuration {}: {}", store.generation, store.why),
    );
    put(
        out,
        format_args!(
            "<p class=\"dim\">Director {}{}, up {}. {}</p>\n",
            Escaped(&init.version),
            Escaped(&slot),
            age(init.uptime_ms),
            Escaped(&config)
        ),
    );
}

fn overview(out: &mut String, everything: &Everything, history: &History) {
    alarms(out, everything);
    out.push_str("<section class=\"day\">\n");
    for (title, series) in [
        ("New connections a second", &history.connections),
        ("Active connections", &history.active),
        ("Live real servers", &history.live),
    ] {
        let last = series.values().last().flatten();
        let last = last.map_or_else(|| "no value yet".to_owned(), number);
        put(
            out,
            format_args!(
                "<div><b>{title}</b> <span class=\"dim\">{last}, last 24 h</span>{}</div>\n",
                Spark(series)
            ),
        );
    }
    out.push_str("</section>\n");
    if let Some(vrrp) = everything.vrrp().filter(|vrrp| !vrrp.instances.is_empty()) {
        rows::routers(out, &vrrp.instances);
    }
    if let Some(lvs) = everything.lvs() {
        rows::services(out, &lvs.services, history);
    }
    if let Some(net) = everything.net() {
        rows::links(out, net);
    }
    if let Some(init) = everything.init() {
        rows::workers(out, &init.workers);
    }
}

fn one(out: &mut String, service: &ServiceStatus, history: &History) {
    rows::services(out, std::slice::from_ref(service), history);
    rows::servers(out, service);
}

/// What somebody should look at.
fn alarms(out: &mut String, everything: &Everything) {
    let found = troubles(everything);
    if found.is_empty() {
        return;
    }
    out.push_str("<ul class=\"alarms\">\n");
    for trouble in found.iter().take(MOST_ALARMS) {
        put(out, format_args!("<li class=\"bad\">{}</li>\n", Escaped(trouble)));
    }
    if let Some(more) = found.len().checked_sub(MOST_ALARMS).filter(|more| *more > 0) {
        put(out, format_args!("<li class=\"dim\">and {more} more</li>\n"));
    }
    out.push_str("</ul>\n");
}

/// Everything that is not as it should be, in a line each, the gravest first.
#[must_use]
pub fn troubles(everything: &Everything) -> Vec<String> {
    let mut found: Vec<String> =
        everything.roles.iter().filter_map(|(_, status)| status.as_ref().err().cloned()).collect();
    let workers = everything.init().map(|init| init.workers.as_slice()).unwrap_or_default();
    let failing = workers.iter().filter(|worker| worker.failures >= ALARM);
    found.extend(failing.map(|worker| format!("worker {} keeps failing", worker.role)));
    if let Some(store) = everything.store() {
        let faulty = store.candidates.iter().filter(|candidate| candidate.verdict == "faulty");
        found.extend(
            faulty.map(|candidate| format!("configuration is faulty and not used: {}", candidate.place)),
        );
    }
    if let Some(vrrp) = everything.vrrp() {
        let faults = vrrp.instances.iter().filter(|router| router.state == RouterState::Fault);
        found.extend(
            faults.map(|router| format!("virtual router {} is in FAULT: {}", router.name, router.reason)),
        );
        found.extend(
            vrrp.sync_problem.iter().map(|problem| format!("synchronisation of connections: {problem}")),
        );
    }
    if let Some(lvs) = everything.lvs() {
        found.extend(lvs.problem.iter().map(|problem| format!("the kernel's table: {problem}")));
        let down = lvs.services.iter().filter(|service| !service.up);
        found.extend(down.map(|service| format!("service {} has no quorum", service.name)));
        for service in &lvs.services {
            let down = service.servers.iter().filter(|server| server.health == Health::Down);
            found.extend(down.map(|server| {
                format!("server {} of {} is down: {}", server.address, service.name, server.reason)
            }));
        }
        let late = lvs
            .services
            .iter()
            .flat_map(|s| &s.servers)
            .flat_map(|s| &s.checks)
            .filter(|c| c.overdue)
            .count();
        if late > 0 {
            found.push(format!("{late} checks are overdue: this box is too slow for them"));
        }
    }
    if let Some(time) = everything.time().filter(|time| !time.servers.is_empty() && !time.synchronised) {
        let why = time.problem.as_deref().unwrap_or("no server has answered yet");
        found.push(format!("the clock is not synchronised: {why}"));
    }
    if let Some(net) = everything.net() {
        found.extend(net.pending.iter().map(|pending| format!("network: {pending}")));
    }
    found
}

/// Writes into a string, which takes everything.
pub(super) fn put(out: &mut String, text: fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

/// A text as HTML has it, in elements and attributes.
pub(super) struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}

/// Three digits that matter.
pub(super) fn number(value: f32) -> String {
    if value >= 100.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// A series as a line; gaps are gaps. The right end is now.
pub(super) struct Spark<'a>(pub &'a Series);

impl fmt::Display for Spark<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.0.values().flatten().fold(0.0_f32, f32::max);
        write!(
            f,
            "<svg viewBox=\"0 0 {SAMPLES} 30\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"last 24 hours, at most \
             {}\"><path d=\"",
            number(most)
        )?;
        let first = SAMPLES - self.0.values().len();
        let mut pen = 'M';
        for (at, value) in self.0.values().enumerate() {
            let Some(value) = value else {
                pen = 'M';
                continue;
            };
            let height = if most > 0.0 { value / most * 28.0 } else { 0.0 };
            write!(f, "{pen}{} {:.1}", first + at, 29.0 - height)?;
            if pen == 'M' {
                // A single value is a dot.
                f.write_str("h1")?;
            }
            pen = 'L';
        }
        f.write_str("\"/></svg>")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::api::history::PERIOD;
    use std::time::SystemTime;

    /// A box with a virtual router, a service with a live and a dead server, and `connections` scheduled so far.
    pub(crate) fn everything(connections: u64) -> Everything {
        let text = include_str!("../../tests/outside/status.json")
            .replace("\"@CONNECTIONS@\"", &connections.to_string());
        let whole: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
        let roles = crate::api::collect::ASKED
            .into_iter()
            .map(|role| (role, Ok(serde_json::from_value(whole[role.name()].clone()).unwrap())))
            .collect();
        Everything::new(SystemTime::UNIX_EPOCH, roles, Vec::new())
    }

    #[test]
    fn it_tells_what_is_wrong_and_nothing_comes_from_elsewhere() {
        let mut history = History::default();
        (0..5).for_each(|n| history.sample(&everything(n * 900), PERIOD));
        let page = page(&everything(5000), &history, None).unwrap();
        for part in [
            "server 192.168.61.33:80 of web is down: connection refused",
            "the clock is not synchronised: no time server answers",
            "<td class=\"ok\">master</td>",
            "href=\"/?service=web\"",
            "1 of 2",
            "M284 1.0h1L285",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(!page.contains("src=") && !page.contains("<script") && !page.contains("://"), "{page}");
    }

    #[test]
    fn a_service_has_a_page_of_its_own() {
        let history = History::default();
        let page = page(&everything(1), &history, Some("web")).unwrap();
        assert!(page.contains("192.168.61.22:80") && page.contains("200 OK"), "{page}");
        assert_eq!(super::page(&everything(1), &history, Some("nope")), None);
    }

    #[test]
    fn nothing_that_a_server_says_becomes_markup() {
        assert_eq!(Escaped("<b a='\"&'>").to_string(), "&lt;b a=&#39;&quot;&amp;&#39;&gt;");
    }
}
