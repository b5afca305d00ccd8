//! What happens becomes alarms: changes against what was known before, so that a restart of anybody tells nothing twice. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::words::{Names, server, words};
use crate::init::supervise::ALARM;
use crate::ipc::message::{
    Admin, AlarmKind, ChangeStep, Event, Health, InitStatus, LvsStatus, RouterNews, RouterState, StoreStatus,
    TimeStatus, WorkerStatus,
};

/// An alarm without its number and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// What it is about.
    pub kind: AlarmKind,
    /// Of what.
    pub subject: String,
    /// What it is now.
    pub state: String,
    /// As syslog counts.
    pub severity: u8,
    /// A sentence.
    pub text: String,
    /// What a program is told; empty = as for everything that keepalived has no words for.
    pub words: Vec<String>,
}

/// Looks at a clock that is not synchronised before that is an alarm.
const DOUBTS: u32 = 3;
const ERROR: u8 = 3;
const WARNING: u8 = 4;
const NOTICE: u8 = 5;
const INFORMATION: u8 = 6;

/// What was known last. It outlives this process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    routers: BTreeMap<String, String>,
    /// By the same words as their members.
    groups: BTreeMap<String, String>,
    services: BTreeMap<String, bool>,
    /// By `SERVICE SERVER`: those that are down.
    down: BTreeSet<String>,
    /// By the same: those that the operator has taken out, and how.
    orders: BTreeMap<String, String>,
    restarts: BTreeMap<String, u32>,
    failing: BTreeSet<String>,
    generation: u64,
    faulty: BTreeSet<String>,
    slot: String,
    left_slot: Option<String>,
    overdue: bool,
    clock_off: bool,
    clock_doubts: u32,
    steps: u32,
    /// As they were told last.
    warnings: BTreeMap<String, String>,
}

impl Known {
    /// Something was told by `vrrp`, `lvs` or `store`; `priority` is that of the virtual router.
    pub fn event(&mut self, event: &Event, priority: u8, names: &Names) -> Vec<News> {
        let news = match event {
            Event::Router { name, state, reason } => {
                // As keepalived has it: the group after the last of its members.
                let own = self.router(name, *state, reason, priority);
                let group = names.groups.get(name).and_then(|group| self.group(group, names));
                return own.into_iter().chain(group).collect();
            }
            Event::RouterNews { name, state, priority, what } => {
                Some(router_news(name, *state, *priority, *what))
            }
            Event::Service { service, up } => self.service(service, *up, names),
            Event::Server { service, server: endpoint, health, reason } => {
                let subject = format!("{service} {endpoint}");
                let changed = match health {
                    Health::Down => self.down.insert(subject.clone()),
                    Health::Up => self.down.remove(&subject),
                    Health::Unknown => false,
                };
                let (word, state, severity) =
                    if *health == Health::Down { ("DOWN", "down", WARNING) } else { ("UP", "up", NOTICE) };
                let listen = names.listen(service);
                changed.then(|| News {
                    kind: AlarmKind::Server,
                    state: state.to_owned(),
                    severity,
                    text: format!("server {endpoint} of {service} is {state}: {reason}"),
                    words: words(&["RS", &server(*endpoint, listen), listen, word]),
                    subject,
                })
            }
            Event::Admin { service, server, admin } => {
                let subject = format!("{service} {server}");
                let state = format!("{admin:?}").to_lowercase();
                let before = if *admin == Admin::Enabled {
                    self.orders.remove(&subject)
                } else {
                    self.orders.insert(subject.clone(), state.clone())
                };
                let changed =
                    before.as_ref() != Some(&state) && (before.is_some() || *admin != Admin::Enabled);
                changed.then(|| News {
                    kind: AlarmKind::Server,
                    severity: NOTICE,
                    text: format!("server {server} of {service} is {state} by the operator"),
                    words: Vec::new(),
                    state,
                    subject,
                })
            }
            Event::Change { step, message } => {
                let severity = match step {
                    ChangeStep::Pending | ChangeStep::Confirmed => INFORMATION,
                    ChangeStep::Reverted | ChangeStep::Refused => WARNING,
                };
                let state = format!("{step:?}").to_lowercase();
                Some(plain(AlarmKind::Config, "configuration", &state, severity, message.clone()))
            }
            Event::Config { generation } => {
                let changed = std::mem::replace(&mut self.generation, *generation) != *generation;
                changed.then(|| {
                    let text = format!("configuration {generation} is active");
                    plain(AlarmKind::Config, "configuration", "active", INFORMATION, text)
                })
            }
        };
        news.into_iter().collect()
    }

