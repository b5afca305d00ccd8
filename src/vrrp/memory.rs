//! What a master leaves for its next life: who it was and when it last spoke, so that a crash of the worker is no failover.
//!
//! One file on tmpfs. It is written anew when somebody becomes master or ceases to be; in between only the time of the last
//! advertisement and its sequence number are written over, at their place, in one small system call. They are right-aligned
//! numbers of a fixed width, so the file is JSON at every moment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::config::model::{VrrpChecksum, VrrpInstance};
use crate::units::IfName;

use super::facts::Facts;
use super::instance::{Instance, Left};
use super::track::is_ipv6;

/// Digits of the greatest `u32` and of the greatest `u64`.
const SHORT: usize = 10;
const LONG: usize = 20;
/// Both numbers with what is between them.
const NUMBERS: usize = SHORT + LONG + ",\"sent_us\":".len();

/// A master of the previous life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    name: String,
    interface: IfName,
    vrid: u8,
    ipv6: bool,
    /// How its peer sums version 3 over IPv4.
    peer_checksum: Option<VrrpChecksum>,
    /// Last number of its authentication headers; 0 = none.
    #[serde(default)]
    sequence: u32,
    /// When it last advertised, microseconds of CLOCK_MONOTONIC.
    sent_us: u64,
}

impl Record {
    fn new(config: &VrrpInstance, left: Left, sent: Duration) -> Self {
        Self {
            name: config.name.clone(),
            interface: config.interface.clone(),
            vrid: config.vrid.get(),
            ipv6: is_ipv6(config),
            peer_checksum: left.peer_checksum,
            sequence: left.sequence,
            sent_us: micros(sent),
        }
    }

    /// Whether this is about the virtual router of `config`.
    #[must_use]
    pub fn is(&self, config: &VrrpInstance) -> bool {
        let same = Self::new(config, self.left(), Duration::ZERO);
        *self == Self { sent_us: self.sent_us, ..same }
    }

    /// What its next life goes on with.
    #[must_use]
    pub const fn left(&self) -> Left {
        Left { peer_checksum: self.peer_checksum, sequence: self.sequence }
    }

    /// Time since its last advertisement; `None` when that lies in the future, which no clock of this boot does.
    #[must_use]
    pub fn silent_for(&self, now: Duration) -> Option<Duration> {
        micros(now).checked_sub(self.sent_us).map(Duration::from_micros)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Contents {
    /// The clock starts anew with each boot.
    boot: String,
    #[serde(flatten)]
    life: Life,
}

/// What a life leaves to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Life {
    /// What the services said last: a new life knows no less.
    pub services: BTreeMap<String, bool>,
    /// Whom the operator keeps from taking part.
    #[serde(default)]
    pub held: BTreeSet<String>,
    /// Who has handed over.
    #[serde(default)]
    pub yielding: BTreeSet<String>,
    /// Who was master.
    pub masters: Vec<Record>,
}

/// The file.
#[derive(Debug)]
pub struct Memory {
    path: PathBuf,
    boot: String,
    file: Option<File>,
    /// Name of the instance and place of its number in the file.
    places: Vec<(String, u64)>,
    /// When each instance last advertised.
    sent: BTreeMap<String, Duration>,
}

impl Memory {
    /// The file at `path`, and the life that it tells of if it is from this boot.
    #[must_use]
    pub fn recall(path: &Path) -> (Self, Life) {
        let boot =
            fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
        let contents = fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Contents>(&bytes).ok());
        let life = contents.filter(|contents| contents.boot == boot).map(|contents| contents.life);
        let memory =
            Self { path: path.to_owned(), boot, file: None, places: Vec::new(), sent: BTreeMap::new() };
        (memory, life.unwrap_or_default())
    }

    /// Writes down who is master, and what the services said.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn keep<'a>(&mut self, masters: impl Iterator<Item = &'a Instance>, facts: &Facts) -> io::Result<()> {
        let sent = |config: &VrrpInstance| self.sent.get(&config.name).copied().unwrap_or_default();
        let record = |instance: &Instance| {
            let config = instance.config();
            let left = Left { peer_checksum: instance.peer_checksum(), sequence: instance.sequence() };
            Record::new(config, left, sent(config))
        };
        let life = Life {
            services: facts.services.clone(),
            held: facts.held.clone(),
            yielding: facts.yielding.clone(),
            masters: masters.map(record).collect(),
        };
        self.write(&life)
    }

    fn write(&mut self, life: &Life) -> io::Result<()> {
        let (text, places) = compose(&self.boot, life)?;
        let next = self.path.with_extension("next");
        let mut file = File::create(&next)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&next, &self.path)?;
        self.file = Some(file);
        self.places = places;
        Ok(())
    }

    /// The instance of this name has just advertised, under this number if with an authentication header.
    ///
    /// # Errors
    /// The file system is full or gone.
    pub fn spoke(&mut self, name: &str, sequence: u32) -> io::Result<()> {
        let now = monotonic();
        match self.sent.get_mut(name) {
            Some(sent) => *sent = now,
            None => drop(self.sent.insert(name.to_owned(), now)),
        }
        let Some(file) = &self.file else { return Ok(()) };
        let Some((_, place)) = self.places.iter().find(|(known, _)| known == name) else { return Ok(()) };
        file.write_all_at(numbers(sequence, micros(now)).as_bytes(), *place)
    }

    /// An orderly end: nobody goes on as master from here, and services say anew how they are. What the operator wants of virtual routers
    /// counts until the box starts again.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn end(&mut self, facts: &Facts) -> io::Result<()> {
        let (held, yielding) = (facts.held.clone(), facts.yielding.clone());
        let written = self.write(&Life { held, yielding, ..Life::default() });
        self.file = None;
        // Better nothing than a master that has resigned.
        written.inspect_err(|_| drop(fs::remove_file(&self.path)))
    }
}

