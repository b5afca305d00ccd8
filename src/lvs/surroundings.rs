//! What services need of the kernel beside the table: settings of IPVS, idle times, rules of the packet filter, ways of probes.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use log::{info, warn};

use super::kernel::Kernel;
use super::settings::{self, Setting};
use super::state::State;
use crate::config::model::Config;
use crate::ipvs::codec::Timeouts;
use crate::nft::{self, Done, Keeper, Ruleset};

/// Keeps the surroundings as the configuration wants them.
#[derive(Debug)]
pub struct Surroundings {
    wanted: Option<Wanted>,
    folder: PathBuf,
    /// Values that were there before the file had others, by name: those that Director itself would not touch.
    before: BTreeMap<String, String>,
    filter: Keeper,
}

#[derive(Debug)]
struct Wanted {
    settings: BTreeMap<String, Setting>,
    timeouts: Timeouts,
    ruleset: Ruleset,
    ways: State,
    /// Whether all of it was set once, so that a difference is somebody else's doing.
    settled: bool,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            wanted: None,
            folder: PathBuf::from("/proc/sys/net/ipv4/vs"),
            before: BTreeMap::new(),
            filter: Keeper::default(),
        }
    }
}

impl Surroundings {
    /// Takes what the last life of this worker left.
    pub fn recall(&mut self, settings: BTreeMap<String, String>) {
        self.before = settings;
    }

    /// Values of settings that were there before the file had others: for the next life.
    #[must_use]
    pub const fn before(&self) -> &BTreeMap<String, String> {
        &self.before
    }

    /// Takes another configuration, and the ways that its probes take; `true` if it wants other surroundings.
    pub fn configure(&mut self, config: &Config, ways: State) -> bool {
        let settings = settings::profile(config);
        let timeouts = settings::timeouts(&config.ipvs);
        let ruleset = nft::desired(config);
        let same = self.wanted.as_ref().is_some_and(|wanted| {
            wanted.settings == settings
                && wanted.timeouts == timeouts
                && wanted.ruleset == ruleset
                && wanted.ways == ways
        });
        if !same {
            self.wanted = Some(Wanted { settings, timeouts, ruleset, ways, settled: false });
        }
        !same
    }

    /// Compares with the kernel, and sets what differs. Without a configuration nothing is touched.
    ///
    /// # Errors
    /// What could not be set, in words.
    pub fn settle(&mut self, kernel: &mut Kernel) -> Result<(), String> {
        let Some(wanted) = &mut self.wanted else { return Ok(()) };
        let settled = wanted.settled;
        let mut faults = write_settings(&self.folder, &wanted.settings, &mut self.before, settled);
        match kernel.keep_timeouts(&wanted.timeouts) {
            Ok(None) => {}
            Ok(Some(found)) if settled => {
                warn!("foreign change is undone: timeouts {}/{}/{}", found.tcp, found.tcp_fin, found.udp);
            }
            Ok(Some(_)) => {
                let Timeouts { tcp, tcp_fin, udp } = wanted.timeouts;
                info!("timeouts set: tcp={tcp}s tcp_fin={tcp_fin}s udp={udp}s");
            }
            Err(error) => faults.push(error.to_string()),
        }
        match kernel.keep_ways(&wanted.ways) {
            Ok(failures) => {
                faults.extend(failures.first().map(|failure| format!("way of probes: {failure}")))
            }
            Err(error) => faults.push(error.to_string()),
        }
        match self.filter.keep(&wanted.ruleset) {
            Ok(Done::Nothing) => {}
            Ok(Done::Set) => {
                let Ruleset { marks, sources, .. } = &wanted.ruleset;
                let connections: usize = sources.values().map(std::collections::BTreeSet::len).sum();
                info!("packet filter set: marked_ranges={} full_nat_servers={connections}", marks.len());
            }
            Ok(Done::Repaired) => warn!("foreign change is undone: rules of the table inet director"),
            Err(error) => faults.push(error.to_string()),
        }
        wanted.settled = faults.is_empty();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }
}

/// Writes what differs; returns what could not be written. What the file no longer sets gets back the value that it had.
fn write_settings(
    folder: &Path,
    settings: &BTreeMap<String, Setting>,
    before: &mut BTreeMap<String, String>,
    settled: bool,
) -> Vec<String> {
    let mut faults = Vec::new();
    let left: Vec<String> = before.keys().filter(|name| !settings.contains_key(*name)).cloned().collect();
    for name in left {
        if let Some(value) = before.remove(&name) {
            faults.extend(write(folder, &name, &value, "as it was before").err());
        }
    }
    for (name, Setting { value, reason }) in settings {
        let shown = match std::fs::read_to_string(folder.join(name)) {
            Ok(shown) => shown,
            // Of another version, or no IPVS at all, which is told elsewhere.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                faults.push(format!("read setting: net.ipv4.vs.{name}: {error}"));
                continue;
            }
        };
        if settings::holds(name, value, &shown) {
            continue;
        }
        if settled {
            warn!("foreign change is undone: net.ipv4.vs.{name}={}", shown.trim());
        } else if *reason == settings::BY_FILE {
            before.entry(name.clone()).or_insert_with(|| shown.trim().to_owned());
        }
        faults.extend(write(folder, name, value, reason).err());
    }
    faults
}

fn write(folder: &Path, name: &str, value: &str, reason: &str) -> Result<(), String> {
    let written = std::fs::write(folder.join(name), value);
    written.map_err(|error| format!("set net.ipv4.vs.{name}: {value}: {error}"))?;
    info!("setting made: net.ipv4.vs.{name}={value} reason={reason}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lvs::absent::Absent;
    use crate::lvs::memory::Memory;

    fn settings(list: &[(&str, &str, &'static str)]) -> BTreeMap<String, Setting> {
        let setting = |value: &str, reason| Setting { value: value.to_owned(), reason };
        list.iter().map(|(name, value, reason)| ((*name).to_owned(), setting(value, reason))).collect()
    }

    #[test]
    fn what_the_file_no_longer_sets_gets_its_value_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
        std::fs::write(path("conntrack"), "0\n").unwrap();
        std::fs::write(path("sync_ports"), "1\n").unwrap();
        let mut before = BTreeMap::new();
        let with = settings(&[
            ("conntrack", "1", "full NAT"),
            ("sync_ports", "4", settings::BY_FILE),
            ("nosuch", "1", "newer kernels"),
        ]);
        assert_eq!(write_settings(folder.path(), &with, &mut before, false), Vec::<String>::new());
        assert_eq!((read("conntrack").as_str(), read("sync_ports").as_str()), ("1", "4"));
        assert!(!path("nosuch").exists());
        std::fs::write(path("sync_ports"), "9\n").unwrap();
        write_settings(folder.path(), &with, &mut before, true);
        assert_eq!(read("sync_ports"), "4", "somebody else's value is not kept");
        // Another life, in which the file no longer has it.
        let memory = Memory(path("lvs.json"));
        memory.keep(&[], &Absent::default(), &before).unwrap();
        let mut before = memory.recall().settings;
        write_settings(folder.path(), &with, &mut before, false);
        let without = settings(&[("conntrack", "0", "nothing")]);
        write_settings(folder.path(), &without, &mut before, false);
        assert_eq!((read("conntrack").as_str(), read("sync_ports").as_str()), ("0", "1"));
    }
}
