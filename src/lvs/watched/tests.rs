use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::check::{Feedback, Reason};
use crate::config::model::{Check, CheckKind, Dialogue, Listen, Method, Need, Protocol, ServiceKey, Start};
use crate::ipvs::Forward;
use crate::lvs::desired::local_pages;
use crate::lvs::order::Order;
use crate::units::Weight;
use Health::{Down, Unknown, Up};

/// Verdicts by the address of a target.
#[derive(Default)]
struct Says(RefCell<HashMap<SocketAddr, (Health, Option<Feedback>)>>);

impl Says {
    fn set(&self, address: SocketAddr, health: Health, feedback: Option<Feedback>) {
        self.0.borrow_mut().insert(address, (health, feedback));
    }
}

impl Verdicts for Says {
    fn opinion(&self, target: &Target) -> (Health, Option<Feedback>) {
        self.0.borrow().get(&target.address).copied().unwrap_or((Unknown, None))
    }

    fn reason(&self, _: &Target) -> Reason {
        Reason::Borrowed("so it says")
    }
}

fn server(address: &str, weight: i64) -> Server {
    let check = Check::new(CheckKind::Tcp(Dialogue::default()));
    Server {
        weight: Weight::try_from(weight).unwrap(),
        checks: vec![Arc::new(check)],
        ..Server::new(address.parse().unwrap(), Method::Dr)
    }
}

/// Two servers, weights 1 and 2, quorum 1, TCP check.
fn web() -> Service {
    let listen = Listen::Address("192.0.2.1:80".parse().unwrap());
    let key = ServiceKey { listen, protocol: Some(Protocol::Tcp) };
    Service { servers: vec![server("10.0.0.1:80", 1), server("10.0.0.2:80", 2)], ..Service::new("web", key) }
}

fn with_sorry(sorry: Sorry) -> Service {
    Service { sorry, ..web() }
}

fn sorry_server() -> Sorry {
    Sorry::Servers(vec![server("10.0.0.9:80", 1)])
}

/// What was concluded: the servers of the first key as `"1:1 2:2"` (last octet and weight), and what it means.
struct Seen {
    shown: String,
    state: ServiceState,
    up: Option<bool>,
    sorry: bool,
    live: u64,
}

fn seen(watched: &Watched) -> Seen {
    let state = watched.states[0].clone();
    let words = state.servers.iter().map(|(address, server)| match address.ip() {
        IpAddr::V4(ip) if server.forward == Forward::Route => format!("{}:{}", ip.octets()[3], server.weight),
        _ => format!("{address} {}", server.forward.word()),
    });
    Seen {
        shown: words.collect::<Vec<_>>().join(" "),
        up: watched.up,
        sorry: watched.sorry,
        live: watched.judgement.unwrap().live,
        state,
    }
}

/// The service with these verdicts on its two servers, by a process that finds what another one left.
fn look(service: &Service, verdicts: [Health; 2], before: Option<&Seen>) -> Seen {
    let mut watched = Watched::new(service.clone());
    let left = before.map(|seen| (watched.ids[0], seen.state.clone()));
    watched.adopt(&State { services: left.into_iter().collect() });
    let says = Says::default();
    for (server, health) in service.servers.iter().zip(verdicts) {
        says.set(server.address, health, None);
    }
    watched.conclude(&says, Instant::now());
    seen(&watched)
}

/// A service with two servers of weight 10 that goes on in one process.
struct Lasting {
    watched: Watched,
    says: Says,
    now: Instant,
}

impl Lasting {
    fn new(service: Service) -> Self {
        let mut watched = Watched::new(service);
        watched.adopt(&State::default());
        Self { watched, says: Says::default(), now: Instant::now() }
    }

    fn says(&mut self, last: u8, health: Health) -> String {
        self.feeds(last, health, None)
    }

    fn feeds(&mut self, last: u8, health: Health, feedback: Option<Feedback>) -> String {
        self.says.set(SocketAddr::from(([10, 0, 0, last], 80)), health, feedback);
        self.after(0)
    }

    /// The table so many milliseconds later.
    fn after(&mut self, milliseconds: u64) -> String {
        self.now += Duration::from_millis(milliseconds);
        self.watched.conclude(&self.says, self.now);
        seen(&self.watched).shown
    }
}

#[test]
fn a_cold_boot_has_services_without_servers_until_a_check_has_spoken() {
    let cold = look(&web(), [Unknown, Unknown], None);
    assert_eq!((cold.shown.as_str(), cold.up, cold.live), ("", None, 0));
    let one = look(&web(), [Unknown, Up], Some(&cold));
    assert_eq!((one.shown.as_str(), one.up, one.live), ("2:2", Some(true), 2));
    let dead = look(&web(), [Down, Unknown], Some(&cold));
    assert_eq!((dead.shown.as_str(), dead.up), ("", None), "the other may live");
    let dead = look(&web(), [Down, Down], Some(&cold));
    assert_eq!((dead.shown.as_str(), dead.up), ("", Some(false)));
}

