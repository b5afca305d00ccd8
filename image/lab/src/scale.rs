//! Director checking very many servers: in a namespace of this host, with the checks of `lvs` and without IPVS.

use std::fmt::Write;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::crowd::{Crowd, Seen};
use crate::namespace::Namespace;
use crate::process::{Memory, family, memory, processor_time, waited_for_processor, was_called_with};
use crate::{command, scratch};

/// The first port; every address has as many as there are servers on it.
const PORT: u16 = 8000;
/// Servers on one address.
const ON_ONE: u32 = 100;
/// Servers of one service.
const IN_ONE: u32 = 10;
/// Servers that swallow every packet.
pub const BLACK_HOLES: u8 = 10;

/// How much.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Servers that answer, a multiple of 100.
    pub servers: u32,
    /// From check to check of a server.
    pub period: Duration,
    /// How long is watched, after everybody was asked twice.
    pub watch: Duration,
}

/// What was found.
#[derive(Debug)]
pub struct Findings {
    /// What the servers saw.
    pub seen: Seen,
    /// How long the server that waits longest had not been asked at the end.
    pub longest_wait: Duration,
    /// Processor time of the checking process.
    pub processor: Duration,
    /// Its memory at the beginning and at the end of the watch.
    pub memory: (Memory, Memory),
    /// From the signal to the checking process having said, with the file in which one weight is another, what the kernel's table is to
    /// be; here is no IPVS that would take it.
    pub reloads: Vec<Duration>,
    /// What Director logged.
    pub log: String,
    /// How long the checking process was ready to run and had no processor, in its whole life, and during the watch: the machine
    /// does other things too, and nobody can be in time then.
    pub waited: (Duration, Duration),
}

/// Runs `director` on so many servers and watches.
///
/// # Errors
/// A namespace cannot be made, Director ends, or does not ask everybody.
pub fn watch(director: &Path, scale: Scale) -> Result<Findings> {
    let namespace = Namespace::new("scale")?;
    network(&namespace)?;
    let crowd = Crowd::start(&namespace, PORT..PORT + u16::try_from(ON_ONE)?)?;
    let folder = scratch::folder("scale")?;
    let file = folder.path().join("director.toml");
    std::fs::write(&file, config(scale)?)?;
    let log = folder.path().join("log");
    let mut run = command::bound(&director.display().to_string());
    run.args(["run", "--config"]).arg(&file).arg("--run-dir").arg(folder.path().join("run"));
    run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log)?);
    let mut life = Life(namespace.run(move || run.spawn())?.context("starting director")?);
    let everybody = usize::try_from(scale.servers)?;
    life.until(Duration::from_secs(120), "everybody is asked", || crowd.asked() >= everybody)?;
    std::thread::sleep(scale.period * 2); // the second check of each gives it its phase

    let lvs = family(life.0.id()).into_iter().find(|process| was_called_with(*process, "lvs"));
    let lvs = lvs.context("director has no worker lvs")?;
    crowd.forget();
    let (processor, before) = (processor_time(lvs), memory(lvs));
    let waited = waited_for_processor(lvs);
    std::thread::sleep(scale.watch);
    let whole_wait = waited_for_processor(lvs);
    let (seen, now) = (crowd.seen(), Instant::now());
    ensure!(life.0.try_wait()?.is_none(), "director has ended");
    let (processor, after) = (processor_time(lvs).saturating_sub(processor), memory(lvs));
    Ok(Findings {
        longest_wait: seen.longest_wait(now),
        seen,
        processor,
        memory: (before, after),
        reloads: reloads(&mut life, &file, &log, scale)?,
        log: std::fs::read_to_string(&log)?,
        waited: (whole_wait, whole_wait.saturating_sub(waited)),
    })
}

