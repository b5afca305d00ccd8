//! Changes of the configuration, as far as disks are concerned. Blocking: done in the thread.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::archive::{Archive, checksum};
use super::difference::{difference, summary};
use super::pending::{self, Pending, kernel_life, since_boot};
use super::publish::supervisor;
use super::select::Found;
use super::work::{Plan, Sources};
use crate::config::{Before, check, check_again, explain, read_file};
use crate::ipc::message::{Change, Difference, Generation, Source, UnusualStart};

/// What somebody wants applied.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub change: Change,
    /// `None`: it is final.
    pub confirm: Option<Duration>,
    pub origin: String,
    /// Where what runs comes from.
    pub source: Source,
}

/// What a change has come to.
#[derive(Debug)]
pub(super) enum Outcome {
    Nothing,
    Difference(Box<Difference>),
    Proposed(Box<Proposal>),
    Confirmed(Option<u64>),
    Resumed(Box<Resumed>),
    Recorded(Option<u64>),
    /// Whether it is kept as the last good one.
    Kept(bool),
    History(Vec<Generation>),
    Text(String),
    Message(String),
    /// What became of the boots before this one.
    Settled {
        /// Why firmware on trial was left.
        left: Option<String>,
        /// How the last start was not a normal one.
        earlier_mode: Option<UnusualStart>,
    },
    /// Whether all is well; if not, what.
    Well(Result<(), String>),
}

/// A checked change, kept where a later life of this worker finds it.
#[derive(Debug)]
pub(super) struct Proposal {
    pub new: Arc<Before>,
    pub difference: Difference,
    /// `None`: the operator's file is written, it is final.
    pub pending: Option<Pending>,
    /// Where it will be, or is, kept.
    pub source: Source,
    pub origin: String,
}

/// What the last life of this worker, or of the box, left.
#[derive(Debug, Default)]
pub(super) struct Resumed {
    /// The change that still waits, as it is and as it was before.
    pub pending: Option<(Pending, Arc<Before>, Option<Arc<Before>>)>,
    /// What became of one that waited before.
    pub notice: Option<String>,
    pub number: Option<u64>,
}

/// A text and where it was found.
struct Taken {
    text: Vec<u8>,
    from: String,
    in_place: bool,
    on_stick: bool,
}

impl Plan {
    /// What a change would change.
    pub(super) fn diff(&mut self, change: &Change) -> Result<Outcome, String> {
        let taken = self.taken(change)?;
        let new = self.judged(&taken)?;
        Ok(Outcome::Difference(Box::new(self.difference_to(&new, &taken.from))))
    }

    /// Checks a change and makes it survive this process; it is not active yet.
    pub(super) fn propose(&mut self, wish: &Wish) -> Result<Outcome, String> {
        if let Some(why) = self.set_aside() {
            return Err(format!("apply: your file is left alone: {why}; start the box normally"));
        }
        let taken = self.taken(&wish.change)?;
        let new = Arc::new(self.judged(&taken)?);
        let difference = self.difference_to(&new, &taken.from);
        let source = match self.sources {
            Sources::File(_) => Source::File,
            Sources::Appliance(_) => Source::Partition,
        };
        let trial = wish.confirm.filter(|_| !difference.changes.is_empty());
        let pending = match (trial, self.running.clone()) {
            (Some(confirm), Some(running)) => {
                self.can_write()?;
                Some(self.on_trial(wish, &taken, confirm, &running, summary(&difference.changes))?)
            }
            _ => {
                let noted = pending::unsettled(self.run.path());
                noted.map_err(|error| format!("apply: {}: {error}", self.run.path().display()))?;
                if !taken.in_place {
                    let written = self.write_in_place(&taken.text);
                    written.inspect_err(|_| pending::settled(self.run.path()))?;
                }
                if taken.on_stick {
                    self.tell_stick(&format!("{}: applied, and written to the box\n", taken.from));
                }
                None
            }
        };
        let origin = wish.origin.clone();
        Ok(Outcome::Proposed(Box::new(Proposal { new, difference, pending, source, origin })))
    }

