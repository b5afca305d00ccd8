//! The two slots of this box: where they are, how they stand, which one is started next.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::appliance::device;
use super::super::cmdline::KernelArgs;
use super::super::disk::Sys;
use super::super::grubenv::GrubEnv;
use super::super::mounts::{Access, Mounted};
use super::super::{deliver, slot};
use super::Medium;
use crate::paths::RunDir;

/// How a slot stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// `A` or `B`.
    pub slot: char,
    /// `good`, `try` or `bad`.
    pub state: String,
    /// Starts that did not come up since one did.
    pub starts: usize,
    /// Whether it runs.
    pub running: bool,
    /// Whether the next start takes it.
    pub next: bool,
}

/// Both slots.
///
/// # Errors
/// "what failed: on what: why"; outside the appliance there are none.
pub fn slots(run: &RunDir) -> Result<Vec<Standing>, String> {
    let slots = Slots::find(run)?;
    let env = slots.environment(|path| Ok(slot::read(path)))?;
    Ok(standings(&env, slots.running))
}

/// Lets the next start take the other slot: on trial if it is, and back to this one if it does not come up.
///
/// # Errors
/// "what failed: on what: why"; also where that slot holds nothing that starts.
pub fn start_next(run: &RunDir, wanted: char) -> Result<(), String> {
    let slots = Slots::find(run)?;
    let env = slots.environment(|path| Ok(slot::read(path)))?;
    let state = standings(&env, slots.running).into_iter().find(|it| it.slot == wanted).map(|it| it.state);
    if state.as_deref() == Some("bad") {
        return Err(format!("start slot {wanted} next: it was given up: write an update into it first"));
    }
    slots.environment(|path| slot::rewrite(path, |env| env.prefer(wanted)).map(|_| ()))?;
    log::info!("the next start takes slot {wanted}");
    Ok(())
}

/// Lets the next start, and no other, be in safe mode.
///
/// # Errors
/// "what failed: on what: why"; outside the appliance there is none.
pub fn start_safe(run: &RunDir) -> Result<(), String> {
    Slots::find(run)?.environment(|path| slot::rewrite(path, GrubEnv::start_safe).map(|_| ()))?;
    log::info!("the next start is in safe mode");
    Ok(())
}

/// What the boot loader would do with the slots.
pub(super) fn standings(env: &GrubEnv, running: char) -> Vec<Standing> {
    let order = env.get("ORDER").unwrap_or("A B").to_owned();
    let next = order.chars().find(|slot| slot.is_ascii_uppercase() && env.may_start(*slot));
    let one = |slot: char| Standing {
        slot,
        state: env.get(&format!("{slot}_ST")).unwrap_or("good").to_owned(),
        starts: env.get(&format!("{slot}_N")).unwrap_or_default().len(),
        running: slot == running,
        next: next == Some(slot),
    };
    vec![one('A'), one('B')]
}

/// This box's boot disk.
pub(super) struct Slots {
    pub(super) sys: Sys,
    pub(super) disk: String,
    running: char,
    target: PathBuf,
}

impl Slots {
    pub(super) fn find(run: &RunDir) -> Result<Self, String> {
        let args = KernelArgs::parse(&std::fs::read_to_string("/proc/cmdline").unwrap_or_default());
        let running = args.slot.ok_or("find the slots: this is no appliance: it has none")?;
        let sys = Sys(PathBuf::from("/sys"));
        let disk = sys.boot_disk(args.disk.as_deref());
        let disk = disk.ok_or("find the boot disk: none below the root file system")?;
        Ok(Self { sys, disk, running, target: deliver::mount_point(run, "state-slots")? })
    }

    fn environment<T>(&self, work: impl FnOnce(&Path) -> std::io::Result<T>) -> Result<T, String> {
        let part = self.sys.partition(&self.disk, "state");
        let part = part.ok_or_else(|| format!("find partition: {}: no state", self.disk))?;
        let mounted = Mounted::ext4(&device(&part), &self.target, Access::Write)?;
        work(&mounted.path().join("grub/grubenv")).map_err(|error| format!("write grubenv: {part}: {error}"))
    }
}

impl Medium for Slots {
    fn other(&self) -> char {
        if self.running == 'A' { 'B' } else { 'A' }
    }

    fn open(&self, kind: &str, slot: char) -> Result<(String, File), String> {
        let label = format!("{kind}-{}", slot.to_ascii_lowercase());
        let part = self.sys.partition(&self.disk, &label);
        let part = part.ok_or_else(|| format!("find partition: {}: no {label}", self.disk))?;
        let file = OpenOptions::new().read(true).write(true).open(device(&part));
        file.map(|file| (label.clone(), file)).map_err(|error| format!("open: {label}: {error}"))
    }

    fn give_up(&self, slot: char) -> Result<(), String> {
        let on_trial = self.environment(|path| Ok(slot::read(path)))?;
        if on_trial.get(&format!("{}_ST", self.running)) == Some("try") {
            return Err(format!(
                "update: slot {} is itself on trial: wait until it is confirmed, or nothing proven is left",
                self.running
            ));
        }
        self.environment(|path| slot::rewrite(path, |env| env.give_up(slot)).map(|_| ()))
    }

    fn put_on_trial(&self, slot: char) -> Result<(), String> {
        self.environment(|path| slot::rewrite(path, |env| env.put_on_trial(slot)).map(|_| ()))
    }
}
