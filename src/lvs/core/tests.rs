use super::*;

use std::collections::BTreeMap;

use crate::check::{Feedback, Reason};
use crate::config::model::{CheckKind, Dialogue, Listen, Method, Protocol, Server, ServiceKey};
use crate::ipc::message::Health;
use crate::lvs::state::ServiceState;
use crate::units::Weight;

fn service(name: &str, last_octet: u8, servers: &[&str]) -> Service {
    let check = Arc::new(Check::new(CheckKind::Tcp(Dialogue::default())));
    let server = |address: &&str| Server {
        checks: vec![Arc::clone(&check)],
        ..Server::new(address.parse().unwrap(), Method::Dr)
    };
    let key = ServiceKey {
        listen: Listen::Address(SocketAddr::from(([192, 0, 2, last_octet], 80))),
        protocol: Some(Protocol::Tcp),
    };
    Service { servers: servers.iter().map(server).collect(), ..Service::new(name, key) }
}

/// Two services that share a server, and the verdicts on all targets.
fn config() -> Vec<Service> {
    vec![
        service("web", 1, &["10.0.0.1:80", "10.0.0.2:80"]),
        service("shop", 2, &["10.0.0.2:80", "10.0.0.3:80"]),
    ]
}

/// One verdict on everybody but one server.
struct All(Health, Option<(&'static str, Health)>);

impl Verdicts for All {
    fn opinion(&self, target: &Target) -> (Health, Option<Feedback>) {
        let odd = self.1.filter(|(address, _)| target.address.to_string() == *address);
        (odd.map_or(self.0, |(_, health)| health), None)
    }

    fn reason(&self, _: &Target) -> Reason {
        Reason::Borrowed("so it says")
    }
}

const fn all(health: Health) -> All {
    All(health, None)
}

/// What subscribers are told about services.
fn services_told(plan: &Plan) -> usize {
    plan.events.iter().filter(|event| matches!(event, Event::Service { .. })).count()
}

fn conclude(core: &mut Core, verdicts: &All) -> Plan {
    core.conclude(verdicts, Instant::now())
}

/// A core that has brought an empty kernel to what it wants, with every server up.
fn settled() -> Core {
    let mut core = Core::default();
    core.configure(config(), Instant::now());
    core.observed(State::default());
    let plan = conclude(&mut core, &all(Health::Up));
    core.applied(&plan.commands, &[]);
    core
}

fn words(plan: &Plan) -> Vec<String> {
    plan.commands.iter().map(ToString::to_string).collect()
}

#[test]
fn a_shared_server_is_one_target_of_both_services() {
    let mut core = settled();
    core.configure(config(), Instant::now());
    let targets: Vec<Target> = core.targets().cloned().collect();
    assert_eq!(targets.len(), 3);
    let shared = targets.iter().find(|target| target.address.to_string() == "10.0.0.2:80").unwrap().clone();
    let names: Vec<_> = core.concerned(&shared).map(|(service, _)| service.name.clone()).collect();
    assert_eq!(names, ["web", "shop"]);
    let verdicts = All(Health::Up, Some(("10.0.0.2:80", Health::Down)));
    let plan = core.conclude_about([&shared], &verdicts, Instant::now());
    assert_eq!(
        words(&plan),
        ["delete server tcp 192.0.2.1:80 10.0.0.2:80", "delete server tcp 192.0.2.2:80 10.0.0.2:80"]
    );
    core.applied(&plan.commands, &[]);
    assert!(conclude(&mut core, &verdicts).commands.is_empty(), "the whole agrees with its parts");
}

#[test]
fn a_service_that_becomes_two_keeps_the_servers_of_both() {
    let mut both = service("both", 1, &["10.0.0.1:80", "10.0.0.2:80"]);
    let second = service("second", 2, &["10.0.0.1:80", "10.0.0.2:80"]);
    both.also = vec![second.key];
    let mut core = Core::default();
    core.configure(vec![both], Instant::now());
    core.observed(State::default());
    let plan = conclude(&mut core, &all(Health::Up));
    core.applied(&plan.commands, &[]);
    // Asked another way, so nobody knows anything of them yet.
    let first = service("first", 1, &["10.0.0.1:80", "10.0.0.2:80"]);
    core.configure(vec![first, second], Instant::now());
    assert_eq!(words(&conclude(&mut core, &all(Health::Unknown))), [""; 0]);
    assert!(core.serving().count() >= 2);
}

#[test]
fn who_is_in_the_table_that_is_found_serves() {
    let table = settled().kernel.unwrap();
    let mut core = Core::default();
    core.configure(config(), Instant::now());
    assert_eq!(core.serving().count(), 0, "of an unknown table");
    core.observed(table);
    assert_eq!(core.serving().count(), 4);
}

#[test]
fn nothing_is_commanded_before_the_first_dump_and_quorum_is_told_once() {
    let mut core = Core::default();
    core.configure(config(), Instant::now());
    let plan = conclude(&mut core, &all(Health::Unknown));
    assert_eq!(plan, Plan::default(), "nobody knows anything");
    let plan = conclude(&mut core, &all(Health::Up));
    assert!(plan.commands.is_empty());
    assert_eq!(services_told(&plan), 2);
    core.observed(State::default());
    let plan = conclude(&mut core, &all(Health::Up));
    assert_eq!((plan.commands.len(), plan.events.len()), (6, 0));
    core.applied(&plan.commands, &[]);
    assert_eq!(services_told(&conclude(&mut core, &all(Health::Down))), 2);
}

#[test]
fn a_restarted_worker_changes_nothing_and_keeps_to_it_after_foreign_changes() {
    let table = settled().kernel.unwrap();
    let mut core = Core::default();
    core.configure(config(), Instant::now());
    assert!(core.observed(table.clone()).is_empty());
    let plan = conclude(&mut core, &all(Health::Unknown));
    assert!(plan.commands.is_empty());
    assert_eq!(services_told(&plan), 2, "it knows from the table that they are up");
    // Somebody clears the table while no check has spoken: what was there comes back.
    let gone = core.observed(State::default());
    assert_eq!((gone.len(), core.foreign()), (2, 2));
    let plan = conclude(&mut core, &all(Health::Unknown));
    assert_eq!(plan.commands.len(), 6);
    core.applied(&plan.commands, &[]);
    assert_eq!(core.kernel, Some(table));
}

#[test]
fn foreign_services_are_told_and_removed() {
    let mut table = settled().kernel.unwrap();
    let foreign = ServiceId::Fwmark { mark: 9, family: crate::ipvs::Family::V4 };
    let service = table.services.values().next().unwrap().service.clone();
    table.services.insert(foreign, ServiceState { service, servers: BTreeMap::new() });
    let mut core = Core::default();
    core.configure(config(), Instant::now());
    assert_eq!(core.observed(table).len(), 1);
    assert_eq!(words(&conclude(&mut core, &all(Health::Unknown))), ["delete service fwmark 9"]);
    assert_eq!(core.foreign(), 1);
}

#[test]
fn a_reload_edits_what_changed_and_nothing_else() {
    let mut core = settled();
    let mut config = config();
    config[0].scheduler = "rr";
    config[0].servers[1].weight = Weight::try_from(5).unwrap();
    let mut new = config[1].servers[0].clone();
    new.address = "10.0.0.4:80".parse().unwrap();
    config[1].servers.push(new);
    core.configure(config.clone(), Instant::now());
    let verdicts = All(Health::Up, Some(("10.0.0.4:80", Health::Unknown)));
    let plan = conclude(&mut core, &verdicts);
    assert_eq!(
        words(&plan),
        [
            "edit service tcp 192.0.2.1:80 scheduler=rr",
            "edit server tcp 192.0.2.1:80 10.0.0.2:80 method=route weight=5"
        ],
        "the new server waits for its check"
    );
    core.applied(&plan.commands, &[]);
    config.remove(0);
    core.configure(config.clone(), Instant::now());
    assert_eq!(words(&conclude(&mut core, &verdicts)), ["delete service tcp 192.0.2.1:80"]);
}

#[test]
fn what_the_kernel_refused_is_still_to_do() {
    let mut core = Core::default();
    core.configure(config(), Instant::now());
    core.observed(State::default());
    let plan = conclude(&mut core, &all(Health::Up));
    let refused =
        Failure { command: plan.commands[1].clone(), errno: nix::errno::Errno::EINVAL, sentence: None };
    core.applied(&plan.commands, std::slice::from_ref(&refused));
    let again = conclude(&mut core, &all(Health::Up));
    assert_eq!(again.commands, [refused.command]);
    assert!(core.observed(core.kernel.clone().unwrap()).is_empty(), "which is nobody else's doing");
    core.lost_sight();
    assert!(conclude(&mut core, &all(Health::Up)).commands.is_empty());
    assert!(core.observed(State::default()).is_empty(), "nor is what was not seen");
}

/// A thousand services with ten servers each, as a file that was just read has them: nothing is shared with an older one.
fn large(odd_weight: i64) -> Vec<Service> {
    let services = (0..1_000_u16).map(|at| {
        let mut http = crate::config::model::Http::get("/health");
        http.host = Some("www.example.com".to_owned());
        let check = Arc::new(Check::new(CheckKind::Http(Box::new(http))));
        let servers = (1..=10_u8).map(|last| {
            let [high, low] = at.to_be_bytes();
            let address = SocketAddr::from(([10, high, low, last], 80));
            let weight = if (at, last) == (500, 5) { odd_weight } else { 1 };
            Server {
                weight: Weight::try_from(weight).unwrap(),
                checks: vec![Arc::clone(&check)],
                ..Server::new(address, Method::Nat)
            }
        });
        let listen = Listen::Address(SocketAddr::from(([192, 0, 2, 1], 10_000 + at)));
        let key = ServiceKey { listen, protocol: Some(Protocol::Tcp) };
        Service { servers: servers.collect(), ..Service::new(&format!("s{at}"), key) }
    });
    services.collect()
}

#[test]
fn one_weight_of_ten_thousand_servers_is_one_command_soon() {
    let mut checks = crate::check::plan::Plan::default();
    let mut core = Core::default();
    let now = Instant::now();
    core.configure(large(1), now);
    checks.set(now, core.targets());
    for (id, _) in checks.start(now + std::time::Duration::from_secs(10), usize::MAX) {
        let answer = crate::check::Outcome::Success(Reason::Borrowed("200 OK"));
        checks.finish(now, id, answer, std::time::Duration::from_millis(1));
    }
    core.observed(State::default());
    let plan = core.conclude(&checks, now);
    assert_eq!(plan.commands.len(), 11_000);
    core.applied(&plan.commands, &[]);

    let mut fastest = std::time::Duration::MAX;
    for round in 0..5 {
        let services = large(7 + round);
        let begun = Instant::now();
        assert!(!core.has(&services));
        core.configure(services, now);
        let configured = begun.elapsed();
        checks.set(now, core.targets());
        let set = begun.elapsed();
        let plan = core.conclude_changed(&checks, now);
        let took = begun.elapsed();
        assert_eq!(words(&plan).len(), 1);
        core.applied(&plan.commands, &[]);
        let whole = Instant::now();
        assert!(core.conclude(&checks, now).commands.is_empty());
        println!(
            "configure {configured:?}, checks {:?}, conclude {:?}; everything anew {:?}",
            set - configured,
            took - set,
            whole.elapsed()
        );
        fastest = fastest.min(took);
    }
    // Without optimization it is many times as much.
    let limit = if cfg!(debug_assertions) { 5_000 } else { 10 };
    assert!(fastest <= std::time::Duration::from_millis(limit), "{fastest:?}");
}

#[test]
fn only_a_file_that_asks_others_has_other_targets() {
    let now = Instant::now();
    let mut core = settled();
    let weight = |config: &mut Vec<Service>| config[0].servers[1].weight = Weight::try_from(7).unwrap();
    let mut changed = config();
    weight(&mut changed);
    for (config, what) in [(changed, "another weight"), (config(), "and back")] {
        assert!(!core.configure(config, now), "{what}");
        let commands = core.conclude_changed(&all(Health::Up), now).commands;
        assert_eq!(commands.len(), 1, "{what}");
        core.applied(&commands, &[]);
        assert_eq!(core.conclude_changed(&all(Health::Up), now).commands, [], "{what}");
    }

    type Edit = fn(&mut Vec<Service>);
    let edits: [(&str, Edit); 4] = [
        ("another order", |config| config.reverse()),
        ("a server less", |config| drop(config[0].servers.pop())),
        ("another check", |config| {
            let check = Check { rise: 9, ..Check::new(CheckKind::Tcp(Dialogue::default())) };
            config[1].servers[0].checks = vec![Arc::new(check)];
        }),
        ("another key", |config| config[0].key.protocol = Some(Protocol::Udp)),
    ];
    for (name, edit) in edits {
        let mut changed = config();
        edit(&mut changed);
        let mut core = settled();
        assert!(core.configure(changed.clone(), now), "{name}");
        let targets: Vec<Target> = core.targets().cloned().collect();
        for service in changed.iter().flat_map(|service| &service.servers) {
            let asked =
                |target: &&Target| target.address == service.address && target.check == service.checks[0];
            assert!(targets.iter().any(|target| asked(&target)), "{name}");
        }
        let plan = core.conclude_about(&targets, &all(Health::Down), now);
        let down = plan.events.iter().filter(|event| matches!(event, Event::Server { .. })).count();
        let there: usize = changed.iter().map(|service| service.servers.len()).sum();
        assert_eq!(down, there, "{name}");
    }
}

#[test]
fn a_service_is_primed_when_every_server_that_may_serve_has_a_verdict() {
    let told = |plan: &Plan| -> Vec<String> {
        let primed = plan.events.iter().filter_map(|event| match event {
            Event::Primed { service } => Some(service.clone()),
            _ => None,
        });
        primed.collect()
    };
    let mut off = service("off", 3, &["10.0.0.3:80", "10.0.0.1:80"]);
    off.servers[0].enabled = false;
    let mut services = config();
    services.push(off);
    let mut core = Core::default();
    core.configure(services.clone(), Instant::now());
    core.observed(State::default());
    let third_is_silent = All(Health::Up, Some(("10.0.0.3:80", Health::Unknown)));
    assert_eq!(told(&conclude(&mut core, &third_is_silent)), ["web", "off"]);
    assert_eq!(core.told().filter(|event| matches!(event, Event::Primed { .. })).count(), 2);
    assert_eq!(told(&conclude(&mut core, &third_is_silent)), [""; 0], "once");
    let third_fails = All(Health::Up, Some(("10.0.0.3:80", Health::Down)));
    assert_eq!(told(&conclude(&mut core, &third_fails)), ["shop"], "a bad verdict is one");
    services[0].servers.extend(service("new", 1, &["10.0.0.9:80"]).servers);
    core.configure(services, Instant::now());
    let new_is_silent = All(Health::Up, Some(("10.0.0.9:80", Health::Unknown)));
    assert_eq!(
        told(&conclude(&mut core, &new_is_silent)),
        [""; 0],
        "a service stays primed with the file that follows"
    );
    assert_eq!(core.told().filter(|event| matches!(event, Event::Primed { .. })).count(), 3);
}
