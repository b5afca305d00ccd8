//! What is known of the box as rows that can be chosen, folded and filtered. Pure.

use std::collections::BTreeSet;

use super::alarms::alarms;
use super::rates::Rates;
use crate::console::ascii::clean;
use crate::console::snapshot::Snapshot;
use crate::ctl::{peers, services, status};
use crate::ipc::message::{
    Health, LvsStatus, NetStatus, RouterState, RouterStatus, ServerStatus, ServiceStatus, VrrpStatus,
};

/// How a text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// Begins something.
    Head,
    /// As it should be.
    Good,
    /// Not at all as it should be.
    Bad,
    /// Worth a look.
    Odd,
}

/// A text in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Printable ASCII.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What it is about: the same one in the next picture.
    pub id: String,
    /// The service that it is, or that its server is of.
    pub service: Option<String>,
    /// Whether it is the row of the service itself.
    pub leads: bool,
    /// From left to right.
    pub cells: Vec<Cell>,
}

impl Row {
    /// Whether the text, in lower case, is in it.
    #[must_use]
    pub fn has(&self, wanted: &str) -> bool {
        let text: String = self.cells.iter().map(|cell| cell.text.as_str()).collect();
        text.to_lowercase().contains(wanted)
    }
}

/// Rows that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The first one.
    pub head: Row,
    /// The others.
    pub rows: Vec<Row>,
}

/// Everything, the servers of the `open` services included.
#[must_use]
pub fn sections(snapshot: &Snapshot, open: &BTreeSet<String>, rates: &Rates) -> Vec<Section> {
    let mut out = Vec::new();
    let alarms = alarms(snapshot);
    if !alarms.is_empty() {
        out.push(section(
            "ALARMS",
            "",
            alarms.into_iter().map(|text| line("alarm", &text, Tone::Bad)).collect(),
        ));
    }
    out.extend(snapshot.net.as_ref().map(network));
    out.extend(snapshot.vrrp.as_ref().map(routers));
    out.extend(snapshot.lvs.as_ref().map(|lvs| all_services(lvs, open, rates)));
    out.extend(snapshot.init.as_ref().map(|init| {
        let rows = status::workers(&init.workers);
        let rows = rows.iter().skip(1).map(|row| line("worker", &format!("  {row}"), Tone::Plain)).collect();
        section("WORKERS", "state, process, age, restarts, last end", rows)
    }));
    out
}

/// The identity of the row of a service.
#[must_use]
pub fn service_id(name: &str) -> String {
    format!("service {name}")
}

fn section(title: &str, rest: &str, rows: Vec<Row>) -> Section {
    let cells = vec![cell(title, Tone::Head), cell(&format!("  {rest}"), Tone::Plain)];
    Section { head: Row { id: title.to_owned(), service: None, leads: false, cells }, rows }
}

fn cell(text: &str, tone: Tone) -> Cell {
    Cell { text: clean(text), tone }
}

fn line(kind: &str, text: &str, tone: Tone) -> Row {
    // What changes in a row, an age above all, is rarely in its first words.
    let id: String = text.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    Row { id: format!("{kind} {id}"), service: None, leads: false, cells: vec![cell(text, tone)] }
}

