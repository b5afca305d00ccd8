//! When secrets in files of their own are brought, and when they become the box's own.

use super::{Done, Plan, Sources, Work};
use crate::config::Before;
use crate::config::model::Config;
use crate::ipc::message::{Change, Source};
use crate::store::secrets;
use crate::store::trial::Outcome;

impl Plan {
    /// The secrets of what may run next, and of what may run again. Whoever lacks one says so. Whether one is another than before.
    pub(super) fn bring_secrets(&self, work: &Work, done: &Done) -> bool {
        let chosen = done.choice.as_ref().and_then(|choice| choice.chosen.as_ref());
        let (new, old): (Option<&Before>, Option<&Before>) = match &done.outcome {
            Outcome::Proposed(proposal) => (Some(&proposal.new), None),
            Outcome::Resumed(resumed) => match &resumed.pending {
                Some((_, new, previous)) => (Some(new), previous.as_deref()),
                None => return false,
            },
            _ if chosen.is_some() => (None, None),
            _ => return false,
        };
        let before = [new, old, self.running.as_deref()].into_iter().flatten().map(|it| &it.checked);
        let configs: Vec<&Config> =
            chosen.map(|chosen| &chosen.checked).into_iter().chain(before).map(|it| &it.config).collect();
        let of_stick = chosen.is_some_and(|chosen| chosen.source == Source::Usb)
            || matches!(work, Work::Apply(wish) if wish.change == Change::Stick);
        let brought = match &self.sources {
            Sources::File(file) => {
                let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
                let beside = file.parent().unwrap_or(&file);
                secrets::bring(&self.run, configs, |name| secrets::on_host(beside, name))
                    .map_err(|error| format!("bring secrets: {}: {error}", self.run.path().display()))
            }
            Sources::Appliance(Some(appliance)) => {
                appliance.bring_secrets(&configs, of_stick).and_then(|changed| {
                    // What is final is written at once; a trial when it is confirmed.
                    let last = match &done.outcome {
                        Outcome::Proposed(proposal) if proposal.pending.is_none() => {
                            Some(&proposal.new.checked)
                        }
                        _ => None,
                    };
                    last.filter(|_| of_stick).map_or(Ok(()), |last| appliance.keep_secrets(&last.config))?;
                    Ok(changed)
                })
            }
            Sources::Appliance(None) => Ok(false),
        };
        brought.unwrap_or_else(|why| {
            log::error!("{why}");
            false
        })
    }

    /// Those of what runs, and was taken from a stick, become the box's own.
    pub(in crate::store) fn keep_secrets(&self) -> Result<(), String> {
        match (&self.sources, &self.running) {
            (Sources::Appliance(Some(appliance)), Some(running)) => {
                appliance.keep_secrets(&running.checked.config)
            }
            _ => Ok(()),
        }
    }
}
