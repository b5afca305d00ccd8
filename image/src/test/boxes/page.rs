//! The status page of a whole box in a real browser, with real connections; its picture is the one in the manual. And programs of
//! the operator's, which run on the box as nobody.

#![allow(clippy::indexing_slicing, reason = "of JSON: what a value lacks is null")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use director_lab::browser::Browser;
use director_lab::machine::Boot;
use director_lab::server::RealServer;
use director_lab::{client, disk, scratch};

use super::site::{PATIENCE, Site, vip};
use crate::test::outcome::Outcome;

const API: &str = "http://10.79.0.11:9100/";
const WIDTH: u32 = 1200;
const HEIGHT: u32 = 1130;
/// Between two requests of the client.
const PAUSE: Duration = Duration::from_millis(40);
/// Connections that stay open.
const HELD: usize = 12;
/// Points of the lines that are worth a picture; each is 38 s.
const POINTS: u64 = 4;
/// The picture of the manual.
const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../doc/status-page.png");

/// Two services; of the five real servers one does not answer.
const CONFIG: &str = r#"version = 1

[system]
hostname = "lb1"
hooks    = true

[[interface]]
name      = "eth0"
addresses = ["10.79.0.11/24"]

[api]
listen = "10.79.0.11:9100"

[[notify]]
name    = "tell"
type    = "exec"
events  = ["vrrp", "server"]
command = ["hooks/tell", "lb1"]

[[vrrp]]
name      = "VI_1"
interface = "eth0"
vrid      = 79
priority  = 200
interval  = "200ms"
addresses = ["10.79.0.100/32"]

[[service]]
name      = "web"
listen    = "10.79.0.100:80"
scheduler = "wrr"
method    = "dr"
check     = { type = "http", path = "/health", interval = "1s", timeout = "800ms", fall = 2, rise = 1 }

[[service.server]]
address = "10.79.0.21:80"
weight  = 2

[[service.server]]
address = "10.79.0.22:80"

[[service.server]]
address = "10.79.0.23:80"

[[service]]
name      = "shop"
listen    = "10.79.0.100:8080"
scheduler = "wlc"
method    = "dr"
check     = { type = "tcp", interval = "1s", timeout = "800ms", fall = 2, rise = 1 }

[[service.server]]
address = "10.79.0.21:8080"

[[service.server]]
address = "10.79.0.22:8080"
"#;

/// The program in `hooks`: busybox as an interpreter, `nc` to carry its words and its user away.
const HOOK: &str = "#!/run/director-hooks/busybox sh\n\
                    echo \"$(/run/director-hooks/busybox id -u) $*\" | /run/director-hooks/busybox nc 10.79.0.1 7000\n";

/// A box with connections, looked at in a browser.
///
/// # Errors
/// What is not to be seen.
pub fn page() -> Result<Outcome> {
    let site = Site::new()?;
    let disk = site.disk()?;
    site.configure(&disk, CONFIG)?;
    let hook = disk::file(disk.parent().unwrap_or_else(|| Path::new(".")), "tell", HOOK)?;
    disk::put_config_folder(&disk, "hooks", &[(&hook, "tell"), (Path::new("/bin/busybox"), "busybox")])?;
    let servers = servers(&site)?;
    let told = listen(&site)?;

    let mut guest = site.power_on("box-page", Boot::Bios(disk), &[])?;
    site.await_answer(vip(100), &mut guest)?;
    let load = Load::start(&site)?;
    let words = told.recv_timeout(PATIENCE).context("no word of the program in hooks");
    let words = guest.explain(words)?;
    ensure!(words.starts_with("65534 lb1 "), "the program in hooks says {words:?}");
    let mut all = vec![words];
    while !all.iter().any(|words| words == "65534 lb1 INSTANCE VI_1 MASTER 200") {
        let next = told.recv_timeout(PATIENCE).with_context(|| format!("the program in hooks said {all:?}"));
        all.push(guest.explain(next)?);
    }

    let mut browser = Browser::start(site.client.namespace())?;
    browser.resize(WIDTH, HEIGHT, false)?;
    let shown = look(&mut browser);
    guest.explain(shown)?;
    let picture = browser.picture()?;
    drop((load, servers));
    let note = keep(&picture)?;
    ensure!(browser.complaints().is_empty(), "the browser complains: {:?}", browser.complaints());
    Ok(Outcome { notes: vec![note], ..Outcome::passed() })
}

