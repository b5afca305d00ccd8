//! Health checks against real servers on the loopback: nginx, and servers that misbehave in each known way.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use director::check::plan::Verdict;
use director::check::runner::{Runner, probes_allowed};
use director::check::tls::Clients;
use director::check::{Outcome, Target, http, tcp};
use director::config::model::{Check, CheckKind, Dialogue, Http};
use director::ipc::message::Health;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

const TIMEOUT: Duration = Duration::from_millis(300);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn check(kind: CheckKind) -> Check {
    Check { interval: Duration::from_millis(500), timeout: TIMEOUT, ..Check::new(kind) }
}

fn get(path: &str) -> CheckKind {
    CheckKind::Http(Box::new(Http { status: vec![(200, 200)], ..Http::get(path) }))
}

/// The first verdict on a server, and the time it took.
fn verdict(server: SocketAddr, kind: CheckKind) -> (Health, String, Duration) {
    let started = Instant::now();
    let target = Target::new(server, Arc::new(check(kind)));
    let verdict = block_on(async {
        let mut runner = Runner::new(16);
        runner.set(started, &BTreeSet::from([target]));
        tokio::time::timeout(Duration::from_secs(5), runner.next()).await.unwrap()
    });
    (verdict.health, verdict.reason.into_owned(), started.elapsed())
}

fn assert_down(server: SocketAddr, kind: CheckKind, reason: &str) {
    let (health, why, took) = verdict(server, kind);
    assert_eq!((health, why.as_str()), (Health::Down, reason));
    assert!(took < TIMEOUT * 3, "{took:?}");
}

