//! Alarms of what is only seen when somebody looks: workers, sources, slots, the clock, checks and certificates. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{DOUBTS, ERROR, INFORMATION, Known, NOTICE, News, WARNING, plain};
use crate::init::supervise::ALARM;
use crate::ipc::message::{
    AlarmKind, Health, InitStatus, LvsStatus, StoreStatus, TimeStatus, UnusualStart, WorkerStatus,
};

impl Known {
    /// The supervisor told how the workers are.
    pub fn init(&mut self, status: &InitStatus) -> Vec<News> {
        let mut news: Vec<News> = self.mode(&status.mode).into_iter().collect();
        for worker in &status.workers {
            let name = worker
                .tty
                .as_ref()
                .map_or_else(|| worker.role.to_string(), |tty| format!("{} {tty}", worker.role));
            self.worker(worker, &name, &mut news);
        }
        news
    }

    /// A start that is not a normal one. The built-in configuration names no receiver, so who sits elsewhere hears of it from the
    /// next start ([`Self::store`]).
    fn mode(&mut self, mode: &str) -> Option<News> {
        if std::mem::replace(&mut self.mode, mode.to_owned()) == mode {
            return None;
        }
        let (kind, severity, why) = unusual(UnusualStart::named(mode)?);
        let text = format!("this box runs in {mode} mode, without virtual address and service: {why}");
        Some(plain(kind, "box", &format!("{mode} mode"), severity, text))
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
        news.extend(self.earlier_mode(status.life.earlier_mode));
        news
    }

    fn earlier_mode(&mut self, mode: Option<UnusualStart>) -> Option<News> {
        // A `store` that was started again does not know it any more, which is no news.
        let mode = mode.filter(|mode| self.earlier_mode != Some(*mode))?;
        self.earlier_mode = Some(mode);
        let (kind, severity, why) = unusual(mode);
        let word = mode.word();
        let text = format!(
            "before this start the box was in {word} mode, without virtual address and service: {why}"
        );
        Some(plain(kind, "box", &format!("was in {word} mode"), severity, text))
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
        let mut certificates = BTreeMap::new();
        for (service, check) in checks() {
            let subject = format!("{service} {}", check.address);
            let told = self.certificates.get(&subject).copied();
            match (&check.warning, told) {
                (Some(warning), told) if told.is_none_or(|told| is_nearer(told, check.days_left)) => {
                    let text = format!("{subject}: {warning}");
                    news.push(plain(AlarmKind::Certificate, &subject, "warning", WARNING, text));
                    certificates.insert(subject, check.days_left);
                }
                (Some(_), Some(told)) => drop(certificates.insert(subject, told)),
                // A server that is down shows no certificate.
                (None, Some(told)) if check.health != Health::Up => drop(certificates.insert(subject, told)),
                (None, Some(_)) => {
                    let text = format!("{subject}: its certificate is well again");
                    news.push(plain(AlarmKind::Certificate, &subject, "well", NOTICE, text));
                }
                (Some(_), None) | (None, None) => {}
            }
        }
        self.certificates = certificates;
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

/// What such a start means.
const fn unusual(mode: UnusualStart) -> (AlarmKind, u8, &'static str) {
    match mode {
        UnusualStart::Safe => (AlarmKind::Config, WARNING, "somebody wanted it so"),
        UnusualStart::Rescue => (AlarmKind::Slot, ERROR, "no firmware came up by itself"),
    }
}

/// Whether a certificate is so much nearer to its end that it is worth telling again: in half the days, on the last one, and behind it.
fn is_nearer(told: Option<i32>, now: Option<i32>) -> bool {
    match (told, now) {
        // That it has expired is told once.
        (Some(told), Some(now)) => told >= 0 && now < told && now <= told / 2,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_certificate_is_told_of_again_as_its_end_comes_near() {
        let mut told = Some(14);
        let mut again = Vec::new();
        for now in [14, 10, 7, 4, 3, 2, 1, 0, 0, -1, -3] {
            if is_nearer(told, Some(now)) {
                told = Some(now);
                again.push(now);
            }
        }
        assert_eq!(again, [7, 3, 1, 0, -1]);
        assert!(!is_nearer(None, None) && !is_nearer(Some(3), None));
    }

    /// Whatever the server has said before it, and however the words are put.
    #[test]
    fn a_certificate_of_a_server_that_says_something_as_well_is_told_of_again() {
        let mut known = Known::default();
        let mut look = |days: Option<i32>| {
            let mut check = serde_json::json!({
                "kind": "http", "address": "10.0.0.1:443", "health": "up", "reason": "200 OK", "checked_ms": 1,
                "latency_us": 1, "against": 0, "turns_at": 3
            });
            if let Some(days) = days {
                check["warning"] = format!("200 OK, certificate expires in {days} d").into();
                check["days_left"] = days.into();
            }
            let server = serde_json::json!({
                "address": "10.0.0.1:443", "method": "dr", "weight": 1, "kernel_weight": 1, "sorry": false,
                "health": "up", "reason": "ok", "checked_ms": 1, "latency_us": 1, "active": 0, "inactive": 0,
                "checks": [check]
            });
            let status: LvsStatus = serde_json::from_value(serde_json::json!({
                "problem": null, "foreign_changes": 0, "generation": 1, "services": [{"name": "web",
                "listen": "192.0.2.9:443", "protocol": "tcp", "scheduler": "wlc", "persistence_s": null, "up": true,
                "sorry": false, "live_weight": 1, "quorum": 1, "connections": 0, "servers": [server]}]
            }))
            .unwrap();
            known.lvs(&status).into_iter().map(|news| news.text).collect::<Vec<_>>()
        };
        assert_eq!(look(Some(14)), ["web 10.0.0.1:443: 200 OK, certificate expires in 14 d"]);
        assert_eq!(look(Some(12)), Vec::<String>::new());
        assert_eq!(look(Some(6)), ["web 10.0.0.1:443: 200 OK, certificate expires in 6 d"]);
        assert_eq!(look(None), ["web 10.0.0.1:443: its certificate is well again"]);
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
