//! The sources of the appliance: USB sticks, the partition `config`, the last good one on `data`, the built-in one. Blocking.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::archive::checksum;
use super::cmdline::{KernelArgs, Mode};
use super::disk::Sys;
use super::files::{replace, replace_keeping};
use super::grubenv::Slot;
use super::keepsakes::Keepsakes;
use super::mounts::{Access, Mounted};
use super::select::{Found, Offer};
use super::{fat, hooks, safe, slot};
use crate::config::{NodeFacts, check, explain, read_file};
use crate::ipc::message::{Source, StickStatus};
use crate::paths::RunDir;
use crate::units::Mac;

const FILE: &str = "director.toml";
/// What the box has to say to who brings a stick.
const RESULT: &str = "result.txt";
/// In `data`: a factory reset is under way, which the next boot ends.
const RESETTING: &str = "resetting";
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
    /// Whether the operator's file was that of the delivery, or missing, when it was last read.
    factory: Option<bool>,
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
        let mut appliance = Self { args, sys, run, disk, data: Data::Untouched, factory: None };
        if appliance.args.mode == Mode::Reset {
            appliance.reset_once();
        }
        appliance
    }

    /// Mounts `data` and takes up clock and seed, if that was not done.
    pub(super) fn data(&mut self) -> Option<&Path> {
        if self.data == Data::Untouched {
            self.data = self.mount_data().map_or(Data::Missing, Data::Mounted);
            self.end_reset();
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
    fn wait_for_sticks(&self) {
        let deadline = Instant::now() + STICK_DEADLINE;
        while self.sys.storage_is_coming() && Instant::now() < deadline {
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Every source in order of precedence. `settled`: a configuration of the operator runs, and no stick changes that unasked.
    #[must_use]
    pub fn look(&mut self, settled: bool) -> Vec<Offer> {
        let mut offers = self.look_at_operators(false);
        if self.set_aside().is_none() {
            offers.push(self.last_good());
            if self.factory == Some(false) && !settled {
                offers.push(self.stick());
            }
        }
        offers.push(Offer {
            source: Source::Safe,
            place: "built in".to_owned(),
            name: "built-in".to_owned(),
            found: Found::Text(safe::text(&self.sys.nics()).into_bytes()),
        });
        offers
    }

    /// The sources that the operator writes, in order of precedence: a stick goes before the partition only while that is as
    /// delivered. `first`: the box has just started, and a stick may still be on its way. Nothing is written.
    #[must_use]
    pub fn look_at_operators(&mut self, first: bool) -> Vec<Offer> {
        if let Some(why) = self.set_aside() {
            let (place, found) = ("boot menu".to_owned(), Found::Absent(why.to_owned()));
            return vec![Offer { source: Source::Partition, place, name: FILE.to_owned(), found }];
        }
        let partition = self.partition();
        let factory = match &partition.found {
            Found::Text(text) => same_words(text, FACTORY.as_bytes()),
            Found::Absent(_) => true,
            Found::Unreadable(_) => false,
        };
        self.factory = Some(factory);
        if !factory {
            return vec![partition];
        }
        if first {
            self.wait_for_sticks();
        }
        vec![self.stick(), partition]
    }

    /// Whether the operator's file is that of the delivery, or missing.
    #[must_use]
    pub const fn factory(&self) -> Option<bool> {
        self.factory
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

    /// The file of the stick. Of two that differ none counts: nobody could say which is meant.
    pub fn stick(&self) -> Offer {
        let offer = |place, found| Offer { source: Source::Usb, place, name: format!("usb/{FILE}"), found };
        let volumes = fat_volumes(&self.sys, self.disk.as_deref());
        let mut first: Option<(String, Found)> = None;
        for volume in &volumes {
            let found = match self.on_stick(volume, Access::Read, |directory| read(&directory.join(FILE))) {
                Ok(Found::Absent(_)) => continue,
                Ok(found) => found,
                Err(why) => Found::Unreadable(why),
            };
            match &first {
                None => first = Some((volume.clone(), found)),
                Some((other, before)) if *before != found => {
                    let why = format!(
                        "two USB sticks have a {FILE}, and they differ ({other}, {volume}): pull one of them"
                    );
                    return offer(place(other), Found::Unreadable(why));
                }
                Some(_) => {}
            }
        }
        let what = if volumes.is_empty() { "no USB stick" } else { "no director.toml on a USB stick" };
        match first {
            Some((volume, found)) => offer(place(&volume), found),
            None => offer("-".to_owned(), Found::Absent(what.to_owned())),
        }
    }

    /// What is on a stick that does not run, and says so on the stick if it cannot be used.
    pub fn stick_status(&self, facts: &NodeFacts, running: Option<&[u8]>) -> Option<StickStatus> {
        let Offer { place, name, found, .. } = self.stick();
        let status = |verdict: &str, message: String, report: String| {
            Some(StickStatus { place: place.clone(), verdict: verdict.to_owned(), message, report })
        };
        let status = match found {
            Found::Absent(_) => None,
            Found::Unreadable(why) => {
                status("unreadable", format!("it cannot be used: {why}"), String::new())
            }
            Found::Text(text) if running == Some(&text) => None,
            Found::Text(text) => match check(&text, &name, facts) {
                Ok(_) => {
                    status("new", "it does not run: it is applied when you say so".to_owned(), String::new())
                }
                Err(report) => {
                    let faults = report.problems().len();
                    let message = format!("it has {faults} fault{}", if faults == 1 { "" } else { "s" });
                    status("faulty", message, report.to_string())
                }
            },
        };
        if let Some(StickStatus { place, verdict, message, report }) = &status
            && verdict != "new"
            && let Err(why) = self.tell_stick(&format!("{place}: {message}\n{report}"))
        {
            log::warn!("{why}");
        }
        status
    }

    /// Leaves `text` as result.txt on the stick that has the file.
    ///
    /// # Errors
    /// "what failed: on what: why"; the stick is as it was.
    pub fn tell_stick(&self, text: &str) -> Result<(), String> {
        let place_of_file = self.stick().place;
        let is_it = |volume: &String| place(volume) == place_of_file;
        let volume = fat_volumes(&self.sys, self.disk.as_deref()).into_iter().find(is_it);
        let volume = volume.ok_or_else(|| format!("write {RESULT}: the USB stick is gone"))?;
        let text = text.replace('\n', "\r\n");
        let write = |directory: &Path| replace(&directory.join(RESULT), text.as_bytes());
        let written = self.on_stick(&volume, Access::Write, write).map_err(|why| explain_stick(&why))?;
        written.map_err(|error| format!("write {RESULT}: {volume}: {}", no_room(&error)))
    }

    /// Writes the configuration that runs to the stick; a file that is there is kept as `director.toml.prev`.
    ///
    /// # Errors
    /// "what failed: on what: why"; the stick is as it was.
    pub fn export(&self, text: &[u8]) -> Result<String, String> {
        let volumes = fat_volumes(&self.sys, self.disk.as_deref());
        let volume = match volumes.as_slice() {
            [] => return Err("export: no USB stick with a FAT file system is plugged in".to_owned()),
            [volume] => volume,
            [first, second, ..] => {
                return Err(format!(
                    "export: several USB sticks are plugged in ({first}, {second}): pull all but one"
                ));
            }
        };
        let write = |directory: &Path| replace_keeping(&directory.join(FILE), text);
        let written = self
            .on_stick(volume, Access::Write, write)
            .map_err(|why| format!("export: {}", explain_stick(&why)))?;
        written.map_err(|error| format!("export: {}: {}", place(volume), no_room(&error)))?;
        Ok(format!("written to {}: the stick may be pulled", place(volume)))
    }

    /// Makes what was taken from a stick the box's own.
    ///
    /// # Errors
    /// "what failed: on what: why"; it runs all the same, from the stick.
    pub fn adopt(&mut self, text: &[u8]) -> Result<(), String> {
        self.write(text)?;
        self.factory = Some(false);
        log::info!("taken from the USB stick: it is on the partition DIRECTOR now");
        self.tell_stick("director.toml: taken, and written to the box\n")
    }

    /// The file of the partition.
    pub fn partition(&self) -> Offer {
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

    /// Writes the operator's file on the partition; what was there is kept as `director.toml.prev`.
    ///
    /// # Errors
    /// "what failed: on what: why"; the old file is still there.
    pub fn write(&self, text: &[u8]) -> Result<(), String> {
        self.on_config(Access::Write, |directory| replace_keeping(&directory.join(FILE), text))?
            .map_err(|error| format!("write {FILE}: partition DIRECTOR: {}", no_room(&error)))
    }

    /// That the partition can be written.
    ///
    /// # Errors
    /// "what failed: on what: why".
    pub fn can_write(&self) -> Result<(), String> {
        self.on_config(Access::Write, |_| ())
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

    /// Makes the slot that runs a good one, if it is on trial.
    ///
    /// # Errors
    /// "what failed: on what: why".
    pub fn prove_slot(&self) -> Result<Option<Slot>, String> {
        let Some(slot) = self.args.slot else { return Ok(None) };
        self.on_grubenv(|path| slot::prove(path, slot))
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

    /// Copies the programs in the folder `hooks` of the operator's partition to where they may run.
    ///
    /// # Errors
    /// "what failed: on what: why".
    pub fn stage_hooks(&self) -> Result<(), String> {
        let count = self.on_config(Access::Read, |folder| hooks::stage(&folder.join("hooks")))??;
        log::info!("hooks in place: programs={count}");
        hooks::link(&self.run, Path::new(crate::notify::hook::HOME))
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

    /// Back to the state of delivery, as the boot menu wants it. A marker in the run directory, which does not outlive the boot,
    /// makes it happen once.
    fn reset_once(&mut self) {
        let marker = self.run.path().join("reset.done");
        if marker.exists() {
            return;
        }
        log::warn!("factory reset: the configuration and all that was kept are erased");
        if let Err(why) = self.erase() {
            log::error!("{why}");
        }
        if let Err(error) = fs::write(&marker, "") {
            log::warn!("factory reset: {}: {error}", marker.display());
        }
    }

    /// Erases what the operator gave to the box and what it kept. A marker on `data` goes last: a reset that the power cut short
    /// is ended by the next boot.
    ///
    /// # Errors
    /// "what failed: on what: why": something is left.
    pub fn erase(&mut self) -> Result<(), String> {
        if let Some(data) = self.data().map(Path::to_owned)
            && let Err(error) = replace(&data.join(RESETTING), b"")
        {
            log::warn!("factory reset: {}: {error}", data.display());
        }
        let rewritten = self.deliver();
        self.erase_data();
        rewritten
    }

    /// Writes the operator's file anew as it is delivered.
    fn deliver(&mut self) -> Result<(), String> {
        let write = |directory: &Path| {
            let _ = fs::remove_file(directory.join(format!("{FILE}.prev")));
            replace(&directory.join(FILE), FACTORY.as_bytes())
        };
        let written = self.on_config(Access::Write, write).map_err(|why| format!("factory reset: {why}"))?;
        self.factory = Some(true);
        written.map_err(|error| format!("factory reset: write {FILE}: {error}"))
    }

    fn erase_data(&mut self) {
        let Some(data) = self.data().map(Path::to_owned) else { return };
        for entry in fs::read_dir(&data).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_name() == RESETTING {
                continue;
            }
            let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let erased = if directory { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            if let Err(error) = erased {
                log::warn!("factory reset: {}: {error}", path.display());
            }
        }
        nix::unistd::sync();
        let _ = fs::remove_file(data.join(RESETTING));
    }

    /// Ends a reset that was cut short.
    fn end_reset(&mut self) {
        let Data::Mounted(data) = &self.data else { return };
        if data.join(RESETTING).exists() {
            log::warn!("factory reset: ended now, it was cut short");
            if let Err(why) = self.deliver() {
                log::error!("{why}");
            }
            self.erase_data();
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

/// Whether two texts differ in nothing but their line ends.
fn same_words(one: &[u8], other: &[u8]) -> bool {
    let words = |text: &[u8]| -> Vec<u8> { text.iter().copied().filter(|byte| *byte != b'\r').collect() };
    checksum(&words(one)) == checksum(&words(other))
}

/// A stick with a lock is refused when it is mounted.
fn explain_stick(why: &str) -> String {
    if why.contains("Permission denied") || why.contains("Read-only") {
        format!("the USB stick is write-protected: {why}")
    } else {
        why.to_owned()
    }
}

fn no_room(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::StorageFull => "no space is left there".to_owned(),
        ErrorKind::ReadOnlyFilesystem => "it is write-protected".to_owned(),
        ErrorKind::IsADirectory => "there is a directory of that name".to_owned(),
        _ => error.to_string(),
    }
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
        Err(error) => Found::Unreadable(explain(&error)),
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
