//! The sources of the appliance: USB sticks, the partition `config`, the last good one on `data`, the built-in one. Blocking.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::cmdline::{KernelArgs, Mode};
use super::disk::Sys;
use super::files::{replace, replace_keeping};
use super::grubenv::Slot;
use super::keepsakes::Keepsakes;
use super::mounts::{Access, Mounted};
use super::select::{Found, Offer};
use super::{fat, safe, slot};
use crate::config::read_file;
use crate::ipc::message::Source;
use crate::paths::RunDir;
use crate::units::Mac;

const FILE: &str = "director.toml";
/// The configuration of a box as it is delivered.
const FACTORY: &str = include_str!("../../board/common/config/director.toml");
/// Label of the operator's partition and, by preference, of a stick.
const LABEL: &str = "DIRECTOR";
/// How long a plugged stick is waited for at boot.
const STICK_DEADLINE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What this box boots from and with, and where its file systems go.
#[derive(Debug, Clone)]
pub struct Appliance {
    args: KernelArgs,
    sys: Sys,
    run: RunDir,
    disk: Option<String>,
    data: Data,
}

/// The partition `data`. It is mounted when it is first needed: what the operator wrote comes before it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Data {
    Untouched,
    Mounted(PathBuf),
    Missing,
}

impl Appliance {
    /// Reads the kernel's command line and finds the boot disk. Everything that fails, here and later, is logged and done
    /// without.
    #[must_use]
    pub fn new(run: RunDir) -> Self {
        let args = KernelArgs::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
        let sys = Sys(PathBuf::from("/sys"));
        let disk = sys.boot_disk(args.disk.as_deref());
        match &disk {
            Some(disk) => log::info!("boot disk found: disk={disk}"),
            None => log::warn!("find boot disk: none below the root file system: nothing can be kept"),
        }
        let mut appliance = Self { args, sys, run, disk, data: Data::Untouched };
        if appliance.args.mode == Mode::Reset {
            appliance.reset();
        }
        appliance
    }

    /// Mounts `data` and takes up clock and seed, if that was not done.
    fn data(&mut self) -> Option<&Path> {
        if self.data == Data::Untouched {
            self.data = self.mount_data().map_or(Data::Missing, Data::Mounted);
            if let Some(keepsakes) = self.keepsakes() {
                keepsakes.restore();
            }
        }
        match &self.data {
            Data::Mounted(path) => Some(path),
            Data::Untouched | Data::Missing => None,
        }
    }

    /// Clock and seed, if there is somewhere to keep them.
    #[must_use]
    pub fn keepsakes(&self) -> Option<Keepsakes> {
        match &self.data {
            Data::Mounted(path) => Some(Keepsakes(path.clone())),
            Data::Untouched | Data::Missing => None,
        }
    }

    /// The volumes of sticks that are plugged in.
    #[must_use]
    pub fn sticks(&self) -> BTreeSet<String> {
        self.sys.sticks(self.disk.as_deref())
    }

    /// The hardware addresses of the NICs.
    #[must_use]
    pub fn nics(&self) -> BTreeSet<Mac> {
        self.sys.nic_addresses()
    }