/// A server that treats each connection by `serve`, on its own thread, until the test program ends.
fn serve(serve: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

fn respond(mut stream: TcpStream, response: &[u8]) {
    let _ = stream.read(&mut [0; 1024]);
    let _ = stream.write_all(response);
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// nginx on a free port of every loopback address, in a folder of its own.
struct Nginx {
    child: Child,
    _folder: tempfile::TempDir,
    port: u16,
}

impl Nginx {
    /// `None`, having said so, where nginx is not installed.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = format!(
            "daemon off; master_process off; pid {0}/pid; error_log stderr crit; worker_rlimit_nofile 4096;
             events {{ worker_connections 2048; }}
             http {{
               access_log off;
               client_body_temp_path {0}/a; proxy_temp_path {0}/b; fastcgi_temp_path {0}/c;
               uwsgi_temp_path {0}/d; scgi_temp_path {0}/e;
               server {{
                 listen 0.0.0.0:{port} backlog=4096; listen [::1]:{port};
                 location = / {{ return 200 'good'; }}
                 location = /moved {{ return 301 /; }}
                 location = /busy {{ return 503; }}
                 location = /agent {{ if ($http_user_agent != director) {{ return 400; }} return 200; }}
                 location = /host {{ if ($http_host != www.example.com) {{ return 400; }} return 200; }}
               }}
             }}",
            folder.path().display()
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let child = Command::new("nginx").arg("-c").arg(&file).stderr(Stdio::null()).spawn();
        let Ok(child) = child else {
            eprintln!("skipped: nginx is not installed (Debian package nginx-light)");
            return None;
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < deadline, "nginx does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(Self { child, _folder: folder, port })
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_good_server_is_up_at_once() {
    let Some(nginx) = Nginx::start() else { return };
    let (health, reason, took) = verdict(nginx.address(), get("/"));
    assert_eq!((health, reason.as_str()), (Health::Up, "200 OK"));
    assert!(took < Duration::from_millis(200), "{took:?}");
    assert_eq!(verdict(nginx.address(), CheckKind::Tcp(Dialogue::default())).1, "connected");
    assert_eq!(verdict(nginx.address(), get("/agent")).1, "200 OK");
}

#[test]
fn ipv6_is_asked_the_same_way() {
    let Some(nginx) = Nginx::start() else { return };
    let address = format!("[::1]:{}", nginx.port).parse().unwrap();
    assert_eq!(verdict(address, get("/")).1, "200 OK");
    assert_eq!(verdict(address, CheckKind::Tcp(Dialogue::default())).1, "connected");
}

#[test]
fn a_wrong_status_names_both() {
    let Some(nginx) = Nginx::start() else { return };
    assert_down(nginx.address(), get("/busy"), "status 503, wanted 200");
    assert_down(nginx.address(), get("/moved"), "status 301, wanted 200");
    assert_down(nginx.address(), get("/missing"), "status 404, wanted 200");
    let wide = CheckKind::Http(Box::new(Http { status: vec![(200, 299), (503, 503)], ..Http::get("/busy") }));
    assert_eq!(verdict(nginx.address(), wide).1, "503 Service Unavailable");
}

#[test]
fn the_host_header_is_sent() {
    let Some(nginx) = Nginx::start() else { return };
    let host = CheckKind::Http(Box::new(Http {
        host: Some("www.example.com".into()),
        status: vec![(200, 200)],
        ..Http::get("/host")
    }));
    assert_eq!(verdict(nginx.address(), host).1, "200 OK");
    assert_down(nginx.address(), get("/host"), "status 400, wanted 200");
}

#[test]
fn nobody_there() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    assert_down(address, CheckKind::Tcp(Dialogue::default()), "connection refused");
    assert_down(address, get("/"), "connection refused");
}

#[test]
fn a_silent_server_is_bounded_by_the_timeout() {
    let address = serve(|stream| {
        std::thread::sleep(Duration::from_secs(30));
        drop(stream);
    });
    assert_down(address, get("/"), "no answer within 300ms");
    assert_eq!(verdict(address, CheckKind::Tcp(Dialogue::default())).1, "connected", "TCP asks for no more");
}

#[test]
fn dropped_syns_are_bounded_by_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let mut fill = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        fill.push(stream);
        assert!(fill.len() < 10, "the backlog does not fill");
    }
    assert_down(address, CheckKind::Tcp(Dialogue::default()), "no answer within 300ms");
    assert_down(address, get("/"), "no answer within 300ms");
}

#[test]
fn a_slow_drip_is_bounded_by_the_timeout() {
    let address = serve(|mut stream| {
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'a')) {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert_down(address, get("/"), "no answer within 300ms");
}

#[test]
fn a_header_is_bounded_in_size() {
    let address = serve(|stream| {
        let mut response = b"HTTP/1.1 200 OK\r\nX-Large: ".to_vec();
        response.resize(64 * 1024, b'a');
        respond(stream, &response);
    });
    assert_down(address, get("/"), "not HTTP: header larger than 16 KiB");
    let address = serve(|stream| {
        let mut response = "HTTP/1.1 200 OK\r\n".to_owned();
        (0..500).for_each(|n| response.push_str(&format!("X-{n}: a\r\n")));
        respond(stream, (response + "\r\n").as_bytes());
    });
    assert_down(address, get("/"), "not HTTP: header larger than 16 KiB");
}

#[test]
fn an_endless_body_costs_nothing() {
    let address = serve(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'a'; 4096]).is_ok() {}
    });
    let (_, reason, took) = verdict(address, get("/"));
    assert_eq!(reason, "200 OK");
    assert!(took < TIMEOUT, "{took:?}");
}

#[test]
fn garbage_is_not_http() {
    let address = serve(|stream| respond(stream, b"SSH-2.0-OpenSSH_9.2p1\r\n"));
    let (health, reason, _) = verdict(address, get("/"));
    assert_eq!((health, reason.starts_with("not HTTP: ")), (Health::Down, true), "{reason}");
}

#[test]
fn an_early_end_is_told_from_a_reset() {
    let closes = serve(|stream| respond(stream, b""));
    assert_down(closes, get("/"), "connection closed without an answer");
    let closes = serve(|stream| respond(stream, b"HTTP/1.1 200 OK\r\nX-Half: "));
    assert_down(closes, get("/"), "connection closed without an answer");
    let resets = serve(|mut stream| {
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        let _ = stream.read(&mut [0; 1024]);
    });
    assert_down(resets, get("/"), "connection reset");
}