    fn router(&mut self, name: &str, state: RouterState, reason: &str, priority: u8) -> Option<News> {
        let (word, severity) = match state {
            RouterState::Initialize => ("STOP", NOTICE),
            RouterState::Backup => ("BACKUP", NOTICE),
            RouterState::Master => ("MASTER", NOTICE),
            RouterState::Fault => ("FAULT", ERROR),
        };
        let before = self.routers.insert(name.to_owned(), word.to_owned());
        // That it has not begun yet is no news; that it has ended is.
        let changed =
            before.as_deref() != Some(word) && (before.is_some() || state != RouterState::Initialize);
        changed.then(|| News {
            kind: AlarmKind::Vrrp,
            subject: name.to_owned(),
            state: word.to_lowercase(),
            severity,
            text: format!("virtual router {name} is {word}: {reason}"),
            words: words(&["INSTANCE", name, word, &priority.to_string()]),
        })
    }

    /// A group is what all of its members are; while they differ it is still what it was. It never stops: its members do.
    fn group(&mut self, group: &str, names: &Names) -> Option<News> {
        let mut states = names.members(group).map(|member| self.routers.get(member));
        let word = states.next()??.clone();
        if word == "STOP" || !states.all(|state| state == Some(&word)) {
            return None;
        }
        if self.groups.insert(group.to_owned(), word.clone()).as_ref() == Some(&word) {
            return None;
        }
        Some(News {
            kind: AlarmKind::Vrrp,
            subject: group.to_owned(),
            state: word.to_lowercase(),
            severity: if word == "FAULT" { ERROR } else { NOTICE },
            text: format!("group {group} is {word}: all its virtual routers are"),
            // keepalived has no priority for a group either.
            words: words(&["GROUP", group, &word, "0"]),
        })
    }

    fn service(&mut self, service: &str, up: bool, names: &Names) -> Option<News> {
        let before = self.services.insert(service.to_owned(), up);
        // A service that comes up for the first time is as it should be.
        let changed = before != Some(up) && (before.is_some() || !up);
        let (word, state, severity) = if up { ("UP", "up", NOTICE) } else { ("DOWN", "down", ERROR) };
        changed.then(|| News {
            kind: AlarmKind::Service,
            subject: service.to_owned(),
            state: state.to_owned(),
            severity,
            text: format!("service {service} {} its quorum", if up { "has" } else { "has lost" }),
            words: words(&["VS", names.listen(service), word]),
        })
    }

    /// The supervisor told how the workers are.
    pub fn init(&mut self, status: &InitStatus) -> Vec<News> {
        let mut news = Vec::new();
        for worker in &status.workers {
            let name = worker
                .tty
                .as_ref()
                .map_or_else(|| worker.role.to_string(), |tty| format!("{} {tty}", worker.role));
            self.worker(worker, &name, &mut news);
        }
        news
    }

    fn worker(&mut self, worker: &WorkerStatus, name: &str, news: &mut Vec<News>) {
        let before = self.restarts.insert(name.to_owned(), worker.restarts).unwrap_or(0);
        if worker.restarts > before {
            let end = worker.last_exit.as_deref().unwrap_or("unknown");
            let text = format!("worker {name} was started again: its last end was {end}");
            news.push(plain(AlarmKind::Worker, name, "restarted", WARNING, text));
        }
        if worker.failures >= ALARM {
            if self.failing.insert(name.to_owned()) {
                let text = format!("worker {name} keeps failing: {} short lives in a row", worker.failures);
                news.push(plain(AlarmKind::Worker, name, "failing", ERROR, text));
            }
        } else if worker.failures == 0 && self.failing.remove(name) {
            let text = format!("worker {name} runs again");
            news.push(plain(AlarmKind::Worker, name, "running", NOTICE, text));
        }
    }

