//! Services and their real servers: drain, disable, enable, and why one is in or out.

use super::{HEIGHT, Input, Screen, Step, WIDTH, pager, said, yes};
use crate::console::ascii::wrap;
use crate::console::session::{Answer, Command};
use crate::console::snapshot::Snapshot;
use crate::ctl::services::order as ordered;
use crate::ctl::{status, why};
use crate::ipc::message::{AdminOrder, Health, LvsStatus, Reply, Request, ServerStatus, ServiceStatus};
use crate::role::Role;
use crate::units::parse_duration;

pub const HELP: &str = "\
drain    no new connections; those there are may finish. `drain 5m`: for at
         most 5 minutes, `drain never`: as long as they last; else as the
         file says (drain_timeout)
disable  out of the table at once: connections to it end
enable   as file and checks say
why      what decides about it: weight, checks, orders, quorum, last changes

An order holds through reload and restart until `enable`. In place of a server,
`all` means every one of the service.";

/// Lines of a list before the operator is asked to name what is meant.
const LIST: usize = HEIGHT - 4;

/// Where the dialogue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialogue {
    /// Waits for the state; goes on at this service, after these words.
    Look(Option<String>, String),
    /// Which service?
    Service,
    /// Which of its servers?
    Server(String),
    /// What about it?
    What(String, String),
    /// Shall it be done?
    Confirm(String, String, AdminOrder),
    /// Waits for it to be done; the word for it.
    Doing(String, &'static str),
    /// Waits for the reasons.
    Why(String),
}

pub fn enter() -> Step {
    look(None, String::new())
}

fn look(service: Option<String>, said: String) -> Step {
    Step::run(Screen::Services(Dialogue::Look(service, said)), Command::Look(vec![Role::Lvs, Role::Init]))
}

fn at(dialogue: Dialogue, text: impl Into<String>) -> Step {
    Step::show(Screen::Services(dialogue), text)
}

impl Dialogue {
    pub fn prompt(&self, snapshot: &Snapshot) -> String {
        match self {
            Self::Service => "Service (number or name, l = list all, empty line = back): ".to_owned(),
            Self::Server(service) => {
                let servers = find(snapshot, service).map_or(0, |service| service.servers.len());
                format!("Server (1-{servers}, its address, or all, empty line = back): ")
            }
            Self::What(..) => "drain, disable, enable or why (empty line = back): ".to_owned(),
            Self::Confirm(..) => "Do it? (yes or no, empty line = back): ".to_owned(),
            Self::Look(..) | Self::Doing(..) | Self::Why(_) => String::new(),
        }
    }

    pub fn step(self, input: Input, snapshot: &Snapshot) -> Step {
        match (self, input) {
            (_, Input::Cancel) => Step::menu(snapshot),
            (Self::Look(service, said), Input::Answer(_)) => looked(service, &said, snapshot),
            (Self::Service, Input::Line(line)) if line.is_empty() => Step::menu(snapshot),
            (Self::Service, Input::Line(line)) => service(&line, snapshot),
            (Self::Server(_), Input::Line(line)) if line.is_empty() => look(None, String::new()),
            (Self::Server(service), Input::Line(line)) => server(service, &line, snapshot),
            (Self::What(service, _) | Self::Confirm(service, ..), Input::Line(line)) if line.is_empty() => {
                look(Some(service), "Nothing was changed.".to_owned())
            }
            (Self::What(service, server), Input::Line(line)) => what(service, server, &line, snapshot),
            (Self::Confirm(service, server, order), Input::Line(line)) => match yes(&line) {
                Some(true) => send(service, server, order),
                Some(false) => look(Some(service), "Nothing was changed.".to_owned()),
                None => at(Self::Confirm(service, server, order), format!("{line:?} is neither yes nor no.")),
            },
            (Self::Doing(service, word), Input::Answer(answer)) => look(Some(service), done(answer, word)),
            (Self::Why(service), Input::Answer(answer)) => reasons(service, answer),
            (state, Input::Line(_) | Input::Key(_) | Input::Tick | Input::Answer(_)) => at(state, ""),
        }
    }
}

