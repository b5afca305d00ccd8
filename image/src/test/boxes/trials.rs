//! Firmware on trial, on whole boxes: it proves itself; it does not boot; it is unwell.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use director_lab::guest::Guest;
use director_lab::machine::{Boot, Machine, Network};
use director_lab::{disk, scratch};

use super::console::{answer, choose, leave};
use super::site::{BOOT, PATIENCE, config, vip};
use super::{INVITATION, image};
use crate::test::outcome::Outcome;

/// grub-core/lib/envblk.c
const BLOCK: usize = 1024;
const HEADER: &[u8] = b"# GRUB Environment Block\n";
/// What a box needs to prove itself, and what it needs to boot.
pub(super) const PROOF: Duration = Duration::from_secs(60 + 120);

/// A webhook on this host, which a box behind QEMU's own network reaches.
struct Alarms {
    port: u16,
    posts: Receiver<String>,
}

impl Alarms {
    fn listen() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (port, (tell, posts)) = (listener.local_addr()?.port(), channel());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                if tell.send(post(&mut stream).unwrap_or_default()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { port, posts })
    }

    /// Lines of director.toml: an address in QEMU's network, and alarms of slots to where this listens.
    fn receiver(&self) -> String {
        format!(
            "\n[[interface]]\nname = \"eth1\"\naddresses = [\"10.0.2.15/24\"]\n\n\
             [[notify]]\nname = \"host\"\ntype = \"webhook\"\nurl = \"http://10.0.2.2:{}/\"\nevents = [\"slot\"]\n",
            self.port
        )
    }

    fn expect(&self, words: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        while let Ok(post) = self.posts.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if post.contains(words) {
                return Ok(());
            }
            heard.push(post);
        }
        bail!("no alarm says {words:?}: {heard:?}")
    }
}

/// The body of a request, which is taken.
fn post(stream: &mut TcpStream) -> std::io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Three boxes at a time: they mostly wait.
///
/// # Errors
/// What did not come about, with what the box said.
pub fn slots() -> Result<Outcome> {
    let folder = scratch::folder("slots")?;
    let folder = folder.path();
    let trials: [fn(&Path) -> Result<String>; 3] = [proves_itself, does_not_boot, is_unwell];
    let results: Vec<Result<String>> = std::thread::scope(|scope| {
        let running: Vec<_> = trials.iter().map(|trial| scope.spawn(move || trial(folder))).collect();
        let joined = running.into_iter().map(|thread| thread.join());
        joined.map(|result| result.unwrap_or_else(|_| Err(anyhow::anyhow!("the test panicked")))).collect()
    });
    let mut outcome = Outcome::default();
    for result in results {
        match result {
            Ok(note) => {
                outcome.passed += 1;
                outcome.notes.push(note);
            }
            Err(error) => outcome.failed.push(format!("{error:#}")),
        }
    }
    Ok(outcome)
}

/// A minute in which all workers live makes a new slot a good one.
fn proves_itself(folder: &Path) -> Result<String> {
    let disk = on_trial(folder, "proof", "")?;
    let mut guest = power_on("box-slot-proof", &disk)?;
    guest.explain(guest.serial().expect("director: slot B", BOOT))?;
    guest.explain(guest.serial().expect(INVITATION, BOOT))?;
    ensure!(variable(&disk, "B_N")? == "x" && variable(&disk, "B_ST")? == "try", "it is counted until then");
    let begun = Instant::now();
    while variable(&disk, "B_ST")? != "good" {
        guest.check()?;
        guest.explain(in_time(begun, PROOF).context("slot B is not confirmed"))?;
        std::thread::sleep(Duration::from_millis(500));
    }
    ensure!(variable(&disk, "B_N")?.is_empty(), "the count of a good slot begins anew");
    Ok(format!("a slot on trial was confirmed {:.0} s after it was ready", begun.elapsed().as_secs_f64()))
}

