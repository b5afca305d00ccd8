//! What happens becomes alarms: changes against what was known before, so that a restart of anybody tells nothing twice. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::words::{Names, server, words};
use crate::ipc::message::{
    Admin, AlarmKind, ChangeStep, Event, Health, RouterNews, RouterState, UnusualStart,
};

mod looks;

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
    /// Days that a certificate had left when it was told of last; `None` where that was not said.
    certificates: BTreeMap<String, Option<i32>>,
    /// How this start, or the one before it, was not a normal one.
    mode: String,
    earlier_mode: Option<UnusualStart>,
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
            // News for a box that starts, not for people.
            Event::Primed { .. } => None,
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
    use crate::ipc::message::LvsStatus;

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
        known.lvs(&LvsStatus { generation: 1, ..LvsStatus::default() });
        assert_eq!(tell(&mut known), 0, "that is an old status");
        known.lvs(&LvsStatus { generation: 2, ..LvsStatus::default() });
        assert_eq!(tell(&mut known), 1, "it is another one of that name");
        router(&mut known, RouterState::Backup);
        known.forget_routers(|name| name == "VI_1");
        assert_eq!(router(&mut known, RouterState::Backup), None);
        known.forget_routers(|_| false);
        assert_eq!(router(&mut known, RouterState::Backup).unwrap(), "INSTANCE VI_1 BACKUP 100");
    }
}
