//! The live view: never more than a screen, however many services there are.

use super::{HEIGHT, Input, Place, Screen, Step, WIDTH, pager};
use crate::console::ascii::wrap;
use crate::console::session::{Answer, Command};
use crate::console::snapshot::Snapshot;
use crate::ctl::services::order;
use crate::ctl::status;
use crate::ipc::message::{Health, LvsStatus};
use crate::role::Role;

pub const PROMPT: &str = "(every 2 s; f = full screen, a = page by page; any other key = back) ";

const ROLES: [Role; 6] = [Role::Init, Role::Store, Role::Net, Role::Vrrp, Role::Lvs, Role::Time];

pub fn enter() -> Step {
    Step::run(Screen::Status, Command::Look(ROLES.to_vec()))
}

pub fn step(input: &Input, snapshot: &Snapshot) -> Step {
    match input {
        Input::Tick => enter(),
        Input::Answer(Answer::Looked) => {
            let text = format!("\n{}", fit(snapshot).join("\n"));
            Step { redraws: true, ..Step::show(Screen::Status, text) }
        }
        Input::Key('f') => Screen::live(),
        Input::Key('a') => pager::show(all(snapshot), Screen::Menu(Place::Main), Place::Main.text(snapshot)),
        Input::Key(_) | Input::Cancel | Input::Line(_) | Input::Answer(_) => Step::menu(snapshot),
    }
}

pub const HELP: &str = "\
NICs, virtual routers, services and real servers, every 2 seconds. What is down
comes first if all of it does not fit; a shows everything, page by page.
f fills the screen, on a terminal that can: every second, to scroll and filter,
with the servers of the services that you open.";

/// Everything if it fits; else services in one line each with their dead servers; else as much of that as fits.
fn fit(snapshot: &Snapshot) -> Vec<String> {
    // Each service has a line at least, and the lines of thousands take their time.
    if snapshot.lvs.as_ref().is_none_or(|lvs| lvs.services.len() <= HEIGHT) {
        let whole = all(snapshot);
        if whole.len() <= HEIGHT {
            return whole;
        }
    }
    let mut short = head(snapshot);
    match &snapshot.lvs {
        Some(lvs) => short.extend(brief(lvs)),
        None => short.push(snapshot.absence(Role::Lvs)),
    }
    if short.len() > HEIGHT {
        let more = short.len() - HEIGHT + 1;
        short.truncate(HEIGHT - 1);
        short.push(format!("... {more} more lines: press a"));
    }
    short
}

fn all(snapshot: &Snapshot) -> Vec<String> {
    let mut out = head(snapshot);
    match &snapshot.lvs {
        Some(lvs) => out.extend(status::lvs(lvs).iter().flat_map(|line| wrap(line, WIDTH, "      "))),
        None => out.push(snapshot.absence(Role::Lvs)),
    }
    out
}

fn head(snapshot: &Snapshot) -> Vec<String> {
    let mut out = Vec::new();
    match &snapshot.init {
        Some(init) => {
            let health = snapshot.store.as_ref().filter(|store| store.slot == "trying");
            let health = health.map_or("", |_| " (not confirmed yet)");
            let slot = init.slot.as_ref().map(|slot| format!("  slot {slot}{health}")).unwrap_or_default();
            let clock = snapshot.clock().map(|clock| format!("  {clock}")).unwrap_or_default();
            out.push(format!(
                "{}  Director {}{slot}  up {}{clock}",
                init.hostname,
                init.version,
                status::age(init.uptime_ms)
            ));
        }
        None => out.push(snapshot.absence(Role::Init)),
    }
    match &snapshot.store {
        Some(store) => {
            let kept = if store.life.kept { ", kept as the last good one" } else { "" };
            let source = status::source(store.source);
            out.push(format!("configuration {} from {source}{kept}", store.generation));
        }
        None => out.push(snapshot.absence(Role::Store)),
    }
    match &snapshot.net {
        Some(net) => out.extend(status::net(net).iter().flat_map(|line| wrap(line, WIDTH, "    "))),
        None => out.push(snapshot.absence(Role::Net)),
    }
    out.extend(snapshot.time.as_ref().and_then(status::clock));
    match &snapshot.vrrp {
        Some(vrrp) => out.extend(status::vrrp(vrrp)),
        None => out.push(snapshot.absence(Role::Vrrp)),
    }
    out
}

fn brief(lvs: &LvsStatus) -> Vec<String> {
    let mut services: Vec<_> = lvs.services.iter().collect();
    services.sort_by_key(|service| service.up);
    let mut out = Vec::new();
    for service in services {
        let live = service.servers.iter().filter(|s| s.health == Health::Up && !s.sorry).count();
        let state = if service.up { "UP" } else { "DOWN" };
        let sorry = if service.sorry { ", sorry server answers" } else { "" };
        let all = service.servers.iter().filter(|s| !s.sorry).count();
        out.push(format!(
            "{}  {state}  {}  {live} of {all} servers live{sorry}",
            service.name, service.listen
        ));
        for server in &service.servers {
            if let Some(admin) = &server.admin {
                let left = server.active.saturating_add(server.inactive);
                let ordered = format!("  {}  {}, {left} connections", server.address, order(admin));
                out.extend(wrap(&ordered, WIDTH, "    "));
            }
            if server.health == Health::Down {
                let down = format!("  {}  DOWN  {}", server.address, server.reason);
                out.extend(wrap(&down, WIDTH, "    "));
            }
        }
    }
    out.extend(lvs.problem.iter().map(|problem| format!("! {problem}")));
    out
}