    /// The store told which sources there are, and how the slot is.
    pub fn store(&mut self, status: &StoreStatus) -> Vec<News> {
        let mut news = Vec::new();
        let faulty: BTreeSet<String> = status
            .candidates
            .iter()
            .filter(|candidate| candidate.verdict == "faulty")
            .map(|candidate| candidate.place.clone())
            .collect();
        for place in faulty.difference(&self.faulty) {
            let text = format!("the configuration is faulty and not used: {place}");
            news.push(plain(AlarmKind::Config, place, "faulty", ERROR, text));
        }
        self.faulty = faulty;
        if status.slot != "none" && status.slot != self.slot {
            let severity = if status.slot == "given up" { WARNING } else { INFORMATION };
            let before = std::mem::replace(&mut self.slot, status.slot.clone());
            // That a proven slot runs is as it should be.
            if !before.is_empty() || status.slot != "confirmed" {
                let text = format!("the boot slot is {}", status.slot);
                news.push(plain(AlarmKind::Slot, "slot", &status.slot, severity, text));
            }
        }
        let left = std::mem::replace(&mut self.left_slot, status.life.left_slot.clone());
        if let Some(why) = status.life.left_slot.clone().filter(|_| left != status.life.left_slot) {
            news.push(plain(AlarmKind::Slot, "slot", "fallen back", ERROR, why));
        }
        news
    }

    /// The clock was looked at.
    pub fn time(&mut self, status: &TimeStatus) -> Vec<News> {
        // A worker that was started again counts from nought.
        let before = std::mem::replace(&mut self.steps, status.steps);
        let stepped = (status.steps > if status.steps < before { 0 } else { before }).then(|| {
            let by = status.stepped_us.map(|us| format!(" by {:+.3} s", crate::time::choose::seconds(us)));
            let text = format!("the clock was stepped{}", by.unwrap_or_default());
            plain(AlarmKind::Time, "clock", "stepped", NOTICE, text)
        });
        stepped.into_iter().chain(self.agreement(status)).collect()
    }

    /// That it is not synchronised must be seen [`DOUBTS`] times in a row: a box that has just started asks whoever cannot be
    /// reached yet.
    fn agreement(&mut self, status: &TimeStatus) -> Option<News> {
        // Without servers there is nothing to tell, and without a problem they are being asked.
        if status.servers.is_empty() || (!status.synchronised && status.problem.is_none()) {
            return None;
        }
        let off = !status.synchronised;
        self.clock_doubts = if off { self.clock_doubts.saturating_add(1) } else { 0 };
        if self.clock_off == off || (off && self.clock_doubts < DOUBTS) {
            return None;
        }
        self.clock_off = off;
        let clock = |state, severity, text| Some(plain(AlarmKind::Time, "clock", state, severity, text));
        match &status.problem {
            Some(problem) if off => {
                clock("unsynchronised", WARNING, format!("the clock is not synchronised: {problem}"))
            }
            _ => clock("synchronised", NOTICE, "the clock is synchronised again".to_owned()),
        }
    }

