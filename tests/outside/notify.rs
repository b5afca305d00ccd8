//! Alarms to Exim of Debian, to a webhook that fails twice, and to a program: all arrive, in order and once.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64ct::{Base64, Encoding};
use director::ipc::client::ask;
use director::ipc::message::{Alarm, AlarmKind, Request, RouterOrder, Status};
use director::role::Role;
use director_lab::namespace::Namespace;
use director_lab::peer::{Daemon, Peer};
use hmac::{Hmac, KeyInit, Mac};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::authority::Authority;
use crate::rig::{Director, PATIENCE, namespace};

const SECRET: &str = "correct horse";

/// A request that a webhook got, and how it answered.
pub struct Post {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

#[derive(serde::Deserialize)]
struct Body {
    version: u32,
    alarms: Vec<Alarm>,
}

/// A webhook that answers 500 twice and then 200.
pub fn webhook(ns: &Namespace) -> Arc<Mutex<Vec<Post>>> {
    let posts = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&posts);
    let listener = ns.run(|| TcpListener::bind("127.0.0.1:8080").unwrap()).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut kept = kept.lock().unwrap();
            let status = if kept.len() < 2 { 500 } else { 200 };
            if let Some(post) = converse(stream.unwrap(), status) {
                kept.push(post);
            }
        }
    });
    posts
}

fn converse(stream: TcpStream, status: u16) -> Option<Post> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    write!(reader.get_mut(), "HTTP/1.1 {status} Fine\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .ok()?;
    Some(Post { status, head, body })
}

/// Exim in `ns`, for whoever logs in through TLS; it puts mail into the file `inbox` of `folder`.
fn exim(ns: &Namespace, folder: &Path, authority: &Authority) -> Daemon {
    let own = authority.good("mail.example.com");
    let copy = |file: &PathBuf| {
        let copy = folder.join(file.file_name().unwrap());
        fs::copy(file, &copy).unwrap();
        fs::set_permissions(&copy, Permissions::from_mode(0o644)).unwrap();
        copy
    };
    let config = format!(
        "primary_hostname = mail.example.com\nspool_directory = /var/spool/exim4\nlog_file_path = /var/spool/exim4/%slog\n\
         local_interfaces = 127.0.0.1\ndaemon_smtp_ports = 25\ntls_advertise_hosts = *\ntls_certificate = {}\n\
         tls_privatekey = {}\nacl_smtp_rcpt = rcpt\nkeep_environment =\nnever_users =\nhost_lookup =\nrfc1413_hosts =\n\
         begin acl\nrcpt:\n  require authenticated = *\n  deny local_parts = gone\n  accept\n\
         begin routers\nall:\n  driver = accept\n  transport = file\n\
         begin transports\nfile:\n  driver = appendfile\n  file = {}/inbox\n  user = Debian-exim\n  mode = 0644\n\
         begin authenticators\nplain:\n  driver = plaintext\n  public_name = PLAIN\n  server_prompts = :\n\
         \x20 server_condition = ${{if and {{{{eq{{$auth2}}{{lb1}}}}{{eq{{$auth3}}{{{SECRET}}}}}}}}}\n\
         \x20 server_advertise_condition = ${{if def:tls_in_cipher}}\n",
        copy(&own.certificate).display(),
        copy(&own.key).display(),
        folder.display()
    );
    let etc = folder.join("etc");
    fs::create_dir_all(etc.join("exim4")).unwrap();
    for (file, line) in [
        ("passwd", "Debian-exim:x:64900:64900::/nonexistent:/bin/false\n"),
        ("group", "Debian-exim:x:64900:\n"),
    ] {
        let text = fs::read_to_string(Path::new("/etc").join(file)).unwrap();
        fs::write(etc.join(file), text + line).unwrap();
    }
    fs::write(etc.join("exim4/exim4.conf"), config).unwrap();
    let log = folder.join("exim.log");
    ns.run(move || {
        let peer = Peer::fetch(&["exim4-daemon-light", "libgnutls-dane0", "libidn12"]).unwrap();
        let mut command = peer.installed(&etc, &["/run/exim4", "/var/spool/exim4"], "sh");
        command.args(["-c", "chown 64900 /var/spool/exim4 && exec exim4 -bdf"]);
        Daemon::listening(command, &log, "127.0.0.1:25".parse().unwrap()).unwrap()
    })
    .unwrap()
}

