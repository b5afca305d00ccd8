//! Secrets of the file on the operator's partition: nobody who looks at the box is told one.

use std::net::UdpSocket;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use anyhow::{Context, Result, ensure};

use director_lab::client;
use director_lab::guest::Guest;
use director_lab::machine::{Boot, Machine};
use director_lab::{command, disk};

use super::person::{BELOW, INVITATION, MAIN, Person};
use super::site::{PATIENCE, Site, config, vip};
use crate::test::outcome::Outcome;

const CHOICE: &str = "; ? explains them (empty line = back): ";
const TRY: &str = "Apply it for 5 minutes on trial? (yes, no or a time: 30s; empty line = back): ";
/// The mail password before and after a change, the password of the virtual router, and one that lies in a file of its own.
const SECRETS: [&str; 4] = ["first-mail-word", "second-mail-word", "vrrpword", "webhook-word-in-a-file"];

/// A mail password is changed on trial and confirmed, a faulty one is refused; then status, page, metrics, logs, bundle and all
/// that the console has said are looked through.
///
/// # Errors
/// Where a secret is, or what did not come about.
pub fn secrets() -> Result<Outcome> {
    let site = Site::new()?;
    let disk = site.disk()?;
    site.configure(&disk, &file(SECRETS[0]))?;
    let hook = disk::file(site.folder(), "hook", SECRETS[3])?;
    disk::put_config_folder(&disk, "secrets", &[(&hook, "hook")])?;
    let logs = collector(&site)?;
    let stick = site.folder().join("secrets-stick.img");
    disk::usb_stick(&stick, None)?;
    let machine = Machine { usb_socket: true, ..site.machine("box-secrets", Boot::Bios(disk.clone()))? };
    let mut guest = site.start(&machine)?;
    site.await_answer(vip(100), &mut guest)?;
    let done = played(&site, &disk, &stick, &mut guest);
    guest.explain(done)?;

    let mut told = vec![("the console".to_owned(), guest.serial().text())];
    for path in ["/status", "/metrics", "/"] {
        told.push((path.to_owned(), get(&site, path)?));
    }
    told.push(("the log receiver".to_owned(), logs.try_iter().collect::<Vec<_>>().join("\n")));
    let bundle = site.folder().join("bundle.tar.gz");
    disk::take_off(&stick, "director-support-secrets.tar.gz", &bundle)?;
    told.push(("the bundle".to_owned(), command::output("tar", &["-xOzf".as_ref(), bundle.as_os_str()])?));
    // So that nothing is looked for where nothing is.
    for (place, words) in
        [("the log receiver", "change applied"), ("the bundle", "change applied"), ("/status", "VI_1")]
    {
        let (_, text) = told.iter().find(|(name, _)| name == place).context(place)?;
        ensure!(text.contains(words), "{place} does not say {words:?}:\n{text}");
    }
    let mut leaks = Vec::new();
    for (place, text) in &told {
        for secret in SECRETS {
            leaks.extend(
                text.lines().filter(|line| line.contains(secret)).map(|line| format!("{place}: {line}")),
            );
        }
    }
    ensure!(leaks.is_empty(), "secrets are told:\n{}", leaks.join("\n"));
    // They are where they belong.
    ensure!(disk::read_config(&disk, "director.toml")?.contains(SECRETS[1]), "the change was not written");
    Ok(Outcome::passed())
}

fn file(password: &str) -> String {
    let rest = format!(
        "\n[api]\nlisten = \"10.79.0.11:9100\"\n\n[[notify]]\nname = \"mail\"\ntype = \"mail\"\nserver = \"10.79.0.1:25\"\nfrom = \"lb@example.com\"\nto = [\"ops@example.com\"]\n\
         starttls = true\nuser = \"lb\"\npassword = \"{password}\"\n\n\
         [[notify]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://10.79.0.1:8080/\"\nsecret = \"file:hook\"\n"
    );
    let own = config("secrets", vip(100));
    let auth = format!("vrid = 79\nauth = {{ type = \"pass\", key = \"{}\" }}\n", SECRETS[2]);
    let own = own.replacen("[system]\n", "[system]\nsyslog = [\"udp://10.79.0.1:514\"]\n", 1);
    own.replacen("vrid = 79\n", &format!("version = 2\n{auth}"), 1).replacen(
        "interval = \"100ms\"",
        "interval = \"1s\"",
        1,
    ) + &rest
}

/// Changes the password, has a faulty file refused, looks at everything, and takes a bundle.
fn played(site: &Site, disk: &Path, stick: &Path, guest: &mut Guest) -> Result<()> {
    guest.qmp().plug_in("usb", stick, false)?;
    let mut person = Person::new(guest);
    person.hear(INVITATION)?;
    site.configure(disk, &file(SECRETS[1]))?;
    configuration(&mut person)?;
    person.answer(CHOICE, "d")?;
    let said = person.hear(TRY)?;
    ensure!(said.contains("password"), "the change is not told:\n{said}");
    person.answer(TRY, "yes")?;
    person.hear(CHOICE)?;
    let mut confirmed = String::new();
    for _ in 0..30 {
        person.answer(CHOICE, "c")?;
        confirmed = person.hear(CHOICE)?;
        if confirmed.contains("stays") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    ensure!(confirmed.contains("stays"), "the change is not confirmed:\n{confirmed}");
    // A key of nine characters is a fault, and the report shows its line.
    site.configure(disk, &file(SECRETS[1]).replacen(SECRETS[2], &format!("{}xx", SECRETS[2]), 1))?;
    configuration(&mut person)?;
    for word in ["r", "d"] {
        person.answer(CHOICE, word)?;
        let said = person.hear(CHOICE)?;
        ensure!(said.contains("fault"), "{word}: the fault is not told:\n{said}");
    }
    site.configure(disk, &file(SECRETS[1]))?;
    person.answer(CHOICE, "r")?;
    person.hear(CHOICE)?;
    person.home()?;
    person.answer(MAIN, "0")?;
    person.hear(BELOW)?;
    person.answer(BELOW, "1")?;
    person.hear("empty line = back): ")?;
    person.answer("", "usb")?;
    let said = person.hear(BELOW)?;
    ensure!(said.contains("director-support-secrets.tar.gz"), "no bundle:\n{said}");
    person.home()
}

fn configuration(person: &mut Person<'_>) -> Result<()> {
    person.home()?;
    person.answer(MAIN, "3")?;
    person.hear(CHOICE).map(drop)
}

/// Every datagram that comes to the client's port for logs.
fn collector(site: &Site) -> Result<Receiver<String>> {
    let socket = site.client.namespace().run(|| UdpSocket::bind("0.0.0.0:514"))??;
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok(count) = socket.recv(&mut buffer) {
            let line = String::from_utf8_lossy(buffer.get(..count).unwrap_or(&[])).into_owned();
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    Ok(told)
}

/// What `api` answers, head and body.
fn get(site: &Site, path: &'static str) -> Result<String> {
    let ask = move || client::get(([10, 79, 0, 11], 9100).into(), path, PATIENCE, u64::MAX);
    let answer = site.client.namespace().run(ask)?.with_context(|| path.to_owned())?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