/// Changes the weight of the last server a few times.
fn reloads(life: &mut Life, file: &Path, log: &Path, scale: Scale) -> Result<Vec<Duration>> {
    const TIMES: u32 = 5;
    let text = config(scale)?;
    let process = Pid::from_raw(i32::try_from(life.0.id())?);
    let taken = |from: u64| {
        let mut new = String::new();
        let read = File::open(log).and_then(|mut file| {
            file.seek(SeekFrom::Start(from))?;
            file.read_to_string(&mut new)
        });
        read.is_ok()
            && new
                .lines()
                .any(|line| line.contains(" lvs ") && line.contains("configuration waits for the kernel:"))
    };
    let mut took = Vec::new();
    for weight in 2..2 + TIMES {
        std::fs::write(file, format!("{text}weight = {weight}\n"))?;
        let from = std::fs::metadata(log)?.len();
        let begun = Instant::now();
        kill(process, Signal::SIGHUP)?;
        life.until_soon(Duration::from_secs(30), "the file is read again", || taken(from))?;
        took.push(begun.elapsed());
        std::thread::sleep(Duration::from_millis(500)); // what it causes besides is done
    }
    Ok(took)
}

struct Life(Child);

impl Life {
    fn until(&mut self, patience: Duration, what: &str, holds: impl Fn() -> bool) -> Result<()> {
        self.until_looking(Duration::from_millis(100), patience, what, holds)
    }

    /// Looks every millisecond.
    fn until_soon(&mut self, patience: Duration, what: &str, holds: impl Fn() -> bool) -> Result<()> {
        self.until_looking(Duration::from_millis(1), patience, what, holds)
    }

    fn until_looking(
        &mut self,
        pause: Duration,
        patience: Duration,
        what: &str,
        holds: impl Fn() -> bool,
    ) -> Result<()> {
        let end = Instant::now() + patience;
        while !holds() {
            ensure!(self.0.try_wait()?.is_none(), "director has ended");
            if Instant::now() > end {
                bail!("not within {patience:?}: {what}");
            }
            std::thread::sleep(pause);
        }
        Ok(())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whoever has an address in 10.128.0.0/9 is here. Packets to black holes leave by a cable that leads nowhere, to neighbours
/// who need not be asked for first.
fn network(namespace: &Namespace) -> Result<()> {
    for words in [
        "link add eth0 type veth peer name cable",
        "link set cable up",
        "link set eth0 up",
        "address add 10.64.0.254/24 dev eth0",
        "route add local 10.128.0.0/9 dev lo",
    ] {
        namespace.ip(words)?;
    }
    for last in 1..=BLACK_HOLES {
        namespace.ip(&format!("neigh add 10.64.0.{last} lladdr 02:00:00:00:00:01 dev eth0 nud permanent"))?;
    }
    Ok(())
}

fn config(scale: Scale) -> Result<String> {
    ensure!(scale.servers.is_multiple_of(ON_ONE), "servers are counted in hundreds");
    let period = scale.period.as_millis();
    let head = |name: &str, port: u32| {
        format!(
            "[[service]]\nname = \"{name}\"\nlisten = \"10.64.0.254:{port}\"\nmethod = \"nat\"\n\
             check = {{ type = \"http\", path = \"/\", interval = \"{period}ms\", timeout = \"1s\" }}\n"
        )
    };
    let mut text =
        "version = 1\n[[interface]]\nname = \"eth0\"\naddresses = [\"10.64.0.254/24\"]\n".to_owned();
    text += &head("holes", 9);
    for last in 1..=BLACK_HOLES {
        writeln!(text, "[[service.server]]\naddress = \"10.64.0.{last}:80\"")?;
    }
    for server in 0..scale.servers {
        if server.is_multiple_of(IN_ONE) {
            text += &head(&format!("s{}", server / IN_ONE), 10_000 + server / IN_ONE);
        }
        let (host, port) = (server / ON_ONE, u32::from(PORT) + server % ON_ONE);
        writeln!(text, "[[service.server]]\naddress = \"10.128.{}.{}:{port}\"", host / 200, 1 + host % 200)?;
    }
    Ok(text)
}
