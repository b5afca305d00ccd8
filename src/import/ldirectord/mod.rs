//! `ldirectord.cf` (ldirectord(8)): global lines, and indented ones behind each `virtual`. Pure.
//!
//! `real`: real servers · `check`: their checks.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::draft::{Draft, Service, Table, is_here, list, quoted};
use super::ipvsadm::listen;
use check::check;
use real::servers;

mod check;
mod real;

/// Values by key, each with its line; a key of a virtual service goes before the global one.
type Values<'a> = BTreeMap<&'a str, (usize, &'a str)>;

/// Keys without a counterpart, and why.
const WITHOUT: &[(&str, &str)] = &[
    ("callback", "not taken: `director reload` tells what has changed"),
    ("execute", "put its services into this file, too"),
    ("fallbackcommand", "not taken: a program of `[[notify]]` is told of a service without quorum"),
    ("logfile", "see `director logs`, or `syslog` in [system]"),
    ("supervised", "Director supervises itself"),
    ("fork", "checks run side by side in one process"),
    ("readdquiescent", "a server that has failed is checked as before"),
    ("cleanstop", "the table stays when Director ends"),
    ("maintenancedir", "say `director drain` or `enabled = false`"),
    ("monitorfile", "see `director status`"),
    ("emailalertfreq", "not taken: mails tell of changes, collected by `digest` of `[[notify]]`"),
    ("emailalertstatus", "not taken: `events` of `[[notify]]` says of what mails tell"),
];

/// Keys that are understood.
const KNOWN: &[&str] = &[
    "autoreload",
    "emailalert",
    "emailalertfrom",
    "smtp",
    "fallback6",
    "checktimeout",
    "negotiatetimeout",
    "checkinterval",
    "checkcount",
    "failurecount",
    "quiescent",
    "fallback",
    "checktype",
    "service",
    "checkcommand",
    "checkport",
    "request",
    "receive",
    "httpmethod",
    "virtualhost",
    "login",
    "passwd",
    "database",
    "secret",
    "scheduler",
    "schedflags",
    "persistent",
    "netmask",
    "protocol",
    "ops",
    "servicename",
    "comment",
];

/// A virtual service as it stands there.
struct Block<'a> {
    line: usize,
    listen: &'a str,
    /// Whether it is IPv6.
    v6: bool,
    values: Values<'a>,
    real: Vec<(usize, &'a str)>,
}

/// Reads a file. What Director has no word for is a warning.
#[must_use]
pub fn read(text: &str) -> Draft {
    let mut draft = Draft::default();
    let (global, blocks) = split(&mut draft, text);
    draft.autoreload = global.get("autoreload").is_some_and(|(_, value)| *value == "yes");
    mail(&mut draft, &global, &blocks);
    for block in &blocks {
        service(&mut draft, block, &global);
    }
    draft
}

/// One receiver for all services.
fn mail(draft: &mut Draft, global: &Values<'_>, blocks: &[Block<'_>]) {
    for (line, _) in blocks.iter().filter_map(|block| block.values.get("emailalert")) {
        draft.warn(*line, "emailalert of one service: see `[[notify]]`, which is for all");
    }
    let Some((line, to)) = global.get("emailalert") else { return };
    let to: Vec<&str> = to.split([',', ' ', ';']).filter(|to| !to.is_empty()).collect();
    let from = global.get("emailalertfrom").map(|(_, from)| *from).or_else(|| to.first().copied());
    let server = global.get("smtp").map_or("localhost", |(_, server)| *server);
    if let Some(from) = from {
        draft.mail(*line, &format!("{server}:25"), from, &to, None);
    }
}

fn split<'a>(draft: &mut Draft, text: &'a str) -> (Values<'a>, Vec<Block<'a>>) {
    let (mut global, mut blocks) = (Values::new(), Vec::<Block<'a>>::new());
    for (line, full) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
        // Theirs ends an indented line at the first mark of a comment, also within quotes.
        let bare = if full.starts_with([' ', '\t']) { full.split('#').next().unwrap_or(full) } else { full };
        let bare = bare.trim();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        let Some((key, value)) = bare.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else {
            draft.warn(line, format!("{bare}: not of the form key = value"));
            continue;
        };
        let within = full.starts_with([' ', '\t']);
        match key {
            "virtual" | "virtual6" => {
                let v6 = key == "virtual6" || value.starts_with('[');
                blocks.push(Block { line, listen: value, v6, values: Values::new(), real: Vec::new() });
                continue;
            }
            "real" | "real6" => {
                match blocks.last_mut() {
                    Some(block) => block.real.push((line, value)),
                    None => draft.warn(line, "a real server without a virtual one: left out"),
                }
                continue;
            }
            _ => {}
        }
        if let Some((_, why)) = WITHOUT.iter().find(|(known, _)| *known == key) {
            draft.warn(line, format!("{key}: {why}"));
            continue;
        }
        if !KNOWN.contains(&key) {
            draft.warn(line, format!("{key}: not known to Director"));
            continue;
        }
        match blocks.last_mut().filter(|_| within) {
            Some(block) => block.values.insert(key, (line, unquoted(value))),
            None => global.insert(key, (line, unquoted(value))),
        };
    }
    (global, blocks)
}

/// A service's values with the global ones behind them.
struct Look<'a, 'b> {
    /// Of the service.
    line: usize,
    own: &'b Values<'a>,
    global: &'b Values<'a>,
}

