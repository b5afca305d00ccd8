//! The thread that talks to the kernel's tables.
//!
//! Whoever changes or lists links and addresses waits for the kernel's one lock over them (rtnl), and a network card that is
//! being reset, or a hundred interfaces that are being made, hold it for long. The loop that advertises must not.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::facts::Link;
use super::kernel::Kernel;
use super::punctual::help_in_real_time;
use super::routing::Indexes;
use super::sync::{Agreed, Keeper};
use super::vips::Op;
use super::ways::{Change, Ways};
use crate::ipvs::client;
use crate::ipvs::daemon::Daemon;
use crate::units::IfName;

const STACK: usize = 256 * 1024;

/// What the thread is asked for. Jobs are done one after the other, and answered in their order.
#[derive(Debug)]
pub enum Job {
    /// List links and addresses.
    Look,
    /// Set and take off VIPs, each on the link of this index.
    Apply {
        /// In this order.
        ops: Vec<(Op, u32)>,
        /// Whether somebody else has made it necessary.
        repair: bool,
    },
    /// Make routes and rules so, on links of these indexes.
    Ways(Ways, Indexes),
    /// Make the synchronisation daemons so.
    Sync(Vec<Daemon>),
}

/// What has been done.
#[derive(Debug)]
pub enum Done {
    /// The tables as they are, and how long it took.
    Looked(io::Result<BTreeMap<IfName, Link>>, Duration),
    /// Each change with its outcome.
    Applied {
        /// In the order of the job.
        results: Vec<(Op, io::Result<()>)>,
        /// As in the job.
        repair: bool,
    },
    /// Each change of routes and rules, and why it failed.
    Ways(io::Result<Vec<(Change, Option<String>)>>),
    /// The daemons that run, and each change.
    Synced(Result<Agreed, client::Error>),
}

/// Starts the thread, which ends with the sender of jobs.
///
/// # Errors
/// When there is no room for a thread.
pub fn start(kernel: Kernel) -> io::Result<(std::sync::mpsc::Sender<Job>, mpsc::UnboundedReceiver<Done>)> {
    let (ask, jobs) = std::sync::mpsc::channel();
    let (tell, done) = mpsc::unbounded_channel();
    // All of the stack is locked in memory: no more than messages of a few kilobytes need.
    let builder = std::thread::Builder::new().name("vrrp-kernel".to_owned()).stack_size(STACK);
    builder.spawn(move || {
        help_in_real_time();
        let mut kernel = kernel;
        let mut keeper = Keeper::default();
        for job in jobs {
            if tell.send(perform(&mut kernel, &mut keeper, job)).is_err() {
                return;
            }
        }
    })?;
    Ok((ask, done))
}

fn perform(kernel: &mut Kernel, keeper: &mut Keeper, job: Job) -> Done {
    match job {
        Job::Look => {
            let started = Instant::now();
            let links = kernel.links();
            // An answer that was lost would be taken for that to the next question.
            if links.is_err()
                && let Ok(fresh) = Kernel::open()
            {
                *kernel = fresh;
            }
            Done::Looked(links, started.elapsed())
        }
        Job::Ways(desired, links) => Done::Ways(kernel.agree_on_ways(&desired, &links)),
        Job::Sync(desired) => Done::Synced(keeper.agree(&desired)),
        Job::Apply { ops, repair } => {
            let apply = |(op, index): (Op, u32)| {
                let result = kernel.apply(&op, index);
                (op, result)
            };
            Done::Applied { results: ops.into_iter().map(apply).collect(), repair }
        }
    }
}
