//! Two boxes that share a virtual router.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use director_lab::capture::{Capture, Frame};
use director_lab::command;
use director_lab::frame::{Said, said};
use director_lab::router::{Program, Router};
use director_lab::segment::Host;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of both boxes, unless one is to be preferred.
const PRIORITY: u8 = 100;
const BETTER: u8 = 200;

/// Keepalived as punctual as it can be: real-time and locked in memory, as Director is by itself; and not killed by the kernel
/// for working longer than 10 ms at a time, which its default is.
pub const PUNCTUAL: &str = "global_defs {\n vrrp_version 3\n vrrp_rt_priority 40\n vrrp_rlimit_rttime 10000000\n \
                            vrrp_no_swap\n}\n";

/// What both boxes have in their files.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Number of the virtual router.
    pub vrid: u8,
    /// The address that moves.
    pub vip: Ipv4Addr,
    /// From advertisement to advertisement.
    pub interval: Duration,
    /// Whether the first box has a higher priority and takes back what it had.
    pub preempt: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { vrid: 51, vip: [10, 0, 0, 51].into(), interval: Duration::from_secs(1), preempt: false }
    }
}

impl Config {
    /// How long nobody speaks when the master dies: three intervals and the skew (RFC 9568 section 6.1).
    pub fn formula(&self) -> Duration {
        self.interval * 3 + self.interval * (256 - u32::from(PRIORITY)) / 256
    }

    fn of(&self, program: &Program, address: IpAddr, first: bool) -> String {
        let Self { vrid, vip, interval, preempt } = self;
        let priority = if *preempt && first { BETTER } else { PRIORITY };
        let preempt = *preempt && first;
        match program {
            Program::Director(_) => format!(
                "version = 1\n[[interface]]\nname = \"eth0\"\naddresses = [\"{address}/24\"]\n[[vrrp]]\nname = \"VI\"\n\
                 interface = \"eth0\"\nvrid = {vrid}\npriority = {priority}\ninterval = \"{}ms\"\npreempt = {preempt}\n\
                 addresses = [\"{vip}\"]\nchecksum = \"pseudo-header\"\n",
                interval.as_millis()
            ),
            Program::Keepalived => format!(
                "{PUNCTUAL}vrrp_instance VI {{\n state BACKUP\n \
                 interface eth0\n virtual_router_id {vrid}\n priority {priority}\n advert_int {}\n {}\n \
                 virtual_ipaddress {{\n {vip}/32\n }}\n}}\n",
                interval.as_secs_f64(),
                if preempt { "" } else { "nopreempt" }
            ),
        }
    }
}

/// How mastership is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By Director's verb for it.
    Failover,
    /// By telling the program to end, which is all that keepalived has.
    End,
}

/// How long nobody was master.
#[derive(Debug, Clone, Copy)]
pub struct Gap {
    /// From the last advertisement of the old master to the first of the new one.
    pub until_spoken: Duration,
    /// From there to the first announcement of the VIP.
    pub until_announced: Duration,
}

/// Two boxes, one of them master.
pub struct Pair<'a> {
    routers: [Router; 2],
    config: Config,
    wire: &'a Capture,
    /// Where the pair began.
    mark: usize,
}

impl<'a> Pair<'a> {
    /// Starts the first box, and the second when that is master.
    ///
    /// # Errors
    /// One does not start, or does not become master.
    pub fn start(
        hosts: &[Host; 2],
        programs: [&Program; 2],
        config: Config,
        wire: &'a Capture,
    ) -> Result<Self> {
        let router = |at: usize| -> Result<Router> {
            let ([a, b], [p, q]) = (hosts, programs);
            let (host, program) = if at == 0 { (a, p) } else { (b, q) };
            Router::new(host, program.clone(), &config.of(program, address(host)?, at == 0))
        };
        let mut pair = Self { routers: [router(0)?, router(1)?], config, wire, mark: wire.mark() };
        pair.routers[0].start()?;
        pair.until_master(0)?;
        pair.routers[1].start()?;
        Ok(pair)
    }

    /// What is in the files.
    pub const fn config(&self) -> Config {
        self.config
    }

    /// How often another box than the one before spoke.
    pub fn changes(&self) -> u32 {
        let frames = self.wire.frames(self.mark);
        let sources: Vec<IpAddr> =
            frames.iter().filter_map(|frame| self.advert(frame)).map(|(source, _)| source).collect();
        let changes = sources.windows(2).filter(|two| two.first() != two.last()).count();
        u32::try_from(changes).unwrap_or(u32::MAX)
    }

    /// Waits until a box advertises.
    ///
    /// # Errors
    /// It does not.
    pub fn until_master(&self, at: usize) -> Result<()> {
        self.spoken(at, self.wire.mark()).map(drop)
    }

