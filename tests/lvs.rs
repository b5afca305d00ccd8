//! Scenarios of the worker `lvs`: `tests/lvs/*.txt`, events in, commands and events out, against a model of the kernel's table.
//!
//! ```text
//! config                     takes the configuration in the lines behind it, each begun by `| `
//! dump                       the periodic comparison
//! up ADDRESS… [WORDS]        a verdict on the targets at these addresses; WORDS is what the server says that it can take:
//!                            `50%`, `weight=7`, `drain`
//! down ADDRESS…
//! after TIME                 time passes, and what is due in it happens, each with the time since the last event
//! drain SERVICE SERVER [TIME] the operator takes servers out of use, for a drain at most that long (else as the file has it),
//! disable SERVICE SERVER     at once,
//! enable SERVICE SERVER      or back
//! restart                    the worker dies, and another one starts with the same configuration and what was written down
//! reboot                     the same, and the kernel has nothing any more
//! foreign clear              somebody else changes the table: everything,
//! foreign fwmark N           a service more,
//! foreign delete ADDRESS     a server of every service less,
//! foreign weight ADDRESS N   or another weight
//! refuse ADDRESS             the kernel will not take this server (again: it will)
//! lost                       an answer of the kernel was lost
//! show                       the table
//!   > COMMAND                what the worker tells the kernel, `! COMMAND` what somebody else has done, `service NAME up|down` and
//!                            `server ADDRESS of NAME drained` what it tells subscribers; written by the test itself with UPDATE=1
//! ```

// A broken script is to end the test at its line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/publish.rs"]
mod publish;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use director::check::{Feedback, Reason, Target};
use director::config::model::Config;
use director::config::{NodeFacts, check};
use director::ipc::client;
use director::ipc::message::{AdminOrder, Event, Health, Reply, Request, Status};
use director::ipvs::{Command, Failure, Family, Name, Service, ServiceId};
use director::lvs::core::{Core, Plan};
use director::lvs::member::Verdicts;
use director::lvs::memory::{Clock, Record};
use director::lvs::state::{ServiceState, State};
use director::paths::RunDir;
use director::role::Role;
use publish::publish;

const PREAMBLE: &str = "version = 1\n[[interface]]\nname = \"eth0\"\naddresses = [\"192.0.2.1/24\", \"192.0.2.2/24\", \"2001:db8::1/64\"]\n";

struct World {
    begun: Instant,
    now: Instant,
    boots: u32,
    core: Core,
    config: Config,
    verdicts: Said,
    kernel: State,
    refused: BTreeSet<SocketAddr>,
    out: String,
}

/// What the checks say, by the address that they ask.
#[derive(Default)]
struct Said(BTreeMap<SocketAddr, (Health, Option<Feedback>)>);

impl Verdicts for Said {
    fn opinion(&self, target: &Target) -> (Health, Option<Feedback>) {
        self.0.get(&target.address).copied().unwrap_or((Health::Unknown, None))
    }

