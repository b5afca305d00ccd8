//! How `ldirectord` checks a service, said in Director's words. Pure.

use super::{Look, endpoint};
use crate::import::draft::{Draft, Table, quoted, seconds};
use crate::pattern::Pattern;

/// Types of check by `service`, and by port where that is not said (ldirectord: `ld_service_to_port`).
const SERVICES: &[(&str, &str, u16)] = &[
    ("http", "http", 80),
    ("https", "https", 443),
    ("http_proxy", "proxy", 3128),
    ("ftp", "ftp", 21),
    ("smtp", "smtp", 25),
    ("submission", "smtp", 587),
    ("dns", "dns", 53),
    ("pop", "pop3", 110),
    ("pops", "pop3s", 995),
    ("nntp", "nntp", 119),
    ("imap", "imap", 143),
    ("imaps", "imaps", 993),
    ("ldap", "ldap", 389),
    ("ldaps", "ldaps", 636),
    ("radius", "radius", 1812),
    ("mysql", "mysql", 3306),
    ("pgsql", "pgsql", 5432),
    ("sip", "sip", 5060),
    ("simpletcp", "tcp", 0),
];

/// Types of checks that ask no port.
const PORTLESS: [&str; 2] = ["ping", "exec"];
/// So many redirects does LWP follow.
const REDIRECTS: u8 = 7;

/// The check as one value of TOML; `own` is what a line of a server asks and expects, with its number; `asked` is the port that
/// a server has there, but not here.
pub(super) fn check(
    draft: &mut Draft,
    look: &Look<'_, '_>,
    (port, asked): (Option<u16>, Option<u16>),
    protocol: &str,
    own: Option<(usize, &str, &str)>,
) -> String {
    let Some((mut table, timeout)) = question(draft, look, port, protocol, own) else {
        return quoted("none");
    };
    let number = |key: &str| look.number::<f64>(key);
    let portless = PORTLESS.iter().any(|kind| table.is("type", kind));
    if let Some(port) = look.number::<u16>("checkport").or(asked).filter(|_| !portless && !table.has("port"))
    {
        table.set("port", port);
    }
    // Theirs begins anew when the last one has ended, so a slow answer makes the period longer; ours is fixed.
    let interval = number("checkinterval").unwrap_or(10.0).max(timeout).clamp(0.1, 3600.0);
    table.set("interval", seconds(interval));
    // Of its checks the ping alone is tried `checkcount` times, one try upon the other.
    let failures = look.number::<u32>("failurecount").unwrap_or(1);
    let tries = look.number::<u32>("checkcount").filter(|_| table.is("type", "ping")).unwrap_or(1);
    if tries > 1 && failures == 1 && timeout < interval {
        table.set("fast", seconds(timeout.max(0.1)));
    }
    table.set("timeout", seconds(timeout.clamp(0.01, 300.0)));
    table.set("fall", failures.saturating_mul(tries).clamp(1, 100));
    table.set("rise", 1);
    table.inline()
}

/// What is asked, and how many seconds the answer may take; `None` for nothing.
fn question(
    draft: &mut Draft,
    look: &Look<'_, '_>,
    port: Option<u16>,
    protocol: &str,
    own: Option<(usize, &str, &str)>,
) -> Option<(Table, f64)> {
    let kind = look.text("checktype").unwrap_or("negotiate");
    let number = |key: &str| look.number::<f64>(key);
    let connect = number("checktimeout").or_else(|| number("negotiatetimeout")).unwrap_or(5.0);
    let negotiate = number("negotiatetimeout").or_else(|| number("checktimeout")).unwrap_or(30.0);
    let port = port.filter(|port| *port != 0);
    let service = look.text("service").map(str::to_owned).or_else(|| {
        SERVICES.iter().find(|(_, _, known)| Some(*known) == port).map(|(service, ..)| (*service).to_owned())
    });
    let mut table = Table::default();
    let timeout = match kind {
        "on" => return None,
        "off" => {
            draft.warn(
                look.line("checktype"),
                "checktype = off: here its servers are up; say `enabled = false` for none",
            );
            return None;
        }
        "ping" => {
            table.text("type", "ping");
            connect
        }
        "connect" if protocol == "udp" => {
            table.text("type", "ping");
            connect
        }
        "connect" => {
            table.text("type", "tcp");
            connect
        }
        "external" | "external-perl" => {
            let Some(command) = look.text("checkcommand").filter(|command| command.starts_with('/')) else {
                draft.warn(look.line("checktype"), "checkcommand without an absolute path: not checked");
                return None;
            };
            if command.contains(char::is_whitespace) {
                let what = "checkcommand: ldirectord takes it for one path, here arguments follow a blank";
                draft.warn(look.line("checkcommand"), what);
            }
            if kind == "external-perl" {
                let what = "checktype = external-perl: run as a program, and there is no Perl here";
                draft.warn(look.line("checktype"), what);
            }
            table.text("type", "exec");
            table.text("command", command);
            connect
        }
        _ => {
            if kind != "negotiate" {
                draft.warn(look.line("checktype"), format!("checktype = {kind}: each check negotiates"));
            }
            let known = SERVICES.iter().find(|(name, ..)| Some(*name) == service.as_deref());
            let Some((name, ours, _)) = known else {
                draft.warn(look.line("service"), "no service to negotiate with: not checked");
                return None;
            };
            table.text("type", ours);
            dialogue(draft, look, name, own, &mut table);
            negotiate
        }
    };
    Some((table, timeout))
}