/// What the mails in `inbox` say, line by line, and how many there are.
fn mails(inbox: &Path) -> (Vec<String>, usize) {
    let text = fs::read_to_string(inbox).unwrap_or_default();
    let mut lines = Vec::new();
    let parts: Vec<&str> = text.split("Content-Transfer-Encoding: base64\n").skip(1).collect();
    for part in &parts {
        let coded: String = part.trim_start().split("\n\n").next().unwrap().split_whitespace().collect();
        let plain = String::from_utf8(Base64::decode_vec(&coded).unwrap()).unwrap();
        lines.extend(plain.lines().filter(|line| line.contains(" UTC  ")).map(str::to_owned));
    }
    (lines, parts.len())
}

fn folder_for_all() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    folder
}

fn config(folder: &Path, authority: &Authority) -> String {
    format!(
        "[system]\nhooks = true\n[[interface]]\nname = \"d0\"\naddresses = [\"192.0.2.1/24\"]\n\
         [[vrrp]]\nname = \"VI_1\"\ninterface = \"d0\"\nvrid = 51\ninterval = \"100ms\"\naddresses = [\"192.0.2.9/32\"]\n\
         [[notify]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:8080/hook?x=1\"\nsecret = \"{SECRET}\"\n\
         [[notify]]\nname = \"program\"\ntype = \"exec\"\nevents = [\"vrrp\"]\ncommand = [\"{0}/program\", \"--own\"]\n\
         [[notify]]\nname = \"mail\"\ntype = \"mail\"\nserver = \"127.0.0.1:25\"\nfrom = \"lb1@example.com\"\n\
         to = [\"gone@example.com\", \"a@example.com\"]\nstarttls = true\nuser = \"lb1\"\npassword = \"{SECRET}\"\ndigest = \"500ms\"\n\
         [notify.tls]\nname = \"mail.example.com\"\nca = \"\"\"\n{1}\"\"\"\n",
        folder.display(),
        authority.pem()
    )
}

const STATES: [&str; 5] = ["backup", "master", "fault", "backup", "master"];