#[test]
fn rise_and_fall_are_seen_on_the_wire() {
    let port = free_port();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let target = Target::new(
        address,
        Arc::new(Check {
            interval: Duration::from_millis(100),
            timeout: Duration::from_millis(100),
            ..Check::new(CheckKind::Tcp(Dialogue::default()))
        }),
    );
    block_on(async {
        let mut runner = Runner::new(4);
        runner.set(Instant::now(), &BTreeSet::from([target.clone()]));
        assert_eq!(runner.next().await.health, Health::Down);
        let listener = TcpListener::bind(address).unwrap();
        let bound = Instant::now();
        assert_eq!(runner.next().await.health, Health::Up);
        assert!(bound.elapsed() < Duration::from_secs(1), "{:?}", bound.elapsed());
        let closed = Instant::now();
        drop(listener);
        let down = runner.next().await;
        assert_eq!((down.health, down.reason.as_ref()), (Health::Down, "connection refused"));
        let took = closed.elapsed();
        assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(1), "{took:?}");
        let standing = runner.standing(&target).unwrap();
        assert!(standing.answered.is_some() && standing.latency.is_some());
    });
}

#[test]
fn many_probes_leave_nothing_behind() {
    let Some(nginx) = Nginx::start() else { return };
    let connect = Dialogue::default();
    let target = |port| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Target::new(address, Arc::new(check(CheckKind::Tcp(Dialogue::default()))))
    };
    let (good, refused) = (target(nginx.port), target(free_port()));
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    block_on(async {
        assert_eq!(tcp::probe(&good, &connect).await, Outcome::Success("connected".into()));
        let before = descriptors();
        let cpu = || {
            let used = getrusage(UsageWho::RUSAGE_SELF).unwrap();
            Duration::from_micros(
                (used.user_time() + used.system_time()).num_microseconds().try_into().unwrap(),
            )
        };
        let began = cpu();
        for _ in 0..6000 {
            assert_eq!(tcp::probe(&good, &connect).await, Outcome::Success("connected".into()));
        }
        let each = (cpu() - began) / 6000;
        eprintln!("processor time of one TCP check: {each:?} (other tests of this process included)");
        for _ in 0..2000 {
            assert_eq!(tcp::probe(&refused, &connect).await, Outcome::Failure("connection refused".into()));
            let answer = http::probe(&good, &Clients::default(), &Http::get("/")).await;
            assert_eq!(answer, Outcome::Success("200 OK".into()));
        }
        // Other tests of this process open descriptors at the same time; ten thousand probes would show.
        assert!(descriptors() < before + 100, "{before} then {}", descriptors());
    });
    // Columns: number, local address, remote address, state (6 = TIME-WAIT). HTTP closes in order, the server first, so what
    // waits is the server's, never ours.
    let ours = format!(":{:04X} 06", nginx.port);
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let waiting = sockets.lines().filter(|line| line.contains(&ours)).count();
    assert!(waiting < 10, "{waiting} connections in TIME-WAIT");
}

#[test]
fn two_thousand_targets_are_all_known_within_an_interval_and_then_steady() {
    let Some(nginx) = Nginx::start() else { return };
    let interval = Duration::from_secs(2);
    let check = Arc::new(Check {
        interval,
        timeout: Duration::from_secs(1),
        ..check(CheckKind::Tcp(Dialogue::default()))
    });
    let targets: BTreeSet<Target> = (0..2000_u16)
        .map(|n| {
            let [high, low] = n.to_be_bytes();
            Target::new(SocketAddr::from(([127, 1, high, low], nginx.port)), check.clone())
        })
        .collect();
    block_on(async {
        let mut runner = Runner::new(probes_allowed());
        let started = Instant::now();
        runner.set(started, &targets);
        let mut known: Vec<Verdict> = Vec::new();
        while known.len() < 2000 {
            known.push(tokio::time::timeout(Duration::from_secs(10), runner.next()).await.unwrap());
        }
        assert!(
            known.iter().all(|v| v.health == Health::Up),
            "{:?}",
            known.iter().find(|v| v.health != Health::Up)
        );
        eprintln!("2000 targets known after {:?}", started.elapsed());
        let more = tokio::time::timeout(interval * 2, runner.next()).await;
        assert!(more.is_err(), "{more:?}");
        assert_eq!(runner.overdue(Instant::now()).count(), 0);
        let now = Instant::now();
        let ages = targets.iter().map(|t| now - runner.standing(t).unwrap().answered.unwrap());
        let recent = ages.filter(|age| *age < interval / 4).count();
        assert!((300..700).contains(&recent), "a quarter of the interval sees {recent} of 2000");
    });
}
