//! A change that runs on trial: what it is, what ran before it, and until when it has to be confirmed.
//!
//! It lies in a file of its own, so that a `store` that died takes it back all the same. The time is that of the kernel since its
//! start: whoever sets the clock moves no deadline. With another life of the supervisor, and so after a power cut, the
//! operator's file is the old one still, and what lies there only tells that the change was lost.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::files::{replace, swap};
use crate::ipc::message::{PendingStatus, Source};

const FILE: &str = "pending.json";
/// In the run directory: which change is being taken back. There it outlives a `store` that dies, and nothing else.
const UNDONE: &str = "change.undone";
/// In the run directory: a final change is written and not active yet.
const UNSETTLED: &str = "change.unsettled";

/// A change on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Who wanted it.
    pub origin: String,
    /// Where it was taken from, for people.
    pub from: String,
    /// Its text.
    pub text: String,
    /// What ran before.
    pub previous: String,
    /// Where that came from.
    pub source: Source,
    /// The operator's file has it already: the operator edited it.
    pub in_place: bool,
    /// It came from a USB stick, to which the outcome is told.
    pub on_stick: bool,
    /// A line for each thing that it changed.
    pub changes: Vec<String>,
    /// Milliseconds after the start of the kernel at which it is taken back.
    pub deadline_ms: u64,
    /// How long there was to confirm it, milliseconds.
    pub confirm_ms: u64,
    /// The life of the kernel and of the supervisor in which it was applied.
    pub life: String,
}

impl Pending {
    /// How long until it is taken back.
    #[must_use]
    pub const fn left(&self, since_boot: Duration) -> Duration {
        Duration::from_millis(self.deadline_ms).saturating_sub(since_boot)
    }

    /// For people and programs.
    #[must_use]
    pub fn status(&self, since_boot: Duration) -> PendingStatus {
        let left_ms = u64::try_from(self.left(since_boot).as_millis()).unwrap_or(u64::MAX);
        let Self { origin, from, changes, .. } = self.clone();
        PendingStatus { origin, from, left_ms, changes }
    }

    /// Keeps it in the first of `folders` that takes it.
    ///
    /// # Errors
    /// None does.
    pub fn save(&self, folders: &[PathBuf]) -> io::Result<()> {
        let bytes = serde_json::to_vec(self)?;
        let mut last = io::Error::other("no place for it");
        for folder in folders {
            match super::archive::folder(folder).and_then(|()| replace(&folder.join(FILE), &bytes)) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// What was kept in one of `folders`; what cannot be read is none.
    #[must_use]
    pub fn load(folders: &[PathBuf]) -> Option<Self> {
        folders.iter().find_map(|folder| serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok())
    }

    /// Notes in the run directory that it is taken back, before that is done.
    ///
    /// # Errors
    /// There is no room.
    pub fn mark_undone(&self, run: &Path) -> io::Result<()> {
        swap(&run.join(UNDONE), self.mark().as_bytes())
    }

    /// Whether it is known to be taken back.
    #[must_use]
    pub fn is_undone(&self, run: &Path) -> bool {
        fs::read(run.join(UNDONE)).is_ok_and(|mark| mark == self.mark().as_bytes())
    }

    /// What no other change has: there is one at a time.
    fn mark(&self) -> String {
        format!("{} {}", self.deadline_ms, self.life)
    }

    /// Forgets it; from then on it is confirmed, or was taken back.
    ///
    /// # Errors
    /// It is still there.
    pub fn forget(folders: &[PathBuf]) -> io::Result<()> {
        for folder in folders {
            match fs::remove_file(folder.join(FILE)) {
                Ok(()) => fs::File::open(folder)?.sync_all()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Notes that a final change is about to be written.
///
/// # Errors
/// There is no room.
pub fn unsettled(run: &Path) -> io::Result<()> {
    swap(&run.join(UNSETTLED), b"")
}

/// Whether the last life of this worker wrote a final change and may not have made it active.
#[must_use]
pub fn is_unsettled(run: &Path) -> bool {
    run.join(UNSETTLED).exists()
}

/// Notes that it is active, or came to nothing.
pub fn settled(run: &Path) {
    match fs::remove_file(run.join(UNSETTLED)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => log::warn!("{UNSETTLED}: {error}"),
        _ => {}
    }
}

/// Time since the kernel started, sleep included (CLOCK_BOOTTIME).
#[must_use]
pub fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// This life of the kernel.
#[must_use]
pub fn kernel_life() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Before the supervisor of `director run` starts anybody: takes back a change that its last life left unconfirmed in `file`
/// itself. What the operator had written there is kept as `file.unconfirmed`.
///
/// # Errors
/// The file cannot be written.
pub fn recover(file: &Path, state: &Path) -> io::Result<()> {
    let folders = [state.to_owned()];
    let Some(pending) = Pending::load(&folders).filter(|pending| pending.in_place) else { return Ok(()) };
    take_back(file, &pending)
}

/// Puts what ran before `pending` into the operator's file, if that has the change and nothing newer.
///
/// # Errors
/// The file cannot be written; it is as it was.
pub fn take_back(file: &Path, pending: &Pending) -> io::Result<()> {
    if !fs::read(file).is_ok_and(|text| text == pending.text.as_bytes()) {
        return Ok(());
    }
    let mut aside = file.as_os_str().to_owned();
    aside.push(".unconfirmed");
    replace(Path::new(&aside), pending.text.as_bytes())?;
    replace(file, pending.previous.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending() -> Pending {
        Pending {
            origin: "command line".to_owned(),
            from: "/root/new.toml".to_owned(),
            text: "version = 1\n# new\n".to_owned(),
            previous: "version = 1\n".to_owned(),
            source: Source::File,
            in_place: true,
            on_stick: false,
            changes: Vec::new(),
            deadline_ms: 90_000,
            confirm_ms: 60_000,
            life: "x".to_owned(),
        }
    }

    #[test]
    fn a_deadline_is_counted_from_the_start_of_the_kernel() {
        let left = |seconds| pending().left(Duration::from_secs(seconds)).as_secs();
        assert_eq!([left(30), left(89), left(90), left(1_000)], [60, 1, 0, 0]);
        assert!(since_boot() > Duration::ZERO && !kernel_life().is_empty());
    }

    #[test]
    fn it_is_kept_where_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let folders = [dir.path().join("file/none"), dir.path().join("run")];
        assert_eq!(Pending::load(&folders), None);
        pending().save(&folders).unwrap();
        assert_eq!(Pending::load(&folders), Some(pending()));
        assert!(pending().save(&folders[..1]).is_err());
        Pending::forget(&folders[1..]).unwrap();
        Pending::forget(&folders[1..]).unwrap();
        assert_eq!(Pending::load(&folders), None);
    }

    #[test]
    fn an_edited_file_that_was_never_confirmed_is_taken_back_and_kept_aside() {
        let dir = tempfile::tempdir().unwrap();
        let (file, state) = (dir.path().join("director.toml"), dir.path().join("state"));
        fs::write(&file, pending().text).unwrap();
        recover(&file, &state).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), pending().text, "there is nothing to take back");
        pending().save(std::slice::from_ref(&state)).unwrap();
        recover(&file, &state).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "version = 1\n");
        let aside = dir.path().join("director.toml.unconfirmed");
        assert_eq!(fs::read_to_string(aside).unwrap(), pending().text);
        fs::write(&file, "version = 1\n# newer\n").unwrap();
        recover(&file, &state).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "version = 1\n# newer\n", "that is another edit");
    }
}
