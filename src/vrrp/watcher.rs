//! The thread that asks: gateways, programs and files that decide about mastership. The loop that advertises only hears what
//! it has found out.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::net::if_::if_nametoindex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::facts::FileWord;
use crate::check::schedule::Tally;
use crate::check::{Notice, Outcome, Target, arp, exec, ping, reason};
use crate::config::model::{Check, CheckKind, Probe, ProbeKind, TrackTarget, VrrpInstance};
use crate::ipc::message::Health;
use crate::units::{IfName, show_duration};

const STACK: usize = 512 * 1024;
/// How often a file is read.
const READ: Duration = Duration::from_millis(500);
/// A file with more is no number and no word.
const LONGEST: usize = 256;

/// What is asked; everything, each time. With each the time from the first question on during which an answer that cannot come, for
/// the network is not up yet, says nothing.
pub type Wanted = BTreeMap<Subject, Duration>;

/// Something that is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Whether it answers.
    Probe(Probe),
    /// What it says.
    File(String),
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A verdict, and the answer that decided.
    Probe(Probe, bool, String),
    /// What a file says.
    File(String, FileWord),
}

/// What the virtual routers need to know.
#[must_use]
pub fn wanted(configs: &[VrrpInstance]) -> Wanted {
    let tracks = configs.iter().flat_map(|config| config.track.iter().map(move |track| (config, track)));
    let subject = |target: &TrackTarget| match target {
        TrackTarget::Probe(probe) => Some(Subject::Probe(probe.clone())),
        TrackTarget::File(path) => Some(Subject::File(path.clone())),
        TrackTarget::Interface(_) | TrackTarget::Service(_) => None,
    };
    let mut wanted = Wanted::new();
    for (config, subject) in tracks.filter_map(|(config, track)| Some((config, subject(&track.target)?))) {
        // The verdict comes while a new process still waits for it.
        let grace = wanted.entry(subject).or_default();
        *grace = config.start_wait.div_f32(2.0).max(*grace);
    }
    wanted
}

/// Starts the thread, which ends with the sender.
///
/// # Errors
/// When there is no room for a thread.
pub fn start() -> io::Result<(mpsc::UnboundedSender<Wanted>, mpsc::UnboundedReceiver<News>)> {
    let (ask, wanted) = mpsc::unbounded_channel();
    let (tell, news) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Real-time ends with the thread that has it: what is asked here must not compete with the loop.
    let builder = std::thread::Builder::new().name("vrrp-watcher".to_owned()).stack_size(STACK);
    builder.spawn(move || runtime.block_on(watch(wanted, tell)))?;
    Ok((ask, news))
}

/// Begins and ends a task for each subject as it comes and goes.
async fn watch(mut wanted: mpsc::UnboundedReceiver<Wanted>, tell: mpsc::UnboundedSender<News>) {
    let mut tasks: BTreeMap<Subject, JoinHandle<()>> = BTreeMap::new();
    while let Some(wanted) = wanted.recv().await {
        tasks.retain(|subject, task| {
            let stays = wanted.contains_key(subject);
            if !stays {
                task.abort();
            }
            stays
        });
        for (subject, grace) in wanted {
            let begin = || tokio::task::spawn(ask(subject.clone(), grace, tell.clone()));
            tasks.entry(subject.clone()).or_insert_with(begin);
        }
    }
}

async fn ask(subject: Subject, grace: Duration, tell: mpsc::UnboundedSender<News>) {
    match subject {
        Subject::Probe(probe) => ask_again_and_again(probe, grace, tell).await,
        Subject::File(path) => read_again_and_again(path, tell).await,
    }
}

async fn ask_again_and_again(probe: Probe, grace: Duration, tell: mpsc::UnboundedSender<News>) {
    let begun = Instant::now();
    let mut tally = Tally::default();
    let mut hindered = false;
    let mut clock = tokio::time::interval(probe.interval);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let started = Instant::now();
        let outcome = tokio::time::timeout(probe.timeout, once(&probe.kind)).await;
        let (success, why) = match outcome {
            Err(_) => (false, format!("no answer within {}", show_duration(probe.timeout))),
            Ok(Outcome::Failure(why)) => (false, why.into_owned()),
            // Unknown changes nothing; nor does a box whose network is not up yet, for a while.
            Ok(Outcome::Unreachable(why))
                if tally.health() != Health::Unknown || begun.elapsed() >= grace =>
            {
                (false, why.into_owned())
            }
            Ok(Outcome::Inconclusive(why) | Outcome::Unreachable(why)) => {
                if !std::mem::replace(&mut hindered, true) {
                    log::warn!("tracker is hindered: {}: {why}", probe.kind);
                }
                continue;
            }
            Ok(
                Outcome::Success(why)
                | Outcome::Warning(Notice { reason: why, .. })
                | Outcome::Feedback(_, why),
            ) => (true, why.into_owned()),
        };
        hindered = false;
        log::debug!("{}: {why} after {} ms", probe.kind, started.elapsed().as_millis());
        if tally.observe(success, probe.rise, probe.fall)
            && tell.send(News::Probe(probe.clone(), tally.health() == Health::Up, why)).is_err()
        {
            return;
        }
    }
}

