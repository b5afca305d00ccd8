//! Back to the state of delivery.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use super::{Appliance, Data, FACTORY, FILE};
use crate::store::files::replace;
use crate::store::mounts::Access;
use crate::store::{hooks, secrets};

/// In `data`: a factory reset is under way, which the next boot ends.
const RESETTING: &str = "resetting";

impl Appliance {
    /// Back to the state of delivery, as the boot menu wants it. A marker in the run directory, which does not outlive the boot,
    /// makes it happen once.
    pub(super) fn reset_once(&mut self) {
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
        if let Some(data) = self.data_alone()
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
            for ending in ["prev", "unconfirmed", "new"] {
                let _ = fs::remove_file(directory.join(format!("{FILE}.{ending}")));
            }
            for folder in [secrets::FOLDER, hooks::FOLDER] {
                if let Err(error) = fs::remove_dir_all(directory.join(folder))
                    && error.kind() != ErrorKind::NotFound
                {
                    log::warn!("factory reset: {folder}: {error}");
                }
            }
            replace(&directory.join(FILE), FACTORY.as_bytes())
        };
        let written = self.on_config(Access::Write, write).map_err(|why| format!("factory reset: {why}"))?;
        self.factory = Some(true);
        written.map_err(|error| format!("factory reset: write {FILE}: {error}"))
    }

    fn erase_data(&mut self) {
        let Some(data) = self.data_alone() else { return };
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
        let gone = fs::remove_file(data.join(RESETTING)).and_then(|()| File::open(&data)?.sync_all());
        if let Err(error) = gone
            && error.kind() != ErrorKind::NotFound
        {
            log::warn!("factory reset: {}: {error}", data.display());
        }
    }

    /// Ends a reset that was cut short.
    pub(super) fn end_reset(&mut self) {
        let Data::Mounted(data) = &self.data else { return };
        if data.join(RESETTING).exists() {
            log::warn!("factory reset: ended now, it was cut short");
            if let Err(why) = self.deliver() {
                log::error!("{why}");
            }
            self.erase_data();
            self.ended_reset = true;
        }
    }

    /// Whether a reset that was cut short has been ended since this was last asked: then the sources have to be looked at anew.
    pub fn has_ended_reset(&mut self) -> bool {
        std::mem::take(&mut self.ended_reset)
    }
}