    fn reason(&self, _: &Target) -> Reason {
        Reason::Borrowed("the script says so")
    }
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            now,
            boots: 0,
            core: Core::default(),
            config: Config::default(),
            verdicts: Said::default(),
            kernel: State::default(),
            refused: BTreeSet::new(),
            out: String::new(),
        }
    }

    fn say(&mut self, text: impl std::fmt::Display) {
        writeln!(self.out, "  {text}").unwrap();
    }

    fn event(&mut self, line: &str, config: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["config"] => {
                let text = format!("{PREAMBLE}{config}");
                self.config = check(&text, "scenario", &NodeFacts::default()).unwrap().config;
                self.core.configure(self.config.services.clone(), self.now);
                self.dump();
            }
            ["dump"] => self.dump(),
            ["up", addresses @ ..] => self.verdict(addresses, Health::Up),
            ["down", addresses @ ..] => self.verdict(addresses, Health::Down),
            ["drain", service, server] => self.order(service, server, AdminOrder::Drain { timeout_ms: None }),
            ["drain", service, server, time] => {
                let time = director::units::parse_duration(time).unwrap();
                let timeout_ms = Some(Some(time.as_millis().try_into().unwrap()));
                self.order(service, server, AdminOrder::Drain { timeout_ms });
            }
            ["disable", service, server] => self.order(service, server, AdminOrder::Disable),
            ["enable", service, server] => self.order(service, server, AdminOrder::Enable),
            [again @ ("restart" | "reboot")] => {
                let record =
                    Record::of(self.core.services(), self.core.absent(), &BTreeMap::new(), &self.clock());
                if *again == "reboot" {
                    self.boots += 1;
                    self.kernel = State::default();
                }
                self.core = Core::default();
                self.core.recall(record.recall(&self.clock()));
                self.verdicts = Said::default();
                self.core.configure(self.config.services.clone(), self.now);
                self.dump();
            }
            ["after", time] => self.after(director::units::parse_duration(time).unwrap()),
            ["foreign", rest @ ..] => self.foreign(rest),
            ["refuse", address] => {
                let address = address.parse().unwrap();
                if !self.refused.remove(&address) {
                    self.refused.insert(address);
                }
            }
            ["lost"] => self.core.lost_sight(),
            ["show"] => {
                let table = self.kernel.to_string();
                table.lines().for_each(|line| self.say(line));
            }
            other => panic!("unknown event: {other:?}"),
        }
    }

    fn clock(&self) -> Clock {
        let since_boot = Duration::from_secs(100) + (self.now - self.begun);
        Clock { now: self.now, since_boot, boot: self.boots.to_string() }
    }

    fn order(&mut self, service: &str, server: &str, order: AdminOrder) {
        match self.core.administer(service, server, order, self.now) {
            Ok((_, events)) => {
                let plan = self.core.conclude_changed(&self.verdicts, self.now);
                self.carry_out(Plan { events: [events, plan.events].concat(), ..plan });
            }
            Err(why) => self.say(format!("refused: {why}")),
        }
    }

    fn dump(&mut self) {
        for change in self.core.observed(self.kernel.clone()) {
            self.say(format!("! {change}"));
        }
        let plan = self.core.conclude(&self.verdicts, self.now);
        self.carry_out(plan);
    }

    fn verdict(&mut self, words: &[&str], health: Health) {
        let addresses: BTreeSet<SocketAddr> = words.iter().filter_map(|word| word.parse().ok()).collect();
        let feedback =
            words.iter().find(|word| word.parse::<SocketAddr>().is_err()).map(|word| feedback(word));
        self.verdicts.0.extend(addresses.iter().map(|address| (*address, (health, feedback))));
        let targets: Vec<Target> =
            self.core.targets().filter(|target| addresses.contains(&target.address)).cloned().collect();
        let plan = self.core.conclude_about(&targets, &self.verdicts, self.now);
        self.carry_out(plan);
    }

    fn after(&mut self, time: Duration) {
        let (begun, end) = (self.now, self.now + time);
        while let Some(due) = self.core.deadline().filter(|due| *due <= end) {
            self.now = due;
            let before = self.out.len();
            let plan = self.core.wake(&self.verdicts, self.now);
            self.carry_out(plan);
            let happened = self.out.split_off(before);
            for line in happened.lines() {
                self.say(format!("{:.1}s {}", (due - begun).as_secs_f64(), line.trim()));
            }
        }
        self.now = end;
    }

    fn carry_out(&mut self, plan: Plan) {
        let mut failures = Vec::new();
        for command in &plan.commands {
            if let Command::AddServer(_, address, _) = command
                && self.refused.contains(address)
            {
                self.say(format!("> {command} (refused)"));
                let errno = nix::errno::Errno::EINVAL;
                failures.push(Failure { command: command.clone(), errno, sentence: None });
            } else {
                self.say(format!("> {command}"));
                self.kernel.apply(command);
            }
        }
        self.core.applied(&plan.commands, &failures);
        for event in &plan.events {
            match event {
                Event::Service { service, up } => {
                    self.say(format!("service {service} {}", if *up { "up" } else { "down" }));
                }
                Event::Admin { service, server, admin } => {
                    self.say(format!("server {server} of {service} {}", format!("{admin:?}").to_lowercase()));
                }
                _ => {}
            }
        }
    }

    fn foreign(&mut self, words: &[&str]) {
        match words {
            ["clear"] => self.kernel = State::default(),
            ["fwmark", mark] => {
                let id = ServiceId::Fwmark { mark: mark.parse().unwrap(), family: Family::V4 };
                let scheduler = Name::try_from("rr").unwrap();
                let service = Service { scheduler, flags: 0, persistence: None, engine: None };
                self.kernel.services.insert(id, ServiceState { service, servers: BTreeMap::new() });
            }
            ["delete", address] => {
                let address = address.parse().unwrap();
                for service in self.kernel.services.values_mut() {
                    service.servers.remove(&address);
                }
            }
            ["weight", address, weight] => {
                let address: SocketAddr = address.parse().unwrap();
                let services = self.kernel.services.values_mut();
                services
                    .filter_map(|service| service.servers.get_mut(&address))
                    .for_each(|server| server.weight = weight.parse().unwrap());
            }
            other => panic!("unknown change: {other:?}"),
        }
    }
}