    /// Services and checks were looked at.
    pub fn lvs(&mut self, status: &LvsStatus) -> Vec<News> {
        self.forget(status);
        let checks = || {
            let servers = status
                .services
                .iter()
                .flat_map(|service| service.servers.iter().map(move |server| (&service.name, server)));
            servers.flat_map(|(service, server)| server.checks.iter().map(move |check| (service, check)))
        };
        let late = checks().filter(|(_, check)| check.overdue).count();
        let mut news: Vec<News> = self.overdue(late).into_iter().collect();
        let mut warnings = BTreeMap::new();
        for (service, check) in checks() {
            let subject = format!("{service} {}", check.address);
            let told = self.warnings.get(&subject);
            match (&check.warning, told) {
                (Some(warning), told) if told.is_none_or(|told| is_nearer(told, warning)) => {
                    let text = format!("{subject}: {warning}");
                    news.push(plain(AlarmKind::Certificate, &subject, "warning", WARNING, text));
                    warnings.insert(subject, warning.clone());
                }
                // A server that is down shows no certificate.
                (Some(_), Some(told)) => drop(warnings.insert(subject, told.clone())),
                (None, Some(told)) if check.health != Health::Up => {
                    drop(warnings.insert(subject, told.clone()))
                }
                (None, Some(_)) => {
                    let text = format!("{subject}: its certificate is well again");
                    news.push(plain(AlarmKind::Certificate, &subject, "well", NOTICE, text));
                }
                (Some(_), None) | (None, None) => {}
            }
        }
        self.warnings = warnings;
        news
    }

    fn overdue(&mut self, late: usize) -> Option<News> {
        if (late > 0) == std::mem::replace(&mut self.overdue, late > 0) {
            return None;
        }
        let (state, severity, text) = if late > 0 {
            ("overdue", WARNING, format!("{late} checks are overdue: this box is too slow for them"))
        } else {
            ("in time", NOTICE, "no check is overdue any more".to_owned())
        };
        Some(plain(AlarmKind::Check, "checks", state, severity, text))
    }

    /// Forgets what the configuration in force does not name any more.
    fn forget(&mut self, status: &LvsStatus) {
        if status.generation == 0 || status.generation != self.generation {
            return;
        }
        let services: BTreeSet<&str> = status.services.iter().map(|service| service.name.as_str()).collect();
        let servers: BTreeSet<String> = status
            .services
            .iter()
            .flat_map(|service| {
                service.servers.iter().map(|server| format!("{} {}", service.name, server.address))
            })
            .collect();
        self.services.retain(|name, _| services.contains(name.as_str()));
        self.down.retain(|subject| servers.contains(subject));
        self.orders.retain(|subject, _| servers.contains(subject));
    }

    /// Forgets the virtual routers that are not `named` any more, and groups of which none is.
    pub fn forget_routers(&mut self, named: impl Fn(&str) -> bool) {
        self.routers.retain(|name, _| named(name));
        if self.routers.is_empty() {
            self.groups.clear();
        }
    }
}

/// Whether a certificate is so much nearer to its end that it is worth telling again: in half the days, on the last one, and behind it.
fn is_nearer(told: &str, now: &str) -> bool {
    match (days_left(told), days_left(now)) {
        (Some(told), Some(now)) => now < told && now <= told / 2,
        _ => false,
    }
}

/// Whole days, -1 for a certificate that has expired; `None` for any other warning.
fn days_left(warning: &str) -> Option<i32> {
    if warning.starts_with("certificate expired") {
        return Some(-1);
    }
    let (number, unit) = warning.strip_prefix("certificate expires in ")?.split_once(' ')?;
    if unit == "d" { number.parse().ok() } else { Some(0) }
}

fn plain(kind: AlarmKind, subject: &str, state: &str, severity: u8, text: String) -> News {
    let (subject, state) = (subject.to_owned(), state.to_owned());
    News { kind, subject, state, severity, text, words: Vec::new() }
}