#[test]
fn everybody_is_told_everything_in_order_and_once() {
    let (Some(ns), Some(authority)) = (namespace("notify"), Authority::new()) else { return };
    ns.ip("link add d0 type veth peer name d1").unwrap();
    // There from the beginning, so that the first state is no fault.
    for order in ["link set d1 up", "link set d0 up", "address add 192.0.2.1/24 dev d0"] {
        ns.ip(order).unwrap();
    }
    let folder = folder_for_all();
    let program = folder.path().join("program");
    // Slow at first, so that what follows has to wait for its end.
    let script = "#!/bin/sh\necho \"begin $*\" >> ${0%/*}/told\n[ $4 = BACKUP ] && sleep 0.3\necho end >> ${0%/*}/told\nid -u\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let posts = webhook(&ns);
    let _exim = exim(&ns, folder.path(), &authority);
    let director = Director::start(ns, &config(folder.path(), &authority));

    // The worker dies while nothing is delivered yet.
    director.until("a first attempt", |_| (!posts.lock().unwrap().is_empty()).then_some(()));
    let Some(Status::Init(init)) = director.status(Role::Init) else { panic!("no status") };
    let pid =
        init.workers.iter().find(|worker| worker.role == Role::Notify).and_then(|worker| worker.pid).unwrap();
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();

    let order = |order| {
        let request = Request::Router { order, name: "VI_1".to_owned(), force: true };
        ask(&director.run_dir, Role::Vrrp, &request, PATIENCE).unwrap();
    };
    let told = folder.path().join("told");
    let count = |count: usize| {
        director.until(&format!("{count} calls of the program"), |_| {
            let told = fs::read_to_string(&told).unwrap_or_default();
            (told.matches("end\n").count() >= count).then_some(told)
        })
    };
    count(2);
    order(RouterOrder::Hold);
    count(3);
    order(RouterOrder::Release);
    let told = count(5);
    let expected: String = STATES
        .iter()
        .map(|state| format!("begin --own INSTANCE VI_1 {} ", state.to_uppercase()))
        .collect::<Vec<_>>()
        .join("|");
    // A program that died with the worker is run again; else each ends before the next begins.
    let mut lines: Vec<&str> = told.lines().collect();
    lines.dedup();
    let calls: Vec<&str> = lines.iter().copied().step_by(2).collect();
    assert!(lines.iter().skip(1).step_by(2).all(|line| *line == "end"), "one at a time: {told}");
    let shown: Vec<String> =
        calls.iter().map(|call| call.rsplit_once(' ').unwrap().0.to_owned() + " ").collect();
    assert_eq!(shown.join("|"), expected);

    the_webhook_has_all(&director, &posts);
    director.until("mails about everything", |_| {
        let (lines, count) = mails(&folder.path().join("inbox"));
        let about: Vec<&String> = lines.iter().filter(|line| line.contains("virtual router VI_1")).collect();
        assert!(about.len() <= STATES.len(), "more than once: {lines:?}");
        let all = about.len() == STATES.len()
            && lines.iter().any(|line| line.contains("worker notify was started again"));
        let right = about
            .iter()
            .zip(STATES)
            .all(|(line, state)| line.contains(&format!("is {}:", state.to_uppercase())));
        (all && right && count < lines.len()).then_some(())
    });
    tried(&director);
}

/// Every alarm once, in the order of their numbers, signed; what was refused came again.
fn the_webhook_has_all(director: &Director, posts: &Mutex<Vec<Post>>) {
    let taken = director.until("the last state reaches the webhook", |_| {
        let posts = posts.lock().unwrap();
        let taken: Vec<Alarm> = posts
            .iter()
            .filter(|post| post.status == 200)
            .flat_map(|post| {
                let body: Body = serde_json::from_slice(&post.body).unwrap();
                assert_eq!(body.version, 1);
                body.alarms
            })
            .collect();
        let states: Vec<String> = taken
            .iter()
            .filter(|alarm| alarm.kind == AlarmKind::Vrrp)
            .map(|alarm| alarm.state.clone())
            .collect();
        (states == STATES).then_some(taken)
    });
    assert!(taken.windows(2).all(|two| two[0].id < two[1].id), "{taken:?}");
    assert!(taken.iter().any(|alarm| alarm.kind == AlarmKind::Config && alarm.state == "active"));
    for post in posts.lock().unwrap().iter() {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(&post.body);
        let signature: String =
            mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(
            post.head.contains(&format!("x-director-signature: sha256={signature}\r\n")),
            "{}",
            post.head
        );
        assert!(post.head.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{}", post.head);
    }
}

/// What the operator sees.
fn tried(director: &Director) {
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_director"));
        let out =
            command.arg("notify").args(words).arg("--run-dir").arg(director.run_dir.path()).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
        (out.status.code().unwrap(), text.into_owned())
    };
    let (code, text) = run(&["test", "hook"]);
    assert_eq!((code, text.as_str()), (0, "hook: delivered: 200 OK\n"));
    let (code, text) = run(&["test"]);
    assert!(
        code == 0
            && text.contains("program: delivered: exit status 0: \"65534\"")
            && text.contains("mail: delivered: 250 OK"),
        "{text}"
    );
    let (code, text) = run(&["test", "nobody"]);
    assert!(code == 1 && text.contains("no such receiver of alarms: one of hook, program, mail"), "{text}");
    let (code, text) = run(&[]);
    assert!(
        code == 0 && text.contains("hook (webhook): ") && text.contains(" 0 waiting, 0 dropped\n"),
        "{text}"
    );
    let (code, text) = run(&["--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(code == 0 && json["targets"][2]["kind"] == "mail", "{text}");
}
