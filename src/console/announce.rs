//! What the terminal says by itself while nobody uses it: the banner, readiness, and what changes. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::ascii::wrap;
use super::screens::{WIDTH, configuration};
use super::snapshot::Snapshot;
use crate::ctl::status;
use crate::ipc::message::StoreStatus;
use crate::role::Role;

/// How long the first banner waits for the configuration to be in force everywhere, milliseconds.
const PATIENCE_MS: u64 = 3_000;
/// From so many consecutive short lives on, a worker is in alarm.
const ALARM: u32 = 5;

/// What ends each announcement.
pub const INVITATION: &str = "Press Enter to activate this console.";

/// Remembers what has been said.
#[derive(Debug, Default)]
pub struct Announcer {
    banner: Option<Option<StoreStatus>>,
    ready: bool,
    leases: BTreeMap<String, String>,
    alarms: BTreeSet<String>,
}

impl Announcer {
    /// What is to be said now, `age_ms` after this console started; empty when nothing is new.
    pub fn news(&mut self, snapshot: &Snapshot, age_ms: u64) -> Vec<String> {
        let mut out = Vec::new();
        let applied = snapshot.applied();
        let first = self.banner.is_none();
        let changed =
            self.banner.as_ref().is_none_or(|said| snapshot.store.is_some() && *said != snapshot.store);
        if changed && (applied || age_ms >= PATIENCE_MS) {
            out.extend(banner(snapshot));
            self.banner = Some(snapshot.store.clone());
        }
        if applied && !self.ready {
            self.ready = true;
            out.extend(ready(snapshot));
        }
        let leases = self.leases(snapshot);
        if !first {
            out.extend(leases);
        }
        out.extend(self.alarms(snapshot));
        out
    }

    /// Whether everything has been in force at least once.
    #[must_use]
    pub const fn ready(&self) -> bool {
        self.ready
    }

    fn leases(&mut self, snapshot: &Snapshot) -> Vec<String> {
        let mut out = Vec::new();
        for (name, link) in
            snapshot.net.iter().flat_map(|net| &net.links).filter(|(_, link)| link.dhcp != "off")
        {
            let addresses = link.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let before = self.leases.insert(name.to_string(), addresses.clone());
            if before.as_ref() != Some(&addresses) && !addresses.is_empty() {
                out.push(format!("{name}: address by DHCP: {addresses}"));
            }
        }
        out
    }

    fn alarms(&mut self, snapshot: &Snapshot) -> Vec<String> {
        let mut now = BTreeSet::new();
        let mut out = Vec::new();
        for worker in snapshot.init.iter().flat_map(|init| &init.workers).filter(|w| w.failures >= ALARM) {
            let name = worker.role.to_string();
            if !self.alarms.contains(&name) && !now.contains(&name) {
                let how = worker.last_exit.as_deref().unwrap_or("unknown");
                out.push(format!(
                    "ALARM: {name} keeps ending ({} times in a row, last: {how})",
                    worker.failures
                ));
            }
            now.insert(name);
        }
        self.alarms = now;
        out
    }
}

/// Who this is, which configuration runs and why, every fault, and the addresses.
#[must_use]
pub fn banner(snapshot: &Snapshot) -> Vec<String> {
    let mut out = vec![String::new(), "=".repeat(WIDTH)];
    out.push(match &snapshot.init {
        Some(init) => {
            let slot = init.slot.as_ref().map(|slot| format!("   slot {slot}")).unwrap_or_default();
            let mode = if init.mode == "normal" { String::new() } else { format!("   mode {}", init.mode) };
            format!("Director {}   {}{slot}{mode}", init.version, init.hostname)
        }
        None => format!("Director {}   {}", env!("CARGO_PKG_VERSION"), snapshot.absence(Role::Init)),
    });
    match &snapshot.store {
        Some(store) => {
            let mut said = configuration::running(store);
            said.extend(configuration::faults(store));
            out.extend(said);
        }
        None => out.push(snapshot.absence(Role::Store)),
    }
    match &snapshot.net {
        Some(net) => out.extend(status::net(net).iter().flat_map(|line| wrap(line, WIDTH, "    "))),
        None => out.push(snapshot.absence(Role::Net)),
    }
    out.push("=".repeat(WIDTH));
    out
}

fn ready(snapshot: &Snapshot) -> Option<String> {
    let init = snapshot.init.as_ref()?;
    let since = if init.slot.is_some() { "the start of the kernel" } else { "its start" };
    Some(format!(
        "Director ready {}.{:02} s after {since}",
        init.uptime_ms / 1000,
        init.uptime_ms % 1000 / 10
    ))
}
