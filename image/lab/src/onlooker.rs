//! Whoever wants to know how a large Director is: how long the answers take, and whether the virtual router beside them is still in
//! time.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::capture::{Capture, Frame};
use crate::client;
use crate::command;
use crate::crowd::{Crowd, quantile};
use crate::frame::{Said, said};
use crate::process::{family, waited_for_processor, was_called_with};
use crate::router::{Program, Router};
use crate::segment::{Host, Segment};
use crate::terminal::Terminal;

/// Between two advertisements.
pub const INTERVAL: Duration = Duration::from_millis(20);
/// Whether advertisements came as if nobody asked, in words: half of them in time, and 99 % within an interval but for what their worker
/// waited for a processor. The worst is not judged: the hypervisor of a small machine takes a processor away for 50 ms, whoever asks.
///
/// # Errors
/// They did not, or there were too few.
pub fn undisturbed(late: &[Duration], waited: Duration) -> Result<String> {
    let [half, most, worst] = [0.5, 0.99, 1.0].map(|share| quantile(late, share));
    let words = format!(
        "{} advertisements: half late by {half:.1?}, 99 % by less than {most:.1?}, at worst {worst:.1?}; {waited:.1?} without a processor",
        late.len()
    );
    ensure!(late.len() > 100 && half < INTERVAL / 4 && most < INTERVAL + waited, "disturbed: {words}");
    Ok(words)
}

/// The port of every real server.
const PORT: u16 = 8000;
/// Real servers of one service.
const IN_ONE: u32 = 10;
/// The console's status on a terminal.
pub const SCREEN: &str = "screen";
/// Where `api` listens.
const API: &str = "10.0.0.1:9100";
/// `api` asks the workers again when its answers are older than a second.
const STALE: Duration = Duration::from_millis(1_050);
/// How long Director may take to check everybody once, on a busy machine.
const SETTLE: Duration = Duration::from_secs(180);

/// How much.
#[derive(Debug, Clone, Copy)]
pub struct Onlookers {
    /// Virtual services, each with ten real servers that are checked once a minute; at most 5000.
    pub services: u32,
    /// How often each question is asked.
    pub rounds: u32,
    /// How long the virtual router is watched before; and how long while somebody asks without a pause.
    pub watch: Duration,
}

/// A question, and what its answers took.
#[derive(Debug)]
pub struct Answers {
    /// A path of `api`; `console` is `director status lvs`, `screen` is the console's entry 1 on a terminal.
    pub what: &'static str,
    /// How long each took, in ascending order.
    pub times: Vec<Duration>,
    /// The same without the time for which a process of Director was ready to run and had no processor, in ascending order.
    pub own: Vec<Duration>,
    /// Bytes of the last one.
    pub bytes: usize,
}

/// What was found.
#[derive(Debug)]
pub struct Findings {
    /// Each question.
    pub answers: Vec<Answers>,
    /// How much later than an interval advertisements came, in ascending order: while nobody asked, while somebody asked now and then,
    /// and while four asked without a pause.
    pub late: [Vec<Duration>; 3],
    /// How long the virtual router's process was ready to run and had no processor, in the same times.
    pub waited: [Duration; 3],
    /// Questions of those who asked without a pause.
    pub hurried: usize,
}

/// Runs `director` and looks on.
///
/// # Errors
/// A namespace cannot be made, Director does not come up, or an answer is none.
pub fn watch(director: &Path, how: Onlookers) -> Result<Findings> {
    let segment = Segment::new()?;
    let (host, client) = (segment.host("lb1", "10.0.0.1/24")?, segment.host("client", "10.0.0.9/24")?);
    // Every real server is here.
    host.namespace().ip("route add local 10.128.0.0/9 dev lo")?;
    let crowd = Crowd::start(host.namespace(), PORT..PORT + 1)?;
    // A third one, whom the answers do not reach: what they amount to would crowd out advertisements.
    let witness = segment.host("witness", "10.0.0.8/24")?;
    let wire = Capture::start(witness.namespace())?;
    let mut router = Router::new(&host, Program::Director(director.to_owned()), &config(how)?)?;
    router.start()?;
    all_asked(&crowd, usize::try_from(how.services * IN_ONE)?)?;
    let vrrp = family(router.process()).into_iter().find(|process| was_called_with(*process, "vrrp"));
    let vrrp = vrrp.context("director has no worker vrrp")?;
    let watched = |work: &mut dyn FnMut() -> Result<()>| -> Result<(Vec<Duration>, Duration)> {
        let (mark, waited) = (wire.mark(), waited_for_processor(vrrp));
        work()?;
        Ok((lateness(&wire.frames(mark)), waited_for_processor(vrrp).saturating_sub(waited)))
    };

    let quiet = watched(&mut || {
        std::thread::sleep(how.watch);
        Ok(())
    })?;
    let mut asking = Asking {
        director,
        run_dir: router.run_dir(),
        client: &client,
        seat: seated(director, &router)?,
        everybody: family(router.process()),
    };
    let mut answers = Vec::new();
    let asked = watched(&mut || {
        answers = asking.in_turn(how.rounds)?;
        Ok(())
    })?;
    drop(asking);
    let mut hurried = 0;
    let pressed = watched(&mut || {
        hurried = in_a_hurry(&client, how.watch)?;
        Ok(())
    })?;
    Ok(Findings {
        answers,
        late: [quiet.0, asked.0, pressed.0],
        waited: [quiet.1, asked.1, pressed.1],
        hurried,
    })
}