    /// The master dies after `part` (0..1) of an interval, and comes back as a backup.
    ///
    /// # Errors
    /// Nobody takes over.
    pub fn crash(&mut self, part: f64) -> Result<Gap> {
        self.settle()?;
        std::thread::sleep(self.config.interval.mul_f64(part));
        let (master, mark) = (self.master()?, self.wire.mark());
        self.router_mut(master).kill()?;
        let spoken = self.spoken(1 - master, mark)?;
        let vip = Said::Announcement(self.config.vip.into());
        let announced = self.wire.wait("an announcement", mark, PATIENCE, |frame| {
            (frame.at >= spoken && said(&frame.bytes) == Some(vip)).then_some(frame.at)
        })?;
        let last = self.last_word(master)?;
        self.router_mut(master).start()?;
        Ok(Gap {
            until_spoken: spoken.saturating_sub(last),
            until_announced: announced.saturating_sub(spoken),
        })
    }

    /// The master hands over: how long from its resignation to the first word of the other one.
    ///
    /// # Errors
    /// Nobody takes over.
    pub fn hand_over(&mut self, order: Order, director: &Path) -> Result<Duration> {
        self.settle()?;
        let (master, mark) = (self.master()?, self.wire.mark());
        match order {
            Order::Failover => self.order(director, "failover")?,
            Order::End => self.router_mut(master).stop()?,
        }
        let spoken = self.spoken(1 - master, mark)?;
        let resignation =
            |frame: &Frame| self.advert(frame).filter(|(_, priority)| *priority == 0).map(|_| frame.at);
        let resigned =
            self.wire.wait("a resignation", mark, PATIENCE, resignation).with_context(|| self.story())?;
        if order == Order::End {
            self.router_mut(master).start()?;
        }
        Ok(spoken.saturating_sub(resigned))
    }

    /// Has the master, a Director, do something; or the first box, when it is to take back what it had.
    ///
    /// # Errors
    /// It refuses: its words.
    pub fn order(&self, director: &Path, verb: &str) -> Result<()> {
        let at = if self.config.preempt { 0 } else { self.master()? };
        let run_dir = self.router(at).run_dir().display().to_string();
        let director = director.display().to_string();
        let mut words = vec!["vrrp", verb, "VI", "--run-dir", &run_dir];
        if verb == "failover" {
            // A keepalived that only listens is not known.
            words.push("--force");
        }
        command::output(&director, &words).map(drop)
    }

    /// Waits until the backup must have heard the master: two advertisements from now.
    fn settle(&self) -> Result<()> {
        for _ in 0..2 {
            let mark = self.wire.mark();
            self.wire.wait("an advertisement", mark, PATIENCE, |frame| self.advert(frame))?;
        }
        Ok(())
    }

    const fn router(&self, at: usize) -> &Router {
        let [first, second] = &self.routers;
        if at == 0 { first } else { second }
    }

    const fn router_mut(&mut self, at: usize) -> &mut Router {
        let [first, second] = &mut self.routers;
        if at == 0 { first } else { second }
    }

    /// Who spoke last.
    fn master(&self) -> Result<usize> {
        let frames = self.wire.frames(self.mark);
        let (source, _) =
            frames.iter().rev().find_map(|frame| self.advert(frame)).context("nobody has advertised")?;
        Ok(usize::from(source != address(self.routers[0].host())?))
    }

    /// When a box said its last word until now.
    fn last_word(&self, at: usize) -> Result<Duration> {
        let whose = address(self.router(at).host())?;
        let frames = self.wire.frames(self.mark);
        let last =
            frames.iter().rev().find(|frame| self.advert(frame).is_some_and(|(source, _)| source == whose));
        last.map(|frame| frame.at).context("the master has never advertised")
    }

    /// When a box first advertises after `mark`.
    fn spoken(&self, at: usize, mark: usize) -> Result<Duration> {
        let whose = address(self.router(at).host())?;
        let find = |frame: &Frame| {
            self.advert(frame)
                .filter(|(source, priority)| *source == whose && *priority > 0)
                .map(|_| frame.at)
        };
        self.wire
            .wait("an advertisement of the new master", mark, PATIENCE, find)
            .with_context(|| self.story())
    }

    /// The last words of everybody, on the wire and in their logs.
    fn story(&self) -> String {
        let frames = self.wire.frames(self.mark);
        let adverts: Vec<_> =
            frames.iter().filter_map(|frame| self.advert(frame).map(|said| (frame.at, said))).collect();
        let last = adverts.iter().rev().take(10).rev();
        let said: String = last.map(|(at, said)| format!("{:.6} {said:?}\n", at.as_secs_f64())).collect();
        let logs: Vec<String> = self.routers.iter().map(|router| router.log().text()).collect();
        format!("{said}----\n{}", logs.join("----\n"))
    }

    /// Sender and priority of an advertisement of this virtual router.
    fn advert(&self, frame: &Frame) -> Option<(IpAddr, u8)> {
        match said(&frame.bytes)? {
            Said::Advert { source, vrid, priority, .. } if vrid == self.config.vrid => {
                Some((source, priority))
            }
            _ => None,
        }
    }
}

/// The address that a host was given.
fn address(host: &Host) -> Result<IpAddr> {
    host.own().context("a router's host has no address of its own")
}
