//! FTP against vsftpd, NNTP against JamNNTPd, SIP against Kamailio, the HTTP proxy check against tinyproxy.

use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use director::config::model::{CheckKind, Http, MailTls, Tls};
use director_lab::peer::{Daemon, Peer, free_port};
use tokio_rustls::rustls::{ServerConnection, StreamOwned};

use super::ask::{down, late, local, login, up};
use super::authority::Authority;
use super::nginx::Nginx;
use super::scripted::{drip, endless, lines, nobody, serve, silent};

fn ftp(user: &str, password: &str) -> CheckKind {
    CheckKind::Ftp(Some(login(user, password)))
}

#[test]
fn vsftpd_is_asked() {
    let peer = Peer::fetch(&["vsftpd", "libwrap0"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (here, address) = (folder.path().display(), local(free_port().unwrap()));
    let config = format!(
        "background=NO\nlisten=YES\nlisten_address=127.0.0.1\nlisten_port={}\nrun_as_launching_user=YES\nftp_username=nobody\n\
         anonymous_enable=YES\nlocal_enable=NO\nsecure_chroot_dir={here}\nanon_root={here}\nseccomp_sandbox=NO\nxferlog_enable=NO\n",
        address.port()
    );
    let file = folder.path().join("vsftpd.conf");
    std::fs::write(&file, config).unwrap();
    let mut command = peer.command("usr/sbin/vsftpd");
    command.arg(&file);
    let _daemon = Daemon::listening(command, &folder.path().join("log"), address).unwrap();
    up(address, CheckKind::Ftp(None), "got \"220 (vsFTPd 3.0.3)\"");
    up(address, ftp("anonymous", "director@example.com"), "got \"230 Login successful.\"");
    let reason = "USER: got \"530 This FTP server is anonymous only.\", wanted 230 or 331";
    down(address, ftp("bob", "tiger"), reason);
}

#[test]
fn ftp_servers_that_misbehave() {
    let ask = || CheckKind::Ftp(None);
    down(
        lines(&["421 too many users\r\n"]),
        ask(),
        "greeting: got \"421 too many users\", wanted 220 or 120",
    );
    let wrong = lines(&["220 ftp\r\n", "331 password\r\n", "530 no\r\n"]);
    down(wrong, ftp("bob", "tiger"), "PASS: got \"530 no\", wanted 230 or 202");
    let echo = lines(&["220 ftp\r\n", "331 password\r\n", "530 tiger is wrong\r\n"]);
    down(echo, ftp("bob", "tiger"), "PASS: got \"530 *** is wrong\", wanted 230 or 202");
    late(silent(), ask());
    late(drip("220-"), ask());
    down(nobody(), ask(), "connection refused");
    let long = format!("greeting: line longer than 8 KiB, got \"{}…\"", "a".repeat(40));
    down(endless("aa", "a"), ask(), &long);
}

#[test]
fn jamnntpd_is_asked() {
    let peer = Peer::fetch(&["jamnntpd"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("groups", "news A 2:2/2 /nonexistent\n"), ("users", "\n"), ("allow", "* RP\n")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let address = local(free_port().unwrap());
    let mut command = peer.command("usr/sbin/jamnntpd");
    for (option, name) in [("-g", "groups"), ("-u", "users"), ("-a", "allow"), ("-l", "messages")] {
        command.arg(option).arg(folder.path().join(name));
    }
    command.arg("-x").arg(peer.path("etc/jamnntpd.xlat")).args(["-p", &address.port().to_string()]);
    let _daemon = Daemon::listening(command, &folder.path().join("log"), address).unwrap();
    let ask = CheckKind::Nntp(MailTls::Off);
    up(address, ask, "got \"200 Welcome to JamNNTPd/Linux 1.3 (posti…\"");
    let tls = CheckKind::Nntp(MailTls::Upgrade(Tls::default()));
    down(address, tls, "STARTTLS: got \"500 Unknown command\", wanted 382");
}

#[test]
fn nntp_servers_that_misbehave() {
    let ask = || CheckKind::Nntp(MailTls::Off);
    down(lines(&["400 closed\r\n"]), ask(), "greeting: got \"400 closed\", wanted 200 or 201");
    up(lines(&["201 read only\r\n", "205 bye\r\n"]), ask(), "got \"201 read only\"");
    late(silent(), ask());
    down(nobody(), ask(), "connection refused");
}

/// At once and after `STARTTLS`, under its own name and under another.
#[test]
fn news_by_tls() {
    let Some(authority) = Authority::new() else { return };
    let server = authority.good("news.example.com").server();
    let news = |begins_plain: bool| {
        let server = Arc::clone(&server);
        serve(move |mut stream| {
            let mut line = [0; 64];
            if begins_plain {
                let Ok(()) = stream.write_all(b"200 plain\r\n") else { return };
                let Ok(1..) = stream.read(&mut line) else { return };
                assert!(line.starts_with(b"STARTTLS\r\n"));
                let Ok(()) = stream.write_all(b"382 go on\r\n") else { return };
            }
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&server)).unwrap(), stream);
            let said = if begins_plain { Ok(()) } else { stream.write_all(b"201 secret\r\n") };
            if said.is_ok() && stream.read(&mut line).is_ok_and(|read| read > 0) {
                assert!(line.starts_with(b"QUIT\r\n"));
                let _ = stream.write_all(b"205 bye\r\n");
            }
        })
    };
    let (starts, immediate) = (news(true), news(false));
    let tls = |name: &str| Tls { name: Some(name.into()), ca: Some(authority.pem()), ..Tls::default() };
    up(starts, CheckKind::Nntp(MailTls::Upgrade(tls("news.example.com"))), "got \"200 plain\"");
    up(immediate, CheckKind::Nntp(MailTls::Immediate(tls("news.example.com"))), "got \"201 secret\"");
    let wrong = "certificate is for news.example.com, wanted shop.example.com";
    down(starts, CheckKind::Nntp(MailTls::Upgrade(tls("shop.example.com"))), wrong);
    down(immediate, CheckKind::Nntp(MailTls::Immediate(tls("shop.example.com"))), wrong);
}

fn sip(user: &str, tcp: bool) -> CheckKind {
    CheckKind::Sip { user: user.into(), tcp }
}

#[test]
fn kamailio_is_asked() {
    let peer = Peer::fetch(&["kamailio"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let address = local(free_port().unwrap());
    let modules = peer.path("usr/lib/x86_64-linux-gnu/kamailio");
    let config = format!(
        "#!KAMAILIO\ndebug=0\nlog_stderror=yes\nchildren=1\ntcp_children=1\nauto_aliases=no\nmpath=\"{}/modules/\"\n\
         loadmodule \"sl.so\"\nloadmodule \"pv.so\"\nlisten=udp:{address}\nlisten=tcp:{address}\n\
         request_route {{\n if ($rU == \"nobody\") {{ sl_send_reply(\"404\", \"Not Found\"); exit; }}\n sl_send_reply(\"200\", \"OK\");\n}}\n",
        modules.display()
    );
    let file = folder.path().join("kamailio.cfg");
    std::fs::write(&file, config).unwrap();
    let mut command = peer.contained("usr/sbin/kamailio");
    command.env("LD_LIBRARY_PATH", &modules).args(["-DD", "-E", "-m", "16", "-M", "4", "-f"]).arg(&file);
    command.arg("-Y").arg(folder.path()).arg("-P").arg(folder.path().join("pid"));
    let _daemon = Daemon::listening(command, &folder.path().join("log"), address).unwrap();
    for tcp in [false, true] {
        up(address, sip("director", tcp), "got \"SIP/2.0 200 OK\"");
        down(address, sip("nobody", tcp), "got \"SIP/2.0 404 Not Found\", wanted 200");
    }
}

#[test]
fn sip_servers_that_misbehave() {
    down(nobody(), sip("a", false), "connection refused");
    down(nobody(), sip("a", true), "connection refused");
    late(silent(), sip("a", true));
    late(drip("SIP/2.0 200 OK\r\nCall-ID: "), sip("a", true));
    let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
    late(deaf.local_addr().unwrap(), sip("a", false));
    let http = lines(&["", "HTTP/1.1 400 Bad Request\r\n\r\n"]);
    down(http, sip("a", true), "not SIP: got \"HTTP/1.1 400 Bad Request\", wanted \"SIP/2.0 200\"");
    let long = serve(|mut stream| {
        use std::io::Write;
        while stream.write_all(b"SIP/2.0 200 OK\r\n").is_ok() {}
    });
    down(long, sip("a", true), "OPTIONS: answer larger than 64 KiB");
    // An answer to somebody else's question is none.
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((_, from)) = other.recv_from(&mut [0; 2048]) {
            let _ = other.send_to(b"SIP/2.0 200 OK\r\nCall-ID: 1@x\r\n\r\n", from);
        }
    });
    late(address, sip("a", false));
}

fn proxy(uri: &str, change: impl Fn(&mut Http)) -> CheckKind {
    let mut http = Http::get(uri);
    change(&mut http);
    CheckKind::Proxy(Box::new(http))
}

/// tinyproxy for those who log in.
fn tinyproxy(folder: &std::path::Path) -> (Daemon, SocketAddr) {
    let peer = Peer::fetch(&["tinyproxy-bin"]).unwrap();
    let address = local(free_port().unwrap());
    let file = folder.join("tinyproxy.conf");
    let config = format!(
        "Port {}\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\nBasicAuth bob tiger\n",
        address.port()
    );
    std::fs::write(&file, config).unwrap();
    let mut command = peer.command("usr/bin/tinyproxy");
    command.arg("-d").arg("-c").arg(&file);
    (Daemon::listening(command, &folder.join("log"), address).unwrap(), address)
}

#[test]
fn tinyproxy_is_asked() {
    let Some(nginx) = Nginx::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (_daemon, address) = tinyproxy(folder.path());
    let bob = |http: &mut Http| http.login = Some(login("bob", "tiger"));
    let page = |path: &str| format!("http://{}{path}", nginx.clear);
    up(address, proxy(&page("/"), bob), "200 OK");
    let body = |http: &mut Http| {
        bob(http);
        http.expect = Some(format!("^host={} ", nginx.clear).parse().unwrap());
    };
    up(address, proxy(&page("/host"), body), "200 OK");
    down(address, proxy(&page("/busy"), bob), "status 503, wanted 200-299");
    down(address, proxy(&page("/"), |_| ()), "status 407, wanted 200-299");
    down(address, proxy(&format!("http://{}/", nobody()), bob), "status 500, wanted 200-299");
    let follow = |http: &mut Http| {
        bob(http);
        http.redirects = 1;
    };
    up(address, proxy(&page("/moved"), follow), "200 OK");
    late(silent(), proxy(&page("/"), bob));
}
