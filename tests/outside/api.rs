//! Metrics, status and page, as their readers get them.

use std::io::Write;
use std::process::Stdio;

use director::ipc::message::Status;
use director::role::Role;
use director_lab::peer::Peer;

use crate::rig::{Director, namespace};

const PLACE: &str = "127.0.0.1:9100";
const API: &str = "[api]\nlisten = \"127.0.0.1:9100\"\nallow = [\"127.0.0.0/8\"]\n";

fn started(test: &str) -> Option<Director> {
    let director = Director::start(namespace(test)?, API);
    director.until("everybody answers", |it| it.get(PLACE, "/healthz").filter(|(_, body)| body == "ok\n"));
    Some(director)
}

#[test]
fn prometheus_takes_the_metrics() {
    let Some(director) = started("metrics") else { return };
    let (head, body) = director.get(PLACE, "/metrics").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("version=0.0.4"), "{head}");
    assert!(body.contains("\ndirector_worker_running{role=\"vrrp\",tty=\"\"} 1\n"), "{body}");

    let peer = Peer::fetch(&["prometheus"]).unwrap();
    let mut promtool = peer.command("usr/bin/promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = promtool.spawn().unwrap();
    // Beside what this box has, every family that there is.
    let whole = full_metrics();
    process.stdin.take().unwrap().write_all(whole.as_bytes()).unwrap();
    let said = process.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&said.stderr) + String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success() && words.trim().is_empty(), "{words}\n{whole}");
}

/// The metrics of a box that has everything.
fn full_metrics() -> String {
    use director::api::collect::{ASKED, Everything, Said};
    use director::ipc::report::Report;
    let whole: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&include_str!("status.json").replace("\"@CONNECTIONS@\"", "7")).unwrap();
    let roles = ASKED.map(|role| {
        let said = match serde_json::from_value(whole[role.name()].clone()).unwrap() {
            Status::Lvs(status) => Said::Report(Report::of(status).unwrap()),
            status => Said::Status(Box::new(status)),
        };
        (role, Ok(said))
    });
    let devices = vec![director::api::devices::Device { name: "eth0".to_owned(), counters: [1; 8] }];
    let everything = Everything::new(std::time::SystemTime::UNIX_EPOCH, roles.into(), devices);
    let pieces = director::api::metrics::pieces(&everything);
    let text: String = pieces.iter().map(|piece| std::str::from_utf8(piece).unwrap()).collect();
    assert!(text.matches("# TYPE ").count() > 50, "{text}");
    text
}

#[test]
fn nothing_listens_unless_the_file_says_so_and_only_for_whom_it_says() {
    let Some(ns) = namespace("listens") else { return };
    let director = Director::start(ns, "");
    director.until("api answers", |it| it.status(Role::Api));
    let open = director.ns.run(|| std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap()).unwrap();
    assert_eq!(open.lines().count(), 1, "{open}");

    director.reload(API);
    director.until("it listens", |it| it.get(PLACE, "/healthz"));
    director.reload(
        "[api]\nlisten = [\"127.0.0.1:9100\", \"[::1]:9100\"]\nallow = [\"192.0.2.0/24\", \"::1\"]\n",
    );
    director.until("it is closed to us", |it| {
        it.exchange(PLACE, "GET / HTTP/1.1\r\n\r\n").filter(String::is_empty)
    });
    let (head, _) = director.until("IPv6 is open", |it| it.get("[::1]:9100", "/status"));
    assert!(head.contains("application/json"), "{head}");
    let Some(Status::Api(status)) = director.status(Role::Api) else { panic!("no status") };
    assert!(status.refused > 0 && status.requests > 0 && status.listening.len() == 2, "{status:?}");

    director.reload("");
    director.until("it listens no more", |it| it.exchange(PLACE, "").is_none().then_some(()));
}

#[test]
fn it_is_read_only_and_bounded() {
    let Some(director) = started("bounded") else { return };
    let post = director.exchange(PLACE, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("allow: GET, HEAD"), "{post}");
    let head = director.exchange(PLACE, "HEAD /status HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(20_000));
    let long = director.exchange(PLACE, &long).unwrap();
    assert!(long.is_empty() || long.starts_with("HTTP/1.1 4"), "{long}");
    let garbage = director.exchange(PLACE, "\x16\x03\x01\x02\r\n\r\n").unwrap();
    assert!(garbage.is_empty() || garbage.starts_with("HTTP/1.1 400"), "{garbage}");

    // Sixty clients that say nothing hold every place for as long as a header may take; whoever waits is answered then.
    let silent = director
        .ns
        .run(|| (0..60).map(|_| std::net::TcpStream::connect(PLACE).unwrap()).collect::<Vec<_>>())
        .unwrap();
    let (_, page) = director.get(PLACE, "/").unwrap();
    assert!(page.ends_with("</html>\n"), "{page}");
    drop(silent);
}
