//! What is looked at when there is nothing else to do: sticks, the slot on trial, the operator's file under `autoreload`.

use std::time::{Duration, Instant};

use super::Store;
use crate::store::work::{Sources, Work};

/// How often the file on a partition is looked at for changes; a plain file every time.
const WATCH: Duration = Duration::from_secs(10);

/// The operator's file under `autoreload`.
#[derive(Debug, Default)]
pub(super) struct Watch {
    looked: Option<Instant>,
    /// As it was at the last look: one that is still being written differs at the next.
    last: Option<String>,
    /// What was acted on.
    done: Option<String>,
}

impl Store {
    /// Every few seconds, while there is nothing else to do.
    pub(super) fn look_around(&mut self) {
        if let Sources::Appliance(Some(_)) = &self.sources
            && self.life.busy().is_none()
        {
            self.queue.push_back((Work::Peek, None));
        }
        if self.status.slot == "trying" && self.life.proof.is_due(Instant::now()) {
            self.queue.push_back((Work::Observe(self.status.generation), None));
        }
        let wanted = self.running.as_ref().is_some_and(|it| it.checked.config.system.autoreload);
        if !wanted {
            self.life.watch = Watch::default();
            return;
        }
        let period = if let Sources::File(_) = self.sources { Duration::ZERO } else { WATCH };
        if self.life.watch.looked.is_none_or(|looked| looked.elapsed() >= period) {
            self.life.watch.looked = Some(Instant::now());
            self.queue.push_back((Work::Watch, None));
        }
    }

    /// Acts on the operator's file when it is another one, and the same twice.
    pub(super) fn watched(&mut self, seen: Option<String>) {
        let Some(seen) = seen else { return };
        let watch = &mut self.life.watch;
        let settled = watch.last.as_ref() == Some(&seen);
        watch.last = Some(seen.clone());
        if watch.done.is_none() {
            let running = self.running.as_ref().map(|running| crate::store::archive::checksum(&running.text));
            watch.done = running;
        }
        if settled && watch.done.as_ref() != Some(&seen) {
            watch.done = Some(seen);
            self.queue.push_back((Work::Look("autoreload"), None));
        }
    }
}