/// The numbers that are written over.
fn numbers(sequence: u32, sent_us: u64) -> heapless::String<NUMBERS> {
    let mut text = heapless::String::new();
    // There is room for the greatest of both.
    let _ = std::fmt::Write::write_fmt(
        &mut text,
        format_args!("{sequence:>SHORT$},\"sent_us\":{sent_us:>LONG$}"),
    );
    text
}

/// Time of CLOCK_MONOTONIC: the same for every process of this boot.
#[must_use]
pub fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The text, and where the numbers of each record are in it.
fn compose(boot: &str, life: &Life) -> io::Result<(String, Vec<(String, u64)>)> {
    const KEY: &str = "\"sequence\":";
    let (boot, services) = (serde_json::to_string(boot)?, serde_json::to_string(&life.services)?);
    let (held, yielding) = (serde_json::to_string(&life.held)?, serde_json::to_string(&life.yielding)?);
    let mut text = format!(
        "{{\"boot\":{boot},\n\"services\":{services},\n\"held\":{held},\n\"yielding\":{yielding},\n\"masters\":["
    );
    let mut places = Vec::new();
    for (i, record) in life.masters.iter().enumerate() {
        let line = serde_json::to_string(record)?;
        // The numbers are the last fields, whatever the names before them contain.
        let head = line.rfind(KEY).and_then(|at| line.get(..at + KEY.len())).unwrap_or_default();
        text.push_str(if i == 0 { "\n" } else { ",\n" });
        text.push_str(head);
        places.push((record.name.clone(), u64::try_from(text.len()).unwrap_or(u64::MAX)));
        text.push_str(&numbers(record.sequence, record.sent_us));
        text.push('}');
    }
    text.push_str("\n]}\n");
    Ok((text, places))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> Record {
        Record {
            name: name.to_owned(),
            interface: "eth0".parse().unwrap(),
            vrid: 51,
            ipv6: false,
            peer_checksum: Some(VrrpChecksum::PseudoHeader),
            sequence: 3,
            sent_us: 7,
        }
    }

    #[test]
    fn the_file_is_json_before_and_after_a_number_is_written_over() {
        let records = [record("VI_1"), record("odd \"sequence\": name")];
        let services = BTreeMap::from([("web".to_owned(), false)]);
        let life =
            Life { services, held: ["VI_2".to_owned()].into(), masters: records.to_vec(), ..Life::default() };
        let (mut text, places) = compose("b", &life).unwrap();
        let contents: Contents = serde_json::from_str(&text).unwrap();
        assert_eq!(contents.life, life);
        let place = usize::try_from(places[1].1).unwrap();
        text.replace_range(place..place + NUMBERS, &numbers(u32::MAX, u64::MAX));
        let contents: Contents = serde_json::from_str(&text).unwrap();
        let numbers: Vec<_> = contents.life.masters.iter().map(|it| (it.sequence, it.sent_us)).collect();
        assert_eq!(numbers, [(3, 7), (u32::MAX, u64::MAX)]);
    }

    #[test]
    fn an_orderly_end_leaves_what_the_operator_wants_and_no_master() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vrrp.json");
        let (mut memory, _) = Memory::recall(&path);
        let names = |name: &str| BTreeSet::from([name.to_owned()]);
        let services = BTreeMap::from([("web".to_owned(), true)]);
        memory.write(&Life { masters: vec![record("VI_1")], ..Life::default() }).unwrap();
        let facts = Facts { held: names("VI_1"), yielding: names("VI_2"), services, ..Facts::default() };
        memory.end(&facts).unwrap();
        // What was on its way to the wire comes late.
        memory.spoke("VI_1", 9).unwrap();
        let left = Life { held: names("VI_1"), yielding: names("VI_2"), ..Life::default() };
        assert_eq!(Memory::recall(&path).1, left);
    }

    #[test]
    fn nobody_is_master_of_an_empty_list() {
        let (text, places) = compose("b", &Life::default()).unwrap();
        assert!(places.is_empty());
        assert!(serde_json::from_str::<Contents>(&text).unwrap().life.masters.is_empty());
    }

    #[test]
    fn silence_is_counted_in_this_boot_only() {
        let record = Record { sent_us: 2_000_000, ..record("VI_1") };
        assert_eq!(record.silent_for(Duration::from_secs(5)), Some(Duration::from_secs(3)));
        assert_eq!(record.silent_for(Duration::from_secs(1)), None);
    }

    #[test]
    fn another_boot_is_another_life() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vrrp.json");
        let life = Life { masters: vec![record("VI_1")], ..Life::default() };
        fs::write(&path, compose("another boot", &life).unwrap().0).unwrap();
        assert_eq!(Memory::recall(&path).1, Life::default());
        let (memory, _) = Memory::recall(&path);
        fs::write(&path, compose(&memory.boot, &life).unwrap().0).unwrap();
        assert_eq!(Memory::recall(&path).1.masters, [record("VI_1")]);
        fs::write(&path, "{").unwrap();
        assert_eq!(Memory::recall(&path).1, Life::default());
    }
}