async fn once(kind: &ProbeKind) -> Outcome {
    match kind {
        ProbeKind::Ping(address) => {
            let check = Arc::new(Check::new(CheckKind::Ping));
            ping::probe(&Target { address: SocketAddr::new(*address, 0), front: None, check }).await
        }
        ProbeKind::Arp { address, interface } => {
            let check = Arc::new(Check::new(CheckKind::Arp));
            let address = match scoped(*address, interface.as_ref()) {
                Ok(address) => address,
                Err(error) => return Outcome::Unreachable(reason::words(&error)),
            };
            arp::probe(&Target { address, front: None, check }).await
        }
        ProbeKind::Exec { command, args } => exec::run(command, args.iter().map(String::as_str)).await,
    }
}

/// A link-local address with its link.
fn scoped(address: IpAddr, interface: Option<&IfName>) -> io::Result<SocketAddr> {
    Ok(match (address, interface) {
        (IpAddr::V6(address), Some(name)) => {
            SocketAddrV6::new(address, 0, 0, if_nametoindex(name.as_str())?).into()
        }
        (address, _) => SocketAddr::new(address, 0),
    })
}

async fn read_again_and_again(path: String, tell: mpsc::UnboundedSender<News>) {
    let mut reading = Reading::default();
    let mut clock = tokio::time::interval(READ);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        if let Some(word) = reading.look(read(&path))
            && tell.send(News::File(path.clone(), word)).is_err()
        {
            return;
        }
    }
}

/// What a file has said so far.
#[derive(Default)]
struct Reading {
    said: Option<FileWord>,
    /// It was empty when it was last looked at.
    empty: bool,
}

impl Reading {
    /// What the file says, where that is something else than before. Who writes it in place empties it first: that it is empty
    /// counts when it is so twice.
    fn look(&mut self, (word, empty): (FileWord, bool)) -> Option<FileWord> {
        let again = std::mem::replace(&mut self.empty, empty);
        if self.said.as_ref() == Some(&word) || (empty && !again && self.said.is_some()) {
            return None;
        }
        self.said = Some(word.clone());
        Some(word)
    }
}

/// What a file says, and whether it is there and empty.
fn read(path: &str) -> (FileWord, bool) {
    use std::io::Read;
    let mut text = String::new();
    let opened =
        std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    match opened.and_then(|file| file.take(LONGEST as u64).read_to_string(&mut text)) {
        Ok(_) => (FileWord::parse(&text), text.is_empty()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (FileWord::Number(0), false),
        Err(error) => (FileWord::Unreadable(reason::words(&error).to_string()), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_speaks_in_numbers_and_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drain").to_str().unwrap().to_owned();
        assert_eq!(read(&path), (FileWord::Number(0), false), "missing");
        for (text, word) in [
            ("", FileWord::Number(0)),
            ("-7\n", FileWord::Number(-7)),
            (" 254 ", FileWord::Number(254)),
            ("up", FileWord::Number(0)),
            ("Down\n", FileWord::Down),
            ("maybe", FileWord::Unreadable("it says \"maybe\", neither a number nor up or down".to_owned())),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(&path), (word, text.is_empty()), "{text:?}");
        }
        assert!(matches!(read("/"), (FileWord::Unreadable(_), false)));
    }

    /// A drain that is written again must not be lifted in between.
    #[test]
    fn a_file_that_is_being_written_is_not_taken_for_an_empty_one() {
        let (zero, seven) = (FileWord::Number(0), FileWord::Number(7));
        let mut reading = Reading::default();
        assert_eq!(reading.look((zero.clone(), true)), Some(zero.clone()), "the first word counts");
        assert_eq!(reading.look((seven.clone(), false)), Some(seven.clone()));
        assert_eq!(reading.look((zero.clone(), true)), None);
        assert_eq!(reading.look((seven.clone(), false)), None, "it was written in place");
        assert_eq!(reading.look((zero.clone(), true)), None);
        assert_eq!(reading.look((zero.clone(), true)), Some(zero.clone()), "it is empty indeed");
        assert_eq!(reading.look((seven.clone(), false)), Some(seven));
        assert_eq!(
            reading.look((zero.clone(), false)),
            Some(zero),
            "who writes 0, or takes it away, means it"
        );
    }

    /// Nobody is asked: the address is on no network of this box.
    #[tokio::test]
    async fn a_gateway_whose_network_is_not_there_counts_as_failed_after_a_while() {
        let kind = ProbeKind::Arp { address: "203.0.113.254".parse().unwrap(), interface: None };
        let interval = Duration::from_millis(100);
        let probe = Probe { kind, interval, timeout: interval, fall: 3, rise: 2 };
        for grace in [Duration::ZERO, Duration::from_millis(450)] {
            let (tell, mut news) = mpsc::unbounded_channel();
            let begun = Instant::now();
            let task = tokio::spawn(ask(Subject::Probe(probe.clone()), grace, tell));
            let Some(News::Probe(_, healthy, why)) = news.recv().await else { panic!("no verdict") };
            assert!(!healthy && begun.elapsed() >= grace, "{why} after {:?}", begun.elapsed());
            task.abort();
        }
    }

    #[tokio::test]
    async fn a_program_decides_by_its_exit_status() {
        for (command, healthy) in [("/bin/true", true), ("/bin/false", false)] {
            let kind = ProbeKind::Exec { command: command.to_owned(), args: Vec::new() };
            let second = Duration::from_secs(1);
            let probe = Probe { kind, interval: second, timeout: second, fall: 1, rise: 1 };
            let (tell, mut news) = mpsc::unbounded_channel();
            let task = tokio::spawn(ask(Subject::Probe(probe.clone()), Duration::ZERO, tell));
            let Some(News::Probe(about, verdict, _)) = news.recv().await else { panic!("no verdict") };
            assert_eq!((about, verdict), (probe, healthy), "{command}");
            task.abort();
        }
    }
}
