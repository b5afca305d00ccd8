//! What a life of the worker leaves to the next: the operator's orders, which services had their quorum, and which values settings
//! of the kernel had before the file gave them others.
//!
//! One file in the run directory, written at each change. Times are milliseconds of the clock that counts from the boot
//! (CLOCK_BOOTTIME); in a file of another boot the times and the settings mean nothing, but the orders hold.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::absent::Absent;
use super::order::{Kind, Order};
use super::watched::Watched;
use crate::store::files::swap;

/// What is known at the start of a life.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recalled {
    /// For servers that the configuration has, or had.
    pub orders: Absent,
    /// Whether a service had its quorum.
    pub services: BTreeMap<String, bool>,
    /// Values of settings below `net.ipv4.vs` that were there before the file had others, by name.
    pub settings: BTreeMap<String, String>,
}

/// The contents of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Record {
    boot: String,
    services: BTreeMap<String, bool>,
    orders: Vec<OrderRecord>,
    #[serde(default)]
    settings: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OrderRecord {
    service: String,
    server: SocketAddr,
    order: Word,
    since_ms: u64,
    until_ms: Option<u64>,
    /// The file does not have the server; until when the order waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waits_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Drain,
    Disable,
}

/// The same moment by two clocks, and the boot to which the second one belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// For this process.
    pub now: Instant,
    /// For the next one, since the boot.
    pub since_boot: Duration,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
}

impl Record {
    /// What is to be kept.
    #[must_use]
    pub fn of(
        services: &[Watched],
        absent: &Absent,
        settings: &BTreeMap<String, String>,
        clock: &Clock,
    ) -> Self {
        let up = services.iter().filter_map(|it| Some((it.service.name.clone(), it.up?)));
        let present = services.iter().flat_map(|watched| {
            let servers = watched.service.servers.iter().zip(&watched.members);
            servers.filter_map(|(server, member)| {
                Some(OrderRecord::of(&watched.service.name, server.address, member.order?, None, clock))
            })
        });
        let absent = absent.iter().map(|(service, server, order, until)| {
            OrderRecord::of(service, server, order, Some(until), clock)
        });
        Self {
            boot: clock.boot.clone(),
            services: up.collect(),
            orders: present.chain(absent).collect(),
            settings: settings.clone(),
        }
    }

    /// What it tells the next life. In another boot no connection is left that a drain would wait for.
    #[must_use]
    pub fn recall(self, clock: &Clock) -> Recalled {
        let same = self.boot == clock.boot;
        let orders = orders(self.orders, clock, same);
        if !same {
            return Recalled { orders, ..Recalled::default() };
        }
        Recalled { orders, services: self.services, settings: self.settings }
    }
}

fn orders(records: Vec<OrderRecord>, clock: &Clock, same: bool) -> Absent {
    let mut orders = Absent::default();
    let at = |millis| if same { clock.instant(millis) } else { clock.now };
    for record in records {
        let kind = match record.order {
            Word::Disable => Kind::Disable,
            Word::Drain => Kind::Drain { until: record.until_ms.map(at) },
        };
        let order = Order { kind, since: at(record.since_ms) };
        let waits = record.waits_ms.filter(|_| same).map(at);
        orders.add((record.service, record.server), order, waits, clock.now);
    }
    orders
}

impl OrderRecord {
    fn of(service: &str, server: SocketAddr, order: Order, waits: Option<Instant>, clock: &Clock) -> Self {
        let (word, until) = match order.kind {
            Kind::Drain { until } => (Word::Drain, until),
            Kind::Disable => (Word::Disable, None),
        };
        Self {
            service: service.to_owned(),
            server,
            order: word,
            since_ms: clock.millis(order.since),
            until_ms: until.map(|until| clock.millis(until)),
            waits_ms: waits.map(|until| clock.millis(until)),
        }
    }
}

impl Clock {
    /// Reads both clocks.
    #[must_use]
    pub fn read() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
        Self { now: Instant::now(), since_boot, boot: boot.trim().to_owned() }
    }

    fn millis(&self, at: Instant) -> u64 {
        let since_boot = match at.checked_duration_since(self.now) {
            Some(ahead) => self.since_boot.saturating_add(ahead),
            None => self.since_boot.saturating_sub(self.now.saturating_duration_since(at)),
        };
        u64::try_from(since_boot.as_millis()).unwrap_or(u64::MAX)
    }

    fn instant(&self, millis: u64) -> Instant {
        let at = Duration::from_millis(millis);
        let moved = match at.checked_sub(self.since_boot) {
            Some(ahead) => self.now.checked_add(ahead),
            None => self.now.checked_sub(self.since_boot.saturating_sub(at)),
        };
        moved.unwrap_or(self.now)
    }
}

