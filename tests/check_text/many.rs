//! Many probes leave no socket and no memory behind, good ones and others.

use std::net::UdpSocket;

use director::config::model::{CheckKind, Dialogue, Http, MailTls, Protocol, Tls};

use super::ask::login;
use super::authority::Authority;
use super::every;
use super::nginx::Nginx;
use super::residue::{Asked, asks_alone, leave_nothing};
use super::scripted::{lines, nobody, repeats, secure};

#[test]
fn many_probes_leave_nothing_behind() {
    if asks_alone() {
        return;
    }
    let Some((authority, nginx, secure)) = Nginx::trusted("") else { return };
    let name = Some("www.example.com".to_owned());
    let tls = Tls { name, ca: Some(authority.pem()), ..Tls::default() };
    let dialogue =
        Dialogue { send: b"GET / HTTP/1.0\r\n\r\n".to_vec(), expect: Some("good".parse().unwrap()) };
    let page = |path: &str, tls| Http { expect: Some("good".parse().unwrap()), tls, ..Http::get(path) };
    let smtp = lines(&["220 mx\r\n", "250 mx\r\n", "221 bye\r\n"]);
    let clear = nginx.clear;
    // Eight cheap ones for each two of TLS.
    let asked = [
        Asked::good(clear, CheckKind::Tcp(Dialogue::default())),
        Asked::good(clear, CheckKind::Tcp(dialogue.clone())),
        Asked::good(clear, CheckKind::Http(Box::new(Http::get("/")))),
        Asked::good(clear, CheckKind::Http(Box::new(page("/", None)))),
        Asked::good(secure, CheckKind::Tls(Dialogue::default(), tls.clone())),
        Asked::bad(nobody(), CheckKind::Tcp(dialogue)),
        Asked::bad(clear, CheckKind::Http(Box::new(Http::get("/busy")))),
        Asked::bad(clear, CheckKind::Tls(Dialogue::default(), tls.clone())),
        Asked::good(smtp, CheckKind::Smtp { helo: "director".into(), tls: MailTls::Off }),
        Asked::good(secure, CheckKind::Http(Box::new(page("/", Some(tls))))),
    ];
    leave_nothing("many::many_probes_leave_nothing_behind", &asked, 20_000);
}

#[test]
fn probes_of_every_kind_by_useless_servers_leave_nothing_behind() {
    if asks_alone() {
        return;
    }
    let (streams, packets) = every::kinds();
    let asked = every::useless().into_iter().flat_map(|useless| {
        let kinds = if useless.protocol == Protocol::Tcp { &streams } else { &packets };
        kinds.iter().map(move |kind| Asked::any(useless.server, kind.clone()))
    });
    let asked: Vec<Asked> = asked.collect();
    leave_nothing("many::probes_of_every_kind_by_useless_servers_leave_nothing_behind", &asked, 10_000);
}

#[test]
fn good_probes_of_every_text_protocol_leave_nothing_behind() {
    if asks_alone() {
        return;
    }
    let Some(authority) = Authority::new() else { return };
    let mut asked = unsigned();
    asked.extend(mail(&authority));
    let calls = UdpSocket::bind("127.0.0.1:0").unwrap();
    let by_udp = CheckKind::Sip { user: "director".into(), tcp: false };
    asked.push(Asked::good(calls.local_addr().unwrap(), by_udp));
    std::thread::spawn(move || {
        let mut question = [0; 2048];
        while let Ok((read, from)) = calls.recv_from(&mut question) {
            let _ = calls.send_to(&[b"SIP/2.0 200 OK\r\n", &question[..read]].concat(), from);
        }
    });
    leave_nothing("many::good_probes_of_every_text_protocol_leave_nothing_behind", &asked, 4_000);
}

/// Those that have no TLS.
fn unsigned() -> Vec<Asked> {
    let ftp = lines(&["220 ftp\r\n", "331 password\r\n", "230 in\r\n", "221 bye\r\n"]);
    let page = Box::new(Http::get("http://www.example.com/"));
    let proxy = lines(&["", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]);
    vec![
        Asked::good(ftp, CheckKind::Ftp(Some(login("bob", "tiger")))),
        Asked::good(proxy, CheckKind::Proxy(page)),
        Asked::good(lines(&["up\n"]), CheckKind::Agent { send: Vec::new() }),
        // With the question behind it, which has the Call-ID.
        Asked::good(repeats("SIP/2.0 200 OK\r\n"), CheckKind::Sip { user: "director".into(), tcp: true }),
    ]
}

/// Each with all three ways of TLS.
fn mail(authority: &Authority) -> Vec<Asked> {
    let server = authority.good("mail.example.com").server();
    let tls = || Tls { name: Some("mail.example.com".into()), ca: Some(authority.pem()), ..Tls::default() };
    let smtp = |tls| CheckKind::Smtp { helo: "director".into(), tls };
    let pop3 = |tls| CheckKind::Pop3(Some(login("bob", "tiger")), tls);
    let imap = |tls| CheckKind::Imap(Some(login("bob", "tiger")), tls);
    let all = |kind: fn(MailTls) -> CheckKind, script: Script| {
        let [upgrade, immediate] = [MailTls::Upgrade(tls()), MailTls::Immediate(tls())].map(kind);
        [
            Asked::good(lines(script.plain), kind(MailTls::Off)),
            Asked::good(secure(&server, script.starts, script.inside), upgrade),
            Asked::good(secure(&server, &[], script.plain), immediate),
        ]
    };
    [
        all(
            smtp,
            Script {
                plain: &["220 mx\r\n", "250 mx\r\n", "221 bye\r\n"],
                starts: &["220 mx\r\n", "250-mx\r\n250 STARTTLS\r\n", "220 go on\r\n"],
                inside: &["", "250 mx\r\n", "221 bye\r\n"],
            },
        ),
        all(
            pop3,
            Script {
                plain: &["+OK\r\n", "+OK\r\n", "+OK\r\n", "+OK\r\n"],
                starts: &["+OK\r\n", "+OK\r\n"],
                inside: &["", "+OK\r\n", "+OK\r\n", "+OK\r\n"],
            },
        ),
        all(
            imap,
            Script {
                plain: &["* OK\r\n", "l OK\r\n", "q OK\r\n"],
                starts: &["* OK\r\n", "s OK\r\n"],
                inside: &["", "l OK\r\n", "q OK\r\n"],
            },
        ),
        all(
            CheckKind::Nntp,
            Script {
                plain: &["200 news\r\n", "205 bye\r\n"],
                starts: &["200 news\r\n", "382 go on\r\n"],
                inside: &["", "205 bye\r\n"],
            },
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What a server says.
struct Script {
    /// To who wants no TLS, or has it from the first byte.
    plain: &'static [&'static str],
    /// Until TLS begins.
    starts: &'static [&'static str],
    /// Afterwards; the client speaks first.
    inside: &'static [&'static str],
}
