//! What the boot loader is told: its environment lies on the partition `state`.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::{Appliance, device};
use crate::ipc::client::ask;
use crate::ipc::message::{PowerAction, Reply, Request, UnusualStart};
use crate::role::Role;
use crate::store::cmdline::Mode;
use crate::store::files::replace;
use crate::store::grubenv::Slot;
use crate::store::mounts::{Access, Mounted};
use crate::store::{proof, slot};

/// In `data`: which slot was left, and why.
const UNPROVEN: &str = "unproven-slot.txt";
/// In `data`: that the last start was not a normal one, and how.
const UNUSUAL: &str = "unusual-start.txt";
/// How long init may take to answer.
const WAIT: Duration = Duration::from_secs(5);

impl Appliance {
    /// What can wait until a configuration runs: takes up clock and seed, tells the boot loader that this slot came up.
    ///
    /// # Errors
    /// "what failed: on what: why".
    pub fn settle(&mut self) -> Result<Option<Slot>, String> {
        self.data();
        self.confirm_slot()
    }

    /// Why firmware on trial was left, if another slot runs since: as it said itself, or because it never came so far as to say it.
    #[must_use]
    pub fn left_slot(&mut self) -> Option<String> {
        self.told_by_itself().or_else(|| {
            let running = self.args.slot?;
            let left = self.on_grubenv(|path| Ok(slot::read(path).left(running))).ok()??;
            left.map(|slot| format!("the firmware in slot {slot} was given up: it never came up"))
        })
    }

    fn told_by_itself(&mut self) -> Option<String> {
        let text = fs::read_to_string(self.data_alone()?.join(UNPROVEN)).ok()?;
        let (slot, why) = text.trim_end().split_once(": ")?;
        (self.args.slot.map(String::from).as_deref() != Some(slot))
            .then(|| format!("the firmware in slot {slot} was given up: {why}"))
    }

    /// How the start before this one was not a normal one; the next start is told of this one.
    #[must_use]
    pub fn earlier_mode(&mut self) -> Option<UnusualStart> {
        let mode = self.args.mode;
        let note = self.data_alone()?.join(UNUSUAL);
        passed_on(&note, mode).unwrap_or_else(|error| {
            log::warn!("note how this start is: {}: {error}", note.display());
            None
        })
    }

    /// How long after the start of the kernel a slot on trial may take to prove itself.
    #[must_use]
    pub const fn time_to_prove(&self) -> Duration {
        match self.args.trial {
            Some(time) => time,
            None => proof::DEADLINE,
        }
    }

    /// Leaves a slot that has not proven itself, if there is another one that has: notes why, and has the box started again. It is
    /// the boot loader that counts, and that takes the other slot when the tries are used up.
    ///
    /// # Errors
    /// In words, why the box goes on as it is.
    pub fn give_up(&mut self, why: &str) -> Result<(), String> {
        let Some(slot) = self.args.slot else { return Ok(()) };
        if self.on_grubenv(|path| slot::has_another(path, slot))? != Some(true) {
            return Err(format!(
                "slot {slot} has not proven itself: {why}: it goes on, there is no other good slot"
            ));
        }
        log::error!("slot {slot} has not proven itself: {why}: the box starts again");
        if let Some(data) = self.data_alone()
            && let Err(error) = replace(&data.join(UNPROVEN), format!("{slot}: {why}\n").as_bytes())
        {
            log::warn!("note why a slot is left: {}: {error}", data.display());
        }
        match ask(&self.run, Role::Init, &Request::Power { action: PowerAction::Reboot }, WAIT) {
            Ok(Reply::Error { message }) => Err(format!("start again: {message}")),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("start again: {error}")),
        }
    }

    fn confirm_slot(&self) -> Result<Option<Slot>, String> {
        let Some(slot) = self.args.slot else { return Ok(None) };
        self.on_grubenv(|path| slot::confirm(path, slot))
    }

    /// Makes the slot that runs a good one, if it is on trial.
    ///
    /// # Errors
    /// "what failed: on what: why".
    pub fn prove_slot(&mut self) -> Result<Option<Slot>, String> {
        let Some(slot) = self.args.slot else { return Ok(None) };
        let standing = self.on_grubenv(|path| slot::prove(path, slot))?;
        if let Some(data) = self.data_alone() {
            let _ = fs::remove_file(data.join(UNPROVEN)); // an old story
        }
        Ok(standing)
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
}

/// Takes the note of the start before, and leaves one where this one is not normal.
fn passed_on(note: &Path, mode: Mode) -> io::Result<Option<UnusualStart>> {
    let now = match mode {
        Mode::Safe => UnusualStart::Safe,
        Mode::Rescue => UnusualStart::Rescue,
        Mode::Normal | Mode::Reset => {
            let Ok(earlier) = fs::read_to_string(note) else { return Ok(None) };
            fs::remove_file(note)?;
            return Ok(UnusualStart::named(earlier.trim_end()));
        }
    };
    replace(note, format!("{}\n", now.word()).as_bytes())?;
    Ok(None)
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
    fn a_start_that_is_not_normal_is_told_to_the_next_normal_one_once() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join(UNUSUAL);
        let start = |mode| passed_on(&note, mode).unwrap();
        assert_eq!(start(Mode::Normal), None);
        assert_eq!((start(Mode::Rescue), start(Mode::Safe)), (None, None));
        assert_eq!((start(Mode::Normal), start(Mode::Normal)), (Some(UnusualStart::Safe), None));
    }

    #[test]
    fn the_table_grows_with_the_memory() {
        assert_eq!(memory("MemTotal:        1014084 kB\nMemFree: 1 kB\n"), Some(1_014_084));
        let sizes = [500_000, 1_014_084, 3_900_000, 16_000_000, 500_000_000].map(table_bits);
        assert_eq!(sizes, [18, 18, 20, 22, 22]);
    }
}