/// The file.
#[derive(Debug)]
pub struct Memory(pub PathBuf);

impl Memory {
    /// What the last life left; nothing where there was none, or nobody can read it.
    #[must_use]
    pub fn recall(&self) -> Recalled {
        let record: Option<Record> =
            std::fs::read(&self.0).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        record.map(|record| record.recall(&Clock::read())).unwrap_or_default()
    }

    /// Writes down what is to be kept, as a whole or not at all.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn keep(
        &self,
        services: &[Watched],
        absent: &Absent,
        settings: &BTreeMap<String, String>,
    ) -> io::Result<()> {
        let record = Record::of(services, absent, settings, &Clock::read());
        let bytes = serde_json::to_vec(&record).map_err(io::Error::other)?;
        swap(&self.0, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{Listen, Method, Protocol, Server, Service, ServiceKey};

    #[test]
    fn orders_are_recalled_with_their_times_and_after_a_boot_without() {
        let listen = Listen::Address("192.0.2.1:80".parse().unwrap());
        let servers = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
        let servers = servers.map(|address| Server::new(address.parse().unwrap(), Method::Dr)).to_vec();
        let key = ServiceKey { listen, protocol: Some(Protocol::Tcp) };
        let mut watched = Watched::new(Service { servers, ..Service::new("web", key) });
        let second = Duration::from_secs(1);
        let clock =
            Clock { now: Instant::now() + 100 * second, since_boot: 50 * second, boot: "a".to_owned() };
        let now = clock.now;
        watched.up = Some(true);
        watched.members[0].order = Some(Order::drain(now - 10 * second, Some(60 * second)));
        watched.members[1].order = Some(Order::disable(now - 10 * second));
        let mut absent = Absent::default();
        let gone = ("web".to_owned(), "10.0.0.9:80".parse().unwrap());
        absent.add(gone, Order::disable(now), Some(now + 20 * second), now);
        let settings = BTreeMap::from([("drop_packet".to_owned(), "0".to_owned())]);
        let record = Record::of(&[watched], &absent, &settings, &clock);
        let text = serde_json::to_string(&record).unwrap();
        assert!(text.contains("\"order\":\"drain\",\"since_ms\":40000,\"until_ms\":100000"), "{text}");

        let order = |recalled: &Recalled, address: &str| {
            let found = recalled.orders.iter().find(|(_, server, ..)| server.to_string() == address);
            found.map(|(_, _, order, until)| (order, until)).unwrap()
        };
        let next = Clock { now: now + 7 * second, since_boot: 57 * second, boot: "a".to_owned() };
        let recalled = record.clone().recall(&next);
        assert!(recalled.services["web"]);
        let drain = Order::drain(now - 10 * second, Some(60 * second));
        assert_eq!(order(&recalled, "10.0.0.1:80").0, drain);
        assert_eq!(order(&recalled, "10.0.0.2:80").0, Order::disable(now - 10 * second));
        assert_eq!(order(&recalled, "10.0.0.9:80"), (Order::disable(now), now + 20 * second));
        assert_eq!(recalled.settings, settings);

        let boot = Clock { since_boot: second, boot: "b".to_owned(), ..next };
        let recalled = record.recall(&boot);
        assert!(recalled.services.is_empty() && recalled.settings.is_empty());
        assert!(!order(&recalled, "10.0.0.1:80").0.lets_finish(boot.now));
        assert_eq!(recalled.orders.iter().count(), 3);
    }

    #[test]
    fn a_missing_or_broken_file_is_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory(folder.path().join("lvs.json"));
        assert_eq!(memory.recall(), Recalled::default());
        memory.keep(&[], &Absent::default(), &BTreeMap::new()).unwrap();
        assert_eq!(memory.recall(), Recalled::default());
        std::fs::write(&memory.0, "{").unwrap();
        assert_eq!(memory.recall(), Recalled::default());
    }
}