/// Opens the page until it shows all of this.
fn look(browser: &mut Browser) -> Result<()> {
    const LINES: &str = "[...document.querySelectorAll('.day path:not(.a)')].map(p => (p.getAttribute('d').match(/[ML]/g) || []).length)";
    let end = Instant::now() + PATIENCE * 6;
    browser.open(API)?;
    loop {
        let text = browser.evaluate("document.body.innerText")?;
        let points = browser.evaluate(LINES)?;
        let text = text.as_str().unwrap_or_default();
        let expected = [
            "lb1",
            "1 to look at",
            "server 10.79.0.23:80 of web is down: ",
            "master",
            "4 of 5",
            "2 of 2",
            "2 of 3",
        ];
        let missing = expected.iter().find(|part| !text.contains(**part));
        let active = browser.evaluate("Number([...document.querySelectorAll('.day b')][2].innerText)")?;
        let enough = points[2].as_u64().is_some_and(|points| points >= POINTS);
        if missing.is_none() && enough && active.as_u64().is_some_and(|active| active >= HELD as u64) {
            return Ok(());
        }
        ensure!(Instant::now() < end, "missing {missing:?}, points {points}, active {active}: {text}");
        browser.await_load()?;
    }
}

/// The picture stays beside the logs; `UPDATE=1` makes it that of the manual.
fn keep(picture: &[u8]) -> Result<String> {
    let kept = scratch::logs()?.join("status-page.png");
    std::fs::write(&kept, picture)?;
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(PICTURE, picture).context("writing the picture of the manual")?;
    }
    let manual = std::fs::read(PICTURE).with_context(|| format!("{PICTURE}: UPDATE=1 makes it"))?;
    let size = |png: &[u8]| png.get(16..24).map(<[u8]>::to_vec);
    ensure!(
        size(picture) == size(&manual),
        "the picture in the manual has another size: UPDATE=1 rewrites it"
    );
    // Blank ones have a tenth of that, and two pages of the same build differ by some digits.
    let (ours, theirs) = (picture.len(), manual.len());
    ensure!(ours > 20_000, "{}: {ours} bytes: it is blank", kept.display());
    ensure!(
        ours < theirs * 2 && theirs < ours * 2,
        "the picture in the manual is another one ({theirs} bytes, now {ours}): UPDATE=1 rewrites it"
    );
    Ok(format!("picture: {}", kept.display()))
}

fn servers(site: &Site) -> Result<Vec<RealServer>> {
    let at = |port| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
    let second = site.host("web2", "10.79.0.22/24")?;
    let third = site.host("web3", "10.79.0.23/24")?;
    second.accept_vip(vip(100))?;
    third.accept_vip(vip(100))?;
    Ok(vec![
        RealServer::start(&second, at(80))?,
        RealServer::start(&second, at(8080))?,
        RealServer::start(site.first(), at(8080))?,
    ])
}

/// Lines that somebody sends to the client's port 7000.
fn listen(site: &Site) -> Result<std::sync::mpsc::Receiver<String>> {
    let listener = site.client.namespace().run(|| TcpListener::bind("0.0.0.0:7000"))??;
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut words = String::new();
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let _ = stream.read_to_string(&mut words);
            if tell.send(words.trim().to_owned()).is_err() {
                return;
            }
        }
    });
    Ok(told)
}

/// A client that keeps connections open and asks both services again and again.
struct Load(Arc<AtomicBool>);

impl Load {
    fn start(site: &Site) -> Result<Load> {
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let asker = move || {
            let target = |port| SocketAddr::new(vip(100), port);
            let open = |at: usize| {
                let mut stream =
                    TcpStream::connect(target(if at.is_multiple_of(3) { 8080 } else { 80 })).ok()?;
                stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
                Some(stream)
            };
            let held: Vec<TcpStream> = (0..HELD).filter_map(open).collect();
            for at in 0_u64.. {
                if end.load(Ordering::Relaxed) {
                    break;
                }
                client::ask(
                    target(if at.is_multiple_of(4) { 8080 } else { 80 }),
                    "/",
                    Duration::from_secs(2),
                );
                // Quick and slow by turns: a line worth looking at.
                std::thread::sleep(PAUSE * if (at / 200).is_multiple_of(2) { 1 } else { 3 });
            }
            drop(held);
        };
        site.client.namespace().spawn("load", asker)?;
        Ok(Load(ended))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