fn feedback(word: &str) -> Feedback {
    match (word, word.strip_suffix('%'), word.strip_prefix("weight=")) {
        ("drain", ..) => Feedback::Drain,
        (_, Some(percent), _) => Feedback::Percent(percent.parse().unwrap()),
        (_, _, Some(weight)) => Feedback::Weight(weight.parse().unwrap()),
        _ => panic!("neither an address nor feedback: {word}"),
    }
}

/// The script with what the worker does behind each event.
fn play(script: &str) -> String {
    let mut world = World::new();
    let mut lines = script.lines().filter(|line| !line.starts_with("  ")).peekable();
    while let Some(line) = lines.next() {
        writeln!(world.out, "{line}").unwrap();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut config = String::new();
        while let Some(more) = lines.next_if(|line| line.starts_with('|')) {
            writeln!(world.out, "{more}").unwrap();
            writeln!(config, "{}", more.trim_start_matches('|').trim()).unwrap();
        }
        world.event(line, &config);
    }
    world.out
}

/// On a kernel without IPVS the worker says so, once, and goes on checking.
#[test]
fn without_ipvs_the_checks_run_and_the_status_says_why_nothing_else_does() {
    if director::ipvs::Client::connect().is_ok() {
        println!("skipped: this kernel has IPVS, and its table is not to be touched");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::new(folder.path());
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!(
        "{PREAMBLE}[[service]]\nname = \"web\"\nlisten = \"192.0.2.1:80\"\nmethod = \"nat\"\n\
         check = {{ type = \"tcp\", interval = \"100ms\", timeout = \"100ms\" }}\nserver = [{{ address = \"{}\" }}]\n",
        server.local_addr().unwrap()
    );
    publish(&run, 3, &text);
    let log = folder.path().join("log");
    let mut worker = std::process::Command::new(env!("CARGO_BIN_EXE_director"))
        .args(["worker", "lvs", "--run-dir"])
        .arg(run.path())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    let status = loop {
        let asked = client::ask(&run, Role::Lvs, &Request::Status, Duration::from_secs(5));
        if let Ok(Reply::Status { status }) = asked
            && let Status::Lvs(status) = *status
            && status.services.first().is_some_and(|service| service.up)
        {
            break Some(status);
        }
        if Instant::now() > end {
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    worker.kill().unwrap();
    worker.wait().unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    let status = status.unwrap_or_else(|| panic!("{log}"));
    assert_eq!((status.generation, status.services[0].servers[0].health), (3, Health::Up));
    assert_eq!(status.services[0].servers[0].kernel_weight, None);
    assert!(status.problem.unwrap().contains("the kernel has none"), "{log}");
    assert_eq!(log.matches("the kernel's table is not as it should be").count(), 1, "{log}");
}

#[test]
fn scenarios() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lvs");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let script = std::fs::read_to_string(&path).unwrap();
        let played = play(&script);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &played).unwrap();
        } else {
            assert_eq!(played, script, "{}: UPDATE=1 cargo test --test lvs rewrites it", path.display());
        }
    }
}
