//! RADIUS against FreeRADIUS.

use std::net::UdpSocket;

use director::check::Outcome;
use director::config::model::{CheckKind, Login};
use director::ipc::message::Health;
use director_lab::peer::Daemon;

use crate::ask::{ask, bad, fetch, free_port, good, local, verdict};
use crate::residue::{Asked, asks_alone, leave_nothing};

const PACKAGES: &[&str] = &[
    "freeradius",
    "freeradius-common",
    "freeradius-config",
    "libfreeradius3",
    "libtalloc2",
    "libpcap0.8",
    "libpcre3",
    "libssl3",
    "libsystemd0",
];

fn radius(login: Option<&str>, secret: &str) -> CheckKind {
    let login = login.map(|password| Login { user: "monitor".into(), password: password.into() });
    CheckKind::Radius { login, secret: secret.into() }
}

#[test]
fn freeradius_is_logged_in_to() {
    if asks_alone() {
        return;
    }
    let Some(peer) = fetch(PACKAGES) else { return };
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let at = folder.path().display();
    let config = format!(
        "max_requests = 65536\ncleanup_delay = 0\nprefix = {usr}\nname = radiusd\nlogdir = {at}\nrun_dir = {at}\nconfdir = {at}\n\
         libdir = {usr}/lib/freeradius\nlog {{\n destination = stdout\n}}\n\
         security {{\n status_server = yes\n}}\n\
         client local {{\n ipaddr = 127.0.0.1\n secret = testing123\n require_message_authenticator = yes\n}}\n\
         modules {{\n files {{\n  filename = {at}/users\n }}\n pap {{\n }}\n}}\n\
         server default {{\n listen {{\n  type = auth\n  ipaddr = 127.0.0.1\n  port = {port}\n }}\n\
         authorize {{\n  files\n  pap\n }}\n authenticate {{\n  Auth-Type PAP {{\n   pap\n  }}\n }}\n}}\n",
        usr = peer.path("usr").display(),
    );
    std::fs::write(folder.path().join("radiusd.conf"), config).unwrap();
    let users =
        "monitor Cleartext-Password := \"a password of more than sixteen bytes\"\n Reply-Message := \"hi\"\n";
    std::fs::write(folder.path().join("users"), users).unwrap();
    let mut command = peer.command("usr/sbin/freeradius");
    command.args(["-f", "-l", "stdout", "-n", "radiusd", "-d"]).arg(folder.path());
    command.arg("-D").arg(peer.path("usr/share/freeradius"));
    let ready = || verdict(local(port), radius(None, "testing123")).0 == Health::Up;
    let server = Daemon::start(command, &folder.path().join("log"), ready).unwrap();

    let of = |kind| ask(local(port), kind);
    assert_eq!(of(radius(None, "testing123")), good("answered"), "{}", server.said());
    let password = "a password of more than sixteen bytes";
    assert_eq!(of(radius(Some(password), "testing123")), good("accepted: \"hi\""), "{}", server.said());
    let rejected = of(radius(Some("wrong"), "testing123"));
    assert!(matches!(&rejected, Outcome::Failure(why) if why.starts_with("rejected")), "{rejected:?}");
    // Who signs with another secret gets no answer at all.
    let silent = (Health::Down, "no answer within 300ms".to_owned());
    assert_eq!(verdict(local(port), radius(None, "other")), silent);

    let asked = [radius(None, "testing123"), radius(Some(password), "testing123")];
    let asked = asked.map(|kind| Asked::good(local(port), kind));
    leave_nothing("radius::freeradius_is_logged_in_to", &asked, 1_000);
}

#[test]
fn an_answer_without_the_secret_does_not_count() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let answers = std::thread::spawn(move || {
        for forged in [true, false] {
            let mut question = [0; 512];
            let (_, from) = server.recv_from(&mut question).unwrap();
            let mut answer = vec![2, question[1], 0, 20];
            answer.extend_from_slice(&[7; 16]);
            server.send_to(if forged { &answer } else { b"SSH-2.0" }, from).unwrap();
        }
    });
    assert_eq!(ask(address, radius(None, "secret")), bad("answer is not signed with the secret"));
    assert_eq!(ask(address, radius(None, "secret")), bad("not RADIUS: \"SSH-2.0\""));
    answers.join().unwrap();
    assert_eq!(ask(local(free_port()), radius(None, "secret")), bad("connection refused"));
}
