//! Many probes leave no socket and no memory behind.

use std::sync::Arc;
use std::time::Duration;

use director::check::probe::probe;
use director::check::tls::Clients;
use director::check::{Outcome, Target};
use director::config::model::{Check, CheckKind, Dialogue, Http, MailTls, Tls};

use super::nginx::Nginx;
use super::scripted::{lines, nobody};

/// How many probes, unless `DIRECTOR_PROBES` says so.
const PROBES: usize = 20_000;

/// More than any of them takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Resident memory that is not of a file, in KiB.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Runs in a process of its own, where nobody else opens sockets.
#[test]
fn many_probes_leave_nothing_behind() {
    const ALONE: &str = "DIRECTOR_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return ask_many();
    }
    let own = std::env::current_exe().unwrap();
    let mut command = std::process::Command::new(own);
    command.args(["--exact", "many::many_probes_leave_nothing_behind", "--nocapture", "--test-threads=1"]);
    let out = command.env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}");
    eprintln!("{}", said.lines().filter(|line| line.contains(": ")).collect::<Vec<_>>().join("\n"));
}

fn ask_many() {
    let Some((authority, nginx, secure)) = Nginx::trusted("") else { return };
    let probes = std::env::var("DIRECTOR_PROBES").ok().and_then(|n| n.parse().ok()).unwrap_or(PROBES);
    let name = Some("www.example.com".to_owned());
    let tls = Tls { name, ca: Some(authority.pem()), ..Tls::default() };
    let dialogue =
        Dialogue { send: b"GET / HTTP/1.0\r\n\r\n".to_vec(), expect: Some("good".parse().unwrap()) };
    let page = |path: &str, tls| Http { expect: Some("good".parse().unwrap()), tls, ..Http::get(path) };
    let smtp = lines(&["220 mx\r\n", "250 mx\r\n", "221 bye\r\n"]);
    let clear = nginx.clear;
    // Eight cheap ones for each two of TLS.
    let kinds = [
        (clear, CheckKind::Tcp(Dialogue::default()), true),
        (clear, CheckKind::Tcp(dialogue.clone()), true),
        (clear, CheckKind::Http(Box::new(Http::get("/"))), true),
        (clear, CheckKind::Http(Box::new(page("/", None))), true),
        (secure, CheckKind::Tls(Dialogue::default(), tls.clone()), true),
        (nobody(), CheckKind::Tcp(dialogue.clone()), false),
        (clear, CheckKind::Http(Box::new(Http::get("/busy"))), false),
        (clear, CheckKind::Tls(Dialogue::default(), tls.clone()), false),
        (smtp, CheckKind::Smtp { helo: "director".into(), tls: MailTls::Off }, true),
        (secure, CheckKind::Http(Box::new(page("/", Some(tls)))), true),
    ];
    let targets: Vec<(Target, bool)> = kinds
        .into_iter()
        .map(|(address, kind, good)| (Target::new(address, Arc::new(Check::new(kind))), good))
        .collect();
    let clients = Clients::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |count: usize| {
        runtime.block_on(async {
            for (target, good) in targets.iter().cycle().take(count) {
                let answer = tokio::time::timeout(PATIENCE, probe(target, &clients)).await;
                assert!(answer.is_ok(), "a probe that takes so long hangs");
                assert_eq!(matches!(answer, Ok(Outcome::Success(_))), *good, "{answer:?}");
            }
        });
    };
    ask(probes / 10);
    let (before, open) = (memory(), descriptors());
    ask(probes);
    let (after, still_open) = (memory(), descriptors());
    eprintln!("memory after {} probes: {before} KiB, after {probes} more: {after} KiB", probes / 10);
    // The server of this test lets go of its ends a moment later.
    assert!(still_open <= open + 10, "{open} descriptors, then {still_open}");
    assert!(after < before + 1024, "{before} KiB, then {after} KiB");
}