    /// Waits until a plugged stick has become a disk, or for its deadline.
    pub fn wait_for_sticks(&self) {
        let deadline = Instant::now() + STICK_DEADLINE;
        while self.sys.storage_is_coming() && Instant::now() < deadline {
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Every source in order of precedence.
    #[must_use]
    pub fn look(&mut self) -> Vec<Offer> {
        let mut offers = self.look_at_operators();
        if self.set_aside().is_none() {
            offers.push(self.last_good());
        }
        offers.push(Offer {
            source: Source::Safe,
            place: "built in".to_owned(),
            name: "built-in".to_owned(),
            found: Found::Text(safe::text(&self.sys.nics()).into_bytes()),
        });
        offers
    }

    /// The sources that the operator writes, in order of precedence. This is fast: nothing is written.
    #[must_use]
    pub fn look_at_operators(&self) -> Vec<Offer> {
        let Some(why) = self.set_aside() else { return vec![self.stick(), self.partition()] };
        let (place, found) = ("boot menu".to_owned(), Found::Absent(why.to_owned()));
        vec![Offer { source: Source::Partition, place, name: FILE.to_owned(), found }]
    }

    /// Why the operator's files do not count in this boot, if so.
    #[must_use]
    pub const fn set_aside(&self) -> Option<&'static str> {
        match self.args.mode {
            Mode::Normal | Mode::Reset => None,
            Mode::Safe => Some("safe mode was chosen at the boot menu"),
            Mode::Rescue => Some("no slot came up by itself, so this is the rescue mode"),
        }
    }

    /// The first stick, labelled ones first, that has a file.
    fn stick(&self) -> Offer {
        let offer = |place, found| Offer { source: Source::Usb, place, name: format!("usb/{FILE}"), found };
        let volumes = fat_volumes(&self.sys, self.disk.as_deref());
        for volume in &volumes {
            match self.on_stick(volume, Access::Read, |directory| read(&directory.join(FILE))) {
                Ok(Found::Absent(_)) => {}
                Ok(found) => return offer(place(volume), found),
                Err(why) => return offer(place(volume), Found::Unreadable(why)),
            }
        }
        let what = if volumes.is_empty() { "no USB stick" } else { "no director.toml on a USB stick" };
        offer("-".to_owned(), Found::Absent(what.to_owned()))
    }

    fn partition(&self) -> Offer {
        let place = self.config_partition().map_or_else(|_| "-".to_owned(), |part| place(&part));
        let found = match self.on_config(Access::Read, |directory| read(&directory.join(FILE))) {
            Ok(Found::Absent(_)) => Found::Absent(format!("no {FILE} on partition DIRECTOR")),
            Ok(found) => found,
            Err(why) => Found::Unreadable(why),
        };
        Offer { source: Source::Partition, place, name: FILE.to_owned(), found }
    }

    fn last_good(&mut self) -> Offer {
        let (place, found) = match self.last_good_path() {
            Some(path) => (path.display().to_string(), read(&path)),
            None => ("-".to_owned(), Found::Absent("no data partition".to_owned())),
        };
        Offer { source: Source::LastGood, place, name: "last-good.toml".to_owned(), found }
    }

    /// Keeps a configuration of the operator for a boot at which theirs cannot be used.
    ///
    /// # Errors
    /// "what failed: on what: why".
    pub fn keep(&mut self, text: &[u8]) -> Result<(), String> {
        let Some(path) = self.last_good_path() else { return Ok(()) };
        if fs::read(&path).is_ok_and(|kept| kept == text) {
            return Ok(());
        }
        replace(&path, text)
            .map_err(|error| format!("keep last good configuration: {}: {error}", path.display()))
    }

    /// Writes the operator's file where `offer` came from.
    ///
    /// # Errors
    /// "what failed: on what: why"; the old file is still there.
    pub fn write(&self, offer: &Offer, text: &[u8]) -> Result<(), String> {
        let save = |directory: &Path| {
            replace_keeping(&directory.join(FILE), text)
                .map_err(|error| format!("write {FILE}: {}: {error}", offer.place))
        };
        match offer.source {
            Source::Usb => {
                let is_it = |volume: &String| place(volume) == offer.place;
                let volume = fat_volumes(&self.sys, self.disk.as_deref())
                    .into_iter()
                    .find(is_it)
                    .ok_or("the USB stick is gone")?;
                self.on_stick(&volume, Access::Write, save)?
            }
            _ => self.on_config(Access::Write, save)?,
        }
    }

    /// What can wait until a configuration runs: takes up clock and seed, tells the boot loader that this slot came up.
    ///
    /// # Errors
    /// "what failed: on what: why".
    pub fn settle(&mut self) -> Result<Option<Slot>, String> {
        self.data();
        self.confirm_slot()
    }

    fn confirm_slot(&self) -> Result<Option<Slot>, String> {
        let Some(slot) = self.args.slot else { return Ok(None) };
        self.on_grubenv(|path| slot::confirm(path, slot))
    }

    /// Sets how large the kernel's table of connections is from the next boot on: `bits` as of `[ipvs]`, or by the memory.
    ///
    /// # Errors
    /// "what failed: on what: why".
    pub fn set_table_bits(&self, bits: Option<u8>) -> Result<(), String> {
        let by_memory =
            || std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory(&text)).map(table_bits);
        let Some(bits) = bits.or_else(by_memory) else { return Ok(()) };
        if self.on_grubenv(|path| slot::set_table_bits(path, bits))? == Some(true) {
            log::info!("from the next boot on: connection_table_bits={bits}");
        }
        Ok(())
    }

    fn on_grubenv<T>(&self, work: impl FnOnce(&Path) -> std::io::Result<T>) -> Result<Option<T>, String> {
        let Some(disk) = &self.disk else { return Ok(None) };
        let part =
            self.sys.partition(disk, "state").ok_or_else(|| format!("find partition: {disk}: no state"))?;
        let mounted = Mounted::ext4(&device(&part), Path::new("/state"), Access::Write)?;
        let done = work(&mounted.path().join("grub/grubenv"));
        done.map(Some).map_err(|error| format!("write grubenv: {part}: {error}"))
    }

    fn mount_data(&self) -> Option<PathBuf> {
        let disk = self.disk.as_ref()?;
        let Some(part) = self.sys.partition(disk, "data") else {
            log::warn!("find partition: {disk}: no data: nothing can be kept");
            return None;
        };
        match Mounted::ext4(&device(&part), Path::new("/data"), Access::Write) {
            Ok(mounted) => {
                let path = mounted.path().to_owned();
                mounted.keep();
                Some(path)
            }
            Err(why) => {
                log::warn!("{why}: nothing can be kept");
                None
            }
        }
    }

