//! Every kind of check that asks a port, beside every way in which a server can be no use: all at one time, since most of it is waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use director::check::Target;
use director::check::runner::Runner;
use director::config::model::{Check, CheckKind, Database, Dialogue, Http, Login, MailTls, Protocol, Tls};
use director::ipc::message::Health;

use super::ask::login;
use super::scripted::{drip, endless, lines, nobody, silent};

/// Long enough for a busy machine to notice a closed port.
const TIMEOUT: Duration = Duration::from_secs(1);

fn monitor() -> Login {
    login("monitor", "secret")
}

fn never() -> Dialogue {
    Dialogue { send: b"ping\r\n".to_vec(), expect: Some("never".parse().unwrap()) }
}

fn http(path: &str, tls: Option<Tls>) -> Box<Http> {
    Box::new(Http { tls, ..Http::get(path) })
}

fn database(tls: Option<Tls>) -> Database {
    Database { login: Some(monitor()), query: Some("SELECT 1".into()), tls, ..Database::default() }
}

fn ldap(tls: Option<Tls>) -> CheckKind {
    CheckKind::Ldap { login: Some(monitor()), base: Some("dc=example".into()), tls }
}

fn dns(tcp: bool) -> CheckKind {
    CheckKind::Dns { name: "example.com.".into(), record: "A".into(), expect: Vec::new(), tcp }
}

fn sip(tcp: bool) -> CheckKind {
    CheckKind::Sip { user: "director".into(), tcp }
}

/// By TCP, in all ways to begin; and by UDP.
pub fn kinds() -> (Vec<CheckKind>, Vec<CheckKind>) {
    let mut streams = vec![
        CheckKind::Tcp(never()),
        CheckKind::Tls(never(), Tls::default()),
        CheckKind::Http(http("/", None)),
        CheckKind::Http(http("/", Some(Tls::default()))),
        CheckKind::Proxy(http("http://www.example.com/", None)),
        CheckKind::Agent { send: Vec::new() },
        CheckKind::Ftp(Some(monitor())),
        CheckKind::Mysql(database(None)),
        CheckKind::Mysql(database(Some(Tls::default()))),
        CheckKind::Pgsql(database(None)),
        CheckKind::Pgsql(database(Some(Tls::default()))),
        ldap(None),
        ldap(Some(Tls::default())),
        dns(true),
        sip(true),
    ];
    for tls in [MailTls::Off, MailTls::Immediate(Tls::default()), MailTls::Upgrade(Tls::default())] {
        streams.extend([
            CheckKind::Smtp { helo: "director".into(), tls: tls.clone() },
            CheckKind::Pop3(Some(monitor()), tls.clone()),
            CheckKind::Imap(Some(monitor()), tls.clone()),
            CheckKind::Nntp(tls),
        ]);
    }
    let radius = CheckKind::Radius { login: Some(monitor()), secret: "secret".into() };
    let udp = CheckKind::Udp { send: b"ping".to_vec(), reply: Some("never".parse().unwrap()) };
    (streams, vec![dns(false), sip(false), radius, udp])
}

/// Answers each datagram with `answer`, and nothing where it is empty.
fn datagrams(answer: Vec<u8>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((_, from)) = socket.recv_from(&mut [0; 2048]) {
            if !answer.is_empty() {
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    address
}

/// A server that is no use.
pub struct Useless {
    name: &'static str,
    pub server: SocketAddr,
    pub protocol: Protocol,
    /// Words that must be in the reason; whatever they are where it is empty.
    words: &'static str,
}

/// One of each sort.
pub fn useless() -> Vec<Useless> {
    let late = "within 1s";
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tcp = |name, server, words| Useless { name, server, protocol: Protocol::Tcp, words };
    let udp = |name, server, words| Useless { name, server, protocol: Protocol::Udp, words };
    vec![
        tcp("nobody", nobody(), "connection refused"),
        tcp("silent", silent(), late),
        tcp("a byte at a time", drip("2"), ""),
        tcp("without end", endless("2", "2"), ""),
        tcp("lines without end", endless("220-x\r\n", "220-x\r\n"), ""),
        tcp("echo", lines(&["+\r\n"]), ""),
        udp("silent", datagrams(Vec::new()), late),
        udp("oversized", datagrams(vec![b'x'; 60_000]), ""),
        udp("a byte", datagrams(vec![0]), ""),
        udp("nobody", closed, "connection refused"),
    ]
}

/// The first verdict on each of these, and when the last one came.
fn verdicts(targets: &BTreeSet<Target>) -> (BTreeMap<Target, (Health, String)>, Duration) {
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found = runtime.block_on(async {
        let mut runner = Runner::new(1024);
        runner.set(began, targets);
        let mut found = BTreeMap::new();
        while found.len() < targets.len() {
            let verdict = tokio::time::timeout(Duration::from_secs(60), runner.next()).await.unwrap();
            let said = (verdict.health, verdict.reason.into_owned());
            found.entry(verdict.target).or_insert(said);
        }
        found
    });
    (found, began.elapsed())
}

fn target(server: SocketAddr, kind: &CheckKind) -> Target {
    let check = Check { interval: TIMEOUT, timeout: TIMEOUT, ..Check::new(kind.clone()) };
    Target::new(server, Arc::new(check))
}

#[test]
fn every_kind_finds_every_useless_server_down_in_time() {
    let (streams, packets) = kinds();
    let cases = useless();
    let of = |protocol| if protocol == Protocol::Tcp { &streams } else { &packets };
    let targets: BTreeSet<Target> = cases
        .iter()
        .flat_map(|case| of(case.protocol).iter().map(|kind| target(case.server, kind)))
        .collect();
    assert_eq!(targets.len(), 6 * streams.len() + 4 * packets.len());
    let (found, took) = verdicts(&targets);
    for Useless { name, server, protocol, words } in cases {
        for kind in of(protocol) {
            let (health, reason) = &found[&target(server, kind)];
            assert_eq!(*health, Health::Down, "{name}, {}: {reason}", kind.name());
            assert!(reason.contains(words) && !reason.is_empty(), "{name}, {}: {reason}", kind.name());
            assert!(reason.len() < 200, "{name}, {}: {} bytes of reason", kind.name(), reason.len());
        }
    }
    println!("{} verdicts in {took:?}", targets.len());
}