    fn on_trial(
        &mut self,
        wish: &Wish,
        taken: &Taken,
        confirm: Duration,
        running: &Before,
        changes: Vec<String>,
    ) -> Result<Pending, String> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let text =
            |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|error| format!("apply: {error}"));
        let pending = Pending {
            origin: wish.origin.clone(),
            from: taken.from.clone(),
            text: text(&taken.text)?,
            previous: text(&running.text)?,
            source: wish.source,
            in_place: taken.in_place,
            on_stick: taken.on_stick,
            changes,
            deadline_ms: millis(since_boot().saturating_add(confirm)),
            confirm_ms: millis(confirm),
            life: this_life(),
        };
        pending.save(&self.folders()).map_err(|error| format!("apply: keep what runs: {error}"))?;
        Ok(pending)
    }

    /// Makes a change that runs final: the operator's file first, so that a power cut leaves a change that was confirmed, or
    /// one that was not.
    pub(super) fn confirm(&mut self, pending: &Pending) -> Result<Outcome, String> {
        if pending.on_stick {
            self.keep_secrets().map_err(|why| format!("confirm: {why}"))?;
        }
        if !pending.in_place {
            self.write_in_place(pending.text.as_bytes()).map_err(|why| format!("confirm: {why}"))?;
        }
        Pending::forget(&self.folders()).map_err(|error| format!("confirm: {error}"))?;
        if pending.on_stick {
            self.tell_stick(&format!("{}: applied, confirmed, and written to the box\n", pending.from));
        }
        Ok(Outcome::Confirmed(self.record(pending.text.as_bytes(), &pending.origin)))
    }

    /// Cleans up behind a change that was taken back.
    pub(super) fn conclude(&mut self, pending: &Pending) -> Result<Outcome, String> {
        if let Sources::File(path) = &self.sources
            && pending.in_place
        {
            let failed = |error| format!("take the change back: {}: {error}", path.display());
            pending::take_back(path, pending).map_err(failed)?;
        }
        Pending::forget(&self.folders()).map_err(|error| format!("take the change back: {error}"))?;
        if pending.on_stick {
            self.tell_stick(&format!("{}: applied, not confirmed, and taken back\n", pending.from));
        }
        Ok(Outcome::Nothing)
    }

    /// Looks for a change that an earlier life left.
    pub(super) fn resume(&mut self) -> Outcome {
        let active = self.running.clone();
        let number = active.as_ref().and_then(|active| self.number_of(&active.text));
        let mut resumed = Resumed { number, ..Resumed::default() };
        let Some(pending) = Pending::load(&self.folders()) else {
            return Outcome::Resumed(Box::new(resumed));
        };
        if pending.life == this_life() {
            let facts = self.facts();
            let read = |text: &str| -> Option<Arc<Before>> {
                let text = text.as_bytes().to_vec();
                check(&text, "director.toml", &facts).ok().map(|checked| Arc::new(Before { text, checked }))
            };
            if let Some(new) = read(&pending.text) {
                let previous = read(&pending.previous);
                resumed.pending = Some((pending, new, previous));
                return Outcome::Resumed(Box::new(resumed));
            }
        }
        // It may have been confirmed to its last step but one.
        if active.is_none_or(|active| active.text != pending.text.as_bytes()) {
            resumed.notice = Some(format!(
                "the change from {} ({}) was not confirmed before the end: what was before runs",
                pending.from, pending.origin
            ));
        }
        if let Err(error) = Pending::forget(&self.folders()) {
            log::warn!("forget change: {error}");
        }
        Outcome::Resumed(Box::new(resumed))
    }

    /// Keeps a configuration that runs; a box that cannot keep it goes on.
    pub(super) fn record(&mut self, text: &[u8], origin: &str) -> Option<u64> {
        let archive = self.archive()?;
        match archive.record(text, origin, now_ms()) {
            Ok(number) => Some(number),
            Err(error) => {
                log::warn!("keep configuration: {}: {error}: no rollback to it", archive.0.display());
                None
            }
        }
    }

    /// What ran before.
    pub(super) fn history(&mut self) -> Result<Outcome, String> {
        let running = self.running.as_ref().map(|running| checksum(&running.text));
        let mut generations = self.archive().map(|archive| archive.list()).unwrap_or_default();
        // The same text may have run twice.
        if let Some(it) = generations.iter_mut().find(|it| Some(&it.sha256) == running.as_ref()) {
            it.running = true;
        }
        Ok(Outcome::History(generations))
    }

    /// The text with this number, or the one that runs.
    pub(super) fn text(&mut self, number: Option<u64>) -> Result<Outcome, String> {
        let text = match number {
            Some(number) => self.taken(&Change::Generation { number })?.text,
            None => self.running.as_ref().map(|it| it.text.clone()).ok_or("no configuration runs yet")?,
        };
        Ok(Outcome::Text(String::from_utf8_lossy(&text).into_owned()))
    }

    /// The number before that of what runs.
    pub(super) fn number_before(&mut self) -> Result<u64, String> {
        let list = self.archive().map(|archive| archive.list()).unwrap_or_default();
        let running = self.running.as_ref().map(|running| checksum(&running.text));
        let at = list.iter().position(|it| Some(&it.sha256) == running.as_ref());
        let before = match at {
            Some(at) => list.get(at + 1),
            None => list.first(),
        };
        before.map(|it| it.number).ok_or_else(|| "rollback: no earlier configuration is kept".to_owned())
    }

    fn number_of(&mut self, text: &[u8]) -> Option<u64> {
        let sum = checksum(text);
        self.archive()?.list().into_iter().find(|it| it.sha256 == sum).map(|it| it.number)
    }

    fn taken(&mut self, change: &Change) -> Result<Taken, String> {
        let at =
            |path: &Path| read_file(path).map_err(|error| format!("{}: {}", path.display(), explain(&error)));
        match (change, &mut self.sources) {
            (Change::Path { path }, Sources::File(file)) => {
                let in_place = same_file(path, file);
                Ok(Taken { text: at(path)?, from: path.display().to_string(), in_place, on_stick: false })
            }
            (Change::Path { path }, Sources::Appliance(_)) => {
                let from = path.display().to_string();
                Ok(Taken { text: at(path)?, from, in_place: false, on_stick: false })
            }
            (Change::File, Sources::File(file)) => {
                let from = file.display().to_string();
                Ok(Taken { text: at(file)?, from, in_place: true, on_stick: false })
            }
            (Change::File, Sources::Appliance(Some(appliance))) => {
                let offer = appliance.partition();
                let text = found(offer.found, &offer.place)?;
                Ok(Taken { text, from: offer.place, in_place: false, on_stick: false })
            }
            (Change::Stick, Sources::Appliance(Some(appliance))) => {
                let offer = appliance.stick();
                let text = found(offer.found, &offer.place)?;
                Ok(Taken { text, from: offer.place, in_place: false, on_stick: true })
            }
            (Change::Generation { number }, _) => {
                let archive = self.archive().ok_or("no configuration is kept: there is no data partition")?;
                let text = archive.text(*number).map_err(|error| match error.kind() {
                    std::io::ErrorKind::NotFound => {
                        format!(
                            "there is no configuration {number}: `director history` lists those that are kept"
                        )
                    }
                    _ => format!("configuration {number}: {error}"),
                })?;
                Ok(Taken { text, from: format!("configuration {number}"), in_place: false, on_stick: false })
            }
            (Change::Stick, _) => Err("only an appliance has USB sticks".to_owned()),
            (Change::File, Sources::Appliance(None)) => Err("the sources are being looked for".to_owned()),
        }
    }

    fn judged(&self, taken: &Taken) -> Result<Before, String> {
        let Taken { text, from, .. } = taken;
        let checked = check_again(text, from, &self.facts(), self.running.as_deref()).map_err(|report| {
            let count = report.problems().len();
            let faults = if count == 1 { "fault" } else { "faults" };
            format!("{from} has {count} {faults}: nothing is changed\n{}", report.to_string().trim_end())
        })?;
        Ok(Before { text: text.clone(), checked })
    }

    fn difference_to(&self, new: &Before, from: &str) -> Difference {
        let nothing = Before::default();
        difference(self.running.as_deref().unwrap_or(&nothing), new, from)
    }

    /// Replaces the operator's file.
    pub(super) fn write_in_place(&self, text: &[u8]) -> Result<(), String> {
        match &self.sources {
            Sources::File(path) => super::files::replace_keeping(path, text)
                .map_err(|error| format!("write configuration: {}: {error}", path.display())),
            Sources::Appliance(Some(appliance)) => appliance.write(text),
            Sources::Appliance(None) => Err("write configuration: no place for it".to_owned()),
        }
    }

    /// That a change can be made final, before anything moves.
    fn can_write(&self) -> Result<(), String> {
        match &self.sources {
            Sources::File(path) => {
                let folder = path.parent().unwrap_or_else(|| Path::new("."));
                nix::unistd::access(folder, nix::unistd::AccessFlags::W_OK).map_err(|errno| {
                    format!("apply: it could not be made final: {}: {}", folder.display(), errno.desc())
                })
            }
            Sources::Appliance(Some(appliance)) => {
                appliance.can_write().map_err(|why| format!("apply: it could not be made final: {why}"))
            }
            Sources::Appliance(None) => Err("apply: no place for it".to_owned()),
        }
    }

    fn set_aside(&self) -> Option<&'static str> {
        match &self.sources {
            Sources::Appliance(Some(appliance)) => appliance.set_aside(),
            Sources::File(_) | Sources::Appliance(None) => None,
        }
    }

    /// Leaves `text` as result.txt on the stick; a stick that cannot be written is no reason to fail.
    pub(super) fn tell_stick(&self, text: &str) {
        if let Sources::Appliance(Some(appliance)) = &self.sources
            && let Err(why) = appliance.tell_stick(text)
        {
            log::warn!("{why}");
        }
    }

    fn archive(&mut self) -> Option<Archive> {
        self.state_folder().map(|folder| Archive(folder.join("generations")))
    }

    /// Where a change that waits is kept: on the disk if there is one.
    fn folders(&mut self) -> Vec<PathBuf> {
        let run = self.run.path().to_owned();
        self.state_folder().into_iter().chain([run]).collect()
    }

    fn state_folder(&mut self) -> Option<PathBuf> {
        match &mut self.sources {
            Sources::File(_) => self.state.clone(),
            Sources::Appliance(Some(appliance)) => appliance.data().map(|data| data.join("configuration")),
            Sources::Appliance(None) => None,
        }
    }
}

fn found(found: Found, place: &str) -> Result<Vec<u8>, String> {
    match found {
        Found::Text(text) => Ok(text),
        Found::Unreadable(why) => Err(format!("{place}: {why}")),
        Found::Absent(what) => Err(what),
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (std::fs::canonicalize(one), std::fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// This life of the kernel and of the supervisor.
fn this_life() -> String {
    format!("{} {}", kernel_life(), supervisor().trim())
}

/// By the clock of the box, whatever that is worth.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