fn looked(service: Option<String>, said: &str, snapshot: &Snapshot) -> Step {
    let Some(lvs) = &snapshot.lvs else {
        return Step::menu_after(&snapshot.absence(Role::Lvs), snapshot);
    };
    if lvs.services.is_empty() {
        return Step::menu_after("No service is configured.", snapshot);
    }
    let mut out = vec![said.to_owned()];
    if let Some(found) = service.and_then(|name| find(snapshot, &name)) {
        out.extend(servers(found));
        return at(Dialogue::Server(found.name.clone()), out.join("\n"));
    }
    let mut lines = services(lvs);
    if lines.len() > LIST {
        lines = lvs.services.iter().zip(lines).filter(|(it, _)| !it.up).map(|(_, line)| line).collect();
        lines.truncate(LIST);
        lines.push(format!("{} services; these are without quorum: {}", lvs.services.len(), lines.len()));
    }
    out.extend(lines);
    at(Dialogue::Service, out.join("\n"))
}

fn find<'s>(snapshot: &'s Snapshot, name: &str) -> Option<&'s ServiceStatus> {
    snapshot.lvs.as_ref()?.services.iter().find(|service| service.name == name)
}

fn services(lvs: &LvsStatus) -> Vec<String> {
    let rows = lvs.services.iter().enumerate().map(|(n, service)| {
        let real = || service.servers.iter().filter(|server| !server.sorry);
        let live = real().filter(|server| server.health == Health::Up).count();
        vec![
            format!("{:>3}", n + 1),
            service.name.clone(),
            if service.up { "UP" } else { "DOWN" }.to_owned(),
            service.listen.clone(),
            format!("{live} of {} live", real().count()),
        ]
    });
    status::table(rows.collect())
}

fn servers(service: &ServiceStatus) -> Vec<String> {
    let rows = service.servers.iter().enumerate().map(|(n, server)| {
        vec![
            format!("{:>3}", n + 1),
            server.address.to_string(),
            state(server),
            format!("weight {}", server.weight),
            format!("{} connections", server.active.saturating_add(server.inactive)),
            if server.sorry { "sorry server".to_owned() } else { server.reason.to_string() },
        ]
    });
    let title = format!("{}  {}", service.name, service.listen);
    let rows = status::table(rows.collect());
    std::iter::once(title).chain(rows.iter().flat_map(|row| wrap(row, WIDTH, "     "))).collect()
}

fn state(server: &ServerStatus) -> String {
    match (&server.admin, server.health) {
        (Some(admin), _) => ordered(admin),
        (None, Health::Up) => "UP".to_owned(),
        (None, Health::Down) => "DOWN".to_owned(),
        (None, Health::Unknown) => "not known".to_owned(),
    }
}

fn service(line: &str, snapshot: &Snapshot) -> Step {
    let all = snapshot.lvs.iter().flat_map(|lvs| &lvs.services);
    if line.eq_ignore_ascii_case("l") {
        let lines = snapshot.lvs.as_ref().map(services).unwrap_or_default();
        return pager::show(lines, Screen::Services(Dialogue::Service), String::new());
    }
    let number = line.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    let found = all.clone().find(|it| it.name == line).or_else(|| all.clone().nth(number?));
    match found {
        Some(found) => at(Dialogue::Server(found.name.clone()), servers(found).join("\n")),
        None => {
            let near = crate::ctl::closest(line, all.map(|it| it.name.as_str()));
            let hint = near.map(|near| format!(" Did you mean {near}?")).unwrap_or_default();
            at(Dialogue::Service, format!("There is no service {line:?}.{hint}"))
        }
    }
}

