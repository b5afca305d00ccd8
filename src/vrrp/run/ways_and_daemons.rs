//! Routes, rules and synchronisation daemons, made so by the thread beside the loop.

use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

use crate::config::model;
use crate::ipvs::client;
use crate::ipvs::daemon::Daemon;
use crate::vrrp::apply::Job;
use crate::vrrp::instance::Instance;
use crate::vrrp::sync::Agreed;
use crate::vrrp::ways::Change;
use crate::vrrp::{sync, ways};

use super::question::{Question, Refused, renew};
use super::{AGAIN, Worker};

impl Worker {
    /// Has the synchronisation daemons made so; once more if that changes meanwhile.
    pub(super) fn agree_on_daemons(&mut self) {
        if self.generation == 0 {
            return;
        }
        let engine = &self.engine;
        let masters = |name: &str| engine.masters().any(|instance| instance.config().name == name);
        let desired = sync::desired(self.sync.config.as_ref(), masters);
        if (desired.is_empty() && self.sync.clean) || !self.sync.question.may_ask() {
            return;
        }
        self.sync.clean = desired.is_empty();
        self.sync.question.asked(self.jobs.send(Job::Sync(desired)).is_ok());
    }

    /// Has routes and rules made so; once more if that changes meanwhile.
    pub(super) fn agree_on_ways(&mut self) {
        if self.generation == 0 {
            return;
        }
        let desired = ways::desired(self.engine.masters().map(Instance::config));
        // First the VIPs that they may need, and a device that these need: when they are in, this is asked for.
        self.ways.due = self.vips.is_open() || (self.made && !desired.is_empty());
        // What an earlier life has left is looked for once.
        let nothing = desired.is_empty() && self.ways.clean;
        if self.ways.due || nothing || !self.ways.question.may_ask() {
            return;
        }
        self.ways.clean = desired.is_empty();
        let links = &self.engine.facts().links;
        let links = links.iter().map(|(name, link)| (name.clone(), link.index)).collect();
        self.ways.question.asked(self.jobs.send(Job::Ways(desired, links)).is_ok());
    }

    pub(super) fn roads_made(&mut self, changes: io::Result<Vec<(Change, Option<String>)>>) {
        let again = self.ways.question.answered();
        let problem = match changes {
            Ok(changes) => {
                let mut refused = BTreeMap::new();
                for (change, error) in changes {
                    match error {
                        None => log::debug!("{change}"),
                        Some(error) => drop(refused.insert(change, error)),
                    }
                }
                renew(Instant::now(), &mut self.ways.refused, refused);
                None
            }
            Err(error) => Some(format!("cannot look at routes and rules: {error}")),
        };
        problem.iter().filter(|_| self.ways.problem != problem).for_each(|problem| log::error!("{problem}"));
        self.ways.problem = problem;
        // What could not be removed is tried again.
        self.ways.clean &= self.ways.refused.is_empty() && self.ways.problem.is_none();
        if self.ways.problem.is_some() || self.ways.refused.values().any(|refusal| !refusal.again) {
            // Once more, soon: that refusal counts.
            self.ways.retry_at = Some(Instant::now() + AGAIN);
        }
        if again {
            self.agree_on_ways();
        }
        self.tell_what_lacks();
    }

    pub(super) fn synced(&mut self, agreed: Result<Agreed, client::Error>) {
        let again = self.sync.question.answered();
        let wanted = self.sync.config.is_some();
        let mut problem = None;
        match agreed {
            Ok(Agreed { changes, running }) => {
                for (change, error) in changes {
                    match error {
                        None => log::info!("{change}"),
                        Some(error) => problem = Some(format!("cannot {change}: {error}")),
                    }
                }
                self.sync.running = running;
                self.news_for_peers = true;
            }
            // Without IPVS there are no daemons that might be left over.
            Err(error) if wanted => problem = Some(error.to_string()),
            Err(_) => {}
        }
        if let Some(problem) = problem.as_ref().filter(|problem| self.sync.problem.as_ref() != Some(*problem))
        {
            log::error!("{problem}");
        }
        // What could not be stopped is tried again.
        self.sync.clean &= problem.is_none();
        self.sync.problem = problem;
        if again {
            self.agree_on_daemons();
        }
    }
}

/// Routes and rules: what was asked of the kernel, and what it refuses.
#[derive(Debug, Default)]
pub(super) struct Roads {
    pub(super) question: Question,
    /// They have to be asked for, and something else has to be done before.
    pub(super) due: bool,
    /// What somebody may have left behind was looked for.
    pub(super) clean: bool,
    pub(super) refused: Refused<Change>,
    /// Why the tables cannot be read.
    pub(super) problem: Option<String>,
    /// When what was refused is tried once more.
    pub(super) retry_at: Option<Instant>,
}

impl Roads {
    /// Why they are not as the file wants them.
    pub(super) fn problems(&self) -> Vec<String> {
        let refused =
            self.refused.iter().map(|(change, refusal)| format!("cannot {change}: {}", refusal.why));
        refused.chain(self.problem.clone()).collect()
    }
}

/// The synchronisation daemons as the file wants them and as they are.
#[derive(Debug, Default)]
pub(super) struct Daemons {
    pub(super) config: Option<model::Sync>,
    pub(super) question: Question,
    /// What somebody may have left behind was looked for.
    pub(super) clean: bool,
    pub(super) running: Vec<Daemon>,
    pub(super) problem: Option<String>,
}
