//! USB sticks: the file on one, what the box says on it, and the running configuration for taking away.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Appliance, FILE, LABEL, device, no_room, place, read};
use crate::config::model::Config;
use crate::config::{NodeFacts, check};
use crate::ipc::message::{Source, StickStatus};
use crate::store::disk::Sys;
use crate::store::fat;
use crate::store::files::{replace, replace_keeping};
use crate::store::mounts::{Access, Mounted};
use crate::store::secrets;
use crate::store::select::{Found, Offer};

/// What the box has to say to who brings a stick.
const RESULT: &str = "result.txt";
/// How long a plugged stick is waited for at boot.
const STICK_DEADLINE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Appliance {
    /// Waits until a plugged stick has become a disk, or for its deadline.
    pub(super) fn wait_for_sticks(&self) {
        let deadline = Instant::now() + STICK_DEADLINE;
        while self.sys.storage_is_coming() && Instant::now() < deadline {
            std::thread::sleep(LOOK_AGAIN);
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
        match (first, self.sticks().into_iter().next()) {
            (Some((volume, found)), _) => offer(place(&volume), found),
            (None, Some(volume)) if volumes.is_empty() => {
                let why = "there is no FAT file system on it: format the stick with FAT32".to_owned();
                offer(device(&volume).display().to_string(), Found::Unreadable(why))
            }
            (None, Some(_)) => {
                offer("-".to_owned(), Found::Absent("no director.toml on a USB stick".to_owned()))
            }
            (None, None) => offer("-".to_owned(), Found::Absent("no USB stick".to_owned())),
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
            && place.ends_with(FILE)
            && let Err(why) = self.tell_stick(&format!("{place}: {message}\n{report}"))
        {
            log::warn!("{why}");
        }
        status
    }

    /// Leaves `text` as result.txt on the stick that has the file; where two have one, on both.
    ///
    /// # Errors
    /// "what failed: on what: why"; the stick is as it was.
    pub fn tell_stick(&self, text: &str) -> Result<(), String> {
        let has_one = |volume: &String| {
            let found = self.on_stick(volume, Access::Read, |directory| read(&directory.join(FILE)));
            found.is_ok_and(|found| !matches!(found, Found::Absent(_)))
        };
        let volumes = fat_volumes(&self.sys, self.disk.as_deref()).into_iter().filter(has_one);
        let volumes: Vec<String> = volumes.collect();
        if volumes.is_empty() {
            return Err(format!("write {RESULT}: the USB stick is gone"));
        }
        let text = text.replace('\n', "\r\n");
        let write = |directory: &Path| replace(&directory.join(RESULT), text.as_bytes());
        let told = volumes.iter().map(|volume| {
            let written = self.on_stick(volume, Access::Write, write).map_err(|why| explain_stick(&why))?;
            written.map_err(|error| format!("write {RESULT}: {volume}: {}", no_room(&error)))
        });
        // One that is full is no reason to leave the other without.
        let told: Vec<Result<(), String>> = told.collect();
        told.into_iter().collect()
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

    /// The secrets beside the file that counts, as far as they are there.
    pub(super) fn stick_secrets(&self, configs: &[&Config]) -> BTreeMap<String, Vec<u8>> {
        let names: BTreeSet<&str> = configs.iter().flat_map(|config| config.secrets()).collect();
        let mut found = BTreeMap::new();
        for volume in fat_volumes(&self.sys, self.disk.as_deref()) {
            let read = self.on_stick(&volume, Access::Read, |folder| {
                let has_file = !matches!(read(&folder.join(FILE)), Found::Absent(_));
                let one = |name: &&str| Some(((*name).to_owned(), secrets::on_volume(folder, name).ok()?));
                names.iter().filter(|_| has_file).filter_map(one).collect::<BTreeMap<_, _>>()
            });
            found.extend(read.unwrap_or_default());
        }
        found
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

/// The FAT volumes of sticks, those with our label first. `boot_disk` is none.
pub(in crate::store) fn fat_volumes(sys: &Sys, boot_disk: Option<&str>) -> Vec<String> {
    let labelled = sys.sticks(boot_disk).into_iter().filter_map(|volume| Some((fat_label(&volume)?, volume)));
    let mut volumes: Vec<(bool, String)> = labelled.map(|(label, volume)| (label != LABEL, volume)).collect();
    volumes.sort();
    volumes.into_iter().map(|(_, volume)| volume).collect()
}

/// A stick with a lock is refused when it is mounted.
fn explain_stick(why: &str) -> String {
    if why.contains("Permission denied") || why.contains("Read-only") {
        format!("the USB stick is write-protected: {why}")
    } else {
        why.to_owned()
    }
}

fn fat_label(volume: &str) -> Option<String> {
    let mut sector = [0; 512];
    File::open(device(volume)).ok()?.read_exact(&mut sector).ok()?;
    fat::label(&sector)
}
