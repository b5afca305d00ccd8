//! New firmware into the slot that does not run, and which slot is started next. Blocking; on the appliance only.
//!
//! A cut of the power at any moment leaves the slot that runs as it is: the other one is given up before its first byte is written, and put on
//! trial after the last one was read back.

pub mod bundle; // the file (pure)
mod copy; // images into partitions
mod slots; // this box's slots and their partitions

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use self::slots::{Standing, slots, start_next, start_safe};

use self::bundle::{Bundle, ENDING, HEADER};
use self::slots::Slots;
use super::appliance::{device, fat_volumes};
use super::mounts::{Access, Mounted};
use crate::init::release::Release;
use crate::paths::RunDir;

/// How far an update is: what is done, and how much of it, per cent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// `checked`, `written`.
    pub what: &'static str,
    /// 0..=100.
    pub percent: u64,
}

/// Writes the update on a USB stick, the only file there whose name ends in `.update`, into the other slot, which the next start tries.
///
/// # Errors
/// "what failed: on what: why"; the slot that runs is untouched.
pub fn from_stick(run: &RunDir, told: &mut dyn FnMut(Progress)) -> Result<String, String> {
    let slots = Slots::find(run)?;
    let volume = fat_volumes(&slots.sys, Some(&slots.disk)).into_iter().next();
    let volume = volume.ok_or("read the update: no USB stick with a FAT file system is plugged in")?;
    let target = super::deliver::mount_point(run, "usb-update")?;
    let mounted = Mounted::fat(&device(&volume), &target, Access::Read)?;
    let file = only_one(mounted.path())?;
    let done = write(&slots, &file, told);
    drop(mounted);
    done
}

/// The same from a file of this machine.
///
/// # Errors
/// As [`from_stick`].
pub fn from_file(run: &RunDir, file: &Path, told: &mut dyn FnMut(Progress)) -> Result<String, String> {
    write(&Slots::find(run)?, file, told)
}

fn only_one(folder: &Path) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("read USB stick: {error}"))?;
    let is_one = |path: &PathBuf| path.is_file() && path.to_string_lossy().to_lowercase().ends_with(ENDING);
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_one).collect();
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => {
            Err(format!("read the update: USB stick: no file there has a name that ends in {ENDING}"))
        }
        (Some(_), false) => Err(format!("read the update: USB stick: several files there end in {ENDING}")),
    }
}

/// Where an update goes.
trait Medium {
    /// The slot that does not run.
    fn other(&self) -> char;
    /// Before the first byte is written: a slot of two halves must never be started.
    fn give_up(&self, slot: char) -> Result<(), String>;
    /// The partition for the image `boot` or `root`, and its name.
    fn open(&self, kind: &str, slot: char) -> Result<(String, File), String>;
    /// In one write: counted from zero, first in order, given up after three starts that do not come up.
    fn put_on_trial(&self, slot: char) -> Result<(), String>;
}

fn write(slots: &impl Medium, file: &Path, told: &mut dyn FnMut(Progress)) -> Result<String, String> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let refuse = |why: String| format!("update: {name}: {why}");
    let mut from = File::open(file).map_err(|error| refuse(error.to_string()))?;
    let length = from.metadata().map_err(|error| refuse(error.to_string()))?.len();
    let mut header = Vec::new();
    from.by_ref().take(HEADER as u64).read_to_end(&mut header).map_err(|error| refuse(error.to_string()))?;
    let board = Release::read().board.unwrap_or_else(|| "pc".to_owned());
    let bundle = Bundle::read(&header, length, &board).map_err(refuse)?;
    let whole = bundle.boot.bytes + bundle.root.bytes;
    let boot_at = HEADER as u64;
    let parts = [(boot_at + bundle.boot.bytes, &bundle.root, "root"), (boot_at, &bundle.boot, "boot")];
    let mut done = 0;
    let mut step = |what, bytes: u64, of: u64| {
        done += bytes;
        told(Progress { what, percent: done.saturating_mul(100).checked_div(of).unwrap_or(100) });
    };
    // All of it is read before anything is written: a stick that fails costs nothing.
    for (start, part, _) in parts {
        copy::over(&mut from, start, part, |piece| {
            step("checked", piece.len() as u64, whole);
            Ok(())
        })
        .map_err(refuse)?;
    }
    let other = slots.other();
    // Nor is the other slot given up for what cannot be written.
    let mut places = Vec::new();
    for (start, part, kind) in parts {
        let (place, mut to) = slots.open(kind, other)?;
        copy::fits(part, &mut to).map_err(|why| format!("update: {name}: {place}: {why}"))?;
        places.push((start, part, place, to));
    }
    slots.give_up(other)?;
    let mut done = 0;
    for (start, part, place, mut to) in places {
        copy::copy(&mut from, start, part, &mut to, |bytes| {
            done += bytes;
            // Written, and read back.
            told(Progress { what: "written", percent: (done * 50).checked_div(whole).unwrap_or(100) });
        })
        .map_err(|why| format!("update: {place}: {why}"))?;
    }
    slots.put_on_trial(other)?;
    log::info!("firmware written: slot={other} version={} commit={}", bundle.version, bundle.commit);
    Ok(format!("Director {} is in slot {other}: the next start tries it.", bundle.version))
}

#[cfg(test)]
mod tests;
