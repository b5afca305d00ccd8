//! Routes, rules and synchronisation daemons, made so by the thread beside the loop.

use std::collections::BTreeSet;
use std::io;

use crate::config::model;
use crate::ipvs::client;
use crate::ipvs::daemon::Daemon;
use crate::vrrp::apply::Job;
use crate::vrrp::instance::Instance;
use crate::vrrp::sync::Agreed;
use crate::vrrp::ways::Change;
use crate::vrrp::{sync, ways};

use super::Worker;

impl Worker {
    /// Has the synchronisation daemons made so; one question at a time.
    pub(super) fn agree_on_daemons(&mut self) {
        if self.generation == 0 {
            return;
        }
        let engine = &self.engine;
        let masters = |name: &str| engine.masters().any(|instance| instance.config().name == name);
        let desired = sync::desired(self.sync.config.as_ref(), masters);
        if !self.sync.asked && (!desired.is_empty() || !self.sync.clean) {
            self.sync.clean = desired.is_empty();
            self.sync.asked = self.jobs.send(Job::Sync(desired)).is_ok();
        }
    }

    /// Has routes and rules made so, after the VIPs that they may need; once more if that changes meanwhile.
    pub(super) fn agree_on_ways(&mut self) {
        if self.generation == 0 {
            return;
        }
        if self.ways.asked {
            self.ways.again = true;
            return;
        }
        let desired = ways::desired(self.engine.masters().map(Instance::config));
        // What an earlier life has left is looked for once.
        if desired.is_empty() && self.ways.clean {
            return;
        }
        self.ways.clean = desired.is_empty();
        let links = &self.engine.facts().links;
        let links = links.iter().map(|(name, link)| (name.clone(), link.index)).collect();
        self.ways.asked = self.jobs.send(Job::Ways(desired, links)).is_ok();
    }

    pub(super) fn roads_made(&mut self, changes: io::Result<Vec<(Change, Option<String>)>>) {
        self.ways.asked = false;
        let mut problems = BTreeSet::new();
        match changes {
            Ok(changes) => {
                for (change, error) in changes {
                    match error {
                        None => log::debug!("{change}"),
                        Some(error) => drop(problems.insert(format!("cannot {change}: {error}"))),
                    }
                }
            }
            Err(error) => drop(problems.insert(format!("cannot look at routes and rules: {error}"))),
        }
        // What could not be removed is tried again.
        self.ways.clean &= problems.is_empty();
        problems.difference(&self.ways.problems).for_each(|problem| log::error!("{problem}"));
        self.ways.problems = problems;
        if std::mem::take(&mut self.ways.again) {
            self.agree_on_ways();
        }
    }

    pub(super) fn synced(&mut self, agreed: Result<Agreed, client::Error>) {
        self.sync.asked = false;
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
        self.sync.problem = problem;
    }
}

/// Routes and rules: what was asked of the kernel, and what it refuses.
#[derive(Debug, Default)]
pub(super) struct Roads {
    pub(super) asked: bool,
    pub(super) again: bool,
    pub(super) clean: bool,
    pub(super) problems: BTreeSet<String>,
}

/// The synchronisation daemons as the file wants them and as they are.
#[derive(Debug, Default)]
pub(super) struct Daemons {
    pub(super) config: Option<model::Sync>,
    /// The kernel has been asked and has not answered.
    pub(super) asked: bool,
    /// What somebody may have left behind was looked for.
    pub(super) clean: bool,
    pub(super) running: Vec<Daemon>,
    pub(super) problem: Option<String>,
}
