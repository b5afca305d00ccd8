//! Many probes leave no socket and no memory behind, good ones and others.

use director::config::model::{CheckKind, Dialogue, Http, MailTls, Protocol, Tls};

use super::every;
use super::nginx::Nginx;
use super::residue::{Asked, asks_alone, leave_nothing};
use super::scripted::{lines, nobody};

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
