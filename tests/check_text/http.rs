//! HTTP and HTTPS against nginx, and against peers that misbehave once a connection stands.

use director::config::model::{Check, CheckKind, Http, Tls};
use director::ipc::message::Health;

use super::ask::{down, late, login, patient, up, verdict};
use super::nginx::Nginx;
use super::scripted::{lines, serve, silent};

/// MD5 of `good`.
const GOOD: &str = "755f85c2723bb39381c7379a604160d8";

fn get(path: &str, change: impl Fn(&mut Http)) -> CheckKind {
    let mut http = Http::get(path);
    change(&mut http);
    CheckKind::Http(Box::new(http))
}

#[test]
fn method_headers_and_body_of_the_request() {
    let Some(nginx) = Nginx::start() else { return };
    let probe = |http: &mut Http| http.headers = vec![("X-Probe".into(), "17".into())];
    up(nginx.clear, get("/header", probe), "204 No Content");
    down(nginx.clear, get("/header", |_| ()), "status 400, wanted 200-299");
    let post = |http: &mut Http| {
        http.method = "POST".into();
        http.body = b"12345".to_vec();
    };
    up(nginx.clear, get("/post", post), "201 Created");
    down(nginx.clear, get("/post", |_| ()), "status 405, wanted 200-299");
    let head = |http: &mut Http| http.method = "HEAD".into();
    up(nginx.clear, get("/head", head), "200 OK");
}

#[test]
fn a_log_in() {
    let Some(nginx) = Nginx::start() else { return };
    up(nginx.clear, get("/auth", |http| http.login = Some(login("bob", "tiger"))), "200 OK");
    let wrong = get("/auth", |http| http.login = Some(login("bob", "lion")));
    down(nginx.clear, wrong, "status 401, wanted 200-299");
    let unauthorised = get("/auth", |http| http.status = vec![(401, 401)]);
    up(nginx.clear, unauthorised, "401 Unauthorized");
}

#[test]
fn a_server_that_repeats_the_log_in_does_not_get_it_into_the_reason() {
    let echo = serve(|mut stream| {
        use std::io::{Read, Write};
        let mut heard = [0; 4096];
        let read = stream.read(&mut heard).unwrap();
        let text = String::from_utf8_lossy(heard.get(..read).unwrap()).into_owned();
        let token = text.split("Basic ").nth(1).unwrap_or_default().lines().next().unwrap_or_default();
        let body = format!("{token} tiger");
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    });
    let ask = get("/", |http| {
        http.login = Some(login("bob", "tiger"));
        http.expect = Some("welcome".parse().unwrap());
    });
    down(echo, ask, "status 200, got \"*** ***\", wanted \"welcome\"");
}

#[test]
fn the_text_of_the_body() {
    let Some(nginx) = Nginx::start() else { return };
    let expect = |path: &str, expect: &str| get(path, |http| http.expect = Some(expect.parse().unwrap()));
    up(nginx.clear, expect("/", "^good$"), "200 OK");
    down(nginx.clear, expect("/", "bad"), "status 200, got \"good\", wanted \"bad\"");
    let refuse = |refuse: &str| get("/", |http| http.refuse = Some(refuse.parse().unwrap()));
    up(nginx.clear, refuse("bad"), "200 OK");
    down(nginx.clear, refuse("^go+d"), "status 200, got \"good\", refused is \"^go+d\"");
    up(nginx.clear, expect("/chunked", "^one GET two\n$"), "200 OK");
    // Only its first 64 KiB are looked at, and the rest is not waited for.
    let begin = "0123456789abcde\\n0123456789abcde\\n012345";
    let reason = format!("status 200, got \"{begin}…\", wanted \"x\"");
    down(nginx.clear, expect("/large", "x"), &reason);
    down(nginx.clear, expect("/busy", "503"), "status 503, wanted 200-299");
}

#[test]
fn the_digest_of_the_body() {
    let Some(nginx) = Nginx::start() else { return };
    let digest = |path: &str, digest: &str| get(path, |http| http.digest = Some(digest.into()));
    up(nginx.clear, digest("/", &GOOD.to_uppercase()), "200 OK");
    let other = GOOD.replace('7', "8");
    down(nginx.clear, digest("/", &other), &format!("status 200, digest {GOOD}, wanted {other}"));
    down(nginx.clear, digest("/large", GOOD), "status 200, body larger than 1 MiB");
}

