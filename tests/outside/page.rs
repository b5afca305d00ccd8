//! The status page in a real browser: what is to be seen there, and that it follows what happens.

use std::net::TcpListener;

use director::ipc::client::ask;
use director::ipc::message::{AdminOrder, Request};
use director::role::Role;
use director_lab::browser::Browser;
use director_lab::namespace::Namespace;
use serde_json::{Value, json};

use crate::rig::{Director, PATIENCE, namespace};

const PLACE: &str = "192.0.2.1:9100";

const CONFIG: &str = r#"
[system]
hostname = "lb1"
[[interface]]
name = "d0"
addresses = ["192.0.2.1/24"]
[api]
listen = "192.0.2.1:9100"
[[vrrp]]
name = "VI_1"
interface = "d0"
vrid = 51
interval = "100ms"
addresses = ["192.0.2.9/32"]
[[service]]
name = "web"
listen = "192.0.2.9:80"
method = "nat"
check = { type = "tcp", interval = "1s", timeout = "1s", fall = 3, rise = 1 }
[[service.server]]
address = "192.0.2.21:80"
weight = 3
[[service.server]]
address = "192.0.2.22:80"
[[service.server]]
address = "192.0.2.23:80"
[[service]]
name = "mail"
listen = "192.0.2.9:25"
method = "nat"
check = { type = "tcp", interval = "1s", timeout = "1s", fall = 3, rise = 1 }
[[service.server]]
address = "192.0.2.24:25"
"#;

/// The cells of the table below this heading, line by line, as a person sees them.
const TABLE: &str = "[...document.querySelectorAll('h2')].filter(h => h.textContent == TITLE).flatMap(h =>
    [...h.nextElementSibling.querySelectorAll('tbody tr')].map(r => [...r.cells].map(c => c.innerText.trim())))";

/// Points of each line in the tiles.
const LINES: &str = "[...document.querySelectorAll('.day path:not(.a)')].map(p => (p.getAttribute('d').match(/[ML]/g) || []).length)";

/// The contrast of every state against what is behind it (WCAG 2.2, success criterion 1.4.3), the least of them.
const CONTRAST: &str = "(() => {
    const parts = c => c.match(/[\\d.]+/g).map(Number);
    const light = c => { const [r, g, b] = parts(c).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b; };
    const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
        if (parts(c)[3] !== 0) return c; } return 'rgb(255, 255, 255)'; };
    return Math.min(...[...document.querySelectorAll('.s, .dim, td, th, h1')].map(e => {
        const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
        return (a + .05) / (b + .05); }));
})()";

/// A network with a director's card and four addresses of real servers.
fn network(ns: &Namespace) {
    ns.ip("link add d0 type veth peer name d1").unwrap();
    for order in ["link set d1 up", "link set d0 up", "address add 192.0.2.1/24 dev d0"] {
        ns.ip(order).unwrap();
    }
    (21..25).for_each(|last| drop(ns.ip(&format!("address add 192.0.2.{last}/32 dev lo")).unwrap()));
}

fn listen(ns: &Namespace, address: &'static str) -> TcpListener {
    ns.run(move || TcpListener::bind(address).unwrap()).unwrap()
}

/// The lines of a table.
fn table(browser: &mut Browser, title: &str) -> Vec<Vec<String>> {
    let lines = browser.evaluate(&TABLE.replace("TITLE", &json!(title).to_string())).unwrap();
    serde_json::from_value(lines).unwrap()
}

/// The cell under `column` of the line that begins with `line`.
fn state(browser: &mut Browser, line: &str) -> String {
    let servers = table(browser, "Real servers");
    servers.iter().find(|cells| cells[1] == line).map(|cells| cells[2].clone()).unwrap_or_default()
}