/// A terminal at the console's first menu.
fn seated(director: &Path, router: &Router) -> Result<Terminal> {
    let mut seat = Terminal::start(director, &router.run_dir())?;
    seat.expect("Press Enter", SETTLE)?;
    seat.send("\r")?;
    seat.expect("to leave: ", SETTLE)?;
    Ok(seat)
}

/// Who asks now and then.
struct Asking<'a> {
    director: &'a Path,
    run_dir: PathBuf,
    client: &'a Host,
    seat: Terminal,
    /// The processes of Director.
    everybody: Vec<u32>,
}

impl Asking<'_> {
    /// Each question `rounds` times.
    fn in_turn(&mut self, rounds: u32) -> Result<Vec<Answers>> {
        let mut answers: Vec<Answers> = ["/metrics", "/status", "/", "console", SCREEN]
            .map(|what| Answers { what, times: Vec::new(), own: Vec::new(), bytes: 0 })
            .into();
        for _ in 0..rounds {
            for answer in &mut answers {
                std::thread::sleep(STALE);
                self.once(answer)?;
            }
        }
        answers.iter_mut().for_each(|answer| {
            answer.times.sort_unstable();
            answer.own.sort_unstable();
        });
        Ok(answers)
    }

    fn once(&mut self, answer: &mut Answers) -> Result<()> {
        let (begun, waited) = (Instant::now(), self.waited());
        answer.bytes = match answer.what {
            "console" => self.console()?,
            SCREEN => screen(&mut self.seat)?,
            path => self.client.namespace().run(move || get(path))??.len(),
        };
        let (took, waited) = (begun.elapsed(), self.waited().saturating_sub(waited));
        answer.times.push(took);
        answer.own.push(took.saturating_sub(waited));
        if answer.what == SCREEN {
            self.seat.send("q")?;
            self.seat.expect("to leave: ", SETTLE)?;
        }
        Ok(())
    }

    /// For how long processes of Director were ready to run and had no processor.
    fn waited(&self) -> Duration {
        self.everybody.iter().copied().map(waited_for_processor).sum()
    }

    /// The verb gives up after three seconds, which a busy machine may want for itself; the time counts from the first try.
    fn console(&self) -> Result<usize> {
        let words = ["status", "lvs", "--run-dir", &self.run_dir.to_string_lossy()].map(str::to_owned);
        let once = || command::output(&self.director.to_string_lossy(), &words).map(|text| text.len());
        once().or_else(|_| once()).or_else(|_| once())
    }
}

/// Entry 1 of the console's menu, until it is there; its bytes.
fn screen(seat: &mut Terminal) -> Result<usize> {
    seat.send("1\r")?;
    seat.expect("any other key = back) ", SETTLE).map(|shown| shown.len())
}

/// Waits until each real server was checked once.
fn all_asked(crowd: &Crowd, everybody: usize) -> Result<()> {
    let end = Instant::now() + SETTLE;
    while crowd.seen().servers() < everybody {
        ensure!(Instant::now() < end, "only {} of {everybody} servers were asked", crowd.seen().servers());
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Four ask without a pause for `time`; how many answers they had.
fn in_a_hurry(client: &Host, time: Duration) -> Result<usize> {
    let end = Instant::now() + time;
    let ask = |path: &'static str| {
        client.namespace().spawn("asker", move || {
            std::iter::from_fn(|| (Instant::now() < end && get(path).is_ok()).then_some(())).count()
        })
    };
    let askers = ["/metrics", "/status", "/", "/healthz"].map(ask);
    let askers: Vec<JoinHandle<usize>> = askers.into_iter().collect::<Result<_>>()?;
    Ok(askers.into_iter().filter_map(|asker| asker.join().ok()).sum())
}

/// The answer to a GET, whole.
fn get(path: &str) -> Result<Vec<u8>> {
    let answer = client::get(API.parse()?, path, SETTLE, u64::MAX)?;
    ensure!(
        answer.starts_with(b"HTTP/1.1 200 "),
        "GET {path}: {}",
        String::from_utf8_lossy(answer.get(..80).unwrap_or(&answer))
    );
    Ok(answer)
}

/// How much later than an interval after the one before advertisements came, in ascending order.
fn lateness(frames: &[Frame]) -> Vec<Duration> {
    let adverts = frames.iter().filter(|frame| matches!(said(&frame.bytes), Some(Said::Advert { .. })));
    let times: Vec<Duration> = adverts.map(|frame| frame.at).collect();
    let gaps = times.iter().zip(times.iter().skip(1));
    let mut late: Vec<Duration> =
        gaps.map(|(before, after)| after.saturating_sub(*before).saturating_sub(INTERVAL)).collect();
    late.sort_unstable();
    late
}

fn config(how: Onlookers) -> Result<String> {
    let mut text = format!(
        "version = 1\n[[interface]]\nname = \"eth0\"\naddresses = [\"10.0.0.1/24\"]\n[api]\nlisten = \"{API}\"\n\
         [[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\ninterval = \"{}ms\"\naddresses = [\"10.0.0.100/32\"]\n",
        INTERVAL.as_millis()
    );
    for service in 0..how.services {
        writeln!(
            text,
            "[[service]]\nname = \"s{service}\"\nlisten = \"10.0.0.100:{}\"\nmethod = \"nat\"\n\
             check = {{ type = \"http\", path = \"/\", interval = \"60s\", timeout = \"5s\" }}",
            10_000 + service
        )?;
        for server in 0..IN_ONE {
            let host = service * IN_ONE + server;
            writeln!(
                text,
                "[[service.server]]\naddress = \"10.{}.{}.{}:{PORT}\"",
                128 + host / 50_000,
                host / 200 % 250,
                1 + host % 200
            )?;
        }
    }
    Ok(text)
}
