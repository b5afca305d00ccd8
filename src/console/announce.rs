//! What the terminal says by itself while nobody uses it: the banner, readiness, and what changes. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::ascii::wrap;
use super::screens::{WIDTH, configuration};
use super::snapshot::Snapshot;
use crate::ctl::status;
use crate::ipc::message::StoreStatus;
use crate::role::Role;

/// How long the first banner waits for the configuration to be in force everywhere, milliseconds.
const PATIENCE_MS: u64 = 10_000;
/// From so many consecutive short lives on, a worker is in alarm.
const ALARM: u32 = 5;

/// What ends each announcement.
pub const INVITATION: &str = "Press Enter to activate this console.";

/// Remembers what has been said.
#[derive(Debug, Default)]
pub struct Announcer {
    /// What it said of the configuration; nothing while nobody answered.
    banner: Option<Option<Vec<String>>>,
    ready: bool,
    leases: BTreeMap<String, String>,
    alarms: BTreeSet<String>,
    trial: bool,
    stick: Option<String>,
    notice: Option<String>,
}

impl Announcer {
    /// What is to be said now, `age_ms` after this console started; empty when nothing is new.
    pub fn news(&mut self, snapshot: &Snapshot, age_ms: u64) -> Vec<String> {
        let mut out = Vec::new();
        let applied = snapshot.applied();
        let first = self.banner.is_none();
        let chosen = snapshot.store.as_ref().map(chosen);
        let changed = self.banner.as_ref().is_none_or(|said| chosen.is_some() && *said != chosen);
        if changed && (applied || age_ms >= PATIENCE_MS) {
            out.extend(banner(snapshot));
            self.banner = Some(chosen);
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
        out.extend(self.life(snapshot));
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

    /// A change on trial, a stick that asks, and what was done by itself: each once.
    fn life(&mut self, snapshot: &Snapshot) -> Vec<String> {
        let Some(life) = snapshot.store.as_ref().map(|store| &store.life) else { return Vec::new() };
        let trial = life.pending.as_ref().map(|pending| {
            let left = status::age(pending.left_ms.div_ceil(1000) * 1000);
            format!(
                "On trial: {} ({}): taken back in {left} unless confirmed: menu 3, c",
                pending.from, pending.origin
            )
        });
        let stick = life.stick.as_ref().map(|stick| {
            let way = match stick.verdict.as_str() {
                "new" => ": menu 3, u",
                "faulty" => ": menu 3, u shows them",
                _ => "",
            };
            format!("USB stick: {}: {}{way}", stick.place, stick.message)
        });
        let mut out = Vec::new();
        // Of a trial the time that is left changes, which is no news.
        if trial.is_some() != self.trial {
            self.trial = trial.is_some();
            out.extend(trial);
        }
        for (said, now) in [(&mut self.stick, stick), (&mut self.notice, life.notice.clone())] {
            if *said != now {
                said.clone_from(&now);
                out.extend(now);
            }
        }
        out.iter().flat_map(|line| wrap(line, WIDTH, "  ")).collect()
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

/// Which configuration runs and why, and every fault.
fn chosen(store: &StoreStatus) -> Vec<String> {
    let mut said = configuration::running(store);
    said.extend(configuration::faults(store));
    said
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
    if snapshot.init.as_ref().is_some_and(|init| init.mode == "safe") {
        out.push("SAFE MODE: no virtual address, no service; the next start is a normal one".to_owned());
    }
    match &snapshot.store {
        Some(store) => out.extend(chosen(store)),
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