/// Width and height of a PNG, which is no blank one. It is kept beside the lab's logs, to be looked at.
fn size(name: &str, picture: &[u8]) -> (u32, u32) {
    std::fs::write(director_lab::scratch::logs().unwrap().join(format!("page-{name}.png")), picture).unwrap();
    assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n") && picture.len() > 15_000, "{} bytes", picture.len());
    let number = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[test]
fn a_browser_shows_what_is_true_and_follows_it() {
    let Some(ns) = namespace("page") else { return };
    network(&ns);
    let first = listen(&ns, "192.0.2.21:80");
    let _second = listen(&ns, "192.0.2.22:80");
    let director = Director::start(ns, CONFIG);
    director.until("checks have spoken", |it| {
        let (_, page) = it.get(PLACE, "/")?;
        (page.contains("connection refused") && !page.contains(">unknown<")).then_some(())
    });
    let drain = Request::Administer {
        service: "web".to_owned(),
        server: "192.0.2.22".to_owned(),
        order: AdminOrder::Drain { timeout_ms: Some(Some(1)) },
    };
    ask(&director.run_dir, Role::Lvs, &drain, PATIENCE).unwrap();
    director.until("drained", |it| it.get(PLACE, "/").filter(|(_, page)| page.contains(">drained<")));
    director.until("master", |it| it.get(PLACE, "/").filter(|(_, page)| page.contains(">master<")));

    let mut browser = Browser::start(&director.ns).unwrap();
    browser.resize(1280, 1000, false).unwrap();
    browser.open(&format!("http://{PLACE}/")).unwrap();
    shows_what_is_true(&mut browser);
    fits_every_screen(&mut browser);

    // It renews itself: nobody touches the browser from here on.
    drop(first);
    let mut renewed = 0;
    while state(&mut browser, "192.0.2.21:80") != "DOWN" || browser.evaluate(LINES).unwrap()[0] == json!(0) {
        assert!(renewed < 8, "{:?}", table(&mut browser, "Real servers"));
        browser.await_load().unwrap();
        renewed += 1;
    }
    assert!(renewed > 0);
    let services = table(&mut browser, "Services");
    assert!(services.iter().all(|cells| cells[2] == "DOWN"), "{services:?}");
    let title = browser.evaluate("document.title").unwrap();
    assert!(title.as_str().unwrap().contains(" to look at) - Director"), "{title}");

    // A service has a page of its own.
    let link = browser.evaluate("[...document.links].find(a => a.innerText == 'web').href").unwrap();
    browser.open(link.as_str().unwrap()).unwrap();
    let servers = table(&mut browser, "Real servers");
    assert_eq!(servers.len(), 3, "{servers:?}");
    assert_eq!((servers[0][0].as_str(), servers[0][1].as_str()), ("192.0.2.21:80", "DOWN"));

    let elsewhere =
        |url: &&String| !url.starts_with(&format!("http://{PLACE}/")) && !url.starts_with("data:");
    let elsewhere: Vec<&String> = browser.requests().iter().filter(elsewhere).collect();
    assert!(elsewhere.is_empty() && browser.requests().len() > 2, "{:?}", browser.requests());
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
}

fn shows_what_is_true(browser: &mut Browser) {
    let servers = table(browser, "Real servers");
    let seen: Vec<[&str; 4]> = servers
        .iter()
        .map(|cells| [cells[0].as_str(), cells[1].as_str(), cells[2].as_str(), cells[7].as_str()])
        .collect();
    for (seen, expected) in seen.iter().zip([
        ["web", "192.0.2.21:80", "up", "tcp connected"],
        ["web", "192.0.2.22:80", "drained", "drained for"],
        ["web", "192.0.2.23:80", "DOWN", "tcp connection refused"],
        ["mail", "192.0.2.24:25", "DOWN", "tcp connection refused"],
    ]) {
        assert_eq!(seen[..3], expected[..3]);
        assert!(seen[3].starts_with(expected[3]), "{seen:?}");
    }
    assert_eq!(seen.len(), 4);
    let services = table(browser, "Services");
    let shown: Vec<[&str; 4]> = services
        .iter()
        .map(|cells| [cells[0].as_str(), cells[1].as_str(), cells[2].as_str(), cells[3].as_str()])
        .collect();
    assert_eq!(shown, [["web", "192.0.2.9:80", "up", "2 of 3"], ["mail", "192.0.2.9:25", "DOWN", "0 of 1"]]);
    let routers = table(browser, "Virtual routers");
    assert_eq!((routers[0][0].as_str(), routers[0][1].as_str()), ("VI_1", "master"));
    let tiles = browser.evaluate("[...document.querySelectorAll('.day b')].map(b => b.innerText)").unwrap();
    assert_eq!((&tiles[0], &tiles[1], &tiles[2]), (&json!("1 of 2"), &json!("2 of 4"), &json!("0")));
    let alarms: Value =
        browser.evaluate("[...document.querySelectorAll('.alarms li')].map(li => li.innerText)").unwrap();
    let alarms: Vec<String> = serde_json::from_value(alarms).unwrap();
    for expected in ["service mail has no quorum", "server 192.0.2.23:80 of web is down: connection refused"]
    {
        assert!(alarms.iter().any(|alarm| alarm == expected), "{expected} in {alarms:?}");
    }
    assert_eq!(browser.evaluate(LINES).unwrap().as_array().unwrap().len(), 3);
    assert_eq!(browser.evaluate("document.scripts.length").unwrap(), json!(0));
}

/// A desk by day and by night, and a telephone.
fn fits_every_screen(browser: &mut Browser) {
    let mut backgrounds = Vec::new();
    for dark in [false, true] {
        browser.prefer_dark(dark).unwrap();
        backgrounds.push(browser.evaluate("getComputedStyle(document.body).backgroundColor").unwrap());
        let contrast = browser.evaluate(CONTRAST).unwrap().as_f64().unwrap();
        assert!(contrast >= 4.5, "contrast {contrast}, dark {dark}");
        assert_eq!(size(if dark { "night" } else { "day" }, &browser.picture().unwrap()), (1280, 1000));
    }
    assert_ne!(backgrounds[0], backgrounds[1]);
    browser.prefer_dark(false).unwrap();
    browser.resize(390, 844, true).unwrap();
    let width = browser.evaluate("document.documentElement.scrollWidth").unwrap().as_u64().unwrap();
    assert_eq!(width, 390, "the page is wider than a telephone");
    // The state of each server is to be seen without pushing anything aside.
    let edges =
        "Math.max(...[...document.querySelectorAll('td .s')].map(s => s.getBoundingClientRect().right))";
    let edge = browser.evaluate(edges).unwrap().as_f64().unwrap();
    assert!(edge <= 390.0, "a state ends at {edge}");
    assert_eq!(size("telephone", &browser.picture().unwrap()), (390, 844));
    browser.resize(1280, 1000, false).unwrap();
}