/// A root whose blocks are not what was signed: three attempts, and the other slot runs.
fn does_not_boot(folder: &Path) -> Result<String> {
    let alarms = Alarms::listen()?;
    let disk = on_trial_with(folder, "broken", "", &alarms.receiver())?;
    disk::poke(&disk, "root-b", b"hsqs", b"HSQS")?;
    let guest = power_on("box-slot-broken", &disk)?;
    for attempt in 1..=3 {
        let tried = guest.serial().expect("director: slot B", BOOT);
        guest.explain(tried.with_context(|| format!("attempt {attempt}")))?;
    }
    guest.explain(guest.serial().expect("director: slot A", BOOT))?;
    guest.explain(guest.serial().expect(": partition DIRECTOR", BOOT))?;
    guest.explain(guest.serial().expect(INVITATION, PATIENCE))?;
    ensure!(variable(&disk, "B_N")? == "xxx", "slot B is not spent");
    guest.explain(alarms.expect("the firmware in slot B was given up: it never came up"))?;
    Ok(format!("broken firmware was left after {:.0} s", guest.powered().elapsed().as_secs_f64()))
}

/// Its last attempt, and a worker that does not run: the box starts again by itself, with the other slot, and says why.
fn is_unwell(folder: &Path) -> Result<String> {
    let alarms = Alarms::listen()?;
    let disk = on_trial_with(folder, "unwell", "xx", &alarms.receiver())?;
    // So that nobody waits five minutes. The file lies unpacked on the partition, for GRUB's sake.
    disk::poke(&disk, "boot-b", b"random.trust_cpu=on", b"director.trial=15s ")?;
    let guest = power_on("box-slot-unwell", &disk)?;
    guest.explain(guest.serial().expect("director: slot B", BOOT))?;
    guest.explain(guest.serial().expect(INVITATION, BOOT))?;
    let hold = || -> Result<()> {
        choose(&guest, "8")?;
        answer(&guest, "Worker (1-", "lvs")?;
        answer(&guest, "lvs: restart, hold or release", "hold")?;
        answer(&guest, "Worker (1-", "")?;
        leave(&guest)
    };
    guest.explain(hold())?;
    guest.explain(guest.serial().expect("director: starting again", PATIENCE))?;
    guest.explain(guest.serial().expect("director: slot A", BOOT))?;
    guest.explain(guest.serial().expect("slot B was given up: lvs is held", BOOT))?;
    guest.explain(alarms.expect("the firmware in slot B was given up: lvs is held"))?;
    Ok("firmware with a worker that does not run was given up, with a word and an alarm".to_owned())
}

/// A disk with the operator's file, on which slot B is new and comes first.
fn on_trial(folder: &Path, name: &str, tried: &str) -> Result<std::path::PathBuf> {
    on_trial_with(folder, name, tried, "")
}

/// The same, with more lines in the file.
fn on_trial_with(folder: &Path, name: &str, tried: &str, more: &str) -> Result<std::path::PathBuf> {
    let disk = folder.join(format!("{name}.img"));
    disk::copy(image()?, &disk)?;
    let file = disk::file(folder, &format!("{name}.toml"), &(config("slots", vip(100)) + more))?;
    disk::put_config(&disk, &file, "director.toml")?;
    let mut block =
        [HEADER, format!("A_N=\nA_ST=good\nB_N={tried}\nB_ST=try\nORDER=B A\n").as_bytes()].concat();
    block.resize(BLOCK, b'#');
    disk::poke(&disk, "state", HEADER, &block)?;
    Ok(disk)
}

/// A variable of GRUB's, as the running box has left it on its disk.
pub(super) fn variable(disk: &Path, name: &str) -> Result<String> {
    let block = grub_block(disk)?;
    let text = String::from_utf8_lossy(&block);
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.map(str::to_owned).with_context(|| format!("no {name} in {text}"))
}

/// All of GRUB's variables, likewise.
pub(super) fn grub_block(disk: &Path) -> Result<Vec<u8>> {
    disk::peek(disk, "state", HEADER, BLOCK)
}

fn power_on(name: &str, disk: &Path) -> Result<Guest> {
    let machine = Machine::new(name, Boot::Bios(disk.to_owned()));
    // The first card is for the VIP, which nobody asks.
    let machine = machine.nic(Network::User, "52:54:00:79:00:01").nic(Network::User, "52:54:00:79:00:02");
    Guest::start(&machine, None)
}

fn in_time(begun: Instant, patience: Duration) -> Result<()> {
    ensure!(begun.elapsed() < patience, "not within {patience:?}");
    Ok(())
}