/// What is said and expected.
fn dialogue(
    draft: &mut Draft,
    look: &Look<'_, '_>,
    service: &str,
    own: Option<(usize, &str, &str)>,
    table: &mut Table,
) {
    let request =
        own.map(|(_, request, _)| request).or_else(|| look.text("request")).filter(|text| !text.is_empty());
    let receive =
        own.map(|(_, _, receive)| receive).or_else(|| look.text("receive")).filter(|text| !text.is_empty());
    let line = own.map_or_else(|| look.line("receive"), |(line, ..)| line);
    match (service, request) {
        ("http" | "https", Some(uri)) if uri.starts_with(&format!("{service}://")) => {
            elsewhere(draft, own.map(|(line, ..)| line), look, (service, uri), table);
        }
        ("http" | "https", Some(path)) => table.text("path", &format!("/{}", path.trim_start_matches('/'))),
        ("http_proxy", Some(uri)) => table.text("path", uri),
        ("dns", Some(name)) => table.text("name", name),
        ("ldap" | "ldaps", Some(base)) => table.text("base", base),
        ("mysql" | "pgsql", Some(query)) => table.text("query", query),
        ("simpletcp", Some(said)) => table.text("send", said),
        (_, Some(_)) => {
            draft.warn(look.line("request"), format!("request: not for service = {service}: left out"))
        }
        (_, None) => {}
    }
    if let Some(receive) = receive {
        let expects = matches!(service, "http" | "https" | "http_proxy" | "dns" | "simpletcp");
        if !expects {
            draft.warn(line, format!("receive: not for service = {service}: left out"));
        } else if service == "dns" || receive.parse::<Pattern>().is_ok() {
            table.text("expect", receive);
        } else {
            draft.warn(line, format!("receive {receive}: not a regular expression here: left out"));
        }
    }
    web(draft, look, service, table);
    let logs_in = !matches!(service, "smtp" | "submission" | "dns" | "nntp" | "simpletcp" | "http_proxy");
    for (theirs, ours) in
        [("login", "user"), ("passwd", "password"), ("secret", "secret"), ("database", "database")]
    {
        let meant = match theirs {
            "secret" => service == "radius",
            "database" => matches!(service, "mysql" | "pgsql"),
            _ => logs_in,
        };
        if let Some(value) = look.text(theirs).filter(|_| meant) {
            table.text(ours, value);
        }
    }
}

/// A request with scheme and host: of a server's own line, which is `own`, theirs asks there in place of the server; of a
/// service, it asks each server for the whole as a path.
fn elsewhere(
    draft: &mut Draft,
    own: Option<usize>,
    look: &Look<'_, '_>,
    (service, uri): (&str, &str),
    table: &mut Table,
) {
    let Some(line) = own else {
        let what = format!("request {uri}: ldirectord takes another server of `real` alone: this is a path");
        draft.warn(look.line("request"), what);
        return table.text("path", &format!("/{uri}"));
    };
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let (place, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let port = if service == "https" { 443 } else { 80 };
    table.text("path", &format!("/{}", path.trim_start_matches('/')));
    if let Some(address) = endpoint(place, Some(port)) {
        table.text("address", &address.ip().to_string());
        return table.set("port", address.port());
    }
    let (name, number) = place.split_once(':').unwrap_or((place, ""));
    table.text("host", name);
    table.set("port", number.parse::<u16>().unwrap_or(port));
    draft.warn(line, format!("request {uri}: {name} is no address: the real server is asked in its place"));
}

/// Method, host and redirects of a check over HTTP.
fn web(draft: &mut Draft, look: &Look<'_, '_>, service: &str, table: &mut Table) {
    if matches!(service, "http" | "https") {
        match look.text("httpmethod").filter(|method| *method != "GET") {
            Some("HEAD") if table.has("expect") => {
                draft.warn(
                    look.line("httpmethod"),
                    "httpmethod = HEAD: what is expected stands in the body, so it is GET",
                );
            }
            Some(method) => table.text("method", method),
            None => {}
        }
        if let Some(host) = look.text("virtualhost") {
            table.text("host", host);
        }
        table.set("redirects", REDIRECTS);
        draft.warn_once(look.line, "redirects to another server are not followed, by no check");
    } else if service == "http_proxy" {
        draft.warn_once(look.line, "redirects through a proxy are not followed, by no check");
    }
}