/// keepalived's words, where it has any.
fn router_news(name: &str, state: RouterState, priority: u8, what: RouterNews) -> News {
    let (word, text) = match (what, state) {
        (RouterNews::Confirmed { rival }, _) => (
            "MASTER_RX_LOWER_PRI",
            format!("virtual router {name} stays MASTER: {rival} is one, too, and has to give way"),
        ),
        (RouterNews::Priority, RouterState::Master) => {
            ("MASTER_PRIORITY", format!("virtual router {name} has priority {priority}, and is MASTER"))
        }
        (RouterNews::Priority, _) => {
            ("BACKUP_PRIORITY", format!("virtual router {name} has priority {priority}, and is BACKUP"))
        }
    };
    News {
        kind: AlarmKind::Vrrp,
        subject: name.to_owned(),
        state: word.to_lowercase(),
        severity: NOTICE,
        text,
        words: words(&["INSTANCE", name, word, &priority.to_string()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(known: &mut Known, state: RouterState) -> Option<String> {
        let event = Event::Router { name: "VI_1".to_owned(), state, reason: "because".to_owned() };
        known.event(&event, 100, &Names::default()).pop().map(|news| news.words.join(" "))
    }

    #[test]
    fn a_virtual_router_tells_each_change_once() {
        let mut known = Known::default();
        assert_eq!(router(&mut known, RouterState::Initialize), None);
        assert_eq!(router(&mut known, RouterState::Backup).unwrap(), "INSTANCE VI_1 BACKUP 100");
        assert_eq!(router(&mut known, RouterState::Master).unwrap(), "INSTANCE VI_1 MASTER 100");
        assert_eq!(router(&mut known, RouterState::Master), None, "the publisher was restarted");
        let mut next: Known = serde_json::from_str(&serde_json::to_string(&known).unwrap()).unwrap();
        assert_eq!(router(&mut next, RouterState::Master), None, "this process was restarted");
        assert_eq!(router(&mut next, RouterState::Initialize).unwrap(), "INSTANCE VI_1 STOP 100");
    }

    #[test]
    fn what_happens_to_a_router_that_keeps_its_state_is_told_in_keepaliveds_words() {
        let told = |state, what| {
            let event = Event::RouterNews { name: "VI_1".to_owned(), state, priority: 90, what };
            let news = Known::default().event(&event, 0, &Names::default());
            news.into_iter().map(|news| news.words.join(" ")).collect::<Vec<_>>()
        };
        assert_eq!(told(RouterState::Master, RouterNews::Priority), ["INSTANCE VI_1 MASTER_PRIORITY 90"]);
        assert_eq!(told(RouterState::Backup, RouterNews::Priority), ["INSTANCE VI_1 BACKUP_PRIORITY 90"]);
        let confirmed = RouterNews::Confirmed { rival: "10.0.0.2".parse().unwrap() };
        assert_eq!(told(RouterState::Master, confirmed), ["INSTANCE VI_1 MASTER_RX_LOWER_PRI 90"]);
    }

    #[test]
    fn a_group_is_what_all_its_members_are() {
        let mut known = Known::default();
        let groups = [("inside", "G"), ("outside", "G"), ("other", "H")];
        let groups = groups.map(|(router, group)| (router.to_owned(), group.to_owned())).into();
        let names = Names { groups, ..Names::default() };
        let mut tell = |name: &str, state| {
            let event = Event::Router { name: name.to_owned(), state, reason: "because".to_owned() };
            let news = known.event(&event, 100, &names);
            news.into_iter().map(|news| news.words.join(" ")).collect::<Vec<_>>()
        };
        use RouterState::{Backup, Fault, Initialize, Master};
        assert_eq!(tell("inside", Backup), ["INSTANCE inside BACKUP 100"]);
        assert_eq!(tell("outside", Backup), ["INSTANCE outside BACKUP 100", "GROUP G BACKUP 0"]);
        assert_eq!(tell("other", Master), ["INSTANCE other MASTER 100", "GROUP H MASTER 0"]);
        assert_eq!(tell("inside", Master), ["INSTANCE inside MASTER 100"]);
        assert_eq!(tell("outside", Master), ["INSTANCE outside MASTER 100", "GROUP G MASTER 0"]);
        assert_eq!(tell("outside", Master), Vec::<String>::new());
        assert_eq!(tell("outside", Fault), ["INSTANCE outside FAULT 100"]);
        assert_eq!(tell("inside", Fault), ["INSTANCE inside FAULT 100", "GROUP G FAULT 0"]);
        assert_eq!(tell("inside", Initialize), ["INSTANCE inside STOP 100"]);
        assert_eq!(tell("outside", Initialize), ["INSTANCE outside STOP 100"]);
    }

    #[test]
    fn each_step_of_the_clock_is_told_once() {
        let mut known = Known::default();
        let mut look = |steps, stepped_us: Option<i64>| {
            let status: TimeStatus = serde_json::from_value(serde_json::json!({
                "synchronised": true, "problem": null, "offset_us": 0, "agreed_ms": 0, "sets": true, "steps": steps,
                "stepped_us": stepped_us, "generation": 1, "servers": []
            }))
            .unwrap();
            known.time(&status).into_iter().map(|news| news.text).collect::<Vec<_>>()
        };
        assert_eq!(look(0, None), Vec::<String>::new());
        assert_eq!(look(1, Some(-7_250_000)), ["the clock was stepped by -7.250 s"]);
        assert_eq!(look(1, Some(-7_250_000)), Vec::<String>::new());
        assert_eq!(look(0, None), Vec::<String>::new(), "the worker was started again");
        assert_eq!(look(1, Some(500_000)), ["the clock was stepped by +0.500 s"]);
    }

    #[test]
    fn what_comes_up_for_the_first_time_is_no_alarm() {
        let mut known = Known::default();
        let listens = [("web".to_owned(), "[192.0.2.1]:tcp:80".to_owned())].into();
        let names = Names { listens, ..Names::default() };
        let mut tell = |event: Event| known.event(&event, 0, &names).pop().map(|news| news.words.join(" "));
        let server = |health| Event::Server {
            service: "web".to_owned(),
            server: "10.0.0.1:80".parse().unwrap(),
            health,
            reason: "200 OK".to_owned(),
        };
        let service = |up| Event::Service { service: "web".to_owned(), up };
        assert_eq!((tell(server(Health::Up)), tell(service(true))), (None, None));
        assert_eq!(tell(server(Health::Down)).unwrap(), "RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 DOWN");
        assert_eq!(tell(service(false)).unwrap(), "VS [192.0.2.1]:tcp:80 DOWN");
        assert_eq!(tell(server(Health::Down)), None);
        assert_eq!(tell(server(Health::Up)).unwrap(), "RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 UP");
        assert_eq!(tell(service(true)).unwrap(), "VS [192.0.2.1]:tcp:80 UP");
    }

    #[test]
    fn a_slot_that_was_left_is_an_alarm_and_one_that_is_as_it_should_be_is_none() {
        let mut known = Known::default();
        let mut look = |slot: &str, left: Option<&str>| {
            let status: StoreStatus = serde_json::from_value(serde_json::json!({
                "generation": 1, "source": "partition", "why": "", "node": null, "candidates": [], "slot": slot,
                "life": {"pending": null, "stick": null, "number": 1, "notice": null, "left_slot": left, "factory": false}
            }))
            .unwrap();
            known.store(&status).into_iter().map(|news| (news.state, news.severity)).collect::<Vec<_>>()
        };
        assert_eq!(look("none", None), []);
        assert_eq!(look("confirmed", None), []);
        assert_eq!(look("confirmed", Some("slot B")), [("fallen back".to_owned(), ERROR)]);
        assert_eq!(look("confirmed", Some("slot B")), []);
        assert_eq!(look("trying", None), [("trying".to_owned(), INFORMATION)]);
        assert_eq!(look("confirmed", None), [("confirmed".to_owned(), INFORMATION)]);
    }

    /// Of a configuration without services.
    const fn lvs(generation: u64) -> LvsStatus {
        LvsStatus { services: Vec::new(), problem: None, foreign_changes: 0, generation, table_size: None }
    }

    #[test]
    fn what_left_the_file_is_forgotten() {
        let mut known = Known::default();
        let down = Event::Server {
            service: "web".to_owned(),
            server: "10.0.0.1:80".parse().unwrap(),
            health: Health::Down,
            reason: "x".to_owned(),
        };
        let tell = |known: &mut Known| known.event(&down, 0, &Names::default()).len();
        known.event(&Event::Config { generation: 2 }, 0, &Names::default());
        assert_eq!((tell(&mut known), tell(&mut known)), (1, 0));
        known.lvs(&lvs(1));
        assert_eq!(tell(&mut known), 0, "that is an old status");
        known.lvs(&lvs(2));
        assert_eq!(tell(&mut known), 1, "it is another one of that name");
        router(&mut known, RouterState::Backup);
        known.forget_routers(|name| name == "VI_1");
        assert_eq!(router(&mut known, RouterState::Backup), None);
        known.forget_routers(|_| false);
        assert_eq!(router(&mut known, RouterState::Backup).unwrap(), "INSTANCE VI_1 BACKUP 100");
    }

    #[test]
    fn a_certificate_is_told_of_again_as_its_end_comes_near() {
        let ladder = ["14 d", "10 d", "7 d", "4 d", "3 d", "2 d", "1 d", "20 h", "3 h"]
            .map(|left| format!("certificate expires in {left}"));
        let mut told = ladder[0].clone();
        let mut again = Vec::new();
        for now in ladder
            .iter()
            .map(String::as_str)
            .chain(["certificate expired 1 h ago", "certificate expired 3 d ago"])
        {
            if is_nearer(&told, now) {
                told = now.to_owned();
                again.push(now.trim_start_matches("certificate "));
            }
        }
        assert_eq!(
            again,
            ["expires in 7 d", "expires in 3 d", "expires in 1 d", "expires in 20 h", "expired 1 h ago"]
        );
        assert!(!is_nearer("weak key", "weaker key"));
    }

    #[test]
    fn workers_that_fail_and_recover() {
        let mut known = Known::default();
        let mut look = |restarts, failures| {
            let worker = WorkerStatus {
                role: crate::role::Role::Lvs,
                tty: None,
                pid: None,
                state: "waiting".to_owned(),
                age_ms: None,
                restarts,
                failures,
                last_exit: Some("SIGSEGV".to_owned()),
            };
            let mut news = Vec::new();
            known.worker(&worker, "lvs", &mut news);
            news.into_iter().map(|news| news.state).collect::<Vec<_>>()
        };
        assert_eq!(look(0, 0), Vec::<String>::new());
        assert_eq!(look(1, 1), ["restarted"]);
        assert_eq!(look(6, 5), ["restarted", "failing"]);
        assert_eq!(look(6, 5), Vec::<String>::new());
        assert_eq!(look(6, 0), ["running"]);
    }

    #[test]
    fn a_clock_that_stays_unsynchronised_is_an_alarm_once() {
        let mut known = Known::default();
        let mut look = |synchronised: bool, problem: Option<&str>| {
            let status: TimeStatus = serde_json::from_value(serde_json::json!({
                "synchronised": synchronised, "problem": problem, "offset_us": null, "agreed_ms": null, "sets": true,
                "steps": 0, "generation": 1, "servers": [{"address": "192.0.2.1", "source": "file", "chosen": false,
                "stratum": null, "offset_us": null, "delay_us": null, "problem": problem}]
            }))
            .unwrap();
            known.time(&status).pop().map(|news| format!("{} {}", news.state, news.text))
        };
        let silent = Some("no time server answers");
        assert_eq!(look(false, None), None, "being asked");
        assert_eq!(look(false, silent), None, "the network may not be up yet");
        assert_eq!(look(true, None), None, "as it should be");
        assert_eq!(look(true, silent), None, "one question lost");
        assert_eq!(look(false, silent), None);
        assert_eq!(look(false, silent), None);
        let off = "unsynchronised the clock is not synchronised: no time server answers";
        assert_eq!(look(false, silent).as_deref(), Some(off));
        assert_eq!(look(false, silent), None);
        assert_eq!(look(true, None).as_deref(), Some("synchronised the clock is synchronised again"));
        assert_eq!(look(true, None), None);
    }
}
