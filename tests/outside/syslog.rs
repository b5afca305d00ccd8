//! Logs to rsyslog of Debian, by UDP and TCP.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};

use director::ipc::client::ask;
use director::ipc::message::{Reply, Request, Status};
use director::role::Role;
use director_lab::namespace::Namespace;
use director_lab::peer::{Daemon, Peer};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::rig::{Director, PATIENCE, namespace};

const CONFIG: &str = "[system]\nsyslog = [\"udp://127.0.0.1:514\", \"tcp://127.0.0.1:601\"]\n";

/// rsyslogd in `ns`; it writes what comes by UDP to `udp` in `folder`, and what comes by TCP to `tcp`.
fn rsyslog(ns: &Namespace, folder: &Path) -> Daemon {
    let peer = Peer::fetch(&["rsyslog", "libestr0", "libfastjson4"]).unwrap();
    let place = folder.display();
    let config = format!(
        "module(load=\"imudp\")\nmodule(load=\"imtcp\")\nglobal(maxMessageSize=\"16k\")\n\
         template(name=\"t\" type=\"string\" string=\"%pri% %hostname% %app-name% %procid% %msgid% %structured-data% |%msg%\\n\")\n\
         ruleset(name=\"udp\") {{ action(type=\"omfile\" file=\"{place}/udp\" template=\"t\") }}\n\
         ruleset(name=\"tcp\") {{ action(type=\"omfile\" file=\"{place}/tcp\" template=\"t\") }}\n\
         input(type=\"imudp\" address=\"127.0.0.1\" port=\"514\" ruleset=\"udp\")\n\
         input(type=\"imtcp\" address=\"127.0.0.1\" port=\"601\" ruleset=\"tcp\")\n"
    );
    let file = folder.join("rsyslog.conf");
    fs::write(&file, config).unwrap();
    let log = folder.join("rsyslog.log");
    ns.run(move || {
        let mut command = peer.command("usr/sbin/rsyslogd");
        command.args(["-n", "-iNONE", "-f"]).arg(file).arg("-M");
        command.arg(peer.path("usr/lib/x86_64-linux-gnu/rsyslog"));
        Daemon::listening(command, &log, "127.0.0.1:601".parse().unwrap()).unwrap()
    })
    .unwrap()
}

/// Every line that the supervisor keeps, in order.
fn kept(director: &Director) -> Vec<String> {
    let request = Request::Follow { era: 0, after: 0, lines: 100_000 };
    let Ok(Reply::Followed(part)) = ask(&director.run_dir, Role::Init, &request, PATIENCE) else {
        panic!("no lines")
    };
    part.lines.into_iter().map(|(_, line)| format!("{} {}", line.role, line.text)).collect()
}

/// What a receiver has written: who said it, and what.
fn received(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let plain = |line: &str| {
        let (head, said) = line.split_once(" |")?;
        Some(format!("{} {said}", head.split(' ').nth(3)?))
    };
    text.lines().filter_map(plain).collect()
}

#[track_caller]
fn all_arrives(director: &Director, folder: &Path) {
    for way in ["udp", "tcp"] {
        director.until(&format!("every line, in order and once, by {way}"), |it| {
            (received(&folder.join(way)) == kept(it)).then_some(())
        });
    }
}

#[test]
fn every_line_since_the_start_arrives_in_order_and_once() {
    let Some(ns) = namespace("syslog") else { return };
    let director = Director::start(ns, CONFIG);
    let folder = tempfile::tempdir().unwrap();
    let problems = |it: &Director| match it.status(Role::Notify) {
        Some(Status::Notify(status)) => {
            Some(status.syslog.into_iter().filter_map(|one| one.problem).collect::<Vec<_>>())
        }
        _ => None,
    };
    director.until("nobody takes them yet", |it| problems(it).filter(|found| found.len() == 2));

    let daemon = rsyslog(&director.ns, folder.path());
    all_arrives(&director, folder.path());
    let first = fs::read_to_string(folder.path().join("tcp")).unwrap();
    let active = first.lines().find(|line| line.contains("configuration active")).unwrap();
    assert!(
        active.starts_with("30 ")
            && active.contains(" director store configuration-active [director@32473 generation=\"1\""),
        "{active}"
    );

    // A worker that dies goes on where it was.
    let Some(Status::Init(init)) = director.status(Role::Init) else { panic!("no status") };
    let pid =
        init.workers.iter().find(|worker| worker.role == Role::Notify).and_then(|worker| worker.pid).unwrap();
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    director.until("its death is told", |it| {
        kept(it).iter().any(|line| line.contains("worker=notify")).then_some(())
    });
    all_arrives(&director, folder.path());

    // What is said while the receiver is away arrives later; what is said again is counted.
    drop(daemon);
    for _ in 0..5 {
        director.reload(CONFIG);
    }
    director.reload(
        "[system]\nhostname = \"lb1\"\nsyslog = [\"udp://127.0.0.1:514\", \"tcp://127.0.0.1:601\"]\n",
    );
    let _daemon = rsyslog(&director.ns, folder.path());
    director.until("the count arrives", |_| {
        let lines = received(&folder.path().join("tcp"));
        lines.iter().any(|line| line == "store last message repeated 4 times").then_some(())
    });
    director
        .until("every line by TCP", |it| (received(&folder.path().join("tcp")) == kept(it)).then_some(()));
}

/// A receiver whose host loses its power says nothing, not even that the connection is gone.
#[test]
fn what_a_silent_receiver_never_acknowledged_is_sent_again() {
    let (Some(ns), Some(far)) = (namespace("silent"), namespace("silentfar")) else { return };
    ns.ip(&format!("link add d0 type veth peer name d1 netns {}", far.path())).unwrap();
    for (side, address, link) in [(&ns, "192.0.2.1/24", "d0"), (&far, "192.0.2.2/24", "d1")] {
        side.ip(&format!("address add {address} dev {link}")).unwrap();
        side.ip(&format!("link set {link} up")).unwrap();
    }
    let listener = far.run(|| std::net::TcpListener::bind("192.0.2.2:601").unwrap()).unwrap();
    let frames = Arc::new(Mutex::new(String::new()));
    let kept_frames = Arc::clone(&frames);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let frames = Arc::clone(&kept_frames);
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    frames.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
                }
            });
        }
    });
    let config =
        |name: &str| format!("[system]\nhostname = \"{name}\"\nsyslog = [\"tcp://192.0.2.2:601\"]\n");
    let director = Director::start(ns, &config("a"));
    let has = |what: &'static str| {
        let frames = Arc::clone(&frames);
        move |_: &Director| frames.lock().unwrap().contains(what).then_some(())
    };
    director.until("it is told", has("generation=1 "));
    far.ip("link set d1 down").unwrap();
    director.reload(&config("b"));
    director.until("it is noticed", |it| match it.status(Role::Notify) {
        Some(Status::Notify(status)) => status.syslog[0].problem.clone(),
        _ => None,
    });
    far.ip("link set d1 up").unwrap();
    director.until("nothing is lost", has("configuration active: generation=2"));
    director.until("no line is missing", |it| {
        let said = frames.lock().unwrap();
        kept(it).iter().all(|line| said.contains(line.split_once(' ').unwrap().1)).then_some(())
    });
}
