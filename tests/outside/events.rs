//! What the workers say of themselves becomes alarms: the real `notify`, with `init`, `store`, `lvs` and `time` played by the test.

#[path = "../common/publish.rs"]
mod publish;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use director::ipc::message::{
    Admin, ChangeStep, Event, Health, LvsSummary, Reply, Request, RouterState, Status,
};
use director::paths::RunDir;
use director::role::Role;
use director_lab::command::bound;
use publish::publish;
use serde_json::{Value, json};

use crate::rig::PATIENCE;

/// Roles as the test wants them to be.
struct Stage {
    run: RunDir,
    said: Arc<Mutex<BTreeMap<Role, Value>>>,
    hearers: Arc<Mutex<Vec<(Role, UnixStream)>>>,
    worker: Option<Child>,
    folder: tempfile::TempDir,
}

impl Stage {
    /// With a program that writes down what it is told.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let run = RunDir::new(folder.path().join("run"));
        fs::create_dir(run.path()).unwrap();
        let program = folder.path().join("program");
        fs::write(
            &program,
            "#!/bin/sh\nfor word; do printf '%s|' \"$word\"; done >> ${0%/*}/told\necho >> ${0%/*}/told\n",
        )
        .unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        let file = format!(
            "version = 1\n[system]\nhooks = true\n[[interface]]\nname = \"d0\"\naddresses = [\"192.0.2.1/24\"]\n\
             [[vrrp]]\nname = \"inside\"\ninterface = \"d0\"\nvrid = 1\ngroup = \"gateway\"\naddresses = [\"192.0.2.8/32\"]\n\
             [[vrrp]]\nname = \"outside\"\ninterface = \"d0\"\nvrid = 2\ngroup = \"gateway\"\naddresses = [\"192.0.2.9/32\"]\n\
             [[notify]]\nname = \"program\"\ntype = \"exec\"\ncommand = [\"{}\"]\n",
            program.display()
        );
        let status = publish(&run, 1, &file);
        let mut stage = Self { run, said: Arc::default(), hearers: Arc::default(), worker: None, folder };
        stage.say(Role::Store, serde_json::to_value(Status::Store(status)).unwrap());
        for role in [Role::Init, Role::Store, Role::Vrrp, Role::Lvs, Role::Time] {
            stage.play(role);
        }
        let mut command = bound(env!("CARGO_BIN_EXE_director"));
        command.args(["worker", "notify", "--run-dir"]).arg(stage.run.path()).stdin(Stdio::null());
        stage.worker = Some(command.spawn().unwrap());
        stage
    }

    /// What `role` answers from now on when it is asked how it is.
    fn say(&self, role: Role, status: Value) {
        self.said.lock().unwrap().insert(role, status);
    }

    fn play(&self, role: Role) {
        let listener = UnixListener::bind(self.run.socket(role)).unwrap();
        let (said, hearers) = (Arc::clone(&self.said), Arc::clone(&self.hearers));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (said, hearers) = (Arc::clone(&said), Arc::clone(&hearers));
                std::thread::spawn(move || converse(role, stream.unwrap(), &said, &hearers));
            }
        });
    }

    /// Tells all who have subscribed with `role`, once there is somebody.
    fn emit(&self, role: Role, event: &Event) {
        let end = Instant::now() + PATIENCE;
        loop {
            let mut hearers = self.hearers.lock().unwrap();
            let line = serde_json::to_string(event).unwrap() + "\n";
            let heard = hearers.iter_mut().filter(|(of, _)| *of == role);
            let count = heard.filter_map(|(_, stream)| stream.write_all(line.as_bytes()).ok()).count();
            if count > 0 {
                return;
            }
            drop(hearers);
            assert!(Instant::now() < end, "nobody listens to {role}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn told(&self) -> String {
        fs::read_to_string(self.folder.path().join("told")).unwrap_or_default()
    }

    /// Waits until the program was told this.
    #[track_caller]
    fn expect(&self, line: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.told().lines().any(|told| told == line) {
            assert!(Instant::now() < end, "never: {line}\n{}", self.told());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut worker) = self.worker.take() {
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

fn converse(
    role: Role,
    stream: UnixStream,
    said: &Mutex<BTreeMap<Role, Value>>,
    hearers: &Mutex<Vec<(Role, UnixStream)>>,
) {
    let mut writer = stream.try_clone().unwrap();
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let request: Request = serde_json::from_str(&line).unwrap();
        let said = said.lock().unwrap().get(&role).cloned();
        let reply = match (request, said) {
            (Request::Subscribe, _) => {
                hearers.lock().unwrap().push((role, writer.try_clone().unwrap()));
                continue;
            }
            (Request::Summary, Some(status)) => Reply::Summary { summary: summary(&status) },
            (Request::Status, Some(status)) => {
                Reply::Status { status: Box::new(serde_json::from_value(status).unwrap()) }
            }
            _ => Reply::Error { message: "not played here".to_owned() },
        };
        let _ = writeln!(writer, "{}", serde_json::to_string(&reply).unwrap());
    }
}

/// The numbers of a status of `lvs`.
fn summary(status: &Value) -> LvsSummary {
    let servers =
        status["services"].as_array().unwrap().iter().flat_map(|it| it["servers"].as_array().unwrap());
    let checks: Vec<&Value> = servers.flat_map(|it| it["checks"].as_array().unwrap()).collect();
    let count = |key: &str| {
        let such = checks.iter().filter(|check| check.get(key).is_some_and(|it| *it != json!(false)));
        u32::try_from(such.count()).unwrap()
    };
    LvsSummary { overdue: count("overdue"), warnings: count("warning"), ..LvsSummary::default() }
}

/// A service with one checked server.
fn lvs(check: &Value) -> Value {
    let mut one = json!({"kind": "tls", "address": "10.0.0.1:443", "health": "up", "reason": "ok", "checked_ms": 1,
        "latency_us": 1, "against": 0, "turns_at": 3});
    one.as_object_mut().unwrap().extend(check.as_object().unwrap().clone());
    let server = json!({"address": "10.0.0.1:443", "method": "dr", "weight": 1, "kernel_weight": 1, "sorry": false,
        "health": "up", "reason": "ok", "checked_ms": 1, "latency_us": 1, "active": 0, "inactive": 0, "checks": [one]});
    json!({"role": "lvs", "problem": null, "foreign_changes": 0, "generation": 1, "services": [{"name": "web",
        "listen": "192.0.2.9:443", "protocol": "tcp", "scheduler": "wlc", "persistence_s": null, "up": true, "sorry": false,
        "live_weight": 1, "quorum": 1, "connections": 0, "servers": [server]}]})
}

fn time(problem: Option<&str>, steps: u32) -> Value {
    json!({"role": "time", "synchronised": problem.is_none(), "problem": problem, "offset_us": 0, "agreed_ms": 0, "sets": true,
        "steps": steps, "stepped_us": 7_250_000, "generation": 1, "servers": [{"address": "192.0.2.7", "source": "file",
        "chosen": true, "stratum": 2, "offset_us": 0, "delay_us": 1, "problem": null}]})
}

fn store(slot: &str, verdict: &str) -> Value {
    json!({"role": "store", "generation": 1, "source": "partition", "why": "because", "node": null, "slot": slot,
        "life": director::ipc::message::LifeStatus::default(), "candidates": [{"source": "partition", "place": "partition DIRECTOR", "verdict": verdict,
        "report": ""}]})
}

fn init(restarts: u32, failures: u32) -> Value {
    started(restarts, failures, "normal")
}

fn started(restarts: u32, failures: u32, mode: &str) -> Value {
    json!({"role": "init", "version": "0.1.0", "hostname": "lb1", "uptime_ms": 1, "slot": "A", "mode": mode,
        "watchdog": null, "workers": [{"role": "lvs", "tty": null, "pid": 7, "state": "running", "age_ms": 1,
        "restarts": restarts, "failures": failures, "last_exit": "SIGSEGV"}]})
}

#[test]
fn clock_slots_certificates_checks_workers_and_sources_are_told() {
    let stage = Stage::new();
    stage.say(Role::Time, time(None, 1));
    stage.say(Role::Lvs, lvs(&json!({})));
    stage.say(Role::Store, store("trying", "used"));
    stage.say(Role::Init, init(0, 0));
    stage.expect("EVENT|TIME|clock|stepped|the clock was stepped by +7.250 s|");
    stage.expect("EVENT|SLOT|slot|trying|the boot slot is trying|");

    stage.say(Role::Init, init(1, 5));
    stage.say(Role::Time, time(Some("no time server answers"), 1));
    stage.say(Role::Lvs, lvs(&json!({"warning": "certificate expires in 6 d", "days_left": 6})));
    stage.say(Role::Store, store("confirmed", "faulty"));
    stage.expect("EVENT|WORKER|lvs|restarted|worker lvs was started again: its last end was SIGSEGV|");
    stage.expect("EVENT|WORKER|lvs|failing|worker lvs keeps failing: 5 short lives in a row|");
    stage.expect("EVENT|CERTIFICATE|web 10.0.0.1:443|warning|web 10.0.0.1:443: certificate expires in 6 d|");
    stage.expect("EVENT|SLOT|slot|confirmed|the boot slot is confirmed|");
    stage.expect("EVENT|CONFIG|partition DIRECTOR|faulty|the configuration is faulty and not used: partition DIRECTOR|");

    stage.say(
        Role::Lvs,
        lvs(&json!({"warning": "certificate expires in 6 d", "days_left": 6, "overdue": true})),
    );
    stage.expect("EVENT|CHECK|checks|overdue|1 checks are overdue: this box is too slow for them|");
    stage.say(Role::Lvs, lvs(&json!({"warning": "certificate expires in 6 d", "days_left": 6})));
    stage.expect("EVENT|CHECK|checks|in time|no check is overdue any more|");
    stage.expect("EVENT|TIME|clock|unsynchronised|the clock is not synchronised: no time server answers|");
    stage.say(Role::Time, time(None, 1));
    stage.expect("EVENT|TIME|clock|synchronised|the clock is synchronised again|");
    // Each of them once.
    let told = stage.told();
    let mut lines: Vec<&str> = told.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), told.lines().count(), "{told}");
}

/// The built-in configuration knows nobody to tell, so the next start does it; `director notify` tells at once.
#[test]
fn starts_that_are_not_normal_are_told() {
    let stage = Stage::new();
    stage.say(Role::Init, started(0, 0, "safe"));
    stage.expect(
        "EVENT|CONFIG|box|safe mode|this box runs in safe mode, without virtual address and service: somebody wanted it so|",
    );
    let mut status = store("confirmed", "used");
    status["life"]["earlier_mode"] = "rescue".into();
    stage.say(Role::Store, status);
    stage.expect(
        "EVENT|SLOT|box|was in rescue mode|before this start the box was in rescue mode, without virtual address and \
         service: no firmware came up by itself|",
    );
}

#[test]
fn servers_services_orders_and_changes_are_told() {
    let stage = Stage::new();
    let (service, server) = ("web".to_owned(), "10.0.0.1:443".parse().unwrap());
    let health = |health| Event::Server {
        service: "web".to_owned(),
        server,
        health,
        reason: "connection refused".to_owned(),
    };
    stage.emit(Role::Lvs, &health(Health::Down));
    stage.emit(Role::Lvs, &Event::Service { service: service.clone(), up: false });
    stage.expect("RS|[10.0.0.1]:tcp:443|web|DOWN|");
    stage.expect("VS|web|DOWN|");
    stage.emit(Role::Lvs, &health(Health::Up));
    stage.emit(Role::Lvs, &Event::Service { service: service.clone(), up: true });
    stage.expect("RS|[10.0.0.1]:tcp:443|web|UP|");
    stage.expect("VS|web|UP|");
    for (admin, state) in [(Admin::Draining, "draining"), (Admin::Enabled, "enabled")] {
        stage.emit(Role::Lvs, &Event::Admin { service: service.clone(), server, admin });
        stage.expect(&format!(
            "EVENT|SERVER|web 10.0.0.1:443|{state}|server 10.0.0.1:443 of web is {state} by the operator|"
        ));
    }
    for (step, state) in [
        (ChangeStep::Pending, "pending"),
        (ChangeStep::Confirmed, "confirmed"),
        (ChangeStep::Reverted, "reverted"),
        (ChangeStep::Refused, "refused"),
    ] {
        stage.emit(Role::Store, &Event::Change { step, message: format!("it is {state}") });
        stage.expect(&format!("EVENT|CONFIG|configuration|{state}|it is {state}|"));
    }
}

#[test]
fn groups_have_keepalived_s_words_behind_those_of_their_members() {
    let stage = Stage::new();
    let tell = |name: &str, state| {
        let event = Event::Router { name: name.to_owned(), state, reason: "because".to_owned() };
        stage.emit(Role::Vrrp, &event);
    };
    for state in [RouterState::Backup, RouterState::Master, RouterState::Fault] {
        ["inside", "outside"].into_iter().for_each(|name| tell(name, state));
    }
    stage.expect("GROUP|gateway|FAULT|0|");
    let expected = "INSTANCE|inside|BACKUP|0|\nINSTANCE|outside|BACKUP|0|\nGROUP|gateway|BACKUP|0|\n\
                    INSTANCE|inside|MASTER|0|\nINSTANCE|outside|MASTER|0|\nGROUP|gateway|MASTER|0|\n\
                    INSTANCE|inside|FAULT|0|\nINSTANCE|outside|FAULT|0|\nGROUP|gateway|FAULT|0|\n";
    assert_eq!(stage.told(), expected);
}