    /// Back to the state of delivery. A marker in the run directory, which does not outlive the boot, makes it happen once.
    fn reset(&mut self) {
        let marker = self.run.path().join("reset.done");
        if marker.exists() {
            return;
        }
        log::warn!("factory reset: the configuration and all that was kept are erased");
        for entry in self.data().and_then(|data| fs::read_dir(data).ok()).into_iter().flatten().flatten() {
            let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let path = entry.path();
            let erased = if directory { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            if let Err(error) = erased {
                log::warn!("factory reset: {}: {error}", path.display());
            }
        }
        let rewritten = self.on_config(Access::Write, |directory| {
            let _ = fs::remove_file(directory.join(format!("{FILE}.prev")));
            replace(&directory.join(FILE), FACTORY.as_bytes())
                .map_err(|error| format!("write {FILE}: {error}"))
        });
        if let Err(why) = rewritten.and_then(|written| written) {
            log::error!("factory reset: {why}");
        }
        if let Err(error) = fs::write(&marker, "") {
            log::warn!("factory reset: {}: {error}", marker.display());
        }
    }

    fn last_good_path(&mut self) -> Option<PathBuf> {
        self.data().map(|data| data.join("last-good.toml"))
    }

    fn config_partition(&self) -> Result<String, String> {
        let disk = self.disk.as_ref().ok_or("there is no boot disk")?;
        self.sys.partition(disk, "config").ok_or_else(|| format!("disk {disk} has no partition config"))
    }

    fn on_config<T>(&self, access: Access, work: impl FnOnce(&Path) -> T) -> Result<T, String> {
        let part = self.config_partition()?;
        let mounted = Mounted::fat(&device(&part), Path::new("/config"), access)?;
        Ok(work(mounted.path()))
    }

    fn on_stick<T>(&self, volume: &str, access: Access, work: impl FnOnce(&Path) -> T) -> Result<T, String> {
        let target = self.run.path().join("usb");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&target)
            .map_err(|error| format!("make mount point: {}: {error}", target.display()))?;
        let mounted = Mounted::fat(&device(volume), &target, access)?;
        Ok(work(mounted.path()))
    }
}

pub(super) fn device(name: &str) -> PathBuf {
    Path::new("/dev").join(name)
}

/// The FAT volumes of sticks, those with our label first. `boot_disk` is none.
pub(super) fn fat_volumes(sys: &Sys, boot_disk: Option<&str>) -> Vec<String> {
    let labelled = sys.sticks(boot_disk).into_iter().filter_map(|volume| Some((fat_label(&volume)?, volume)));
    let mut volumes: Vec<(bool, String)> = labelled.map(|(label, volume)| (label != LABEL, volume)).collect();
    volumes.sort();
    volumes.into_iter().map(|(_, volume)| volume).collect()
}

/// The file on a volume, for people.
fn place(volume: &str) -> String {
    format!("{}:/{FILE}", device(volume).display())
}

fn fat_label(volume: &str) -> Option<String> {
    let mut sector = [0; 512];
    File::open(device(volume)).ok()?.read_exact(&mut sector).ok()?;
    fat::label(&sector)
}

fn read(path: &Path) -> Found {
    match read_file(path) {
        Ok(text) => Found::Text(text),
        // Windows hides the end of a name, and its editor adds one.
        Err(error) if error.kind() == ErrorKind::NotFound && path.with_extension("toml.txt").exists() => {
            Found::Unreadable(format!("it is called {FILE}.txt there: rename it to {FILE}"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Found::Absent(format!("no {name} on {}", path.parent().unwrap_or(path).display()))
        }
        Err(error) => Found::Unreadable(error.to_string()),
    }
}

/// KiB of memory, from the text of /proc/meminfo.
fn memory(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A bucket for every 4 KiB of memory, at least 2^18 and at most 2^22 (32 MiB): a connection takes some 300 bytes, so there are
/// few to a bucket even when they take a tenth of the memory.
fn table_bits(memory_kib: u64) -> u8 {
    let buckets = (memory_kib / 4).clamp(1 << 18, 1 << 22).next_power_of_two();
    u8::try_from(buckets.trailing_zeros()).unwrap_or(18)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_a_second_ending_is_not_silently_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read(&dir.path().join(FILE)), Found::Absent(_)));
        fs::write(dir.path().join("director.toml.txt"), "version = 1").unwrap();
        assert!(matches!(read(&dir.path().join(FILE)), Found::Unreadable(why) if why.contains("rename")));
        fs::write(dir.path().join(FILE), "version = 1").unwrap();
        assert_eq!(read(&dir.path().join(FILE)), Found::Text(b"version = 1".to_vec()));
    }

    #[test]
    fn the_factory_file_is_without_fault() {
        let checked = crate::config::check(FACTORY, FILE, &crate::config::NodeFacts::default());
        assert!(checked.is_ok_and(|checked| checked.config.vrrp.is_empty()));
    }

    #[test]
    fn the_table_grows_with_the_memory() {
        assert_eq!(memory("MemTotal:        1014084 kB\nMemFree: 1 kB\n"), Some(1_014_084));
        let sizes = [500_000, 1_014_084, 3_900_000, 16_000_000, 500_000_000].map(table_bits);
        assert_eq!(sizes, [18, 18, 20, 22, 22]);
    }
}
