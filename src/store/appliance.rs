//! The sources of the appliance: USB sticks, the partition `config`, the last good one on `data`, the built-in one. Blocking.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::archive::checksum;
use super::cmdline::{KernelArgs, Mode};
use super::disk::Sys;
use super::files::{replace, replace_keeping};
use super::keepsakes::Keepsakes;
use super::mounts::{Access, Mounted};
use super::select::{Found, Offer};
use super::{hooks, safe, secrets};
use crate::config::model::Config;
use crate::config::{explain, read_file};
use crate::ipc::message::Source;
use crate::paths::RunDir;
use crate::units::Mac;

pub(super) use stick::fat_volumes;

mod boot; // what the boot loader is told
mod reset; // back to the state of delivery
mod stick; // what is on USB sticks, and what is written to them

const FILE: &str = "director.toml";
/// The configuration of a box as it is delivered.
const FACTORY: &str = include_str!("../../board/common/config/director.toml");
/// Label of the operator's partition and, by preference, of a stick.
const LABEL: &str = "DIRECTOR";

/// What this box boots from and with, and where its file systems go.
#[derive(Debug, Clone)]
pub struct Appliance {
    args: KernelArgs,
    sys: Sys,
    run: RunDir,
    disk: Option<String>,
    data: Data,
    /// Whether the operator's file was that of the delivery, or missing without a last good one, when it was last read.
    factory: Option<bool>,
    /// Whether clock and seed were taken up.
    restored: bool,
    /// A reset that was cut short has just been ended: what was read before is no more.
    ended_reset: bool,
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
        let mut appliance = Self {
            args,
            sys,
            run,
            disk,
            data: Data::Untouched,
            factory: None,
            restored: false,
            ended_reset: false,
        };
        if appliance.args.mode == Mode::Reset {
            appliance.reset_once();
        }
        appliance
    }

    /// Mounts `data` and takes up clock and seed, if that was not done.
    pub(super) fn data(&mut self) -> Option<PathBuf> {
        let folder = self.data_alone();
        if let Some(keepsakes) = self.keepsakes()
            && !std::mem::replace(&mut self.restored, true)
        {
            keepsakes.restore();
        }
        folder
    }

    /// Mounts `data`, if that was not done, and leaves clock and seed for later.
    fn data_alone(&mut self) -> Option<PathBuf> {
        if self.data == Data::Untouched {
            self.data = self.mount_data().map_or(Data::Missing, Data::Mounted);
            self.end_reset();
        }
        match &self.data {
            Data::Mounted(path) => Some(path.clone()),
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
            // On a box that has had one, its file has been lost.
            Found::Absent(_) => !matches!(self.last_good().found, Found::Text(_) | Found::Unreadable(_)),
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

    /// Whether the operator's file is that of the delivery, or missing without a last good one.
    #[must_use]
    pub const fn factory(&self) -> Option<bool> {
        self.factory
    }

    /// Why the operator's files do not count in this boot, if so.
    #[must_use]
    pub const fn set_aside(&self) -> Option<&'static str> {
        match self.args.mode {
            Mode::Normal | Mode::Reset => None,
            Mode::Safe => Some("this start is in safe mode"),
            Mode::Rescue => Some("no slot came up by itself, so this is the rescue mode"),
        }
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

    /// Keeps a configuration of the operator for a boot at which theirs cannot be used. `false`: there is no place for it.
    ///
    /// # Errors
    /// "what failed: on what: why".
    pub fn keep(&mut self, text: &[u8]) -> Result<bool, String> {
        let Some(path) = self.last_good_path() else { return Ok(false) };
        if self.ended_reset {
            return Ok(false);
        }
        if fs::read(&path).is_ok_and(|kept| kept == text) {
            return Ok(true);
        }
        replace(&path, text)
            .map(|()| true)
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

    /// Copies the programs in the folder `hooks` of the operator's partition to where they may run.
    ///
    /// # Errors
    /// "what failed: on what: why".
    pub fn stage_hooks(&self) -> Result<(), String> {
        let count = self.on_config(Access::Read, |folder| hooks::stage(&folder.join(hooks::FOLDER)))??;
        log::info!("hooks in place: programs={count}");
        hooks::link(&self.run, Path::new(crate::notify::hook::HOME))
    }

    /// Brings the secrets of `configs` to where the workers read them. With `stick`: one that is on the USB stick whose file counts comes
    /// before that of the partition.
    ///
    /// # Errors
    /// "what failed: on what: why".
    pub fn bring_secrets(&self, configs: &[&Config], stick: bool) -> Result<bool, String> {
        let failed = |error| format!("bring secrets: {}: {error}", self.run.path().display());
        if configs.iter().all(|config| config.secrets().next().is_none()) {
            return secrets::forget(&self.run).map(|()| false).map_err(failed);
        }
        let of_stick = if stick { self.stick_secrets(configs) } else { BTreeMap::new() };
        self.on_config(Access::Read, |folder| {
            secrets::bring(&self.run, configs.iter().copied(), |name| match of_stick.get(name) {
                Some(bytes) => Ok(bytes.clone()),
                None => secrets::on_volume(folder, name),
            })
        })?
        .map_err(failed)
    }

    /// Writes the secrets of `config`, as the workers have them, to the partition.
    ///
    /// # Errors
    /// "what failed: on what: why".
    pub fn keep_secrets(&self, config: &Config) -> Result<(), String> {
        if config.secrets().next().is_none() {
            return Ok(());
        }
        self.on_config(Access::Write, |folder| secrets::keep(&self.run, config, folder))?
            .map_err(|error| format!("write secrets: partition DIRECTOR: {}", no_room(&error)))
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

    fn last_good_path(&mut self) -> Option<PathBuf> {
        self.data_alone().map(|data| data.join("last-good.toml"))
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
}

pub(super) fn device(name: &str) -> PathBuf {
    Path::new("/dev").join(name)
}

/// Whether two texts differ in nothing but their line ends.
fn same_words(one: &[u8], other: &[u8]) -> bool {
    let words = |text: &[u8]| -> Vec<u8> { text.iter().copied().filter(|byte| *byte != b'\r').collect() };
    checksum(&words(one)) == checksum(&words(other))
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
}
