//! This boot and those before it: the slot on trial, and what the last start has left to be told.

use std::time::Instant;

use super::Store;
use crate::ipc::message::UnusualStart;
use crate::store::pending::since_boot;
use crate::store::work::{Sources, Work};

impl Store {
    /// What became of the boots before this one.
    pub(super) fn settled(&mut self, left: Option<String>, earlier_mode: Option<UnusualStart>) {
        let life = &mut self.status.life;
        if let Some(mode) = earlier_mode {
            log::warn!("before this start the box was in {} mode", mode.word());
        }
        life.earlier_mode = earlier_mode;
        if let Some(why) = left {
            log::warn!("{why}");
            life.notice = Some(why.clone());
            life.left_slot = Some(why);
        }
        self.republish();
    }

    /// Takes what was seen of the workers while the slot is on trial.
    pub(super) fn judge_slot(&mut self, well: Result<(), String>) {
        if self.life.proof.seen(Instant::now(), well.is_ok()) {
            self.queue.push_back((Work::Prove, None));
        }
        let (Err(why), Sources::Appliance(Some(appliance))) = (well, &self.sources) else { return };
        log::info!("slot on trial is not proven yet: {why}");
        if self.life.proof.is_over(since_boot(), appliance.time_to_prove()) {
            self.queue.push_back((Work::GiveUp(why), None));
        }
    }
}