fn server(service: String, line: &str, snapshot: &Snapshot) -> Step {
    let all = find(snapshot, &service).map(|it| it.servers.as_slice()).unwrap_or_default();
    if line.eq_ignore_ascii_case("all") {
        return at(Dialogue::What(service, "all".to_owned()), "");
    }
    let number = line.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    let is_it = |it: &&ServerStatus| it.address.to_string() == line || it.address.ip().to_string() == line;
    match number.and_then(|n| all.get(n)).or_else(|| all.iter().find(is_it)) {
        Some(found) => {
            let text = format!("{service} {}", found.address);
            at(Dialogue::What(service, found.address.to_string()), text)
        }
        None => {
            let text = format!("{line:?} is no server of {service}.");
            at(Dialogue::Server(service), text)
        }
    }
}

fn what(service: String, server: String, line: &str, snapshot: &Snapshot) -> Step {
    let again = |service, server, text: String| at(Dialogue::What(service, server), text);
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let order = match (word.to_ascii_lowercase().as_str(), rest.trim()) {
        ("why", "") => {
            let request = Request::Why { service: service.clone(), server };
            return Step::run(Screen::Services(Dialogue::Why(service)), Command::Ask(Role::Lvs, request));
        }
        ("enable", "") => return send(service, server, AdminOrder::Enable),
        ("disable", "") => AdminOrder::Disable,
        ("drain", "") => AdminOrder::Drain { timeout_ms: None },
        ("drain", "never") => AdminOrder::Drain { timeout_ms: Some(None) },
        ("drain", time) => match parse_duration(time) {
            Ok(time) => {
                let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                AdminOrder::Drain { timeout_ms: Some(Some(ms)) }
            }
            Err(refused) => return again(service, server, format!("{refused}, or never")),
        },
        _ => return again(service, server, format!("{line:?} is none of drain, disable, enable and why.")),
    };
    if matches!(order, AdminOrder::Drain { .. }) && !is_last(snapshot, &service, &server) {
        return send(service, server, order);
    }
    let mut text = match order {
        AdminOrder::Disable => format!("Connections to {server} of {service} end at once."),
        AdminOrder::Drain { .. } | AdminOrder::Enable => String::new(),
    };
    if is_last(snapshot, &service, &server) {
        text.push_str(&format!("\nNo live server of {service} is left then."));
    }
    at(Dialogue::Confirm(service, server, order), text.trim_start())
}

/// Whether nobody else of the service takes new connections.
fn is_last(snapshot: &Snapshot, service: &str, server: &str) -> bool {
    let all = find(snapshot, service).map(|it| it.servers.as_slice()).unwrap_or_default();
    let takes = |it: &&ServerStatus| !it.sorry && it.kernel_weight.is_some_and(|weight| weight > 0);
    !all.iter().filter(takes).any(|it| server != "all" && it.address.to_string() != server)
}

fn send(service: String, server: String, order: AdminOrder) -> Step {
    let word = match order {
        AdminOrder::Drain { .. } => "draining",
        AdminOrder::Disable => "disabled",
        AdminOrder::Enable => "enabled",
    };
    let request = Request::Administer { service: service.clone(), server, order };
    Step::run(Screen::Services(Dialogue::Doing(service, word)), Command::Ask(Role::Lvs, request))
}

fn done(answer: Answer, word: &str) -> String {
    match answer {
        Answer::Reply(Reply::Servers { servers }) => {
            let lines = servers.iter().map(|it| format!("{word}: {} {}", it.service, it.server));
            lines.collect::<Vec<_>>().join("\n")
        }
        other => said(other),
    }
}

fn reasons(service: String, answer: Answer) -> Step {
    let then = Dialogue::Server(service);
    match answer {
        Answer::Reply(Reply::Why { servers }) => {
            let mut lines = Vec::new();
            for server in &servers {
                lines.push(String::new());
                lines.extend(wrap(&why::paragraph(server), WIDTH, ""));
            }
            pager::show(lines, Screen::Services(then), String::new())
        }
        other => at(then, said(other)),
    }
}