#[test]
fn a_restarted_worker_takes_the_table_as_it_is() {
    let live = look(&web(), [Up, Up], None);
    let restarted = look(&web(), [Unknown, Unknown], Some(&live));
    assert_eq!(restarted.state, live.state);
    assert_eq!((restarted.up, restarted.live), (Some(true), 3));
    let gone = look(&web(), [Up, Down], None);
    let restarted = look(&web(), [Unknown, Unknown], Some(&gone));
    assert_eq!(restarted.shown, "1:1", "absent stays absent");
    let odd = look(&Service { servers: vec![server("10.0.0.1:80", 7)], ..web() }, [Up, Up], None);
    assert_eq!(look(&web(), [Unknown, Down], Some(&odd)).shown, "1:7", "and keeps the weight it had");
}

#[test]
fn a_failed_server_is_removed_or_quiesced() {
    let mut service = web();
    assert_eq!(look(&service, [Down, Up], None).shown, "2:2");
    service.on_fail = OnFail::Quiesce;
    let half = look(&service, [Down, Up], None);
    assert_eq!((half.shown.as_str(), half.live), ("1:0 2:2", 2));
}

#[test]
fn the_weight_of_the_file_counts_once_a_verdict_is_there() {
    let before = look(&web(), [Up, Up], None);
    let heavier = Service { servers: vec![server("10.0.0.1:80", 9)], ..web() };
    assert_eq!(look(&heavier, [Up, Up], Some(&before)).shown, "1:9");
    assert_eq!(look(&heavier, [Unknown, Up], Some(&before)).shown, "1:1");
}

#[test]
fn without_quorum_sorry_servers_replace_all_real_servers_and_only_they() {
    let mut service = with_sorry(sorry_server());
    service.quorum.need = Need::Weight(3);
    let healthy = look(&service, [Up, Up], None);
    assert_eq!((healthy.shown.as_str(), healthy.sorry), ("1:1 2:2", false));
    let lost = look(&service, [Up, Down], Some(&healthy));
    assert_eq!((lost.shown.as_str(), lost.up, lost.sorry, lost.live), ("9:1", Some(false), true, 1));
    let back = look(&service, [Up, Up], Some(&lost));
    assert_eq!((back.shown.as_str(), back.up, back.sorry), ("1:1 2:2", Some(true), false));

    service.on_fail = OnFail::Quiesce;
    assert_eq!(look(&service, [Up, Down], Some(&healthy)).shown, "1:0 2:0 9:1", "their connections go on");
    service.sorry = Sorry::None;
    assert_eq!(look(&service, [Up, Down], None).shown, "1:1 2:0", "without sorry servers the rest goes on");
}

#[test]
fn an_open_quorum_leaves_sorry_servers_where_they_are_and_where_they_are_not() {
    let service = with_sorry(sorry_server());
    let cold = look(&service, [Unknown, Unknown], None);
    assert_eq!((cold.shown.as_str(), cold.sorry), ("", false));
    let lost = look(&service, [Down, Down], Some(&cold));
    let restarted = look(&service, [Unknown, Unknown], Some(&lost));
    assert_eq!((restarted.state.clone(), restarted.sorry, restarted.up), (lost.state.clone(), true, None));
    assert_eq!(look(&service, [Down, Unknown], Some(&restarted)).shown, "9:1");
    assert_eq!(look(&service, [Down, Up], Some(&restarted)).shown, "2:2");
    let live = look(&service, [Up, Up], None);
    assert!(!look(&service, [Unknown, Down], Some(&live)).sorry);
}

#[test]
fn a_sorry_server_may_be_a_real_server_too() {
    let unchecked = Server { checks: Vec::new(), ..server("10.0.0.1:80", 5) };
    let service = with_sorry(Sorry::Servers(vec![unchecked]));
    let live = look(&service, [Up, Up], None);
    let lost = look(&service, [Down, Down], Some(&live));
    assert_eq!((lost.shown.as_str(), lost.sorry), ("1:5", true));
    assert_eq!(look(&service, [Unknown, Unknown], Some(&lost)).state, lost.state);
    assert_eq!(look(&service, [Up, Up], Some(&lost)).state, live.state);
}