#[test]
fn all_paths_are_asked_in_one_probe() {
    let Some(nginx) = Nginx::start() else { return };
    let paths = |paths: &[&str]| {
        let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
        get("/", move |http| http.paths.clone_from(&paths))
    };
    up(nginx.clear, paths(&["/", "/index", "/host"]), "200 OK");
    down(nginx.clear, paths(&["/", "/busy", "/missing"]), "\"/busy\": status 503, wanted 200-299");
}

#[test]
fn redirects_are_followed_where_asked_and_to_the_same_server_only() {
    let Some(nginx) = Nginx::start() else { return };
    let follow = |path: &str, redirects| get(path, move |http| http.redirects = redirects);
    down(nginx.clear, follow("/moved", 0), "status 301, wanted 200-299");
    // It names its own port, which that of a relay is not.
    assert_eq!(verdict(nginx.clear, patient(follow("/moved", 1))), (Health::Up, "200 OK".to_owned()));
    down(nginx.clear, follow("/round", 3), "more than 3 redirects");
    down(nginx.clear, follow("/away", 3), "status 302 to \"http://www.example.com/\", another server");
}

#[test]
fn https_verifies_and_names_as_it_is_told() {
    let Some((authority, _nginx, address)) = Nginx::trusted("") else { return };
    let host = |host: &str, tls: Tls, expect: &str| {
        get("/host", |http| {
            http.host = Some(host.into());
            http.tls = Some(tls.clone());
            http.expect = Some(expect.parse().unwrap());
        })
    };
    let ca = Tls { ca: Some(authority.pem()), ..Tls::default() };
    up(address, host("www.example.com", ca.clone(), "^host=www.example.com sni=www.example.com$"), "200 OK");
    up(address, host("www.example.com:8443", ca.clone(), "sni=www.example.com$"), "200 OK");
    let reason = "certificate is for www.example.com, wanted shop.example.com";
    down(address, host("shop.example.com", ca.clone(), "."), reason);
    let other = Tls { name: Some("www.example.com".into()), ..ca };
    up(address, host("shop.example.com", other, "^host=shop.example.com sni=www.example.com$"), "200 OK");
    up(address, get("/host", |http| http.tls = Some(Tls::default())), "200 OK");
    down(address, get("/", |_| ()), "status 400, wanted 200-299");
}

#[test]
fn https_warns_of_the_end_of_a_certificate() {
    let Some(authority) = super::authority::Authority::new() else { return };
    let soon = authority.sign("www.example.com", "1 day ago", "6 days 12 hours");
    let Some((_nginx, address)) = Nginx::secure(&soon, "") else { return };
    let expiry = std::time::Duration::from_secs(7 * 86_400);
    let ask = get("/", move |http| http.tls = Some(Tls { expiry, ..Tls::default() }));
    up(address, ask, "200 OK, certificate expires in 6 d");
}

#[test]
fn https_by_a_certificate_of_this_client() {
    let Some(authority) = super::authority::Authority::new() else { return };
    let ca = authority.file();
    let demand = format!("ssl_verify_client on; ssl_client_certificate {};", ca.display());
    let Some((_nginx, address)) = Nginx::secure(&authority.good("www.example.com"), &demand) else { return };
    let ask = |identity: Option<(String, String)>| {
        get("/", move |http| http.tls = Some(Tls { identity: identity.clone(), ..Tls::default() }))
    };
    up(address, ask(Some(authority.good("client").pem())), "200 OK");
    down(address, ask(None), "status 400, wanted 200-299");
}

#[test]
fn bodies_that_never_end() {
    let expect = |expect: &str| get("/", |http| http.expect = Some(expect.parse().unwrap()));
    late(lines(&["", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]), expect("x"));
    late(silent(), expect("x"));
    let cut = serve(|mut stream| {
        use std::io::{Read, Write};
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    });
    down(cut, expect("x"), "connection closed before the end of the answer");
    let endless = serve(|mut stream| {
        use std::io::{Read, Write};
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'a'; 4096]).is_ok() {}
    });
    let (health, reason) = verdict(endless, Check::new(expect("x")));
    assert_eq!(
        (health, reason),
        (Health::Down, format!("status 200, got \"{}…\", wanted \"x\"", "a".repeat(40)))
    );
}
