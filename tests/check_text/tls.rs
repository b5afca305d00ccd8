//! TLS against nginx and openssl, and against peers that do not speak it.

use std::net::SocketAddr;
use std::time::Duration;

use director::config::model::{CheckKind, Dialogue, Tls};
use director_lab::command::bound;
use director_lab::peer::{Daemon, free_port};

use super::ask::{down, late, local, up};
use super::authority::Authority;
use super::nginx::Nginx;
use super::scripted::{drip, endless, nobody, resets, serve, silent};

fn tls(tls: Tls) -> CheckKind {
    CheckKind::Tls(Dialogue::default(), tls)
}

fn named(name: &str, ca: &Authority) -> CheckKind {
    tls(Tls { name: Some(name.into()), ca: Some(ca.pem()), ..Tls::default() })
}

const MONTH: Duration = Duration::from_secs(30 * 86_400);

#[test]
fn both_versions_are_spoken_and_no_older_one() {
    let Some((_authority, _nginx, address)) = Nginx::trusted("") else { return };
    up(address, tls(Tls::default()), "TLS 1.3");
    let Some((_authority, _nginx, address)) = Nginx::trusted("ssl_protocols TLSv1.2;") else { return };
    up(address, tls(Tls::default()), "TLS 1.2");
    let old = "ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;";
    let Some((_authority, _nginx, address)) = Nginx::trusted(old) else { return };
    down(address, tls(Tls::default()), "server speaks neither TLS 1.2 nor 1.3");
}

#[test]
fn a_dialogue_goes_through_it() {
    let Some((_authority, _nginx, address)) = Nginx::trusted("") else { return };
    let ask = |expect: &str| {
        let send = b"GET /host HTTP/1.0\r\nHost: h\r\n\r\n".to_vec();
        let dialogue = Dialogue { send, expect: Some(expect.parse().unwrap()) };
        CheckKind::Tls(dialogue, Tls { name: Some("www.example.com".into()), ..Tls::default() })
    };
    let (health, reason) =
        super::ask::verdict(address, director::config::model::Check::new(ask("sni=www.example.com")));
    assert!(
        health == director::ipc::message::Health::Up && reason.starts_with("got \"HTTP/1.1 200 OK"),
        "{reason}"
    );
}

#[test]
fn a_certificate_is_verified_where_an_authority_is_given() {
    let Some((authority, _nginx, address)) = Nginx::trusted("") else { return };
    up(address, named("www.example.com", &authority), "TLS 1.3");
    down(
        address,
        named("shop.example.com", &authority),
        "certificate is for www.example.com, wanted shop.example.com",
    );
    up(address, tls(Tls { name: Some("shop.example.com".into()), ..Tls::default() }), "TLS 1.3");
    up(address, tls(Tls { ca: Some(authority.pem()), ..Tls::default() }), "TLS 1.3");
    let stranger = Authority::new().unwrap();
    down(address, named("www.example.com", &stranger), "certificate is signed by an unknown authority");
}

#[test]
fn a_self_signed_certificate_may_be_its_own_authority() {
    let Some(authority) = Authority::new() else { return };
    let own = super::authority::Certificate { certificate: authority.file(), key: authority.key() };
    let Some((_nginx, address)) = Nginx::secure(&own, "") else { return };
    up(address, tls(Tls { ca: Some(authority.pem()), ..Tls::default() }), "TLS 1.3");
    down(address, named("www.example.com", &authority), "certificate is for no name, wanted www.example.com");
}

#[test]
fn the_end_of_a_certificate_is_told_in_time() {
    let Some(authority) = Authority::new() else { return };
    let soon = authority.sign("www.example.com", "1 day ago", "6 days 12 hours");
    let Some((_nginx, address)) = Nginx::secure(&soon, "") else { return };
    let ask = |ca: Option<String>, expiry| tls(Tls { ca, expiry, ..Tls::default() });
    up(address, ask(Some(authority.pem()), MONTH), "certificate expires in 6 d");
    up(address, ask(None, MONTH), "certificate expires in 6 d");
    up(address, ask(None, MONTH / 6), "TLS 1.3");
    let gone = authority.sign("www.example.com", "9 days ago", "3 days ago");
    let Some((_nginx, address)) = Nginx::secure(&gone, "") else { return };
    up(address, ask(None, MONTH), "certificate expired 3 d ago");
    up(address, ask(None, Duration::ZERO), "TLS 1.3");
    down(address, ask(Some(authority.pem()), MONTH), "certificate expired 3 d ago");
    let early = authority.sign("www.example.com", "9 days 12 hours", "20 days");
    let Some((_nginx, address)) = Nginx::secure(&early, "") else { return };
    let reason = "certificate is valid in 9 d only: is the clock of this box right?";
    down(address, ask(Some(authority.pem()), MONTH), reason);
}

/// openssl as a server that wants the certificate of `authority` from its clients.
fn demanding(authority: &Authority, version: &str, folder: &std::path::Path) -> (Daemon, SocketAddr) {
    let own = authority.good("www.example.com");
    let address = local(free_port().unwrap());
    let mut command = bound("openssl");
    command.args(["s_server", "-www", version, "-Verify", "1", "-verify_return_error", "-accept"]);
    command.arg(address.to_string()).arg("-CAfile").arg(authority.file());
    command.arg("-cert").arg(own.certificate).arg("-key").arg(own.key);
    (Daemon::listening(command, &folder.join("log"), address).unwrap(), address)
}

#[test]
fn a_server_may_want_a_certificate() {
    let Some(authority) = Authority::new() else { return };
    let (good, stranger) = (authority.good("client").pem(), Authority::new().unwrap().good("client").pem());
    for (version, words) in [("-tls1_2", "TLS 1.2"), ("-tls1_3", "TLS 1.3")] {
        let folder = tempfile::tempdir().unwrap();
        let (_daemon, address) = demanding(&authority, version, folder.path());
        up(address, tls(Tls { identity: Some(good.clone()), ..Tls::default() }), words);
        down(address, tls(Tls::default()), "server wants a client certificate");
        let strange = Tls { identity: Some(stranger.clone()), ..Tls::default() };
        down(address, tls(strange), "server refuses the client certificate");
    }
}

#[test]
fn peers_that_do_not_speak_it() {
    let Some(nginx) = Nginx::start() else { return };
    let ask = || tls(Tls::default());
    down(nginx.clear, ask(), "not TLS");
    down(nobody(), ask(), "connection refused");
    down(endless("220 ", "a"), ask(), "not TLS");
    down(resets(), ask(), "connection reset");
    let closes = serve(|mut stream| {
        use std::io::Read;
        let _ = stream.read(&mut [0; 4096]);
    });
    down(closes, ask(), "connection closed within the TLS handshake");
    late(silent(), ask());
    // The first bytes of a handshake record, then zeros.
    late(drip("\x16\x03\x03\x3f\x00\x02\x00\x3e\x00\x00"), ask());
}