impl<'a> Look<'a, '_> {
    fn entry(&self, key: &str) -> Option<(usize, &'a str)> {
        self.own.get(key).or_else(|| self.global.get(key)).copied()
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.entry(key).map(|(_, value)| value)
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.text(key)?.parse().ok()
    }

    fn line(&self, key: &str) -> usize {
        self.entry(key).map_or(self.line, |(line, _)| line)
    }
}

fn service(draft: &mut Draft, block: &Block<'_>, global: &Values<'_>) {
    let look = Look { line: block.line, own: &block.values, global };
    let mut table = Table::default();
    let mark = block.listen.parse::<u32>().ok();
    let address = block.listen.parse::<SocketAddr>().ok();
    let port = match (mark, address) {
        (Some(mark), _) => {
            let name = look.text("servicename").map_or_else(|| format!("fwmark-{mark}"), str::to_owned);
            table.text("name", &draft.name(&name));
            table.set("fwmark", mark);
            None
        }
        (None, Some(address)) => {
            let name = look.text("servicename");
            let name = name.map_or_else(|| format!("{}-{}", address.ip(), address.port()), str::to_owned);
            table.text("name", &draft.name(&name));
            table.text("listen", &listen(address));
            draft.vip(address.ip());
            Some(address.port())
        }
        (None, None) => {
            return draft
                .warn(block.line, format!("{}: no address with port and no mark: left out", block.listen));
        }
    };
    let protocol = look.text("protocol").filter(|protocol| *protocol != "fwm");
    let protocol = protocol.unwrap_or_else(|| if port == Some(53) { "udp" } else { "tcp" });
    if mark.is_none() {
        table.text("protocol", protocol);
    }
    table.text("scheduler", look.text("scheduler").unwrap_or("wrr"));
    if let Some(flags) = look.text("schedflags") {
        table.set(
            "scheduler_flags",
            list(&flags.split(',').map(|flag| flag.trim().to_owned()).collect::<Vec<_>>()),
        );
    }
    if look.text("ops") == Some("yes") && protocol == "udp" {
        table.set("one_packet", true);
    }
    if let Some(persistence) = persistence(&look) {
        table.set("persistence", persistence);
    }
    let default_check = check(draft, &look, (port, None), protocol, None);
    table.set("check", &default_check);
    // A server is entered when its first check has succeeded.
    if default_check != quoted("none") {
        table.text("start", "down");
    }
    if look.text("quiescent") == Some("yes") {
        table.text("on_fail", "quiesce");
    }
    fallback(draft, block, &look, port, protocol, &mut table);
    let mut service = Service { table, servers: Vec::new() };
    for (line, real) in &block.real {
        servers(draft, &look, (*line, real), port, protocol, &mut service.servers);
    }
    if service.servers.is_empty() {
        return draft
            .warn(block.line, "a virtual service without a real server that could be taken: left out");
    }
    draft.services.push(service);
}

fn persistence(look: &Look<'_, '_>) -> Option<String> {
    let timeout = format!("{}s", look.number::<u32>("persistent")?);
    let Some(mask) = look.text("netmask") else { return Some(quoted(&timeout)) };
    let mut table = Table::default();
    table.text("timeout", &timeout);
    if mask.contains('.') {
        table.text("netmask", mask)
    } else {
        table.set("prefix", mask)
    }
    Some(table.inline())
}

fn fallback(
    draft: &mut Draft,
    block: &Block<'_>,
    look: &Look<'_, '_>,
    port: Option<u16>,
    protocol: &str,
    table: &mut Table,
) {
    // The global one is for IPv4 alone; that of the service itself has its family.
    let theirs = if block.v6 {
        look.own.get("fallback").copied().or_else(|| look.entry("fallback6"))
    } else {
        look.entry("fallback")
    };
    let Some((line, value)) = theirs else { return };
    let mut words = value.split_whitespace();
    let word = words.next().unwrap_or_default();
    let method = method_of(words.next().unwrap_or("gate"));
    let Some(mut address) = endpoint(word, port) else {
        return draft.warn(line, format!("fallback {word}: no address: left out"));
    };
    if is_here(&address) && protocol == "tcp" && port.is_some_and(|port| port != 0) {
        draft.warn(line, "the fallback on this box is now Director's own page");
        return table.text("sorry", "local");
    }
    if let Some(port) = port.filter(|port| method != "nat" && *port != address.port()) {
        draft.warn(
            line,
            format!("fallback {word}: direct routing and tunnels do not change the port: now {port}"),
        );
        address.set_port(port);
    }
    let mut server = Table::default();
    server.text("address", &behind(address, port));
    server.text("method", method);
    table.set("sorry", format!("[{}]", server.inline()));
}

fn method_of(word: &str) -> &'static str {
    match word {
        "masq" => "nat",
        "ipip" => "tun",
        _ => "dr",
    }
}

fn endpoint(word: &str, port: Option<u16>) -> Option<SocketAddr> {
    let whole = word.parse::<SocketAddr>().ok();
    whole.or_else(|| {
        let ip: IpAddr = word.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
        Some(SocketAddr::new(ip, port.unwrap_or(0)))
    })
}

/// The address of a server; behind a mark it has no port.
fn behind(address: SocketAddr, port: Option<u16>) -> String {
    if port.is_some_and(|port| port != 0) { listen(address) } else { address.ip().to_string() }
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}
