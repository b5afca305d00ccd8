//! Time servers, receivers of logs and of alarms by their names: while DNS is not there yet, after a name has moved, and while DNS is
//! gone again. The name server is scripted, because it changes its mind; a real one answers the same codec in the tests of checks.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};

use director::ipc::client::ask;
use director::ipc::message::{Request, Status, TimeStatus};
use director::role::Role;
use director_lab::namespace::Namespace;

use crate::rig::{Director, PATIENCE, namespace};
use crate::time::{Script, serve};

/// Names and their addresses; `None`: nobody answers.
type Zone = Arc<Mutex<Option<BTreeMap<&'static str, Ipv4Addr>>>>;

/// A name server at 127.0.0.53.
fn name_server(ns: &Namespace) -> Zone {
    let zone = Zone::default();
    let kept = Arc::clone(&zone);
    let socket = ns.run(|| UdpSocket::bind("127.0.0.53:53").unwrap()).unwrap();
    std::thread::spawn(move || {
        let mut asked = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut asked) {
            if let Some(zone) = &*kept.lock().unwrap() {
                let _ = socket.send_to(&answer(&asked[..length], zone), from);
            }
        }
    });
    zone
}

/// RFC 1035 section 4.1: the question again, and an address where one is asked for and known.
fn answer(query: &[u8], zone: &BTreeMap<&'static str, Ipv4Addr>) -> Vec<u8> {
    let (mut labels, mut at) = (Vec::new(), 12);
    while query[at] != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..=at + length]).into_owned());
        at += length + 1;
    }
    let end = at + 5;
    let known = zone.get(labels.join(".").as_str());
    let address = known.filter(|_| query[at + 1..at + 3] == [0, 1]);
    let code = if known.is_some() { 0 } else { 3 };
    let mut said = [&query[..2], &[0x84, code, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]].concat();
    said.extend(&query[12..end]);
    if let Some(address) = address {
        said.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        said.extend(address.octets());
    }
    said
}

/// What arrives at port 514 of `address`, for as long as the test runs.
fn log_receiver(ns: &Namespace, address: &'static str) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let socket = ns.run(move || UdpSocket::bind((address, 514)).unwrap()).unwrap();
    std::thread::spawn(move || {
        let mut heard = [0; 4096];
        while let Ok((length, _)) = socket.recv_from(&mut heard) {
            kept.lock().unwrap().push(String::from_utf8_lossy(&heard[..length]).into_owned());
        }
    });
    lines
}

/// What is posted to port 8080 of `address`; the first so many requests are refused.
fn webhook(ns: &Namespace, address: &'static str, refused: usize) -> Arc<Mutex<Vec<String>>> {
    let posts = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&posts);
    let listener = ns.run(move || TcpListener::bind((address, 8080)).unwrap()).unwrap();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let (mut text, mut piece) = (String::new(), [0; 4096]);
            while !text.contains("\"alarms\":") {
                match stream.read(&mut piece) {
                    Ok(length @ 1..) => text.push_str(&String::from_utf8_lossy(&piece[..length])),
                    _ => break,
                }
            }
            let status = if number < refused { 503 } else { 200 };
            let _ = write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            kept.lock().unwrap().push(text);
        }
    });
    posts
}

fn time(director: &Director) -> Option<TimeStatus> {
    if let Some(Status::Time(status)) = director.status(Role::Time) { Some(status) } else { None }
}

fn syslog_problem(director: &Director) -> Option<String> {
    match director.status(Role::Notify) {
        Some(Status::Notify(status)) => status.syslog.into_iter().next()?.problem,
        _ => None,
    }
}

fn test_alarm(director: &Director) {
    ask(&director.run_dir, Role::Notify, &Request::NotifyTest { target: None }, PATIENCE).unwrap();
}

const CONFIG: &str = "[system]\ndns = [\"127.0.0.53\"]\nntp = [\"Time.test\"]\nsyslog = [\"udp://logs.test\"]\n\
    [[notify]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://hook.test:8080/alarm\"\ntimeout = \"10s\"\n";

#[test]
fn names_are_found_when_dns_is_there_and_kept_when_it_is_gone() {
    let Some(ns) = namespace("names") else { return };
    serve(&ns, "127.0.0.2", Script::Ahead(0));
    let (first, second) = (log_receiver(&ns, "127.0.0.3"), log_receiver(&ns, "127.0.0.4"));
    let (refusing, hook) = (webhook(&ns, "127.0.0.5", usize::MAX), webhook(&ns, "127.0.0.6", 0));
    let director = Director::start(ns, CONFIG);
    // Nobody answers at port 53.
    let why = director.until("the time server is not found", |it| time(it)?.problem);
    assert!(why.starts_with("time.test: 127.0.0.53: "), "{why}");
    let why = director.until("the receiver is not found", syslog_problem);
    assert!(why.starts_with("logs.test: 127.0.0.53: "), "{why}");

    let zone = name_server(&director.ns);
    let known = |last: [(&'static str, u8); 3]| {
        Some(last.map(|(name, last)| (name, Ipv4Addr::new(127, 0, 0, last))).into_iter().collect())
    };
    *zone.lock().unwrap() = known([("time.test", 2), ("logs.test", 3), ("hook.test", 5)]);
    let found =
        director.until("the clock is synchronised", |it| time(it).filter(|status| status.synchronised));
    let [server] = &found.servers[..] else { panic!("{found:?}") };
    assert_eq!(
        (server.address.to_string(), server.name.as_deref()),
        ("127.0.0.2".to_owned(), Some("time.test"))
    );
    director.until("logs arrive", |_| (!first.lock().unwrap().is_empty()).then_some(()));
    assert_eq!(syslog_problem(&director), None);

    // A webhook that has moved: it fails where it was, and its name is asked for again.
    test_alarm(&director);
    director.until("it fails at its first address", |_| (!refusing.lock().unwrap().is_empty()).then_some(()));
    *zone.lock().unwrap() = known([("time.test", 2), ("logs.test", 4), ("hook.test", 6)]);
    let post = director.until("it is found again", |_| hook.lock().unwrap().first().cloned());
    assert!(
        post.contains("POST /alarm HTTP/1.1\r\n") && post.to_lowercase().contains("host: hook.test:8080"),
        "{post}"
    );
    assert!(director.log().contains("name resolved: name=hook.test address=127.0.0.6"), "{}", director.log());
    assert!(second.lock().unwrap().is_empty(), "whose receiver works is left where it is");

    // DNS is gone: what was found last is good enough.
    *zone.lock().unwrap() = None;
    test_alarm(&director);
    director.until("it still arrives", |_| (hook.lock().unwrap().len() > 1).then_some(()));
    assert!(time(&director).unwrap().synchronised);
}

#[test]
fn the_check_says_where_a_name_server_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("director.toml");
    let check = |text: &str| {
        std::fs::write(&file, format!("version = 1\n{text}")).unwrap();
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_director"))
            .arg("check")
            .arg(&file)
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stderr).unwrap()
    };
    assert_eq!(check(CONFIG), "");
    let said = check(&CONFIG.replace("dns = [\"127.0.0.53\"]\n", ""));
    for words in
        ["`ntp` in [system]: the name \"time.test\"", "`syslog` in [system]", "`url` of hook in [[notify]]"]
    {
        assert!(
            said.contains(words) && said.contains("needs a name server, and there is none: `dns`"),
            "{said}"
        );
    }
    let addresses = "[system]\nntp = [\"192.168.61.1\"]\nsyslog = [\"udp://[2001:db8::9]\"]\n";
    assert_eq!(check(addresses), "");
}
