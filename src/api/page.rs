//! The status page: one file, no script, nothing from elsewhere. Pure.

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime};

use super::collect::Everything;
use super::history::History;
use super::spark::{Spark, number};
use super::trouble::{Troubles, troubles};
use super::{rows, tables};
use crate::ctl::logs::moment;
use crate::ctl::status::age;
use crate::ipc::message::{MOST_DOWN, ServiceOverview};

/// The browser asks again after so many seconds.
const REFRESH: u32 = 10;
/// Alarms that are written out.
const MOST_ALARMS: usize = MOST_DOWN;
/// Services in the table; a box with more is for a program to watch.
pub const MOST_SERVICES: usize = 1000;
/// A box with at most so many real servers shows all of them at once.
pub const FEW_SERVERS: usize = 100;

/// The page; of one service with all of its servers where `service` names it, `None` if there is no such service.
#[must_use]
pub fn page(everything: &Everything, history: &History, service: Option<&str>) -> Option<String> {
    let mut out = String::with_capacity(64 * 1024);
    let host = everything.init().map_or("director", |init| init.hostname.as_str());
    let found = troubles(everything);
    begin(&mut out, host, found.count);
    head(&mut out, everything, host, found.count);
    match service {
        Some(name) => {
            let service = services(everything).iter().find(|it| it.service.name == name)?;
            out.push_str("<p><a href=\"/\">All services</a></p>\n");
            rows::services(&mut out, std::slice::from_ref(service), history);
            rows::servers(&mut out, [&service.service], false);
        }
        None => overview(&mut out, everything, history, &found),
    }
    foot(&mut out, everything, history);
    out.push_str("</body>\n</html>\n");
    Some(out)
}

/// Head of the document; the dot of the browser's tab is green or red.
fn begin(out: &mut String, host: &str, troubles: usize) {
    let (colour, note) = if troubles == 0 {
        ("1a7a43", String::new())
    } else {
        ("b42318", format!(" ({troubles} to look at)"))
    };
    put(
        out,
        format_args!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <meta http-equiv=\"refresh\" content=\"{REFRESH}\">\n\
             <link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http:%2F%2Fwww.w3.org%2F2000%2Fsvg' \
             viewBox='0 0 9 9'%3E%3Ccircle cx='4.5' cy='4.5' r='4' fill='%23{colour}'/%3E%3C/svg%3E\">\n\
             <title>{}{note} - Director</title>\n<style>\n{}</style>\n</head>\n<body>\n",
            Escaped(host),
            include_str!("page.css")
        ),
    );
}

fn head(out: &mut String, everything: &Everything, host: &str, troubles: usize) {
    put(out, format_args!("<header><h1>{}</h1>", Escaped(host)));
    if troubles == 0 {
        out.push_str("<span class=\"s ok\">all is well</span>");
    } else {
        put(out, format_args!("<span class=\"s bad\">{troubles} to look at</span>"));
    }
    out.push_str("</header>\n");
    let config = everything.store().map_or_else(
        || "no configuration is known".to_owned(),
        |store| format!("configuration {}: {}", store.generation, store.why),
    );
    let Some(init) = everything.init() else { return };
    let slot = init.slot.as_ref().map(|slot| format!(", slot {slot}")).unwrap_or_default();
    put(
        out,
        format_args!(
            "<p class=\"dim\">Director {}{}, up {}; {}</p>\n",
            Escaped(&init.version),
            Escaped(&slot),
            age(init.uptime_ms),
            Escaped(&config)
        ),
    );
}

fn overview(out: &mut String, everything: &Everything, history: &History, troubles: &Troubles) {
    alarms(out, troubles);
    let services = services(everything);
    day(out, services, history);
    if let Some(vrrp) = everything.vrrp().filter(|vrrp| !vrrp.instances.is_empty()) {
        tables::routers(out, &vrrp.instances);
    }
    if everything.overview().is_some() {
        rows::services(out, services, history);
    }
    if services.iter().any(|it| !it.service.servers.is_empty()) {
        rows::servers(out, services.iter().map(|it| &it.service), true);
    }
    if let Some(net) = everything.net() {
        tables::links(out, net);
    }
    if let Some(init) = everything.init() {
        tables::workers(out, &init.workers);
    }
}

fn services(everything: &Everything) -> &[ServiceOverview] {
    everything.overview().map(|lvs| lvs.services.as_slice()).unwrap_or_default()
}