#[test]
fn the_built_in_page_is_this_box_as_a_server() {
    let service = with_sorry(Sorry::Local);
    assert_eq!(local_pages(&service).next(), "192.0.2.1:80".parse().ok());
    assert_eq!(look(&service, [Down, Down], None).shown, "127.0.0.1:80 local");
    let mut v6 = with_sorry(Sorry::Local);
    v6.key.listen = Listen::Address("[2001:db8::1]:80".parse().unwrap());
    assert_eq!(look(&v6, [Down, Down], None).shown, "[::1]:80 local");
    let mut mark = with_sorry(Sorry::Local);
    mark.key = ServiceKey { listen: Listen::Fwmark { mark: 1, ipv6: false }, protocol: None };
    assert_eq!((local_pages(&mark).next(), look(&mark, [Down, Down], None).sorry), (None, false));
}

#[test]
fn several_keys_have_the_same_servers_at_their_own_ports() {
    let mut service = web();
    service.servers = vec![server("10.0.0.1:0", 1), server("10.0.0.2:8080", 2)];
    let https = Listen::Address("192.0.2.1:443".parse().unwrap());
    service.also = vec![
        ServiceKey { listen: https, protocol: Some(Protocol::Tcp) },
        ServiceKey { listen: Listen::Fwmark { mark: 7, ipv6: false }, protocol: None },
    ];
    let mut lasting = Lasting::new(service);
    lasting.says(1, Up);
    lasting.says.set("10.0.0.2:8080".parse().unwrap(), Up, None);
    lasting.after(0);
    let tables: Vec<String> = lasting
        .watched
        .ids
        .iter()
        .zip(&lasting.watched.states)
        .map(|(id, state)| {
            let servers: Vec<_> = state.servers.keys().map(ToString::to_string).collect();
            format!("{id}: {}", servers.join(" "))
        })
        .collect();
    assert_eq!(
        tables,
        [
            "tcp 192.0.2.1:80: 10.0.0.1:80 10.0.0.2:8080",
            "tcp 192.0.2.1:443: 10.0.0.1:443 10.0.0.2:8080",
            "fwmark 7: 10.0.0.1:0 10.0.0.2:8080",
        ]
    );
    assert_eq!(lasting.watched.targets().count(), 2, "asked once for all keys, at the port of the first");
}

#[test]
fn all_checks_of_a_server_must_pass_and_the_failing_one_gives_the_reason() {
    let mut service = web();
    let second = Check { port: Some(81), ..Check::new(CheckKind::Ping) };
    service.servers[0].checks.push(Arc::new(second));
    let mut lasting = Lasting::new(service);
    let second: SocketAddr = "10.0.0.1:81".parse().unwrap();
    assert_eq!(lasting.says(1, Up), "", "one has not spoken");
    lasting.says.set(second, Up, None);
    assert_eq!(lasting.after(0), "1:1");
    lasting.says.set(second, Down, None);
    let events = lasting.watched.conclude(&lasting.says, lasting.now);
    let Some(Event::Server { health: Down, reason, .. }) = events.first() else { panic!("{events:?}") };
    assert_eq!(reason, "ping: so it says");
    assert_eq!(seen(&lasting.watched).shown, "");
}

#[test]
fn start_decides_what_a_server_is_before_its_first_verdict_and_never_after() {
    let found = look(&web(), [Up, Up], None);
    let down = Service { start: Start::Down, ..web() };
    assert_eq!(look(&down, [Unknown, Up], Some(&found)).shown, "2:2");
    let up = Service { start: Start::Up, ..web() };
    let cold = look(&up, [Unknown, Unknown], None);
    assert_eq!((cold.shown.as_str(), cold.up), ("1:1 2:2", Some(true)));

    let mut lasting = Lasting::new(down);
    lasting.says(1, Up);
    assert_eq!(lasting.says(2, Up), "1:1 2:2");
    assert_eq!(lasting.says(1, Unknown), "1:1 2:2", "asked something else since: unknown changes nothing");
}

#[test]
fn a_server_off_in_the_file_takes_no_new_connections_and_no_part_in_the_quorum() {
    let mut service = web();
    service.servers[1].enabled = false;
    let seen = look(&service, [Down, Up], None);
    assert_eq!((seen.shown.as_str(), seen.up), ("2:0", Some(false)));
}

#[test]
fn feedback_sets_the_weight_of_a_server_that_is_up() {
    let mut service = web();
    service.servers = vec![server("10.0.0.1:80", 10), server("10.0.0.2:80", 10)];
    let mut lasting = Lasting::new(service);
    lasting.says(2, Up);
    for (feedback, shown) in [
        (Feedback::Percent(75), "1:7 2:10"),
        (Feedback::Percent(1), "1:1 2:10"),
        (Feedback::Percent(0), "1:0 2:10"),
        (Feedback::Percent(250), "1:25 2:10"),
        (Feedback::Weight(3), "1:3 2:10"),
        (Feedback::Drain, "1:0 2:10"),
    ] {
        assert_eq!(lasting.feeds(1, Up, Some(feedback)), shown, "{feedback:?}");
    }
    lasting.feeds(2, Up, Some(Feedback::Drain));
    assert_eq!(lasting.watched.up, Some(false), "nobody takes connections");
    assert_eq!(lasting.feeds(1, Down, Some(Feedback::Percent(50))), "2:0");
}