fn network(net: &NetStatus) -> Section {
    let state = |up: &str| if up == "up" { Tone::Good } else { Tone::Odd };
    let rows = net.links.iter().map(|(name, link)| {
        let word = status::link_state(link);
        let mac = link.mac.map(|mac| mac.to_string()).unwrap_or_default();
        let tone = if link.configured { state(word) } else { Tone::Plain };
        (
            name.to_string(),
            vec![
                (format!("  {name}"), Tone::Plain),
                (word.to_owned(), tone),
                (mac, Tone::Plain),
                (status::link_addresses(link), Tone::Plain),
            ],
        )
    });
    let join = |all: &[std::net::IpAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let gateway = if net.gateways.is_empty() {
        "no gateway".to_owned()
    } else {
        format!("gateway {}", join(&net.gateways))
    };
    let dns = if net.dns.is_empty() { String::new() } else { format!(", name servers {}", join(&net.dns)) };
    let mut rows = rows.collect::<Vec<_>>();
    align(rows.iter_mut().map(|(_, cells)| cells));
    let rows =
        rows.into_iter().map(|(name, cells)| row(format!("link {name}"), None, false, cells)).collect();
    section("NETWORK", &(gateway + &dns), rows)
}

fn routers(vrrp: &VrrpStatus) -> Section {
    let master = vrrp.instances.iter().filter(|it| it.state == RouterState::Master).count();
    let mut heads: Vec<Vec<(String, Tone)>> = vrrp.instances.iter().map(router).collect();
    align(heads.iter_mut());
    let mut rows = Vec::new();
    for (router, cells) in vrrp.instances.iter().zip(heads) {
        rows.push(row(format!("router {}", router.name), None, false, cells));
        let failed = router.trackers.iter().filter(|tracker| tracker.healthy == Some(false));
        rows.extend(failed.map(|tracker| {
            let why = tracker.reason.as_deref().unwrap_or("no reason given");
            line("tracker", &format!("    {} DOWN: {why}", tracker.what), Tone::Odd)
        }));
    }
    let sync =
        vrrp.sync.iter().map(|daemon| line("sync", &format!("  synchronisation: {daemon}"), Tone::Plain));
    rows.extend(sync);
    let others = peers::lines(vrrp).into_iter().filter(|text| !text.contains("! "));
    rows.extend(others.map(|text| line("peer", &format!("  {text}"), Tone::Plain)));
    let head = match vrrp.instances.len() {
        0 => "none configured".to_owned(),
        all => format!("{all}, master of {master}"),
    };
    section("VIRTUAL ROUTERS", &head, rows)
}

fn router(router: &RouterStatus) -> Vec<(String, Tone)> {
    let tone = match router.state {
        RouterState::Master => Tone::Good,
        RouterState::Backup => Tone::Plain,
        RouterState::Fault => Tone::Bad,
        RouterState::Initialize => Tone::Odd,
    };
    let late = match router.state {
        RouterState::Master => format!("late {}", status::latency(router.late_us)),
        _ => router.master.map(|master| format!("of {master}")).unwrap_or_default(),
    };
    let addresses = router.addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
    vec![
        (format!("  {}", router.name), Tone::Plain),
        (status::router_state(router.state).to_owned(), tone),
        (status::age(router.since_ms), Tone::Plain),
        (format!("{} vrid {}", router.interface, router.vrid), Tone::Plain),
        (format!("prio {}", router.priority), Tone::Plain),
        (late, Tone::Plain),
        (addresses.join(" "), Tone::Plain),
    ]
}

fn all_services(lvs: &LvsStatus, open: &BTreeSet<String>, rates: &Rates) -> Section {
    let mut heads: Vec<Vec<(String, Tone)>> =
        lvs.services.iter().map(|it| service(it, open.contains(&it.name), rates)).collect();
    align(heads.iter_mut());
    let mut rows = Vec::new();
    for (service, cells) in lvs.services.iter().zip(heads) {
        let name = Some(service.name.clone());
        rows.push(row(service_id(&service.name), name.clone(), true, cells));
        if open.contains(&service.name) {
            let mut servers: Vec<_> = service.servers.iter().map(|it| server(service, it, rates)).collect();
            align(servers.iter_mut());
            rows.extend(service.servers.iter().zip(servers).map(|(server, cells)| {
                row(format!("server {} {}", service.name, server.address), name.clone(), false, cells)
            }));
        }
    }
    let up = lvs.services.iter().filter(|service| service.up).count();
    let head = match lvs.services.len() {
        0 => "none configured".to_owned(),
        all => format!("{up} of {all} up"),
    };
    section("SERVICES", &head, rows)
}

fn service(service: &ServiceStatus, open: bool, rates: &Rates) -> Vec<(String, Tone)> {
    let real = || service.servers.iter().filter(|server| !server.sorry);
    let (live, all) = (real().filter(|server| server.health == Health::Up).count(), real().count());
    let active: u64 = service.servers.iter().map(|server| u64::from(server.active)).sum();
    let (word, tone) = match (service.up, service.sorry) {
        (true, _) => ("UP", Tone::Good),
        (false, true) => ("SORRY", Tone::Bad),
        (false, false) => ("DOWN", Tone::Bad),
    };
    let protocol = service.protocol.map(|it| format!("{it:?} ").to_lowercase()).unwrap_or_default();
    vec![
        (format!("{} {}", if open { '-' } else { '+' }, service.name), Tone::Plain),
        (word.to_owned(), tone),
        (format!("{protocol}{} {}", service.listen, service.scheduler), Tone::Plain),
        (format!("live {live}/{all}"), if live < all { Tone::Odd } else { Tone::Plain }),
        (format!("act {active}"), Tone::Plain),
        (format!("new/s {}", rates.of(&service.name)), Tone::Plain),
    ]
}

fn server(service: &ServiceStatus, server: &ServerStatus, rates: &Rates) -> Vec<(String, Tone)> {
    let (word, tone) = match server.health {
        Health::Up => ("up", Tone::Good),
        Health::Down => ("DOWN", Tone::Bad),
        Health::Unknown => ("unknown", Tone::Odd),
    };
    let sorry = if server.sorry { " sorry" } else { "" };
    // Ages and latencies change with every check, and would be sent every second: they are in the other status.
    let mut words: Vec<String> = server.admin.iter().map(services::order).collect();
    words.extend(server.off.then(|| "off in the file".to_owned()));
    words.extend(server.slow_start.as_ref().map(|it| format!("slow start at {}%", it.percent)));
    words.extend(server.feedback.iter().map(|it| format!("takes {it}")));
    words.extend(server.checks.iter().filter_map(|check| check.warning.clone()));
    words.push(server.reason.to_string());
    vec![
        (format!("    {}{sorry}", server.address), Tone::Plain),
        (format!("{:?}", server.method).to_lowercase(), Tone::Plain),
        (word.to_owned(), tone),
        (services::weight(server, if server.sorry { 1 } else { service.scale }), Tone::Plain),
        (format!("{}+{}", server.active, server.inactive), Tone::Plain),
        (format!("{}/s", rates.of_server(&service.name, &server.address)), Tone::Plain),
        (words.join("; "), Tone::Plain),
    ]
}

fn row(id: String, service: Option<String>, leads: bool, cells: Vec<(String, Tone)>) -> Row {
    let cells = cells.into_iter().map(|(text, tone)| cell(&text, tone)).collect();
    Row { id, service, leads, cells }
}

/// Makes columns of equal width, two spaces apart.
fn align<'a>(rows: impl Iterator<Item = &'a mut Vec<(String, Tone)>>) {
    let mut rows: Vec<_> = rows.collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, (text, _)) in widths.iter_mut().zip(row.iter()) {
            *width = (*width).max(text.len());
        }
    }
    for row in &mut rows {
        let last = row.len().saturating_sub(1);
        for (width, (text, _)) in widths.iter().zip(row.iter_mut()).take(last) {
            *text = format!("{text:width$}  ");
        }
    }
}