/// The box as a whole, in four numbers.
fn day(out: &mut String, services: &[ServiceOverview], history: &History) {
    let real: usize = services.iter().map(|it| it.servers).sum();
    let live: usize = services.iter().map(|it| it.live).sum();
    let up = services.iter().filter(|it| it.service.up).count();
    let active: u64 = services.iter().map(|it| it.active).sum();
    let rate = history.connections.values().last().flatten();
    out.push_str("<section class=\"day\">\n");
    for (title, value, series) in [
        ("Services with quorum", format!("{up} of {}", services.len()), None),
        ("Live real servers", format!("{live} of {real}"), Some(&history.live)),
        ("Active connections", active.to_string(), Some(&history.active)),
        (
            "New connections a second",
            rate.map_or_else(|| "none yet".to_owned(), number),
            Some(&history.connections),
        ),
    ] {
        put(out, format_args!("<div><span class=\"dim\">{title}</span><b>{value}</b>"));
        if let Some(series) = series {
            put(out, format_args!("{}", Spark(series)));
        }
        out.push_str("</div>\n");
    }
    out.push_str("</section>\n");
}

fn foot(out: &mut String, everything: &Everything, history: &History) {
    let since = everything.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let time = moment(u64::try_from(since.as_millis()).unwrap_or_default());
    put(
        out,
        format_args!(
            "<footer>As of {time} UTC, renewed every {REFRESH} s. Lines: the last {}. \
             <a href=\"/metrics\">metrics</a> <a href=\"/status\">status</a> <a href=\"/healthz\">healthz</a></footer>\n",
            span(history.span())
        ),
    );
}

/// `45 min`, `1.5 h`, `24 h`.
pub(super) fn span(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 30) => format!("{hours}.5 h"),
        (hours, _) => format!("{hours} h"),
    }
}

/// What somebody should look at.
fn alarms(out: &mut String, found: &Troubles) {
    if found.count == 0 {
        return;
    }
    out.push_str("<ul class=\"alarms\">\n");
    for trouble in found.named.iter().take(MOST_ALARMS) {
        put(out, format_args!("<li>{}</li>\n", Escaped(trouble)));
    }
    if let Some(more) = found.count.checked_sub(MOST_ALARMS).filter(|more| *more > 0) {
        put(out, format_args!("<li class=\"dim\">and {more} more</li>\n"));
    }
    out.push_str("</ul>\n");
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::api::collect::{Depth, Said};
    use crate::api::history::PERIOD;
    use crate::ipc::message::{LvsOverview, LvsStatus, Status};
    use crate::ipc::report::Report;
    use crate::role::Role;
    use std::time::SystemTime;

    /// A box with a virtual router, a service with a live and a dead server, and `connections` scheduled so far.
    pub(crate) fn everything(depth: Depth, connections: u64) -> Everything {
        let text = include_str!("../../tests/outside/status.json")
            .replace("\"@CONNECTIONS@\"", &connections.to_string());
        let whole: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
        let said = |role: Role| match (serde_json::from_value(whole[role.name()].clone()).unwrap(), &depth) {
            (Status::Lvs(lvs), Depth::Overview(name)) => {
                let LvsStatus { services, problem, .. } = lvs;
                Said::Overview(LvsOverview::of(services, problem, FEW_SERVERS, name.as_deref()))
            }
            (Status::Lvs(lvs), Depth::Whole) => Said::Report(Report::of(lvs).unwrap()),
            (status, _) => Said::Status(Box::new(status)),
        };
        let roles = crate::api::collect::ASKED.into_iter().map(|role| (role, Ok(said(role)))).collect();
        Everything::new(SystemTime::UNIX_EPOCH, roles, Vec::new())
    }

    /// The same as the status page needs it.
    pub(crate) fn overview(connections: u64) -> Everything {
        everything(Depth::Overview(None), connections)
    }

    #[test]
    fn it_tells_what_is_wrong_and_nothing_comes_from_elsewhere() {
        let mut history = History::default();
        (0..5).for_each(|n| history.sample(&overview(n * 900), PERIOD));
        let page = page(&overview(5000), &history, None).unwrap();
        for part in [
            "server 192.168.61.33:80 of web is down: connection refused",
            "the clock is not synchronised: no time server answers",
            "<td><span class=\"s ok\">master</span></td>",
            "href=\"/?service=web\"",
            "<td class=\"n\">1 of 2</td>",
            "192.168.61.22:80</td>",
            "4 to look at",
            "last 45 min",
            "M70 12h1L72 12",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(!page.contains("src=") && !page.contains("<script") && !page.contains("://"), "{page}");
    }

    #[test]
    fn a_service_has_a_page_of_its_own() {
        let history = History::default();
        let page = page(&overview(1), &history, Some("web")).unwrap();
        assert!(page.contains("192.168.61.22:80") && page.contains("200 OK"), "{page}");
        assert_eq!(super::page(&overview(1), &history, Some("nope")), None);
    }

    #[test]
    fn nothing_that_a_server_says_becomes_markup() {
        assert_eq!(Escaped("<b a='\"&'>").to_string(), "&lt;b a=&#39;&quot;&amp;&#39;&gt;");
    }
}