#[test]
fn a_recovered_server_starts_slowly_beside_others_and_at_once_when_it_is_alone() {
    let mut service = Service { slow_start: Duration::from_secs(9), ..web() };
    service.servers = vec![server("10.0.0.1:80", 50), server("10.0.0.2:80", 50)];
    let mut lasting = Lasting::new(service);
    lasting.says(1, Up);
    assert_eq!(lasting.says(2, Up), "1:50 2:50", "nobody has recovered, they were found");
    lasting.says(1, Down);
    assert_eq!(lasting.says(1, Up), "1:5 2:50");
    let mut seen = Vec::new();
    while let Some(wake) = lasting.watched.wake {
        lasting.now = wake;
        seen.push(lasting.after(0));
    }
    assert_eq!(seen.len(), 9, "one change for each step: {seen:?}");
    assert_eq!((seen[0].as_str(), seen[8].as_str()), ("1:10 2:50", "1:50 2:50"));
    lasting.says(1, Down);
    lasting.says(2, Down);
    assert_eq!(lasting.says(2, Up), "2:50", "nobody else is there");
    assert_eq!(lasting.says(1, Up), "1:5 2:50");
    lasting.after(4_500);
    assert_eq!(lasting.says(1, Down), "2:50");
    assert_eq!(
        (lasting.watched.wake, lasting.says(1, Up).as_str()),
        (None, "1:5 2:50"),
        "from the beginning"
    );
}

#[test]
fn small_weights_are_multiplied_where_a_slow_start_needs_steps() {
    let mut lasting = Lasting::new(Service { slow_start: Duration::from_secs(9), ..web() });
    lasting.says(1, Up);
    assert_eq!(lasting.says(2, Up), "1:10 2:20");
    lasting.says(2, Down);
    assert_eq!(lasting.says(2, Up), "1:10 2:2");
    assert_eq!(lasting.after(4_000), "1:10 2:10");
    assert_eq!(lasting.watched.judgement.unwrap().live, 3, "the quorum counts in the words of the file");
}

#[test]
fn a_drained_server_lets_its_connections_finish_until_the_time_is_over() {
    let mut lasting = Lasting::new(with_sorry(sorry_server()));
    lasting.says(1, Up);
    lasting.says(2, Up);
    let now = lasting.now;
    lasting.watched.members[0].order = Some(Order::drain(now, Some(Duration::from_secs(60))));
    assert_eq!(lasting.after(0), "1:0 2:2");
    assert_eq!(lasting.watched.wake, Some(now + Duration::from_secs(60)));
    assert_eq!(lasting.says(1, Down), "2:2", "who is dead has nothing to finish");
    assert_eq!(lasting.says(1, Up), "1:0 2:2", "and stays drained");
    assert_eq!(lasting.says(2, Down), "1:0 9:1", "also beside sorry servers");
    lasting.says(2, Up);
    assert_eq!(lasting.after(60_000), "2:2");
    lasting.watched.members[0].order = Some(Order::disable(now));
    assert_eq!(lasting.after(0), "2:2");
    lasting.watched.members[0].order = None;
    assert_eq!(lasting.after(0), "1:1 2:2");
}

#[test]
fn of_several_sorry_servers_those_that_live_answer_and_without_any_the_rest_goes_on() {
    let mut service = with_sorry(Sorry::Servers(vec![server("10.0.0.8:80", 1), server("10.0.0.9:80", 4)]));
    service.quorum.need = Need::Weight(3);
    let mut lasting = Lasting::new(service);
    lasting.says(2, Up);
    assert_eq!(lasting.says(1, Down), "8:1 9:4", "nobody has asked them yet");
    assert_eq!(lasting.says(8, Down), "9:4");
    assert_eq!(lasting.says(9, Down), "2:2", "better few than nobody");
    assert!(!lasting.watched.sorry);
    assert_eq!(lasting.says(8, Up), "8:1");
    assert_eq!(lasting.says(1, Up), "1:1 2:2");
}

#[test]
fn another_file_keeps_what_is_known_of_servers_that_stay() {
    let mut lasting = Lasting::new(web());
    lasting.says(1, Up);
    lasting.says(2, Up);
    lasting.watched.members[0].order = Some(Order::disable(lasting.now));
    let mut service = web();
    service.servers.reverse();
    service.servers.push(server("10.0.0.3:80", 1));
    lasting.watched = lasting.watched.succeed(service);
    lasting.says(1, Unknown);
    assert_eq!(lasting.says(2, Unknown), "2:2", "one is disabled, one is kept, one has never been there");
}
